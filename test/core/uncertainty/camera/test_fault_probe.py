"""What a network's stages tell of a camera: fitted to pictures of the demo, and by hand against scikit-learn."""
import hashlib
import json
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import BundleError, RobotVisionError
from robot_vision_dl.core.networks.prediction import HostPrediction
from robot_vision_dl.core.types import CameraFault, ColorOrder, Picture
from robot_vision_dl.core.uncertainty.assess import Assessor
from robot_vision_dl.core.uncertainty.camera.bounds import as_json, default_bounds, from_json
from robot_vision_dl.core.uncertainty.camera.fit import fit_bounds
from robot_vision_dl.core.uncertainty.camera.probe import EXCHANGED, FAULTS, SOUND, FaultProbe, tensors_of
from robot_vision_dl.core.uncertainty.camera.probe_fit import HIDDEN, Seen, fit_probe
from robot_vision_dl.core.uncertainty.camera.statistics import COLOURS, NAMES, look
from robot_vision_dl.core.uncertainty.camera.watch import CameraWatch
from robot_vision_dl.core.uncertainty.ood.sensor_faults import Recording, drawn_recording, spoilt_picture
from robot_vision_dl.evaluation.predict import Predictor

from .test_camera_faults import pictures

N, F = 400, 6
WIDTHS = 4, 2


def material(seed=0, apart=6.0, n=N):
    """Features of pictures of which a fault moves the first along, and colours that tell exchanged ones."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (n, F)).astype(np.float32)
    blurred = features + np.array([apart, *[0.0] * (F - 1)], np.float32)
    colours = np.zeros((n, COLOURS), np.float32)
    colours[:, 0] = rng.normal(1, .3, n)
    everything = np.arange(n)
    return features, colours, {'out of focus': (everything, blurred), EXCHANGED: (everything, features)}


def line(fault, usual=-4.0, bound=2.0):
    """A probe that says what the only feature of the only stage says, of one fault."""
    hidden = int(fault == EXCHANGED)
    return FaultProbe((fault,), (1,), (usual,), (bound,), np.ones((1, 1), np.float32),
                      np.full(1, 5.0 * hidden, np.float32),
                      np.zeros((COLOURS, hidden), np.float32), np.ones(hidden, np.float32), -5.0 * hidden)


def said(probe, features, colours):
    return [probe.says(sums, one) for sums, one in zip(probe.sums([features]), colours)]


def test_what_is_apart_is_told_and_what_is_not_is_left_out():
    features, colours, spoilt = material()
    spoilt['underexposed'] = np.arange(N), features  # the very same
    probe = fit_probe(Seen(np.arange(N), features, spoilt, WIDTHS), colours)
    assert probe.faults == ('out of focus', EXCHANGED) and probe.outputs.shape == (HIDDEN,)
    fresh, their_colours, worse = material(1)
    sound = [max(probe.towards(one))[0] for one in said(probe, fresh, their_colours)]
    assert np.mean(np.array(sound) > 1) <= .02
    found = [max(probe.towards(one)) for one in said(probe, worse['out of focus'][1], their_colours)]
    assert np.mean([far > 1 and fault is CameraFault.OUT_OF_FOCUS for far, fault in found]) > .95
    exchanged = [probe.exchanged(one) for one in said(probe, fresh, -their_colours)]
    assert np.mean(np.array(exchanged) > 1) > .9
    never = probe.without_exchanged()
    assert all(never.exchanged(one) == 0 for one in said(never, fresh, -their_colours))
    again = fit_probe(Seen(np.arange(N), features, spoilt, WIDTHS), colours)
    assert all(np.array_equal(one, other) for one, other in zip(tensors_of(again).values(), tensors_of(probe).values()))


def test_in_which_way_a_picture_came_tells_no_fault():
    """All that are at fault came in another way, which moves the second feature; so did some of the others."""
    features, colours, spoilt = material()
    blurred, recorded = spoilt['out of focus'][1].copy(), features[::2].copy()
    blurred[:, 1] += 6.0
    recorded[:, 1] += 6.0
    spoilt['out of focus'] = np.arange(N), blurred
    weights = {}
    for name, more in (('without', {}), ('with', {SOUND: (np.arange(0, N, 2), recorded)})):
        weights[name] = fit_probe(Seen(np.arange(N), features, {**spoilt, **more}, WIDTHS), colours).of_stage(0)[:, 0]
    assert weights['without'][1] > .5 * weights['without'][0] > 0
    assert abs(weights['with'][1]) < .2 * weights['with'][0]


def test_weights_are_those_of_scikit_learn():
    linear_model = pytest.importorskip('sklearn.linear_model', reason='scikit-learn is not installed')
    features, colours, spoilt = material(apart=2.0)
    probe = fit_probe(Seen(np.arange(N), features, spoilt, WIDTHS), colours)
    x = np.concatenate([features, spoilt['out of focus'][1]]).astype(np.float64)[:, :WIDTHS[0]]
    middle, unit = x.mean(axis=0), x.std(axis=0)
    reference = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(
        (x - middle) / unit, np.repeat([0, 1], N))
    weights = reference.coef_[0] / unit
    np.testing.assert_allclose(probe.of_stage(0)[:, 0], weights, rtol=1e-3, atol=1e-3)
    assert not probe.of_stage(1)[:, 0].any() and probe.of_stage(1).shape == (WIDTHS[1], 1 + HIDDEN)
    assert probe.offsets[0] == pytest.approx(reference.intercept_[0] - weights @ middle, abs=1e-2)


def test_pictures_of_one_group_do_not_judge_themselves():
    """Each of twenty recordings has colours of its own: what is learned of them is worth little for others."""
    features, colours, spoilt = material()
    rng = np.random.default_rng(2)
    groups = np.arange(N) // 20
    colours[:] = rng.normal(0, 1, (20, COLOURS))[groups]
    seen = Seen(np.arange(N), features, {EXCHANGED: spoilt[EXCHANGED]}, WIDTHS)
    alone, together = fit_probe(seen, colours), fit_probe(seen, colours, groups)
    assert alone is not None
    assert together is None or together.bounds[0] > alone.bounds[0]


def test_few_and_grey_pictures_tell_nothing():
    features, colours, spoilt = material(n=99)
    assert fit_probe(Seen(np.arange(99), features, spoilt, WIDTHS), colours) is None
    features, colours, spoilt = material()
    probe = fit_probe(Seen(np.arange(N), features, spoilt, WIDTHS), np.zeros_like(colours))
    assert probe.faults == ('out of focus',) and not probe.tells_exchanged and probe.exchanged([9.0]) == 0


def joint(outputs):
    return np.concatenate(outputs.stages, axis=1)


@lru_cache(maxsize=1)
def of_the_demo():
    """Bundle, predictor, and bounds of the demo's frames but for every third, with what the waste sorter says."""
    bundle = load_bundle('waste_sorter')
    run, shown = Predictor.of_bundle(bundle, 'cpu'), pictures()
    rng = np.random.default_rng(0)
    looks = [look(picture) for picture in shown]
    fitted = np.flatnonzero(np.arange(len(shown)) % 3)
    spoilt = {name: (fitted, joint(run.pictures([spoilt_picture(shown[place], name, rng) for place in fitted])))
              for name in ('out of focus', 'overexposed', EXCHANGED)}
    seen = run.pictures(shown)
    features = joint(seen)
    bounds = fit_bounds(np.array([one.values for one in looks]), np.array([one.colours for one in looks]),
                        np.arange(len(shown)) % 3 == 0, seen_by=Seen(
                            np.arange(len(shown)), features, spoilt, tuple(one.shape[1] for one in seen.stages)))
    return bundle, run, looks, features, bounds


