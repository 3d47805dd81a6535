"""Demands on figures, and comparing two metrics.json."""
import json

import numpy as np
import pytest
from evaluation_samples import random_probabilities, table_of

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.decision.decision import Policy
from robot_vision_dl.core.errors import ConfigError, DataError
from robot_vision_dl.evaluation.compare import difference_lines, model_of, read_metrics
from robot_vision_dl.evaluation.evaluator import compare_models
from robot_vision_dl.evaluation.gates import check_gates, figures, parse_gates
from robot_vision_dl.evaluation.summary import summarise


def metrics_of(targets, seed=0):
    p = random_probabilities(len(targets), 4, seed)
    return {'models': {'m': summarise(table_of(p, targets), ClassifierConfig(), Policy(0.5), None, 0, 100)}}


LABELLED = metrics_of(np.random.default_rng(0).integers(-1, 4, 300))


def test_limits_are_inclusive_and_a_failure_says_why():
    accuracy = LABELLED['models']['m']['frame']['accuracy']
    exactly, above = check_gates(LABELLED, parse_gates([f'accuracy={accuracy}', 'accuracy=.99'], []))
    assert exactly['passed'] and not above['passed']
    assert above['reason'] == f'm: accuracy is {accuracy:.4g}, but must be at least 0.99'
    over, = check_gates(LABELLED, parse_gates([], ['risk=0']))
    assert not over['passed'] and 'must be at most 0' in over['reason']


def test_every_figure_can_be_demanded():
    known = figures(LABELLED['models']['m'])
    for name in ('accuracy', 'ece', 'risk', 'coverage', 'fused.f1.macro', 'selective.aurc', 'track_accuracy',
                 'open_set.scores.entropy.auroc', 'time.decision_s.p90', 'frame.top_k.3'):
        assert known[name] is not None, name
        check_gates(LABELLED, parse_gates([f'{name}=0'], []))


def test_what_cannot_be_told_does_not_pass():
    unlabelled = metrics_of(np.full(20, -2))
    gate, = check_gates(unlabelled, parse_gates(['accuracy=0'], []))
    assert not gate['passed'] and 'cannot be told' in gate['reason']


@pytest.mark.parametrize('text', ['accuracy', 'accuracy=', 'accuracy=high', '=3', 'accuracy=nan'])
def test_bad_texts(text):
    with pytest.raises(ConfigError, match='--fail-under .*expected NAME=VALUE'):
        parse_gates([text], [])


def test_unknown_figures_are_refused_with_a_hint():
    with pytest.raises(ConfigError, match="no figure 'acuracy'; did you mean 'accuracy'"):
        check_gates(LABELLED, parse_gates(['acuracy=1'], []))


def whole(models):
    return {'schema_version': 1, 'options': {'draws': 100, 'seed': 0}, **models}


def test_two_files_are_compared_with_pairs(tmp_path):
    targets = np.random.default_rng(0).integers(0, 4, 300)
    first, second = whole(metrics_of(targets)), whole(metrics_of(targets, seed=1))
    (tmp_path / 'a.json').write_text(json.dumps(first))
    read = read_metrics(tmp_path / 'a.json')
    found = compare_models(read['models']['m'], second['models']['m'], 100, 0)
    assert found['accuracy']['value'] == pytest.approx(
        second['models']['m']['frame']['accuracy'] - first['models']['m']['frame']['accuracy'], abs=1e-5)
    assert found == compare_models(first['models']['m'], second['models']['m'], 100, 0)
    assert len(difference_lines(found)) == 1 + len(found)


def test_other_frames_are_not_compared():
    other = whole(metrics_of(np.random.default_rng(5).integers(0, 4, 250)))
    assert compare_models(LABELLED['models']['m'], other['models']['m'], 100, 0) is None
    assert 'not judged on the same' in difference_lines(None)[0]


@pytest.mark.parametrize('content, said', [
    ('not json', 'is not JSON'), ('[]', 'is not a metrics.json'), ('{"schema_version": 2}', 'is not a metrics.json'),
    (None, 'cannot be read')])
def test_files_that_are_none(tmp_path, content, said):
    if content is not None:
        (tmp_path / 'a.json').write_text(content)
    with pytest.raises(DataError, match=said):
        read_metrics(tmp_path / 'a.json')


def test_the_model_is_named_where_there_are_several():
    two = {'models': {'a': {}, 'b': {}}}
    assert model_of(two, 'x', 'b') == 'b'
    with pytest.raises(DataError, match='holds 2 models; name one: a, b'):
        model_of(two, 'x')
    with pytest.raises(DataError, match="no model 'c'"):
        model_of(two, 'x', 'c')
