"""``bench loop``: rounds of labelling, their curves, and how many labels are saved."""
import json

import cv2
import numpy as np
import pytest
import torch
from page_driver import browser

from robot_vision_dl.bench.loop import MINED, RANDOM, labelled_on_page, measure, verdict
from robot_vision_dl.bench.loop_curve import Curve, compare, monotone, saved
from robot_vision_dl.bench.loop_material import Interval, divide_recordings, interval_of, intervals_of
from robot_vision_dl.bench.loop_page import PageLabeller
from robot_vision_dl.cli import bench as bench_command
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import DataError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.labels.labels import LabelledFrame
from robot_vision_dl.evaluation.predict import labelled_store

COLOURS = {'blue': (200, 70, 60), 'green': (70, 180, 70), 'grey': (110, 110, 110)}


def test_the_nearest_curve_that_never_falls():
    sklearn = pytest.importorskip('sklearn.isotonic')
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.random(9)
        assert np.allclose(monotone(values), sklearn.IsotonicRegression().fit_transform(np.arange(9), values))


def test_labels_saved_by_hand():
    counts = [0, 100, 200]
    assert saved(counts, np.array([0.5, 0.8, 0.9]), np.array([0.5, 0.65, 0.8])).tolist() == [0, 50, 100]
    # The other way round; what is never reached counts as reached at the last number.
    assert saved(counts, np.array([0.5, 0.65, 0.8]), np.array([0.5, 0.8, 0.9])).tolist() == [0, -100, 0]
    assert saved(counts, np.array([0.5, 0.6, 0.7]), np.array([0.5, 0.6, 0.7])).tolist() == [0, 0, 0]
    # A flat curve is there at its first number.
    assert saved(counts, np.array([0.7, 0.7, 0.7]), np.array([0.6, 0.7, 0.7])).tolist() == [0, 100, 200]


def curves(right):
    return [Curve(np.array([[number, number + 2] for number in one]), np.array([20, 20])) for one in right]


def test_intervals_of_a_comparison():
    rows = compare([0, 50, 100, 400], curves([[8, 14, 16, 17], [9, 13, 16, 17]]),
                   curves([[8, 11, 14, 17], [9, 12, 13, 17]]))
    assert [row['labels'] for row in rows] == [0, 50, 100, 400]
    assert rows[1]['mined'] == pytest.approx((30 / 40 + 28 / 40) / 2)
    assert rows[0]['difference'] == [0, 0, 0] and rows[0]['saved'] == [0, 0, 0]
    value, low, high = rows[2]['difference']
    assert value == pytest.approx(5 / 40) and low <= value <= high and low > 0
    value, low, high = rows[2]['saved']
    assert value == pytest.approx(50) and low > 0
    assert 'mining needs 50' in verdict(rows) and 'no saving' not in verdict(rows)
    same = compare([0, 50, 100], curves([[8, 11, 14]]), curves([[8, 11, 14]]))
    assert 'no saving is shown' in verdict(same)
    worse = compare([0, 50, 200], curves([[8, 8, 14]] * 2), curves([[8, 11, 14]] * 2))
    assert worse[1]['saved'][0] == pytest.approx(-75) and verdict(worse).endswith('mining needs 125 (125 to 125): more')


def frame(recording, stamp, label, track=None, topic='/camera'):
    return LabelledFrame(recording, topic, stamp, label, track, 0, stamp, 'bag')


def test_intervals_are_tracks_or_stretches_of_one_label():
    found = intervals_of([frame('a', 10, 'cup', 't1'), frame('a', 20, 'cup', 't1'), frame('a', 30, 'cup', 't2'),
                          frame('b', 1, 'cup'), frame('b', 2, 'cup'), frame('b', 3, 'fork'), frame('b', 4, 'cup')])
    assert found.of_frame.tolist() == [0, 0, 1, 2, 2, 3, 4]
    assert found.intervals[0][2:] == (10, 21) and found.true == ('cup', 'cup', 'cup', 'fork', 'cup')
    assert found.label_truly([found.intervals[3], found.intervals[0]]) == ['fork', 'cup']
    with pytest.raises(DataError, match='is a picture of no recording'):
        intervals_of([frame('', 0, 'cup', topic='')])