def test_out_of_focus_is_told_by_the_network_where_the_picture_alone_does_not():
    _, run, looks, features, bounds = of_the_demo()
    rng = np.random.default_rng(1)
    held_out = range(0, len(looks), 3)
    blurred = [spoilt_picture(pictures()[place], 'out of focus', rng) for place in held_out]
    sums = bounds.probe.sums(run.pictures(blurred).stages)
    looks_worse = [look(picture) for picture in blurred]
    alone = [bounds.judge(one).fault is not None for one in looks_worse]
    both = [bounds.judge(one, passed=passed) for one, passed in zip(looks_worse, sums)]
    assert np.mean([one.fault is not None for one in both]) >= max(.98, np.mean(alone))
    told = [one for one, without in zip(both, alone) if one.fault is not None and not without]
    assert all('first layers' in one.reason and one.score > 1 for one in told)
    sound = [bounds.judge(looks[place], passed=bounds.probe.sums([features[place:place + 1]])[0])
             for place in held_out]
    assert sum(one.fault is not None for one in sound) <= 1
    assert min(one.p_value for one in both) == pytest.approx(1 / (1 + len(bounds.scores)))


@pytest.mark.parametrize('noise, quality', [(0.0, None), (0.0, 90), (1.5, 80), (2.0, None)])
def test_the_waste_sorter_tells_what_is_out_of_focus_in_whichever_way_it_comes(noise, quality):
    """Noise and compression hide neither a blur, nor make a fault of a sound picture."""
    bundle, run, *_ = of_the_demo()
    rng, recording = np.random.default_rng(3), Recording(noise, quality)
    told = {}
    for name in ('out of focus', SOUND):
        shown = [spoilt_picture(picture, name, rng, recording) for picture in pictures()[::4]]
        sums = bundle.camera.probe.sums(run.pictures(shown).stages)
        told[name] = np.mean([bundle.camera.judge(look(picture), passed=passed).fault is not None
                              for picture, passed in zip(shown, sums)])
    assert told['out of focus'] >= .9 and told[SOUND] <= .05


