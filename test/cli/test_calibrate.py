"""``calibrate`` and ``decide`` on pictures and bags: whole bundles out, promises held, wrong use said."""
import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from fitted_head import fit_head

from robot_vision_dl.cli.main import main
from robot_vision_dl.cli.model_figures import calibrated_again
from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import Frame, Header
from robot_vision_dl.core.uncertainty.calibrate import Calibration
from robot_vision_dl.core.uncertainty.camera.bounds import as_json
from robot_vision_dl.core.uncertainty.fusion_times import FusionTimes
from robot_vision_dl.core.uncertainty.ood.sensor_faults import spoilt_picture
from robot_vision_dl.data.learned_pictures import learned_pictures
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.evaluation.predict import assessments, run_bundle

NAMES = ('dark', 'light', 'red')
COLOURS = {'dark': (60, 60, 60), 'light': (180, 180, 180), 'red': (60, 60, 180), 'other': (200, 40, 0)}


def write_pictures(folder, per_class, seed, names=NAMES):
    """Noisy pictures of one colour each, some of them labelled wrongly."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            shown = rng.choice(NAMES) if name in NAMES and rng.random() < 0.1 else name
            pixels = np.clip(rng.normal(COLOURS[shown], 25, (32, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / name / f'{number:03d}.png'), pixels)
    return folder


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Pictures, a bag, and an uncalibrated bundle whose head was fitted to the pictures, far too surely."""
    root = tmp_path_factory.mktemp('calibrate')
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 3)
    for name, count, seed in (('train', 40, 0), ('day1', 60, 1), ('day2', 100, 2)):
        write_pictures(root / name, count, seed)
    write_pictures(root / 'strange', 40, 3, ('other',))
    save_bundle(root / 'plain', network, NAMES, Preprocessing(0, (32, 32)), temperature=1.0)
    seen = run_bundle(load_bundle(root / 'plain'), [str(root / 'train')], cache=str(root / 'cache'))
    fit_head(network, seen, 1e-5)
    save_bundle(root / 'model', network, NAMES, Preprocessing(0, (32, 32)), card='# model\n- Input: x\n\nKeep me.\n')
    return root


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))


