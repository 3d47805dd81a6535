"""What a network's first stage tells of a camera: fitted to pictures of the demo, and by hand against scikit-learn."""
import json
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.errors import RobotVisionError
from robot_vision_dl.core.networks.prediction import HostPrediction
from robot_vision_dl.core.types import CameraFault, Picture
from robot_vision_dl.core.uncertainty.assess import Assessor
from robot_vision_dl.core.uncertainty.camera.bounds import as_json, default_bounds, from_json
from robot_vision_dl.core.uncertainty.camera.fit import fit_bounds
from robot_vision_dl.core.uncertainty.camera.probe import EXCHANGED, FAULTS, FaultProbe, Line, Seen, fit_probe
from robot_vision_dl.core.uncertainty.camera.statistics import COLOURS, NAMES, look
from robot_vision_dl.core.uncertainty.camera.watch import CameraWatch
from robot_vision_dl.core.uncertainty.ood.sensor_faults import spoilt_picture
from robot_vision_dl.evaluation.predict import Predictor

from .test_camera_faults import pictures

N, F = 400, 6


def material(seed=0, apart=6.0, n=N):
    """Features of pictures of which a fault moves the first along, and colours that tell exchanged ones."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (n, F)).astype(np.float32)
    blurred = features + np.array([apart, *[0.0] * (F - 1)], np.float32)
    colours = np.zeros((n, COLOURS), np.float32)
    colours[:, 0] = rng.normal(1, .3, n)
    everything = np.arange(n)
    return features, colours, {'out of focus': (everything, blurred), EXCHANGED: (everything, features)}


def by_name(probe):
    return {line.fault: line for line in probe.lines}


def test_what_is_apart_is_told_and_what_is_not_is_left_out():
    features, colours, spoilt = material()
    spoilt['underexposed'] = np.arange(N), features  # the very same
    probe = fit_probe(Seen(np.arange(N), features, spoilt), colours)
    assert set(by_name(probe)) == {'out of focus', EXCHANGED}
    fresh, their_colours, worse = material(1)
    sound = [max(probe.towards(sums, one))[0] for sums, one in zip(probe.sums(fresh).tolist(), their_colours)]
    assert np.mean(np.array(sound) > 1) <= .01
    found = [max(probe.towards(sums, one)) for sums, one in zip(
        probe.sums(worse['out of focus'][1]).tolist(), their_colours)]
    assert np.mean([far > 1 and fault is CameraFault.OUT_OF_FOCUS for far, fault in found]) > .95
    exchanged = [probe.exchanged(sums, -one) for sums, one in zip(probe.sums(fresh).tolist(), their_colours)]
    assert np.mean(np.array(exchanged) > 1) > .9
    never = probe.without_exchanged()
    assert all(never.exchanged(sums, -one) == 0 for sums, one in zip(probe.sums(fresh).tolist(), their_colours))


def test_weights_are_those_of_scikit_learn():
    linear_model = pytest.importorskip('sklearn.linear_model', reason='scikit-learn is not installed')
    features, colours, spoilt = material(apart=2.0)
    line = by_name(fit_probe(Seen(np.arange(N), features, spoilt), colours))['out of focus']
    x = np.concatenate([features, spoilt['out of focus'][1]]).astype(np.float64)
    middle, unit = x.mean(axis=0), x.std(axis=0)
    reference = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(
        (x - middle) / unit, np.repeat([0, 1], N))
    weights = reference.coef_[0] / unit
    np.testing.assert_allclose(line.weights, weights, rtol=1e-3, atol=1e-3)
    assert line.offset == pytest.approx(reference.intercept_[0] - weights @ middle, abs=1e-2)


def test_pictures_of_one_group_do_not_judge_themselves():
    """Each of twenty recordings has colours of its own: what is learned of them is worth little for others."""
    features, colours, spoilt = material()
    rng = np.random.default_rng(2)
    groups = np.arange(N) // 20
    colours[:] = rng.normal(0, 1, (20, COLOURS))[groups]
    seen = Seen(np.arange(N), features, {EXCHANGED: spoilt[EXCHANGED]})
    alone, together = fit_probe(seen, colours), fit_probe(seen, colours, groups)
    assert alone is not None
    assert together is None or together.lines[0].bound > alone.lines[0].bound


def test_few_and_grey_pictures_tell_nothing():
    features, colours, spoilt = material(n=99)
    assert fit_probe(Seen(np.arange(99), features, spoilt), colours) is None
    features, colours, spoilt = material()
    probe = fit_probe(Seen(np.arange(N), features, spoilt), np.zeros_like(colours))
    assert set(by_name(probe)) == {'out of focus'} and not probe.tells_exchanged


@lru_cache(maxsize=1)
def of_the_demo():
    """Bundle, predictor, and bounds of the demo's frames but for every third, with what the waste sorter says."""
    bundle = load_bundle('waste_sorter')
    run, shown = Predictor.of_bundle(bundle, 'cpu'), pictures()
    rng = np.random.default_rng(0)
    looks = [look(picture) for picture in shown]
    fitted = np.flatnonzero(np.arange(len(shown)) % 3)
    spoilt = {name: (fitted, run.pictures([spoilt_picture(shown[place], name, rng) for place in fitted]).stages[0])
              for name in ('out of focus', 'overexposed', EXCHANGED)}
    features = run.pictures(shown).stages[0]
    bounds = fit_bounds(np.array([one.values for one in looks]), np.array([one.colours for one in looks]),
                        np.arange(len(shown)) % 3 == 0, seen_by=Seen(np.arange(len(shown)), features, spoilt))
    return bundle, run, looks, features, bounds