def test_an_interval_is_summed_up_as_mining_does():
    p = np.array([[0.9, 0.1, 0.0], [0.45, 0.35, 0.2], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    found = interval_of(Interval('a', '/camera', 5, 9), np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 5.0]]), p,
                        np.array([0.5, 0.5, 0.005, 0.05]), 0.5, 0.01)
    assert found.feature == pytest.approx([0.5 ** 0.5] * 2) and found.top[0] == (0, pytest.approx(0.5625))
    assert (found.frames, found.unknown, found.uncertain, found.changes) == (4, 1, 1, 3)
    assert found.surprise == pytest.approx((0.95 + 0.5) / 4)  # below .1, ten times the rate


def test_whole_recordings_are_divided():
    found = intervals_of([frame(f'r{number // 4}', number, 'cup', f't{number}') for number in range(40)])
    division = divide_recordings(found, 0.2, 0.1, 0.2, seed=1)
    assert [len(part) for part in division] == [8, 20, 4, 8]
    assert sorted(np.concatenate(division).tolist()) == list(range(40))
    of = [{found.intervals[index].recording for index in part} for part in division]
    assert not any(of[i] & of[j] for i in range(4) for j in range(i))
    assert divide_recordings(found, 0.2, 0.1, 0.2, seed=2).test.tolist() != division.test.tolist()
    with pytest.raises(DataError, match='10 recordings: 5 are needed at least, and 10 are asked for'):
        divide_recordings(found, 0.4, 0.4, 0.2, seed=1)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A model, the network that it was trained from, recordings, and pictures of nothing."""
    root, rng = tmp_path_factory.mktemp('loop'), np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / 'pictures' / name).mkdir(parents=True)
        for number in range(60):
            pixels = rng.normal(np.array(colour) + rng.normal(0, 30, 3), 40, (48, 48, 3))
            cv2.imwrite(str(root / 'pictures' / name / f'{number}.png'), np.clip(pixels, 0, 255).astype(np.uint8))
    (root / 'white').mkdir()
    for number in range(6):
        cv2.imwrite(str(root / 'white' / f'{number}.png'), np.full((48, 48, 3), 250 - number, np.uint8))
    torch.manual_seed(0)
    network = build_network(Architecture('resnet20_cifar', 3, head='linear', stages=('layer2',)))
    save_bundle(root / 'start', network, tuple(COLOURS), Preprocessing(0, (32, 32)))
    save_bundle(root / 'model', network, tuple(COLOURS), Preprocessing(0, (32, 32)),
                provenance={'start': f'{root / "start"} (abc)'})
    assert main(['bag', 'synth', str(root / 'pictures'), '--out', str(root / 'bags'), '--recordings', '6',
                 '--seconds-per-track', '0.4', '--rate', '5', '--size', '64x48']) == 0
    return root


def test_rounds_of_mining_and_of_random_choice(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(bench_command.sys, 'argv', ['robot-vision', 'bench', 'loop'])
    arguments = ['bench', 'loop', str(made / 'bags'), '--model', str(made / 'model'), '--foreign', str(made / 'white'),
                 '--batch', '15', '--rounds', '2', '--seeds', '2', '--train-from', 'head', '--json',
                 str(tmp_path / 'f.json')]
    assert main(arguments) == 0
    figures = json.loads((tmp_path / 'f.json').read_text())
    assert figures['intervals'] == 180 and figures['recordings'] == 6 and len(figures['seeds']) == 2
    for seed in figures['seeds']:
        assert [point['labels'] for point in seed[MINED]] == [0, 15, 30, 90] == [
            point['labels'] for point in seed[RANDOM]]
        assert seed[MINED][0] == seed[RANDOM][0] and seed[MINED][3] == seed[RANDOM][3]
        assert sum(seed[MINED][3]['right']) > 0.6 * sum(seed[MINED][3]['frames'])
        assert set(seed[MINED][0]['foreign']) == {'white'}
    assert figures['curve'][0]['difference'][0] == 0
    assert any(seed[MINED][1:] != seed[RANDOM][1:] for seed in figures['seeds'])
    said = capsys.readouterr()
    assert 'a linear head on the frozen features' in said.out and 'white accepted' in said.out
    assert 'for the accuracy that 30 labels at random give, mining needs' in said.out


def test_whoever_labels_is_asked_for_what_was_chosen(made, tmp_path, monkeypatch):
    import argparse

    from robot_vision_dl.bench.loop import add_arguments
    monkeypatch.setenv('HOME', str(tmp_path))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args([str(made / 'bags'), '--model', str(made / 'model'), '--batch', '20', '--rounds', '1',
                              '--seeds', '1', '--train-from', 'head'])
    args.json = None
    asked = []

    def unsure(intervals):
        asked.append(list(intervals))
        return ['unsure'] * len(intervals)
    figures = measure(args, unsure)
    assert [len(one) for one in asked] == [20, 20] and len(set(asked[0])) == 20
    # Nothing was learned, so nothing changed.
    for way in (MINED, RANDOM):
        assert figures['seeds'][0][way][0]['right'] == figures['seeds'][0][way][1]['right']


def test_labels_come_through_the_page(made, tmp_path, monkeypatch, capsys):
    """They are given by key in a real browser, and what was saved is learned from."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(bench_command.sys, 'argv', ['robot-vision', 'bench', 'loop'])
    with browser():  # skips where there is none
        pass
    assert main(['bench', 'loop', str(made / 'bags'), '--model', str(made / 'model'), '--batch', '24', '--rounds', '1',
                 '--seeds', '1', '--train-from', 'head', '--through-page', '--json', str(tmp_path / 'f.json')]) == 0
    figures = json.loads((tmp_path / 'f.json').read_text())
    page, (seed,) = figures['page'], figures['seeds']
    assert page['intervals'] == 48 == page['read_back'] and page['different'] == 0
    assert page['keys'] == 48 + page['again'] and page['browser'].startswith('Chromium ')
    assert seed[RANDOM][1]['right'] != seed[RANDOM][0]['right']
    assert '48 read back from the queue and from what `labels write` wrote, 0 differ' in capsys.readouterr().out