@pytest.mark.parametrize('fault, name', [('overexposed', 'bright'), ('underexposed', 'white_level'), (
    'no contrast', 'contrast'), ('out of focus', 'sharpness')])
def test_what_is_ordinary_to_the_network_is_no_fault_by_its_edges_or_brightness_alone(fault, name):
    _, _, looks, _, bounds = of_the_demo()
    bounds = replace(bounds, probe=line(fault))
    values = looks[0].values.copy()
    values[NAMES.index(name)] = bounds.bounds[name] * (1.01 if name == 'bright' else 0.99)
    unusual = looks[0]._replace(values=values)
    assert bounds.judge(unusual).fault is FAULTS[fault]
    assert bounds.judge(unusual, passed=np.float32([0.0])).fault is FAULTS[fault]  # nearer to what is spoilt
    ordinary = bounds.judge(unusual, passed=np.float32([-4.0]))
    assert ordinary.fault is None and ordinary.score == 1 and ordinary.p_value <= .05
    assert bounds.judge(unusual, passed=np.float32([-11.0])).fault is FAULTS[fault]  # as far on the other side
    values[NAMES.index('lost')] = 1.0  # which the network is not asked about
    assert bounds.judge(looks[0]._replace(values=values), passed=np.float32([-4.0])).fault is not None


@pytest.mark.parametrize('fault, name, value', [('overexposed', 'bright', .9), ('underexposed', 'white_level', 20), (
    'no contrast', 'contrast', 1.0), ('no contrast', 'spread', 2)])
def test_what_is_a_fault_of_any_camera_is_one_whatever_the_network_says(fault, name, value):
    _, _, looks, _, bounds = of_the_demo()
    values = looks[0].values.copy()
    values[NAMES.index(name)] = value
    probed = replace(bounds, probe=line(fault))
    assert probed.judge(looks[0]._replace(values=values), passed=np.float32([-4.0])).fault is not None


def test_one_colour_is_named_so():
    bundle, run, _, _, bounds = of_the_demo()
    for level in (0, 128, 200):
        plain = Picture(np.full_like(pictures()[0].pixels, level), pictures()[0].order)
        for one in (bounds, bundle.camera):
            alone, both = one.judge(look(plain)), one.judge(look(plain), passed=one.probe.sums(
                run.pictures([plain]).stages)[0])
            assert both.fault is alone.fault and both.fault is not None


def test_a_watch_remembers_exchanged_colours_by_what_the_network_says():
    _, _, looks, _, bounds = of_the_demo()
    bounds = replace(bounds, probe=line(EXCHANGED), swap_weights=(), swap_bound=0.0)
    watch, faults = CameraWatch(), []
    for place, value in enumerate((-4.0, 2.5, 1.0, 0.1, 1.0)):
        picture = pictures()[3 * place]
        faults.append(watch.check(looks[3 * place], picture, place * 10**8, bounds, 0.0, 1.0,
                                  bounds.probe.sums([np.float32([[value]])])[0]).fault)
    assert faults == [None, CameraFault.WRONG_COLOURS, CameraFault.WRONG_COLOURS, None, None]


