"""Figures of labelled rows against scikit-learn and torchmetrics, on random and on degenerate input."""
import json

import numpy as np
import pytest
from evaluation_samples import random_probabilities, table_of

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.decision.decision import Policy
from robot_vision_dl.evaluation.summary import answers, conformal, decisions, open_set, summarise

metrics = pytest.importorskip('sklearn.metrics', reason='scikit-learn is the reference; pip install scikit-learn')
# Figures are kept with six significant digits.
NEAR = {'rel': 1e-5, 'abs': 1e-6}


def cases():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        yield f'random {seed}', random_probabilities(200, 6, seed), rng.integers(0, 6, 200)
    yield 'ties', random_probabilities(120, 4, 9, ties=True), np.random.default_rng(9).integers(0, 4, 120)
    yield 'one class occurs', random_probabilities(50, 4, 1), np.full(50, 2)
    yield 'a class never', random_probabilities(80, 5, 2), np.random.default_rng(2).integers(0, 4, 80)
    yield 'one frame', random_probabilities(1, 3, 3), np.array([1])
    yield 'all right', np.eye(4)[np.arange(40) % 4], np.arange(40) % 4
    yield 'all wrong', np.eye(4)[(np.arange(40) + 1) % 4], np.arange(40) % 4
    yield 'one class there is', np.ones((20, 1)), np.zeros(20, int)


@pytest.mark.parametrize('name, p, y', list(cases()), ids=[case[0] for case in cases()])
def test_equal_to_scikit_learn(name, p, y):
    classes = p.shape[1]
    table = table_of(p, y)
    found = answers(table.rows, table.class_names, '', seed=0)
    predicted = p.argmax(axis=1)
    labels = np.arange(classes)
    assert found['accuracy'] == pytest.approx(metrics.accuracy_score(y, predicted), **NEAR)
    with np.errstate(invalid='ignore'):
        recalls = metrics.recall_score(y, predicted, labels=np.unique(y), average=None, zero_division=0)
    assert found['balanced_accuracy'] == pytest.approx(recalls.mean(), **NEAR)
    # Classes that do not occur have no recall; averages are over those that do, as scikit-learn's with `labels`.
    for key, function in (('precision', metrics.precision_score), ('recall', metrics.recall_score),
                          ('f1', metrics.f1_score)):
        for average in ('macro', 'weighted'):
            theirs = function(y, predicted, labels=np.unique(y), average=average, zero_division=0)
            assert found[key][average] == pytest.approx(theirs, **NEAR), (key, average)
    clipped = np.maximum(p, np.finfo(float).tiny)
    assert found['nll'] == pytest.approx(-np.log(clipped[np.arange(len(y)), y]).mean(), **NEAR)
    if classes > 2 and clipped[np.arange(len(y)), y].min() > 1e-12:
        assert found['nll'] == pytest.approx(metrics.log_loss(y, p, labels=labels), **NEAR)
    one_hot = np.eye(classes)[y]
    assert found['brier'] == pytest.approx(((p - one_hot) ** 2).sum(axis=1).mean(), **NEAR)
    confusion = metrics.confusion_matrix(y, predicted, labels=labels)
    ours = np.zeros((classes, classes), int)
    for is_, called, count in found['confusion']:
        ours[table.class_names.index(is_), table.class_names.index(called)] = count
    assert (ours == confusion).all()