@pytest.mark.slow
def test_what_was_saved_is_learned_from_and_what_differs_is_told(made, tmp_path, monkeypatch):
    """Two intervals of one time cannot both have their labels; who asks gets what is saved."""
    monkeypatch.setenv('HOME', str(tmp_path))
    frames = labelled_store(load_bundle(made / 'model'), [str(made / 'bags')]).frames
    one, *others = intervals_of(frames).intervals[:3]
    twice = one._replace(start_ns=one.start_ns - 1)
    with browser() as chromium:
        page = PageLabeller(chromium, frames, tuple(COLOURS), lambda asked: ['grey', 'ignore', 'unknown', 'blue'])
        first, second, third, last = page([one, *others, twice])
    assert first == last in ('grey', 'blue') and (second, third) == ('ignore', 'unknown')
    assert page.figures['read_back'] == 4 and page.figures['different'] == 1
    assert '1 NOT as they are in truth' in labelled_on_page(page.figures)


@pytest.mark.slow
def test_the_whole_training(made, tmp_path, monkeypatch, capsys):
    """Each round is a run of training; what it is asked for comes out, on frames that it never saw."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(bench_command.sys, 'argv', ['robot-vision', 'bench', 'loop'])
    (tmp_path / 'recipe.yaml').write_text(
        f'name: small\nnetwork: {{architecture: resnet20_cifar, pretrained: {made / "start"}, train_from: all}}\n'
        'input: {resize: 0, crop: 32}\nrun: {epochs: 2, device: cpu}\n')
    assert main(['bench', 'loop', str(made / 'bags'), '--model', str(made / 'model'), '--full', '--recipe',
                 str(tmp_path / 'recipe.yaml'), '--foreign', str(made / 'white'), '--batch', '30', '--rounds', '1',
                 '--seeds', '1', '--json', str(tmp_path / 'f.json')]) == 0
    seed, = json.loads((tmp_path / 'f.json').read_text())['seeds']
    assert [point['labels'] for point in seed[MINED]] == [0, 30, 90]
    assert sum(seed[MINED][2]['right']) > 0.4 * sum(seed[MINED][2]['frames'])  # after two epochs
    assert 'the whole training of model' in capsys.readouterr().out