@pytest.mark.slow
def test_pictures_of_another_size_parts_standardised_apart_and_a_test_at_last(made, tmp_path, capsys):
    """A bundle of a training: how it is tested is told anew, and the network sees pictures as it is calibrated."""
    apart, plain = write_pictures(tmp_path / 'apart', 20, 7), load_bundle(made / 'model')
    model = save_bundle(tmp_path / 'model', plain.load_single_network(), NAMES, plain.preprocessing, card=(
        plain.folder / 'MODEL_CARD.md').read_text() + '\n## Test\n\nOf before.\n\n## Data\n\nMany.\n').folder
    given = [str(made / 'day1'), '--reference', str(made / 'train'), '--ood', 'combined', '--stages', 'layer1']
    more = ['--apart', str(apart), '--resize', '40', '--test', str(made / 'day2')]
    assert main(['calibrate', str(model), *given, '--into', str(tmp_path / 'as_it_was')]) == 0
    assert main(['calibrate', str(model), *given, *more, '--into', str(tmp_path / 'other')]) == 0
    said = capsys.readouterr().out
    before, bundle = load_bundle(tmp_path / 'as_it_was'), load_bundle(tmp_path / 'other')
    assert (before.preprocessing.resize, bundle.preprocessing.resize) == (0, 40) and verify_bundle(bundle.folder) == []
    assert bundle.provenance['resized'] == f'pictures to 40 pixels, of {load_bundle(model).identity} to 0'
    assert not np.allclose(before.ood.tensors['location'], bundle.ood.tensors['location'])
    # The test is what the bundle, loaded again, says of that data.
    seen, _ = run_bundle(bundle, [str(made / 'day2')]).each_once()
    found = [one.probabilities.argmax() for one in assessments(bundle, seen.logits, seen.features, seen.stages)]
    right = bundle.metrics['test']['accuracy']
    assert right == pytest.approx((np.array(found) == seen.labels).mean(), abs=1e-4)
    assert bundle.metrics['test']['pictures'] == len(seen.labels) == 300
    assert not calibrated_again(bundle)
    assert f'test: accuracy {right:.4f} of 300' in said
    text = (bundle.folder / 'MODEL_CARD.md').read_text()
    assert 'Keep me.' in text and 'Of before.' not in text and text.count('## Test') == 1 and '## Data\n\nMany.' in text
    assert 'Judged after a calibration: 300 frames, none of which took part in it' in text
    assert (bundle.folder / 'card' / 'confusion.png').is_file()
    assert 'Of before.' in (before.folder / 'MODEL_CARD.md').read_text()
    # What was tested at another size says nothing of this one, and what it was calibrated on is no test.
    assert main(['calibrate', str(tmp_path / 'other'), *given, '--resize', '36', '--test', str(made / 'day1'), '--into',
                 str(tmp_path / 'flattered')]) == 0
    taken = 'of 180 pictures 180 look like ones that its calibration or early stop used (perceptual hash)'
    assert f'--test: {taken}, which flatters' in capsys.readouterr().err
    assert f'180 frames; **{taken}, which flatters**' in (tmp_path / 'flattered' / 'MODEL_CARD.md').read_text()
    assert main(['calibrate', str(tmp_path / 'other'), *given, '--resize', '36', '--into',
                 str(tmp_path / 'untested')]) == 0
    assert 'how good the model is now is not known, give --test' in capsys.readouterr().err
    untested = load_bundle(tmp_path / 'untested')
    text = (untested.folder / 'MODEL_CARD.md').read_text()
    assert 'test' not in untested.metrics and 'Not tested: what was tested before saw pictures resized to 40' in text
    assert 'confusion.png' not in text and '## Data' in text and verify_bundle(untested.folder) == []
    assert main(['calibrate', str(model), *given, '--apart', str(made / 'day1'), '--into', str(tmp_path / 'no')]) != 0
    assert f'--apart: 0 pictures of known classes are fewer than 30; {taken}, and are left out' in ' '.join(
        capsys.readouterr().err.split())
    assert main(['calibrate', str(model), *given, '--resize', '16', '--into', str(tmp_path / 'no')]) == 2
    assert 'resize (16) must be at least the crop (32, 32), or 0' in capsys.readouterr().err
    few = write_pictures(tmp_path / 'few', 5, 8)
    assert main(['calibrate', str(model), *given, '--apart', str(few), '--into', str(tmp_path / 'no')]) != 0
    assert '--apart: 15 pictures of known classes are fewer than 30' in capsys.readouterr().err


def test_calibrates_by_pictures(made, capsys):
    target = made / 'by_pictures'
    assert main(['calibrate', str(made / 'model'), str(made / 'day1'), '--reference', str(made / 'train'), '--foreign',
                 str(made / 'strange'), '--into', str(target), '--conformal', 'aps', '--stages', 'layer1']) == 0
    said = capsys.readouterr().out
    bundle = load_bundle(target)
    assert verify_bundle(target) == []
    assert bundle.calibrated
    assert bundle.provenance['calibrated'] >= bundle.provenance['created'][:10]
    assert bundle.provenance['calibrated_by'].startswith('robot-vision')
    assert (bundle.precision, bundle.device, bundle.conformal.method) == ('float32', 'cpu', 'aps')
    assert bundle.laplace is not None
    assert bundle.fusion is None
    assert bundle.metrics['nll'] < bundle.metrics['nll_plain']
    assert bundle.metrics['ood_auroc']['strange'] > 0.9
    assert 'strange: AUROC' in said
    card = (target / 'MODEL_CARD.md').read_text()
    assert 'Keep me.' in card
    assert 'its mean of AUROC and share called unknown is' in card
    for one, other in zip(bundle.load_network().parameters(), load_bundle(made / 'model').load_network().parameters()):
        assert torch.equal(one, other)
    # Its stages tell faults of the camera, live as well.
    assert 'out of focus' in bundle.camera.probe.faults
    assert 'by the first layers of the network, too: ' in bundle.camera.words
    pipeline = Pipeline(bundle, ClassifierConfig(device='cpu', backend='torch'))
    sound = read_picture(made / 'day2' / 'light' / '000.png')
    blurred = spoilt_picture(sound, 'out of focus', np.random.default_rng(0))
    shown = [Frame(f'{place}', Header(1, ''), one, 'bgr8', 1) for place, one in enumerate((sound, blurred))]
    found = pipeline.process(shown)
    assert found[0].camera.fault is None and found[0].assessment.fault_sums is not None
    assert found[1].camera.fault is not None and found[1].decision.label == 'unknown'
    assert found[1].camera.reason in found[1].decision.reason



