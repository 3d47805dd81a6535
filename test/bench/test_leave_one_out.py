"""``bench reliability --leave-one-out``: rounds, networks cut in two and trained again, and met pictures."""
import json

import cv2
import numpy as np
import pytest
import torch

from robot_vision_dl.bench.leave_one_out import rounds_of
from robot_vision_dl.bench.met import alone, meet, over_time, pipeline_of, shares, with_score
from robot_vision_dl.bench.published import Outcomes
from robot_vision_dl.cli import bench as bench_command
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import CameraFaultConfig, ClassifierConfig, DecisionConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.networks.split_network import Tail, Trunk, check_cut, layer_after
from robot_vision_dl.core.networks.stages import usual_stages
from robot_vision_dl.core.types import Assessment, ColorOrder, OodResult, Picture
from robot_vision_dl.core.uncertainty.calibrate import calibrate
from robot_vision_dl.core.uncertainty.camera.statistics import STATISTICS
from robot_vision_dl.core.uncertainty.ood.base import linear_head
from robot_vision_dl.evaluation.labelled_outputs import LabelledOutputs
from robot_vision_dl.training.baselines import linear_probe

COLOURS = {'blue': (220, 40, 40), 'green': (40, 200, 40), 'grey': (120, 120, 120), 'red': (40, 40, 210)}
NAMES = tuple(COLOURS)
PRE = Preprocessing(0, (32, 32))
STAGES = ('layer1', 'layer2')


