"""Copies of a recording, whole, cut or at other times, are judged once, and it is said."""
import shutil

import pytest
from evaluation_samples import STEP_NS, T0_NS, labelled_bag, small_model

from robot_vision_dl.core.config import ClassifierConfig, with_values
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.options import EvaluationOptions, RunOptions
from robot_vision_dl.evaluation.report.verdict import verdict_of


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return str(small_model(tmp_path_factory.mktemp('models') / 'small'))


def judged(bags, model):
    found = evaluate([str(bag) for bag in bags], [model], EvaluationOptions(
        with_values(ClassifierConfig(), {'device': 'cpu', 'decision.abstain_cost': 0.3}), run=RunOptions(draws=100)))
    return found, next(iter(found.metrics['models'].values()))


def test_copies_of_a_recording_count_once(model, tmp_path):
    first = labelled_bag(tmp_path / 'first', 60, 0)
    copies = [shutil.copytree(first, tmp_path / f'copy{number}') for number in range(3)]
    later = labelled_bag(tmp_path / 'later', 60, 0, start_ns=T0_NS + 1000 * STEP_NS)
    cut = labelled_bag(tmp_path / 'cut', 30, 0)
    _, one = judged([first], model)
    found, many = judged([first, *copies, later, cut], model)
    assert many['frames']['recordings_labelled'] == 1
    for figure in ('labelled', 'known', 'unknown'):
        assert many['frames'][figure] == one['frames'][figure]
    assert many['frame'] == one['frame'] and many['tracks'] == one['tracks']
    assert many['groups']['sums'] == one['groups']['sums']
    assert sum('it is a copy and counts as no recording of its own' in text for text in found.problems) == 5
    assert 'few_recordings' in {point.key for point in verdict_of(many).points}


def test_others_are_not_taken_for_copies(model, tmp_path):
    bags = [labelled_bag(tmp_path / f'bag{number}', 36, number) for number in range(3)]
    found, metrics = judged(bags, model)
    assert metrics['frames']['recordings_labelled'] == 3 and metrics['frames']['labelled'] == 108
    assert not any('bit by bit' in text for text in found.problems)