def test_what_must_be_given_and_what_the_score_misses_is_said(made, tmp_path, capsys):
    """Half is set aside without a reference; untrained weights are no better than chance."""
    few = write_pictures(tmp_path / 'few', 16, 7)
    target = tmp_path / 'again'
    assert main(['calibrate', str(made / 'plain'), str(few), '--into', str(target), '--ood', 'knn']) == 0
    said = capsys.readouterr().out
    assert '24 of 48' in said and '198 without' in said and 'without --reference half are set aside' in said
    assert 'warning: again: ' not in said
    # All pictures have the labels of another class.
    wrong = tmp_path / 'wrong'
    for name, other in zip(NAMES, NAMES[1:] + NAMES[:1]):
        shutil.copytree(made / 'day1' / name, wrong / other)
    assert main(['calibrate', str(made / 'model'), str(wrong), '--into', str(tmp_path / 'chance'), '--ood',
                 'energy']) == 0
    said = capsys.readouterr().out
    assert 'warning: on 180 calibration pictures' in said and 'it is no better than chance' in said
    assert 'it is no better than chance' in (tmp_path / 'chance' / 'MODEL_CARD.md').read_text()
    assert main(['models', 'show', str(tmp_path / 'chance')]) == 0
    assert 'caution        on 180 calibration pictures' in capsys.readouterr().out


def test_few_pictures_keep_the_score_that_was_fitted_to_the_training(made, tmp_path, capsys):
    """All calibrate it, with the pictures before that they resemble; a score that is named is fitted anew to half."""
    trained, few = tmp_path / 'trained', write_pictures(tmp_path / 'few', 10, 7)
    assert main(['calibrate', str(made / 'model'), str(made / 'day1'), '--reference', str(made / 'train'), '--stages',
                 'layer1', '--into', str(trained)]) == 0
    capsys.readouterr()
    assert main(['calibrate', str(trained), str(few), '--into', str(tmp_path / 'kept')]) == 0
    said = capsys.readouterr().out
    before, kept = load_bundle(trained), load_bundle(tmp_path / 'kept')
    assert all(np.array_equal(before.ood.tensors[name], value) for name, value in kept.ood.tensors.items())
    seen, _ = run_bundle(kept, [str(few)]).each_once()
    own = kept.ood.scores_of(seen.known_pictures())
    np.testing.assert_allclose(kept.ood.scores, np.sort(np.concatenate([before.ood.scores, own])), rtol=1e-4)
    assert len(own) == 30 and kept.provenance['score_fitted_to'] == 'as before: data of --reference'
    assert kept.density_aware.exponent == before.density_aware.exponent
    assert kept.density_aware.origin == pytest.approx(float(np.median(kept.ood.scores)), rel=1e-4)
    card = (kept.folder / 'MODEL_CARD.md').read_text()
    for text in (said, card):
        assert 's before: fitted to other pictures before, and only calibrated on these' in text
        assert 'keeps its exponent' in text and 'on these 30 pictures and on the 180 of before' in text
    assert '(180 of them of the calibration before)' in said
    # And again, from what was kept; half of those that are named anew fit it.
    assert main(['calibrate', str(tmp_path / 'kept'), str(few), '--into', str(tmp_path / 'again')]) == 0
    np.testing.assert_array_equal(load_bundle(tmp_path / 'again').ood.scores, kept.ood.scores)
    assert main(['calibrate', str(tmp_path / 'kept'), str(few), '--into', str(tmp_path / 'knn'), '--ood', 'knn']) == 0
    named = load_bundle(tmp_path / 'knn')
    assert len(named.ood.scores) == 15 and 'score_fitted_to' not in named.provenance
    # One that was fitted to half of a calibration stays for as few others, and is fitted anew to more, or to the same.
    others = write_pictures(tmp_path / 'others', 9, 17)
    for data, kept_score, name in ((others, True, 'of_few'), (made / 'day1', False, 'of_many'),
                                   (few, False, 'of_same')):
        assert main(['calibrate', str(tmp_path / 'knn'), str(data), '--into', str(tmp_path / name)]) == 0
        assert (load_bundle(tmp_path / name).provenance.get('score_fitted_to') ==
                'as before: half of the pictures of a calibration before') == kept_score