def test_out_of_focus_is_told_by_the_network_where_the_picture_alone_does_not():
    _, run, looks, features, bounds = of_the_demo()
    rng = np.random.default_rng(1)
    held_out = range(0, len(looks), 3)
    blurred = [spoilt_picture(pictures()[place], 'out of focus', rng) for place in held_out]
    sums = bounds.probe.sums(run.pictures(blurred).stages[0]).tolist()
    looks_worse = [look(picture) for picture in blurred]
    alone = [bounds.judge(one).fault is not None for one in looks_worse]
    both = [bounds.judge(one, passed=passed) for one, passed in zip(looks_worse, sums)]
    assert np.mean([one.fault is not None for one in both]) >= max(.98, np.mean(alone))
    told = [one for one, without in zip(both, alone) if one.fault is not None and not without]
    assert all('first layers' in one.reason and one.score > 1 for one in told)
    sound = [bounds.judge(looks[place], passed=bounds.probe.sums(features[place:place + 1])[0].tolist())
             for place in held_out]
    assert sum(one.fault is not None for one in sound) <= 1
    assert min(one.p_value for one in both) == pytest.approx(1 / (1 + len(bounds.scores)))


@pytest.mark.parametrize('fault, name', [('overexposed', 'bright'), ('underexposed', 'white_level'), (
    'no contrast', 'contrast'), ('out of focus', 'sharpness')])
def test_what_is_ordinary_to_the_network_is_no_fault_by_its_edges_or_brightness_alone(fault, name):
    _, _, looks, _, bounds = of_the_demo()
    bounds = replace(bounds, probe=FaultProbe((Line(fault, (1.0,), 0.0, -4.0, 2.0),)))
    values = looks[0].values.copy()
    values[NAMES.index(name)] = bounds.bounds[name] * (1.01 if name == 'bright' else 0.99)
    unusual = looks[0]._replace(values=values)
    assert bounds.judge(unusual).fault is FAULTS[fault]
    assert bounds.judge(unusual, passed=(0.0,)).fault is FAULTS[fault]  # nearer to what is spoilt
    ordinary = bounds.judge(unusual, passed=(-4.0,))
    assert ordinary.fault is None and ordinary.score == 1 and ordinary.p_value <= .05
    values[NAMES.index('lost')] = 1.0  # which the network is not asked about
    assert bounds.judge(looks[0]._replace(values=values), passed=(-4.0,)).fault is not None


def test_a_watch_remembers_exchanged_colours_by_what_the_network_says():
    _, _, looks, _, bounds = of_the_demo()
    line = Line(EXCHANGED, (1.0,), 0.0, -4.0, 2.0, (0.0,) * COLOURS)
    bounds = replace(bounds, probe=FaultProbe((line,)), swap_weights=(), swap_bound=0.0)
    watch, faults = CameraWatch(), []
    for place, said in enumerate((-4.0, 2.5, 1.0, 0.1, 1.0)):
        picture = pictures()[3 * place]
        faults.append(watch.check(looks[3 * place], picture, place * 10**8, bounds, 0.0, 1.0, (said,)).fault)
    assert faults == [None, CameraFault.WRONG_COLOURS, CameraFault.WRONG_COLOURS, None, None]


def test_it_is_the_same_after_json_and_what_is_wrong_is_told():
    bounds = of_the_demo()[-1]
    values = json.loads(json.dumps(as_json(bounds), allow_nan=False))
    again = from_json(values)
    assert as_json(again) == as_json(bounds) and again.probe == bounds.probe
    assert 'first layers' in again.words
    del values['probe']
    assert from_json(values).probe is None  # a bundle from before
    one = as_json(bounds)['probe'][0]
    for broken, text in (([], 'probe: must be a list'), ([{**one, 'more': 1}], r'probe\[0\]: must be an object'),
                         ([{**one, 'fault': 'frozen'}], r'probe\[0\].fault: .*got .frozen'),
                         ([one, one], r'probe\[1\].fault: must be another'),
                         ([{**one, 'weights': []}], 'at least one'), ([{**one, 'weights': [True]}], 'must be numbers'),
                         ([{**one, 'bound': one['usual']}], 'above what is usual'),
                         ([{**one, 'colours': [1.0]}], r'\.colours: there must be')):
        with pytest.raises(ValueError, match=text):
            from_json({**values, 'probe': broken})


def test_the_assessor_reads_it_in_the_same_pass():
    bundle, run, _, features, bounds = of_the_demo()
    probed = replace(bundle, camera=bounds)
    said = run.pictures(pictures()[:5])
    found = Assessor(probed)(HostPrediction(*said))
    np.testing.assert_allclose([one.fault_sums for one in found], bounds.probe.sums(features[:5]), rtol=1e-4, atol=1e-3)
    plain = Assessor(replace(bundle, camera=default_bounds()))(HostPrediction(*said))
    for one, other in zip(found, plain):
        assert other.fault_sums == ()
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-5)
        assert one.ood.p_value == other.ood.p_value
        assert one.mutual_information == pytest.approx(other.mutual_information)
    with pytest.raises(RobotVisionError, match='gives no stage'):
        Assessor(replace(probed, ood=None))(HostPrediction(said.logits, said.features))
    with pytest.raises(RobotVisionError, match='read 40 features'):
        Assessor(replace(probed, ood=None))(HostPrediction(said.logits, said.features, (said.stages[1],)))


def test_every_fault_can_be_made_and_named():
    picture = pictures()[0]
    for name, fault in FAULTS.items():
        spoilt = spoilt_picture(picture, name, np.random.default_rng(0))
        assert isinstance(fault, CameraFault) and not np.array_equal(spoilt.pixels, picture.pixels)
        grey = Picture(picture.pixels[..., 0].copy(), picture.order)
        assert spoilt_picture(grey, name, np.random.default_rng(0)).pixels.ndim == 2