def test_frames_of_a_track_are_no_independent_evidence_of_a_calibration():
    """Tracks of 30 frames; names of tracks are of a recording, and frames without a track are by themselves."""
    p, y = random_probabilities(600, 5, 3), np.random.default_rng(3).integers(0, 5, 600)
    alone = answers(table_of(p, y).rows, tuple('abcde'), '', 0)
    assert alone['ece_floor_objects'] is None
    tracks = np.arange(600) // 30
    found = answers(table_of(p, y, tracks=tracks).rows, tuple('abcde'), '', 0)
    assert found['ece_floor_objects'] > 2 * found['ece_floor'] == 2 * alone['ece_floor']
    again = answers(table_of(p, y, tracks=tracks % 10, recording=np.arange(600) // 300).rows, tuple('abcde'), '', 0)
    assert again['ece_floor_objects'] == pytest.approx(found['ece_floor_objects'], rel=0.1)


@pytest.mark.parametrize('k', [1, 2, 3])
def test_top_k_is_that_of_scikit_learn_where_nothing_ties(k):
    p, y = random_probabilities(300, 6, 5), np.random.default_rng(5).integers(0, 6, 300)
    found = answers(table_of(p, y).rows, tuple('abcdef'), '', 0)
    theirs = metrics.top_k_accuracy_score(y, p, k=k, labels=np.arange(6))
    assert found['top_k'][str(k)] == pytest.approx(theirs, **NEAR)


def test_equal_to_torchmetrics():
    functional = pytest.importorskip('torchmetrics.functional', reason='torchmetrics is the reference')
    import torch
    p, y = random_probabilities(400, 5, 7), np.random.default_rng(7).integers(0, 5, 400)
    found = answers(table_of(p, y).rows, tuple('abcde'), '', 0)
    tp, ty = torch.from_numpy(p), torch.from_numpy(y)
    common = {'task': 'multiclass', 'num_classes': 5}
    for ours, theirs in (
            (found['accuracy'], functional.accuracy(tp, ty, average='micro', **common)),
            (found['balanced_accuracy'], functional.accuracy(tp, ty, average='macro', **common)),
            (found['f1']['macro'], functional.f1_score(tp, ty, average='macro', **common)),
            (found['precision']['weighted'], functional.precision(tp, ty, average='weighted', **common)),
            (found['top_k']['2'], functional.accuracy(tp, ty, average='micro', top_k=2, **common)),
            (found['ece'], functional.calibration_error(tp, ty, n_bins=15, **common))):
        assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_decisions_and_costs_by_hand():
    p = np.array([[.9, .1], [.9, .1], [.6, .4], [.2, .8], [.7, .3], [.5, .5]])
    targets = np.array([0, 1, 0, 1, -1, -1])
    outcome = np.array([0, 0, 1, 0, 0, 2])
    table = table_of(p, targets, outcome=outcome)
    found = decisions(table, np.ones(6, bool), Policy(0.3))
    assert (found['accepted'], found['accepted_right'], found['accepted_wrong'], found['abstained']) == (4, 2, 2, 2)
    assert found['risk'] == 0.5
    assert (found['foreign_accepted'], found['confused'], found['acted_right']) == (1, 1, 0.5)
    assert found['by_label'] == [
        {'label': 'unknown', 'is_unknown': True, 'frames': 2, 'right': 0, 'wrong': 1, 'uncertain': 0, 'unknown': 1},
        {'label': 'class 0', 'is_unknown': False, 'frames': 2, 'right': 1, 'wrong': 0, 'uncertain': 1, 'unknown': 0},
        {'label': 'class 1', 'is_unknown': False, 'frames': 2, 'right': 1, 'wrong': 1, 'uncertain': 0, 'unknown': 0}]
    assert found['confusion'] == [['unknown', 'unknown', 1], ['unknown', 'class 0', 1], ['class 0', 'uncertain', 1],
                                  ['class 0', 'class 0', 1], ['class 1', 'class 0', 1], ['class 1', 'class 1', 1]]
    # right 0, wrong 1, uncertain .3, right 0, acting on the unknown 1, calling it unknown 0
    assert found['cost'] == pytest.approx(2.3 / 6, rel=1e-5)


def test_costs_of_confusions_count():
    from robot_vision_dl.core.decision.costs import costs_from
    costs = costs_from({'wrong': 1.0, 'costs': {'b': {'a': 7.0}}}, ('a', 'b'))
    p = np.array([[.1, .9], [.9, .1], [.2, .8]])
    table = table_of(p, np.array([0, 1, -1]), outcome=np.zeros(3, int))
    # called b, is a: 7; called a, is b: 1; called b, is none of them: what a wrong b usually costs, 7
    assert decisions(table, np.ones(3, bool), Policy(0.3, costs=costs))['cost'] == 5.0


def test_open_set_by_hand():
    p = random_probabilities(6, 3, 0)
    table = table_of(p, np.array([0, 1, 2, 0, -1, -1]), outcome=np.array([0, 2, 0, 1, 2, 0]))
    table.rows['ood_score'] = [1, 2, 3, 4, 5, 3.5]
    found = open_set(table)
    assert found['false_unknown_rate'] == 0.25
    assert found['found'] == 0.5 and found['acted_on_unknown'] == 0.5
    assert found['scores']['own']['auroc'] == pytest.approx(7 / 8)
    everything_known = open_set(table.where(table.known))
    assert everything_known['found'] is None and everything_known['scores']['own']['auroc'] is None


def test_conformal_sets_of_each_recording():
    table = table_of(random_probabilities(6, 3, 0), np.zeros(6, int), recording=np.array([0, 0, 0, 1, 1, 1]))
    table.rows['set_size'], table.rows['set_hit'] = [1, 2, 3, 1, 1, 1], [1, 1, 1, 0, 0, 1]
    found = conformal(table, 0.1)
    assert (found['promised'], found['coverage'], found['mean_size']) == (0.9, pytest.approx(4 / 6, rel=1e-5), 1.5)
    assert found['recordings']['recording 1']['coverage'] == pytest.approx(1 / 3, rel=1e-5)


@pytest.mark.parametrize('targets', [np.full(30, -2), np.full(30, -1), np.zeros(30, int), np.zeros(0, int)],
                         ids=['unlabelled', 'all unknown', 'one class', 'empty'])
def test_nothing_breaks_where_labels_are_poor(targets):
    p = random_probabilities(30, 3, 0)[:len(targets)]
    found = summarise(table_of(p, targets), ClassifierConfig(), Policy(0.5), None, 0, 100)
    json.dumps(found, allow_nan=False)
    assert (found['frame'] is None) == (not (targets >= 0).any())