def test_calibrates_in_place_by_bags_with_times(made, tmp_path, capsys):
    bag, model = tmp_path / 'bags', tmp_path / 'model'
    shutil.copytree(made / 'model', model)
    assert main(['bag', 'synth', str(made / 'day1'), '--out', str(bag), '--recordings', '2', '--tracks-per-recording',
                 '20', '--seconds-per-track', '1', '--size', '64x64']) == 0
    assert main(['calibrate', str(model), str(bag), '--every', '0', '--ood', 'energy', '--precision', 'bfloat16']) == 0
    bundle = load_bundle(model)
    assert bundle.precision == 'bfloat16'
    said = capsys.readouterr().out
    if bundle.fusion is None:  # times fitted to one of the two recordings may be bad for the other
        assert 'the general times of the fusion stay: by cross-validation over 2 recordings' in said
    else:
        assert 0 <= bundle.fusion.correlation_time_s <= 40
        assert 1.0 <= bundle.fusion.change_time_s <= 3.0  # a second a track, the class the same for a third of them
    assert bundle.name == 'model'


def test_decide_holds_the_risk_on_other_pictures(made, capsys, tmp_path):
    model = made / 'to_decide'
    assert main(['calibrate', str(made / 'model'), str(made / 'day1'), '--into', str(model)]) == 0
    assert main(['decide', str(model), str(made / 'day2'), '--risk', '0.2', '--write', '--json',
                 str(tmp_path / 'r.json')]) == 0
    found = json.loads((tmp_path / 'r.json').read_text())['0.2']
    assert found['risk'] <= found['bound'] <= 0.2
    assert found['coverage'] > 0.2
    assert load_bundle(model).abstain_cost == pytest.approx(1 - found['threshold'], abs=1e-5)
    assert verify_bundle(model) == []
    capsys.readouterr()
    # Of what it was calibrated on a threshold is shown, with a warning, and not kept.
    before = (model / 'bundle.json').read_bytes()
    assert main(['decide', str(model), str(made / 'day1'), '--risk', '0.5', '--write']) == 2
    said = capsys.readouterr()
    assert 'warning: of 180 pictures 180 look like ones that its calibration' in said.out
    assert 'nothing was written' in said.err and (model / 'bundle.json').read_bytes() == before
    assert main(['decide', str(model), str(made / 'day2'), '--risk', '0.0001']) == 1
    assert 'no threshold holds it' in capsys.readouterr().out


def test_copies_of_pictures_are_no_further_evidence(made, tmp_path, capsys):
    for name in NAMES:
        (tmp_path / 'copies' / name).mkdir(parents=True)
        (tmp_path / 'once' / name).mkdir(parents=True)
        for path in sorted((made / 'day1' / name).iterdir())[:20]:
            shutil.copy(path, tmp_path / 'once' / name / path.name)
            for number in range(4):
                shutil.copy(path, tmp_path / 'copies' / name / f'{path.stem}_{number}.png')
            # The same once more, not bit by bit.
            cv2.imwrite(str(tmp_path / 'copies' / name / f'{path.stem}_again.jpg'), cv2.imread(str(path)),
                        (cv2.IMWRITE_JPEG_QUALITY, 95))
    temperatures = {}
    for name in ('once', 'copies'):
        assert main(['calibrate', str(made / 'model'), str(tmp_path / name), '--into', str(tmp_path / f'of_{name}'),
                     '--foreign', str(made / 'strange')]) == 0
        said = capsys.readouterr().out
        assert '60 frames, at' in said  # of how many objects nobody says
        assert ('240 of 300 frames show pictures' in said) == (name == 'copies')
        temperatures[name] = load_bundle(tmp_path / f'of_{name}').temperature
    assert temperatures['copies'] == pytest.approx(temperatures['once'], rel=0.02)

    few = tmp_path / 'few'
    for name in NAMES:
        (few / name).mkdir(parents=True)
        for number in range(40):
            shutil.copy(made / 'day1' / name / f'{number % 2:03d}.png', few / name / f'{number}.png')
    assert main(['calibrate', str(made / 'model'), str(few), '--into', str(tmp_path / 'of_few')]) != 0
    said = capsys.readouterr().err
    assert '114 of 120 frames show pictures' in said and 'got 6' in said and not (tmp_path / 'of_few').exists()


