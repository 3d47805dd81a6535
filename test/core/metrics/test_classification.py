"""Figures against torchmetrics, closed forms and by hand."""
import math

import numpy as np
import pytest

from robot_vision_dl.core.errors import DataError
from robot_vision_dl.core.metrics.classification import (
    accuracy,
    balanced_accuracy,
    class_figures,
    classification_metrics,
    confusion_matrix,
    macro_f1,
    top_k_accuracy,
    wilson_interval,
)


def samples(n: int = 300, classes: int = 5, seed: int = 0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, classes))
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    return p, np.array([rng.choice(classes, p=row) for row in p])


def test_as_torchmetrics_has_them(agrees):
    functional = pytest.importorskip('torchmetrics.functional.classification')
    import torch
    p, y = samples()
    tp, ty = torch.from_numpy(p), torch.from_numpy(y)
    found = classification_metrics(p, y, list('abcde'))
    assert found.accuracy == pytest.approx(functional.multiclass_accuracy(tp, ty, 5, average='micro').item())
    assert found.balanced_accuracy == pytest.approx(
        functional.multiclass_accuracy(tp, ty, 5, average='macro').item(), abs=1e-6)
    assert found.macro_f1 == pytest.approx(functional.multiclass_f1_score(tp, ty, 5, average='macro').item(), abs=1e-6)
    assert found.ece == pytest.approx(functional.multiclass_calibration_error(tp, ty, 5, n_bins=15).item(), abs=1e-6)
    agrees('NLL', 'torch', found.nll, torch.nn.functional.nll_loss(tp.log(), ty).item(), rtol=1e-9)
    agrees('Brier', 'numpy, by the definition', found.brier, np.mean(np.sum((p - np.eye(5)[y]) ** 2, axis=1)),
           rtol=1e-9)
    assert (found.confusion == functional.multiclass_confusion_matrix(tp, ty, 5).numpy()).all()
    for name in ('precision', 'recall'):
        expected = getattr(functional, f'multiclass_{name}')(tp, ty, 5, average='none')
        assert getattr(found.by_class, name) == pytest.approx(expected.numpy(), abs=1e-6)


def test_by_hand():
    confusion = confusion_matrix(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0]), 3)
    assert confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    figures = class_figures(confusion)
    assert figures.precision[:2] == pytest.approx([2 / 3, 1 / 2]) and math.isnan(figures.precision[2])
    assert figures.recall[:2] == pytest.approx([2 / 3, 1 / 2]) and math.isnan(figures.recall[2])
    assert figures.f1[:2] == pytest.approx([2 / 3, 1 / 2]) and figures.support.tolist() == [3, 2, 0]


def test_a_class_that_does_not_occur_does_not_count_in_the_means():
    p = np.eye(3)[[0, 1, 0, 1]] * 0.8 + 0.2 / 3
    found = classification_metrics(p, np.array([0, 1, 0, 0]), ['a', 'b', 'c'])
    assert found.accuracy == 0.75 and found.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert found.figures()['recall'] == {'a': 0.6667, 'b': 1.0}


def test_means_over_the_classes_that_occur_of_several_samples_at_once():
    confusion = np.array([[[2, 1, 0], [1, 1, 0], [0, 0, 0]], [[0, 0, 3], [0, 4, 0], [1, 0, 0]], np.zeros((3, 3), int)])
    hits, called, support = confusion.diagonal(axis1=1, axis2=2), confusion.sum(axis=1), confusion.sum(axis=2)
    recall, f1 = balanced_accuracy(hits, support), macro_f1(hits, called, support)
    assert recall[:2] == pytest.approx([(2 / 3 + 1 / 2) / 2, 1 / 3]) and math.isnan(recall[2])
    assert f1[:2] == pytest.approx([(2 / 3 + 1 / 2) / 2, 1 / 3]) and math.isnan(f1[2])


@pytest.mark.parametrize('k', [1, 2, 5, 9])
def test_top_k_is_that_of_scikit_learn_and_the_first_of_equal_ones_counts(k, agrees):
    metrics = pytest.importorskip('sklearn.metrics')
    p, y = samples(classes=9)
    theirs = metrics.top_k_accuracy_score(y, p, k=k, labels=range(9)) if k < 9 else 1.0
    agrees('top-k accuracy', 'scikit-learn', top_k_accuracy(p, y, k), theirs, atol=1e-12)
    assert top_k_accuracy(np.zeros((9, 9)), np.arange(9), k) == pytest.approx(k / 9)
    assert accuracy(p, y) == top_k_accuracy(p, y, 1)


def test_uniform_predictions_have_the_closed_forms():
    found = classification_metrics(np.full((40, 4), 0.25), np.arange(40) % 4, list('abcd'))
    assert found.nll == pytest.approx(math.log(4)) and found.brier == pytest.approx(0.75)
    assert found.ece == pytest.approx(0.0)


def test_calibration_error_of_calibrated_predictions_is_near_its_floor():
    p, y = samples(20000, seed=3)
    found = classification_metrics(p, y, list('abcde'))
    assert found.ece < 2 * found.ece_floor < 0.03


def test_wilson_interval_by_hand():
    low, high = wilson_interval(81, 263)  # Wikipedia's and R's prop.test(81, 263, correct=FALSE) example
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0 and wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize('p, y', [(np.ones((0, 2)), np.ones(0, int)), (np.ones((2, 3)) / 3, np.zeros(2, int)),
                                  (np.ones((2, 2)) / 2, np.array([0, 2]))])
def test_what_cannot_be_judged_is_told(p, y):
    with pytest.raises(DataError, match='judging'):
        classification_metrics(p, y, ['a', 'b'])