def test_it_is_the_same_after_json_and_what_is_wrong_is_told():
    bounds = of_the_demo()[-1]
    values = json.loads(json.dumps(as_json(bounds), allow_nan=False))
    tables = tensors_of(bounds.probe)
    again = from_json(values, tables)
    assert as_json(again) == as_json(bounds) and tensors_of(again.probe) == tables and 'first layers' in again.words
    assert from_json(values).probe is None  # only checked
    probe = values.pop('probe')
    assert from_json(values, {}).probe is None  # a bundle from before
    last = len(probe['faults']) - 1
    for broken, text in (([], 'probe: must be an object'), ({**probe, 'more': 1}, 'with exactly'),
                         ({**probe, 'faults': ['frozen', *probe['faults'][1:]]}, 'faults: must be some of'),
                         ({**probe, 'faults': probe['faults'][::-1]}, 'each once and exchanged channels last'),
                         ({**probe, 'faults': [[]]}, 'faults: must be some of'),
                         ({**probe, 'faults': [{}, 1]}, 'faults: must be some of'),
                         ({**probe, 'widths': [40, 0, 112]}, 'widths: must be'),
                         ({**probe, 'usual': probe['usual'][1:]}, f'usual: there must be {last + 1} numbers'),
                         ({**probe, 'bounds': [True] * (last + 1)}, 'bounds: must be numbers'),
                         ({**probe, 'bounds': probe['usual']}, 'must be above what is usual'),
                         ({**probe, 'usual': [-9.0] * (last + 1), 'bounds': [-1.0] * (last + 1)}, 'and above 0'),
                         ({**probe, 'widths': [40, 80, 111]}, 'the table stages must be float32'),
                         ({**probe, 'offset': None}, 'offset: must be numbers')):
        with pytest.raises(ValueError, match=text):
            from_json({**values, 'probe': broken}, tables)
    for name, table in (('probe.outputs', tables['probe.outputs'][1:]), ('probe.stages', tables['probe.stages'] * 1e9),
                        ('probe.outputs', np.array(1.0, np.float32)), ('probe.offsets', np.array(1.0, np.float32)),
                        ('probe.colours', tables['probe.colours'].astype(np.float64))):
        with pytest.raises(ValueError, match='probe: the table'):
            from_json({**values, 'probe': probe}, {**tables, name: table})


def test_a_bundle_keeps_it(tmp_path):
    bundle, _, _, _, bounds = of_the_demo()
    saved = save_bundle(tmp_path / 'probed', bundle.load_single_network(), bundle.class_names, bundle.preprocessing,
                        camera=bounds)
    assert as_json(saved.camera) == as_json(bounds) and verify_bundle(saved.folder) == []
    for name, table in tensors_of(bounds.probe).items():
        np.testing.assert_array_equal(tensors_of(saved.camera.probe)[name], table)
    several = load_bundle(f'ensemble:{saved.folder},{saved.folder}')
    assert several.camera.probe is None and several.camera.bounds == saved.camera.bounds
    path = saved.folder / 'uncertainty.safetensors'
    tensors = load_file(path)
    save_file({name: table for name, table in tensors.items() if name != 'probe.colours'}, path)
    values = json.loads((saved.folder / 'bundle.json').read_text())
    values['files'][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (saved.folder / 'bundle.json').write_text(json.dumps(values))
    with pytest.raises(BundleError, match='camera: probe: the table colours .* copy the bundle again'):
        load_bundle(saved.folder)


def test_the_assessor_reads_it_in_the_same_pass():
    bundle, run, _, features, bounds = of_the_demo()
    probed = replace(bundle, camera=bounds)
    said = run.pictures(pictures()[:5])
    found = Assessor(probed)(HostPrediction(*said))
    np.testing.assert_allclose([one.fault_sums for one in found], bounds.probe.sums([features[:5]]), rtol=1e-4,
                               atol=1e-3)
    plain = Assessor(replace(bundle, camera=default_bounds()))(HostPrediction(*said))
    for one, other in zip(found, plain):
        assert other.fault_sums is None
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-5)
        assert one.ood.p_value == other.ood.p_value
        assert one.mutual_information == pytest.approx(other.mutual_information)
    with pytest.raises(RobotVisionError, match=r'and those of the network have \(\);'):
        Assessor(replace(probed, ood=None))(HostPrediction(said.logits, said.features))
    with pytest.raises(RobotVisionError, match=r'read stages of \(40, 80, 112\) features, .* have \(80,\)'):
        Assessor(replace(probed, ood=None))(HostPrediction(said.logits, said.features, (said.stages[1],)))


def test_every_fault_can_be_made_and_named():
    picture = pictures()[0]
    same = spoilt_picture(picture, SOUND, np.random.default_rng(0), Recording(0.0))
    assert np.array_equal(same.pixels, picture.pixels)
    rgb = Picture(np.ascontiguousarray(picture.pixels[..., ::-1]), ColorOrder.RGB)
    one, other = (spoilt_picture(form, SOUND, np.random.default_rng(0), Recording(0.0, 60)) for form in (picture, rgb))
    assert np.array_equal(one.pixels, other.pixels[..., ::-1]) and not np.array_equal(one.pixels, picture.pixels)
    drawn = [drawn_recording(np.random.default_rng(seed)) for seed in range(60)]
    assert {one.quality is None for one in drawn} == {one.noise == 0 for one in drawn} == {True, False}
    for name, fault in FAULTS.items():
        spoilt = spoilt_picture(picture, name, np.random.default_rng(0))
        assert isinstance(fault, CameraFault) and not np.array_equal(spoilt.pixels, picture.pixels)
        grey = Picture(picture.pixels[..., 0].copy(), picture.order)
        assert spoilt_picture(grey, name, np.random.default_rng(0)).pixels.ndim == 2