def test_pictures_with_more_than_one_label_are_told(made, tmp_path, capsys):
    data = shutil.copytree(made / 'day1', tmp_path / 'data')
    for path in sorted((data / 'dark').iterdir())[:7]:
        shutil.copy(path, data / 'red' / f'again_{path.name}')
    for place, (given, count) in enumerate(((data, 7), (made / 'day1', 0))):
        assert main(['calibrate', str(made / 'model'), str(given), '--ood', 'energy', '--into', str(
            tmp_path / str(place))]) == 0
        for said in (capsys.readouterr().err, (tmp_path / str(place) / 'MODEL_CARD.md').read_text()):
            text = ' '.join(said.split())
            learned = learned_pictures(load_bundle(tmp_path / str(place)))  # what counts once was given all the same
            assert len(learned.calibrated_on) == len({path.read_bytes() for path in given.rglob('*.png')})
            assert ('7 pictures have more than one label, of which one can be right' in text) == bool(count)
            assert ('(dark/000.png and red/again_000.png; ' in text and '; and 2 more)' in text) == bool(count)


def test_pictures_that_were_trained_on_are_told(made, tmp_path, capsys):
    said = {}
    for reference in ('day1', 'day2'):
        assert main(['calibrate', str(made / 'model'), str(made / 'day1'), '--reference', str(made / reference),
                     '--into', str(tmp_path / reference)]) == 0
        said[reference] = ' '.join(capsys.readouterr().err.split())
        card = (tmp_path / reference / 'MODEL_CARD.md').read_text()
        assert ('that the network was trained on' in card) == (reference == 'day1')
    count = sum(len(list((made / 'day1' / name).iterdir())) for name in NAMES)
    assert (f'{count} of the {count} pictures to calibrate on look like ones that the network was trained on'
            in said['day1'])
    assert 'that the network was trained on' not in said['day2']


def test_a_test_on_pictures_that_took_part_is_told(made, tmp_path, capsys):
    """Whatever they took part as; pictures to standardise a score on may not be of training, either."""
    given = [str(made / 'model'), str(made / 'day1'), '--reference', str(made / 'train'), '--ood', 'energy']
    some = tmp_path / 'some'
    for name in NAMES:
        (some / name).mkdir(parents=True)
        for day, count in (('train', 5), ('day1', 3), ('day2', 8)):
            for path in sorted((made / day / name).iterdir())[:count]:
                shutil.copy(path, some / name / f'{day}_{path.name}')
    assert main(['calibrate', *given, '--test', str(some), '--into', str(tmp_path / 'tested')]) == 0
    said = ('of 48 pictures 15 look like ones that it was trained on and 9 look like ones that its '
            'calibration or early stop used (perceptual hash)')
    assert f'--test: {said}, which flatters' in ' '.join(capsys.readouterr().err.split())
    assert f'48 frames; **{said}, which flatters**' in (tmp_path / 'tested' / 'MODEL_CARD.md').read_text()
    assert main(['calibrate', *given, '--apart', str(made / 'train'), '--into', str(tmp_path / 'no')]) != 0
    assert '; of 120 pictures 120 look like ones that it was trained on' in ' '.join(capsys.readouterr().err.split())


