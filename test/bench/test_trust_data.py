"""Measurements of trust on data: ``bench reliability``, ``shift`` and ``fusion``, by hand and as commands."""
import json
import shutil

import cv2
import numpy as np
import pytest
import torch

from robot_vision_dl.bench.fusion import (
    majority_vote,
    mean_of_logits,
    naive_product,
    over_window,
    stretches_of,
    time_to_decision,
)
from robot_vision_dl.bench.published import Published
from robot_vision_dl.bench.reliability import _ordinary
from robot_vision_dl.cli import bench as bench_command
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.core.uncertainty.calibrate import FusionTimes, calibrate
from robot_vision_dl.core.uncertainty.ood.base import linear_head
from robot_vision_dl.core.uncertainty.ood.sensor_faults import FAULTS, SPOILT

NAMES = ('dark', 'light')
PRE = Preprocessing(0, (32, 32))


def pixels(name, rng):
    return np.clip(rng.normal({'dark': 80, 'light': 150}[name], 40, (32, 32, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A calibrated bundle, pictures and bags of its two classes, and pictures of none."""
    from dataclasses import replace
    root = tmp_path_factory.mktemp('trust')
    rng = np.random.default_rng(0)
    for folder, count in (('known', 30), ('other', 20)):
        for name in NAMES:
            (root / folder / name).mkdir(parents=True)
            for number in range(count):
                cv2.imwrite(str(root / folder / name / f'{number:03d}.png'), pixels(name, rng))
    (root / 'green').mkdir()
    for number in range(12):
        cv2.imwrite(str(root / 'green' / f'{number}.png'), np.full((32, 32, 3), (0, 250 - number, 0), np.uint8))
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 2)
    pictures = [Picture(pixels(name, rng), ColorOrder.BGR) for name in NAMES for _ in range(60)]
    y = np.repeat([0, 1], 60)
    with torch.inference_mode():
        out = network(Preprocessor(PRE, 'cpu')(pictures))
        mean = [out.features[y == c].mean(0) for c in (0, 1)]
        network.head.weight.copy_(torch.stack([mean[0] - mean[1], mean[1] - mean[0]]) * 20)
        network.head.bias.copy_(-network.head.weight @ ((mean[0] + mean[1]) / 2))
        logits = network.head(out.features)
    labels = np.where(rng.random(120) < 0.1, 1 - y, y)
    found = calibrate(logits.numpy(), out.features.numpy(), labels, ood='knn', head=linear_head(network.head))
    save_bundle(root / 'model', network, NAMES, PRE, calibration=replace(found, fusion=FusionTimes(0.5, 1.0)))
    assert main(['bag', 'synth', str(root / 'known'), '--out', str(root / 'bags'), '--recordings', '2',
                 '--tracks-per-recording', '6', '--seconds-per-track', '0.6', '--rate', '20', '--size', '64x48']) == 0
    return root


@pytest.fixture
def measured(made, tmp_path, monkeypatch, capsys):
    """Runs a measurement, and gives its figures and what it printed."""
    monkeypatch.setenv('HOME', str(tmp_path))

    def measure(name, *arguments):
        monkeypatch.setattr(bench_command.sys, 'argv', ['robot-vision', 'bench', name])
        assert main(['bench', name, str(made / 'model'), *map(str, arguments), '--json', str(tmp_path / 'f.json')]) == 0
        return json.loads((tmp_path / 'f.json').read_text()), capsys.readouterr().out
    return measure


def test_reliability(made, measured):
    figures, text = measured('reliability', made / 'known', '--calibration', made / 'other', '--reference',
                             made / 'other', '--foreign', made / 'green')
    assert figures['pictures'] == 60
    assert figures['accuracy'] > 0.9
    assert figures['probabilities']['published by the bundle']['nll'] < 1
    assert {'plain softmax', 'temperature scaling, fitted here'} < set(figures['probabilities'])
    assert set(figures['foreign']) == {
        '(known)', 'green', 'frozen', *SPOILT, *(f'{name}, recorded otherwise' for name in SPOILT),
        *(f'{name}, made' for name in FAULTS)}
    assert all(figures['foreign'][name]['n'] == 40 for name in ('frozen', 'noise', 'noise, made'))
    assert figures['foreign']['frozen']['unknown'] == 1
    known = figures['foreign']['(known)']  # noise, by the general bounds of a bundle without its own
    assert known['called_faulty'] > 0.9 and known['unknown'] > 0.9
    for one in figures['foreign'].values():
        assert one['unknown'] + one['uncertain'] + one['accepted'] == pytest.approx(1)
    assert figures['foreign']['green']['n'] == 12
    assert figures['scores']['knn']['green']['auroc'] > 0.9
    assert len(figures['scores']) == 12  # all, and the bundle's own
    assert {(one['method'], one['alpha']) for one in figures['sets']} >= {('lac', 0.1), ('lac', 0.05)}
    assert 'green' in text


def test_pictures_of_a_list_are_spoilt_like_those_of_a_folder(made):
    files = sorted((made / 'known').glob('*/*.png'))
    (made / 'known.csv').write_text('file,label\n' + ''.join(
        f'{path.relative_to(made)},{path.parent.name}\n' for path in files))
    of_list, of_folder = (_ordinary([str(made / name)]) for name in ('known.csv', 'known'))
    assert len(of_list) == 40
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(of_list, of_folder))


def test_reliability_of_a_single_picture_is_refused(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_command.sys, 'argv', ['robot-vision', 'bench', 'reliability'])
    (tmp_path / 'one' / NAMES[0]).mkdir(parents=True)
    shutil.copy(next((made / 'known' / NAMES[0]).iterdir()), tmp_path / 'one' / NAMES[0])
    assert main(['bench', 'reliability', str(made / 'model'), str(tmp_path / 'one')]) != 0
    assert 'labelled pictures to' in capsys.readouterr().err


def test_reliability_by_halves_and_with_the_score_of_the_bundle_alone(made, measured):
    figures, text = measured('reliability', made / 'known')
    assert figures['pictures'] == 30
    assert (list(figures['foreign']), list(figures['scores'])) == (['(known)'], ['knn *'])
    assert 'fitted to 30 others of the same data' in text
    assert 'how often things that it never saw are accepted is not known' in text.replace('\n', ' ')
    assert '--leave-one-out head, or training' in text


def test_shift(made, measured):
    figures, text = measured('shift', made / 'known', '--most', '20')
    assert figures['pictures'] == 20
    assert len(figures['shifts']) == 41
    for one in figures['shifts'].values():
        assert one['accepted'] + one['uncertain'] + one['unknown'] == pytest.approx(1)
        assert one['wrong_and_accepted'] == pytest.approx(one['wrong_of_accepted'] * one['accepted'])
    assert figures['shifts']['exposure 5'] != figures['shifts']['clean']
    kinds = ('blur', 'noise', 'exposure', 'compression', 'motion blur', 'darkness', 'low contrast', 'fog')
    for strength, one in figures['by_strength']['all'].items():
        rows = [figures['shifts'][f'{kind} {strength}'] for kind in kinds]
        assert one['accepted'] == pytest.approx(np.mean([row['accepted'] for row in rows]))
        assert one['wrong_of_accepted'] * one['accepted'] == pytest.approx(
            np.mean([row['wrong_and_accepted'] for row in rows]))
    everything = [one for by in figures['by_strength'].values() for one in by.values()]
    assert figures['worst']['wrong_of_accepted'] == max(one['wrong_of_accepted'] for one in everything)
    assert figures['fitted_on'] == []
    assert 'its calibration was fitted on no pictures that got worse' in text
    assert 'worst strength: ' in text


def test_fusion(made, measured):
    figures, text = measured('fusion', made / 'bags' / 'recording_00', made / 'bags' / 'recording_01', '--window', '5')
    assert figures['frames'] == 2 * 6 * 12
    assert 'correlation time 0.5 s, change time 1 s, of the bundle' in text
    ours, single = figures['methods']['robot_vision_dl'], figures['methods']['single frame']
    assert ours['after']['1']['n'] == figures['stretches']
    assert ours['changes_per_s'] <= single['changes_per_s']
    assert set(ours['after']) == {'1', '10', '60'}


def test_outcomes_by_hand():
    shown = Published(np.array([[0.9, 0.1], [0.6, 0.4], [0.99, 0.01]]), np.array([0.5, 0.5, 0.001]))
    accepted, uncertain, unknown = shown.outcomes(abstain_cost=0.3, false_unknown_rate=0.01)
    assert accepted.tolist() == [True, False, False]
    assert uncertain.tolist() == [False, True, False]
    assert unknown.tolist() == [False, False, True]


def test_rivals_by_hand():
    p = np.array([[0.8, 0.2], [0.5, 0.5], [0.4, 0.6]])
    np.testing.assert_allclose(naive_product(p), np.array([0.16, 0.06]) / 0.22)
    ratio = (0.8 * 0.5 * 0.4 / (0.2 * 0.5 * 0.6)) ** (1 / 3)
    np.testing.assert_allclose(mean_of_logits(p), [ratio / (1 + ratio), 1 / (1 + ratio)])
    np.testing.assert_allclose(majority_vote(p), [2.5 / 4, 1.5 / 4])
    np.testing.assert_allclose(over_window(p, 2, naive_product)[[0, 2]], [p[0], np.array([0.2, 0.3]) / 0.5])


def test_stretches_end_at_changes_and_gaps():
    times = np.array([0, 100, 200, 300, 2000, 2100]) * 1_000_000
    assert stretches_of(times, np.array([1, 1, 0, 0, 0, 2])) == [(0, 2), (2, 4), (4, 5), (5, 6)]


def test_time_to_decision_by_hand():
    since = np.array([0.0, 1.0, 2.0])
    tracks = [(since, np.array([0.5, 0.9, 0.95]), np.array([False, True, True])),
              (since, np.array([0.6, 0.7, 0.8]), np.array([False, False, False]))]
    none_wrong = time_to_decision(tracks, 0.0)
    assert (none_wrong.decided, none_wrong.mean_s) == (0.5, 1.5)  # the second is never decided
    assert none_wrong.threshold > 0.8
    assert time_to_decision(tracks, 0.5) == (1.0, 0.5, pytest.approx(0.55, abs=0.051))
    assert time_to_decision(tracks[1:], 0.5) == (0.0, 2.0, 1.0)
