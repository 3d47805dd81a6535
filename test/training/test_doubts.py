"""A model that is no better than what costs nothing does not end like a good one."""
import sys
from pathlib import Path

import numpy as np
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.metrics.classification import classification_metrics
from robot_vision_dl.training.doubts import doubts
from robot_vision_dl.training.history import EpochRecord

sys.path.append(str(Path(__file__).parent))
from training_samples import config_text, picture_folders  # noqa: E402

NAMES = ('fist', 'one', 'palm', 'stop')
PROBE, NEAREST = 'linear probe on frozen features', '5 nearest neighbours on frozen features'


def judged(called, targets, sure=0.9):
    p = np.full((len(called), len(NAMES)), (1 - sure) / (len(NAMES) - 1))
    p[np.arange(len(called)), called] = sure
    return classification_metrics(p, np.array(targets), NAMES)


def epochs(*nll):
    return [EpochRecord(number, 1.0, value, 0.5, 1e-3, 1.0) for number, value in enumerate(nll)]


TARGETS = np.repeat(np.arange(4), [12, 9, 9, 9])
GOOD = np.where(np.arange(39) % 10 == 0, (TARGETS + 1) % 4, TARGETS)


def test_a_good_model_is_not_doubted():
    test = judged(GOOD, TARGETS)
    assert doubts(NAMES, epochs(1.2, 0.4, 0.6), test, {'majority class': 0.3, NEAREST: 0.7, PROBE: 0.85}) == []
    assert doubts(NAMES, epochs(float('nan')), test) == [] == doubts(NAMES, epochs(0.3))
    assert doubts(NAMES, epochs(0.3), test, {PROBE: round(test.accuracy, 4)}) == []  # the head alone is just that


@pytest.mark.parametrize('called, baselines, nll, said', [
    ((TARGETS + (np.arange(39) % 4 != 0)) % 4, {}, 1.0, ['is no better than always saying fist (0.308)', 'test NLL']),
    (np.zeros(39, int), {'majority class': 0.3077}, 1.0,
     ['accuracy 0.308 on 39 test frames is no better than always saying fist (0.308)', 'test NLL',
      'never recognised in the test: one (9 frames), palm (9 frames), stop (9 frames)']),
    (GOOD, {NEAREST: 0.92, PROBE: 0.95}, 1.0, ['nearest neighbours on frozen features (0.920)', 'probe']),
    (GOOD, {}, 1.5, ['the best early-stop NLL, 1.500, is no better than chance: knowing nothing would give ln 4']),
    (np.where(TARGETS == 3, 0, TARGETS), {}, 1.0, ['never recognised in the test: stop (9 frames)']),
])
def test_what_is_doubtful_is_said_with_its_figures(called, baselines, nll, said):
    found = doubts(NAMES, epochs(2.0, nll), judged(called, TARGETS), baselines)
    assert len(found) == len(said)
    for sentence, part in zip(found, said):
        assert part in sentence


def test_classes_that_the_test_does_not_show_are_not_missed():
    targets = np.repeat([0, 1], 10)
    assert doubts(NAMES, epochs(0.5), judged(targets, targets)) == []
    assert doubts(NAMES, epochs(0.5), judged(np.zeros(10, int), np.zeros(10, int))) == []


def test_a_run_that_learned_nothing_says_so_at_its_end_and_on_its_card(tmp_path, capsys):
    pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
    text = config_text(picture_folders(tmp_path / 'pictures', each=8), tmp_path, epochs=1)
    (tmp_path / 'train.yaml').write_text(text)
    assert main(['train', str(tmp_path / 'train.yaml'), '--set', 'optimizer.learning_rate=1e-9']) == 0
    said = capsys.readouterr().out
    card = (tmp_path / 'models/shapes/MODEL_CARD.md').read_text()
    doubted = [line.strip()[len('**Warning: '):-len('.**')] for line in card.splitlines() if '**Warning: ' in line]
    assert any('never recognised' in text or 'always saying' in text or 'ln 3' in text for text in doubted)
    assert all(said.index(f'warning: {text}\n') > said.index('epoch   1/1') for text in doubted)