def test_a_test_is_told_beside_what_the_bundle_said_before(made, tmp_path, capsys):
    """Whether it was worth it: one calibrated before says the same pictures' figures as it was, too."""
    given = ['--reference', str(made / 'train'), '--ood', 'energy']
    first = tmp_path / 'first'
    assert main(['calibrate', str(made / 'model'), str(made / 'day1'), *given, '--test', str(made / 'day2'),
                 '--into', str(first)]) == 0
    assert '->' not in re.search('^test: .*$', capsys.readouterr().out, re.MULTILINE).group()
    warped = load_bundle(first)
    save_bundle(tmp_path / 'warped', warped.load_single_network(), NAMES, warped.preprocessing, temperature=9.0)
    assert main(['calibrate', str(tmp_path / 'warped'), str(made / 'day1'), *given, '--test', str(made / 'day2'),
                 '--into', str(tmp_path / 'again')]) == 0
    line = re.search('^test: .*$', capsys.readouterr().out, re.MULTILINE).group()
    seen, _ = run_bundle(load_bundle(tmp_path / 'again'), [str(made / 'day2')]).each_once()
    for name, value in (('NLL', lambda p: -np.log(p[np.arange(len(p)), seen.labels]).mean()),
                        ('accuracy', lambda p: (p.argmax(axis=1) == seen.labels).mean())):
        told = [float(one) for one in re.search(rf'{name} ([0-9.]+) -> ([0-9.]+)', line).groups()]
        for number, bundle in zip(told, (load_bundle(tmp_path / 'warped'), load_bundle(tmp_path / 'again'))):
            said = np.array([one.probabilities
                             for one in assessments(bundle, seen.logits, seen.features, seen.stages)])
            assert number == pytest.approx(value(said), abs=2e-4)
    assert line.endswith('; before -> after this calibration')