def pixels(name, rng):
    return np.clip(rng.normal(COLOURS[name], 35, (32, 32, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A calibrated bundle, the one it began with, pictures, bags of its classes, and pictures of none."""
    root = tmp_path_factory.mktemp('near')
    rng = np.random.default_rng(0)
    for folder, count in (('seen', 30), ('calibration', 30), ('data', 12)):
        for name in NAMES:
            (root / folder / name).mkdir(parents=True)
            for number in range(count):
                cv2.imwrite(str(root / folder / name / f'{number:03d}.png'), pixels(name, rng))
    (root / 'data' / 'unknown').mkdir()
    for number in range(12):  # which is no part of the rounds
        cv2.imwrite(str(root / 'data' / 'unknown' / f'{number}.png'), pixels('grey', rng) // 2 + (0, 100, 100))
    (root / 'white').mkdir()
    for number in range(8):
        cv2.imwrite(str(root / 'white' / f'{number}.png'), np.full((32, 32, 3), 255 - number, np.uint8))
    torch.manual_seed(0)
    network = build_network(Architecture('resnet20_cifar', len(NAMES), head='linear', stages=STAGES))
    save_bundle(root / 'start', network, NAMES, PRE)
    y = np.repeat(np.arange(len(NAMES)), 60)
    with torch.no_grad():
        out = network(Preprocessor(PRE, 'cpu')([Picture(pixels(NAMES[c], rng), ColorOrder.BGR) for c in y]))
    weight, bias, _ = linear_probe(out.features.numpy(), y, None, len(NAMES))
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))
        logits = network.head(out.features)
    found = calibrate(logits.numpy(), out.features.numpy(), y, ood='knn', head=linear_head(network.head))
    save_bundle(root / 'model', network, NAMES, PRE, calibration=found)
    assert main(['bag', 'synth', str(root / 'data'), '--out', str(root / 'bags'), '--recordings', '2',
                 '--seconds-per-track', '0.5', '--rate', '10', '--size', '64x48']) == 0
    return root


@pytest.fixture
def measured(made, tmp_path, monkeypatch, capsys):
    """Runs the measurement, and gives its exit code, figures and what it printed."""
    monkeypatch.setenv('HOME', str(tmp_path))

    def measure(*arguments):
        monkeypatch.setattr(bench_command.sys, 'argv', ['robot-vision', 'bench', 'reliability'])
        code = main(['bench', 'reliability', str(made / 'model'), *map(str, arguments), '--json',
                     str(tmp_path / 'f.json')])
        printed = capsys.readouterr()
        return code, json.loads((tmp_path / 'f.json').read_text()) if code == 0 else None, printed.out + printed.err
    return measure


def test_each_class_is_left_out_once():
    assert rounds_of(3, 0, seed=0) == [[0], [1], [2]]
    ten = rounds_of(95, 0, seed=0)
    assert [len(one) for one in ten] == [10] * 9 + [5]
    assert sorted(index for one in ten for index in one) == list(range(95))
    assert ten != rounds_of(95, 0, seed=1)
    assert [len(one) for one in rounds_of(6, 4, seed=0)] == [4, 2]


@pytest.mark.parametrize('name', ['efficientnet_lite0', 'squeezenet1_1', 'resnet18', 'resnet20_cifar'])
def test_both_halves_of_a_network_give_what_it_gives(name):
    torch.manual_seed(0)
    stages = usual_stages(name)
    network = build_network(Architecture(name, 5, head='linear', stages=stages)).eval()
    layer = layer_after(network, stages[-1] if stages else 'layer2')
    x = torch.randn(2, 3, 64, 64)
    check_cut(network, layer, x)
    with torch.inference_mode():
        whole, maps = network(x), Trunk(network, layer)(x)
        both = Trunk(network, layer).with_prediction(x)
        after = Tail(network, layer).eval()(maps)
    torch.testing.assert_close(both[0], maps)
    torch.testing.assert_close(both[1].stages, whole.stages)
    torch.testing.assert_close(after.features, whole.features)
    torch.testing.assert_close(after.logits, whole.logits)


def test_a_cut_that_leaves_something_out_is_refused():
    network = build_network('densenet121', 5, head='linear').eval()
    with pytest.raises(ConfigError, match=r"cannot be cut before 'features\.denseblock3\.denselayer2\.norm1'"):
        check_cut(network, 'features.denseblock3.denselayer2.norm1', torch.randn(1, 3, 64, 64))
    with pytest.raises(ConfigError, match="has no layer 'layer9'"):
        Trunk(network, 'layer9')


def test_leaving_out_the_head(made, measured):
    code, figures, text = measured(
        made / 'data', made / 'bags' / 'recording_00', '--calibration', made / 'calibration', '--reference',
        made / 'seen', '--frozen', made / 'start', '--ood-pictures', made / 'white', '--leave-one-out', 'head')
    assert code == 0, text
    near = figures['near']
    assert [one['classes'] for one in near['rounds']] == [[name] for name in NAMES]
    for one in near['rounds']:
        assert (one['fitted_to'], one['calibrated_on']) == (90, 90)
        assert not one['rate_is_reached']  # 90 pictures give no p-value of .01
        assert list(one['methods']) == ['knn *', 'energy', 'max_softmax', 'kNN, frozen']
        for by in one['methods'].values():
            for group, n in (('left_out', one['n']), ('known', one['known'])):
                single, fused = by[group]['alone'], by[group]['fused']
                assert single['n'] == n
                assert 0 < fused['n'] < n  # frames of the recording alone
                assert single['accepted'] + single['uncertain'] + single['unknown'] == pytest.approx(1)
        # The frozen network is the same one, so that distances in its features are the bundle's own; which runtime is
        # quickest may differ, and rounding then turns a pair of thousands.
        assert one['methods']['kNN, frozen']['auroc'] == pytest.approx(one['methods']['knn *']['auroc'], abs=1e-3)
    assert [one['n'] + one['known'] for one in near['rounds']] == [sum(one['n'] for one in near['rounds'])] * 4
    assert min(one['accuracy'] for one in near['rounds']) > 0.5
    assert near['mean']['knn *']['auroc'] == pytest.approx(np.mean(
        [one['methods']['knn *']['auroc'] for one in near['rounds']]))
    assert near['mean']['knn *']['auroc'] > 0.8
    assert 'in 4 of 4 rounds there are too few calibration pictures (90)' in text
    assert 'which\nflatters' in text or 'which flatters' in text
    assert figures['foreign']['white']['n'] == 8
    assert figures['foreign']['(labelled unknown)']['fused']['n'] > 0
    assert figures['foreign']['(known)']['fused']['n'] > 0


def test_leaving_out_of_training(made, measured):
    code, figures, text = measured(
        made / 'data', '--calibration', made / 'calibration', '--reference', made / 'seen', '--frozen', made / 'start',
        '--leave-one-out', 'training', '--train-from', 'layer3', '--epochs', '12', '--views', '1')
    assert code == 0, text
    near = figures['near']
    assert (near['mode'], near['train_from'], near['epochs'], near['views']) == ('training', 'layer3', 12, 1)
    assert min(near['trained_accuracy']) > 0.9
    assert '4 trainings from layer3 on, 12 epochs of 120 pictures in 2 views: about' in text
    assert near['mean']['knn *']['auroc'] > 0.7
    assert all(one['accuracy'] > 0.8 for one in near['rounds'])  # of the classes that remain, never seen pictures
    assert 'fused over time: not tested' in text


def test_the_head_alone_is_trained_in_no_time(made, measured):
    code, figures, text = measured(
        made / 'data', '--calibration', made / 'calibration', '--reference', made / 'seen', '--frozen', made / 'start',
        '--leave-one-out', 'training', '--train-from', 'head')
    assert code == 0, text
    for one in figures['near']['rounds']:  # nothing but the head is another
        assert one['methods']['kNN, frozen']['auroc'] == pytest.approx(one['methods']['knn *']['auroc'], abs=1e-3)
        assert one['accuracy'] > 0.8


@pytest.mark.parametrize('more, said', [
    (('--leave-one-out', 'training'), 'needs --reference'),
    (('--leave-one-out', 'training', '--reference', 'seen'), 'name the pretrained network by --frozen'),
])
def test_what_training_without_a_class_needs(made, measured, monkeypatch, more, said):
    monkeypatch.chdir(made)
    code, _, text = measured(made / 'data', *more)
    assert code != 0
    assert said in text


def test_pictures_are_met_as_the_live_node_meets_them(made):
    bundle = load_bundle(str(made / 'model'))
    rng = np.random.default_rng(5)
    pictures = [Picture(pixels(name, rng), ColorOrder.BGR) for name in NAMES * 10]
    pipeline = pipeline_of(bundle)
    met = meet(pipeline, pictures)
    assert len(met.outputs.logits) == 40  # more than one batch
    assert [one.shape for one in met.outputs.stages] == [(40, 16), (40, 32)]
    with torch.inference_mode():
        expected = bundle.load_network()(Preprocessor(PRE, 'cpu')(pictures))
    np.testing.assert_allclose(met.outputs.features, expected.features.numpy(), atol=1e-4)
    assert (met.outcomes.accepted | met.outcomes.uncertain | met.outcomes.unknown).all()
    assert met.outcomes.unknown.mean() > 0.9  # noise: what the network would make of it is not asked
    pipeline.configure(ClassifierConfig(camera_faults=CameraFaultConfig(enabled=False)))
    assert meet(pipeline, pictures).outcomes.accepted.mean() > 0.8
    pipeline.configure(ClassifierConfig(camera_faults=CameraFaultConfig(enabled=False),
                                        decision=DecisionConfig(abstain_cost=0.0)))
    assert not meet(pipeline, pictures).outcomes.accepted.any()


def frames(times_s, recordings=None):
    n = len(times_s)
    return LabelledOutputs(
        np.zeros((n, 4), np.float32), np.zeros((n, 2), np.float32), np.zeros(n, np.int64),
        (np.array(times_s) * 1e9).astype(np.int64), tuple(recordings or ['r'] * n), '', np.arange(n),
        np.zeros((n, STATISTICS), np.float32), np.zeros((n, 4), np.uint64))


def assessed(p, p_value):
    q = np.full(4, (1 - p) / 3, np.float32)
    q[1] = p
    return Assessment(np.log(q), q, 0.5, ood=OodResult('knn', 1.0, p_value))


def test_frames_are_fused_in_the_order_of_their_stamps(made):
    pipeline = pipeline_of(load_bundle(str(made / 'model')))
    n = len(pipeline.bundle.ood.scores)
    strange, known = 1 / (n + 1), 0.6
    # Given out of order: four known ones, then four unknown ones; a folder's picture (no time); another recording.
    times = [1.3, 1.0, 1.1, 1.2, 1.7, 1.4, 1.5, 1.6, 0.0, 1.0]
    p_values = [known] * 4 + [strange] * 4 + [known, known]
    found = over_time(pipeline, frames(times, ['r'] * 9 + ['s']), [assessed(0.97, p) for p in p_values], np.arange(10))
    assert found.accepted[[0, 1, 2, 3, 9]].all()
    # The first one of a stretch, at place 5, counts only if it is extreme.
    assert not found.accepted[[4, 6, 7, 8]].any()
    assert not (found.accepted | found.uncertain | found.unknown)[8]
    assert found.unknown[4]  # the last of the unknown ones
    assert shares(found)['n'] == 9


def test_outcomes_of_another_score_by_hand():
    some = [assessed(0.9, 0.5), assessed(0.9, 0.5), assessed(0.4, 0.5)]
    other = with_score(some, 'energy', np.array([1.0, 2.0, 3.0]), np.array([0.01, 0.011, 0.5]))
    assert [one.ood.method for one in other] == ['energy'] * 3
    accepted, uncertain, unknown = alone(other, 0.5, 0.01)
    assert (accepted.tolist(), uncertain.tolist(), unknown.tolist()) == (
        [False, True, False], [False, False, True], [True, False, False])
    assert shares(Outcomes(accepted, uncertain, unknown)) == {
        'n': 3, 'accepted': pytest.approx(1 / 3), 'uncertain': pytest.approx(1 / 3), 'unknown': pytest.approx(1 / 3)}