def test_few_pictures_do_not_take_away_what_a_bundle_tells_of_its_camera(made, tmp_path, capsys):
    given = ['--reference', str(made / 'train'), '--ood', 'combined', '--stages', 'layer1']
    assert main(['calibrate', str(made / 'model'), str(made / 'day1'), *given, '--into', str(tmp_path / 'many')]) == 0
    before = load_bundle(tmp_path / 'many')
    assert 'out of focus' in before.camera.told
    # Of these no more is told than by general bounds, if by anything.
    few = [write_pictures(tmp_path / f'few{count}', count, 9) for count in (9, 25)]
    capsys.readouterr()
    for place, data in enumerate(few):
        made_of = tmp_path / f'again{place}'
        assert main(['calibrate', str(tmp_path / 'many'), str(data), '--into', str(made_of)]) == 0
        assert as_json(load_bundle(made_of).camera) == as_json(before.camera)
        said = capsys.readouterr().out
        assert 'faults of the camera are told as before, since the pictures given are too few' in said
        assert f'faults of the camera: {before.camera.words}' in said and 'told by general bounds' not in said
        assert main(['predict', str(made_of), str(made / 'day2' / 'light' / '000.png'), '--backend', 'torch']) == 0
    # What reads stages that the network has no more is left behind.
    assert main(['calibrate', str(tmp_path / 'many'), str(few[0]), '--stages', 'layer2', '--into',
                 str(tmp_path / 'other')]) == 0
    assert load_bundle(tmp_path / 'other').camera.probe is None
    said = capsys.readouterr().out
    assert 'not told any more: ' in said and 'out of focus' in said.partition('not told any more: ')[2]
    assert 'that it had reads other stages of the network; another one is fitted to half' in said
    assert main(['predict', str(tmp_path / 'other'), str(made / 'day2' / 'light' / '000.png'), '--backend',
                 'torch']) == 0
    # Pictures of quite another kind are not judged by what was.
    for name in NAMES:
        (tmp_path / 'dark' / name).mkdir(parents=True)
        for path in sorted((few[1] / name).iterdir()):
            cv2.imwrite(str(tmp_path / 'dark' / name / path.name), cv2.imread(str(path)) // 12)
    capsys.readouterr()
    assert main(['calibrate', str(tmp_path / 'many'), str(tmp_path / 'dark'), '--into', str(tmp_path / 'another')]) == 0
    assert 'note: ' in (said := capsys.readouterr().out) and 'not told any more: ' in said and 'are needed' in said
    assert load_bundle(tmp_path / 'another').camera.pictures < 75
    # Nor are they where there are too few for any bounds: then the general ones hold.
    for name in NAMES:
        for path in sorted((tmp_path / 'dark' / name).iterdir())[9:]:
            path.unlink()
    assert main(['calibrate', str(tmp_path / 'many'), str(tmp_path / 'dark'), '--into', str(tmp_path / 'general')]) == 0
    said = capsys.readouterr().out
    assert 'told by general bounds' in said and 'not told any more: ' in said and 'told as before' not in said
    assert load_bundle(tmp_path / 'general').camera is None


@pytest.mark.parametrize('command', [['calibrate'], ['decide', '--risk', '.1', '--write']])
def test_a_model_of_the_package_is_not_changed_by_its_name(made, capsys, command):
    before = load_bundle('waste_sorter')
    assert main([command[0], 'waste_sorter', str(made / 'day1'), *command[1:]]) == 2
    assert 'is a model that the package ships' in capsys.readouterr().err
    assert load_bundle('waste_sorter').identity == before.identity


def test_times_of_the_fusion_stay_where_nothing_says_others(made, tmp_path, capsys):
    bundle, times = load_bundle(made / 'model'), FusionTimes(7.5, 1.25)
    model = save_bundle(tmp_path / 'model', bundle.load_single_network(), NAMES, bundle.preprocessing,
                        calibration=Calibration(1.0, None, None, {}, fusion=times)).folder
    assert load_bundle(model).fusion == times
    assert main(['calibrate', str(model), str(made / 'day1'), '--ood', 'energy']) == 0
    assert load_bundle(model).fusion == times
    assert 'note: the times of the fusion stay as they were' in capsys.readouterr().out
    assert 'The times of the fusion stay as they were' in (model / 'MODEL_CARD.md').read_text()


def test_copies_of_recordings_hold_no_risk(made, tmp_path, capsys):
    assert main(['bag', 'synth', str(made / 'day2'), '--out', str(tmp_path / 'bags'), '--recordings', '1',
                 '--tracks-per-recording', '10', '--seconds-per-track', '1', '--size', '64x64']) == 0
    bag, = (path for path in (tmp_path / 'bags').iterdir() if path.is_dir())
    for number in range(6):
        shutil.copytree(bag, tmp_path / 'copies' / f'day{number}')
    figures = {}
    for name, where in (('one', bag), ('copies', tmp_path / 'copies')):
        main(['decide', str(made / 'model'), str(where), '--risk', '0.5', '--json', str(tmp_path / f'{name}.json')])
        said = capsys.readouterr().out
        assert ('5 recordings are nothing but copies' in said) == (name == 'copies')
        figures[name] = json.loads((tmp_path / f'{name}.json').read_text())
    assert figures['one'] == figures['copies']


@pytest.mark.parametrize('arguments, said', [
    (['calibrate', 'torchvision:resnet18', 'x'], 'is not a bundle with a folder'),
    (['calibrate', '{made}/model', '{made}/nowhere'], 'nowhere'),
    (['calibrate', '{made}/model', '{made}/day1', '--into', '{made}/plain'], 'is there already'),
    (['decide', '{made}/model', '{made}/day1', '--risk', '0.1', '0.2', '--write'], 'one --risk'),
    (['decide', '{made}/model', '{made}/day1', '--risk', '2'], '--risk: must be 1e-06 to 0.999999, got 2'),
])
def test_wrong_use_is_said(made, capsys, arguments, said):
    assert main([argument.format(made=made) for argument in arguments]) == 2
    assert said in capsys.readouterr().err


def test_each_camera_of_a_bag_once_unless_topics_are_named(made, tmp_path, capsys):
    from robot_vision_dl.data.bags.writer import ImageBagWriter
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for number in range(6):
            pixels = np.full((32, 32, 3), 60 * (1 + number // 3), np.uint8)
            for write in (writer.write_raw, writer.write_jpeg):
                write('/camera/image_raw', 1_700_000_000_000_000_000 + number * 10**9, pixels)
            infrared = pixels[..., 0]
            writer.write_raw('/camera/infra1/image_rect_raw', 1_700_000_000_000_000_000 + number * 10**9, infrared)
    (tmp_path / 'bag' / 'labels.yaml').write_text('- {start: 0, end: 3, label: dark}\n- {start: 3, label: light}')
    bundle = load_bundle(made / 'model')
    for topics, count in (((), 6), (('/camera/infra1/image_rect_raw',), 6), (('all',), 18)):
        outputs = run_bundle(bundle, [str(tmp_path / 'bag')], topics=topics, cache=str(tmp_path / 'cache'))
        assert len(outputs.labels) == count
        assert ('/camera/infra1/image_rect_raw (infrared)' in capsys.readouterr().err) == (not topics)
