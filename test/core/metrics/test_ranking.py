"""Ranking figures against scikit-learn, torchmetrics and by hand."""
import numpy as np
import pytest

from robot_vision_dl.core.metrics.ranking import (
    auroc,
    auroc_of_counts,
    average_precision,
    fpr_at_tpr,
    two_groups,
)

metrics = pytest.importorskip('sklearn.metrics', reason='scikit-learn is the reference; pip install scikit-learn')


def case(seed, ties):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 400))
    positive = rng.random(n) < rng.uniform(0.05, 0.95)
    positive[:2] = True, False
    scores = rng.normal(size=n) + positive
    return np.round(scores * 2) if ties else scores, positive


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('seed', range(20))
def test_equal_to_scikit_learn(seed, ties):
    scores, positive = case(seed, ties)
    assert auroc(scores, positive) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    assert average_precision(scores, positive) == pytest.approx(metrics.average_precision_score(positive, scores),
                                                                abs=1e-12)
    fpr, tpr, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    assert fpr_at_tpr(scores, positive) == pytest.approx(fpr[np.argmax(tpr >= 0.95 - 1e-12)], abs=1e-12)


def test_equal_to_torchmetrics():
    functional = pytest.importorskip('torchmetrics.functional', reason='torchmetrics is the reference')
    import torch
    scores, positive = case(3, True)
    s = torch.from_numpy(1 / (1 + np.exp(-scores)))
    y = torch.from_numpy(positive.astype(np.int64))
    assert auroc(scores, positive) == pytest.approx(float(functional.auroc(s, y, 'binary')), abs=1e-6)
    assert average_precision(scores, positive) == pytest.approx(
        float(functional.average_precision(s, y, 'binary')), abs=1e-6)


@pytest.mark.parametrize('figure', [auroc, average_precision, fpr_at_tpr])
@pytest.mark.parametrize('positive', [[], [True], [False], [True, True], [False, False, False]])
def test_without_both_kinds_there_is_no_answer(figure, positive):
    assert np.isnan(figure(np.arange(len(positive), dtype=float), np.array(positive, bool)))


def test_by_hand():
    scores, positive = np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False])
    assert auroc(scores, positive) == 3.5 / 4
    assert auroc(np.zeros(4), positive) == 0.5
    assert average_precision(scores, positive) == 0.5 * 1 + 0.5 * 2 / 3
    assert fpr_at_tpr(scores, positive) == 0.5
    assert fpr_at_tpr(scores, positive, 0.5) == 0.0


def test_of_two_groups_the_second_is_positive():
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(size=300).round(1), (rng.normal(size=200) + 0.7).round(1)  # with ties
    truth = np.r_[np.zeros(300), np.ones(200)]
    assert auroc(*two_groups(known, unknown)) == pytest.approx(
        metrics.roc_auc_score(truth, np.r_[known, unknown]), abs=1e-12)
    assert auroc(*two_groups(known, known)) == 0.5
    assert auroc(*two_groups(unknown, known)) == pytest.approx(1 - auroc(*two_groups(known, unknown)))
    scores = 1.0 * np.arange(1, 101)  # 95 of 100 known ones are up to 95; unknown ones of 94 and 95 pass
    assert fpr_at_tpr(*two_groups(-np.array([94.0, 95, 96, 200]), -scores)) == 0.5
    assert fpr_at_tpr(*two_groups(np.zeros(1), -scores)) == 1


@pytest.mark.parametrize('n', [20, 60, 100, 1_000_000])
def test_a_share_that_a_float_misses_by_a_hair_is_reached(n):
    scores, positive = two_groups(np.arange(n) - 0.5, np.arange(n))
    assert fpr_at_tpr(scores, positive) == pytest.approx((n * 95 // 100 - 1) / n, abs=1e-12)


def test_from_counts_it_is_the_same():
    scores, positive = case(5, True)
    place = np.unique(scores, return_inverse=True)[1].reshape(-1)
    counts = np.bincount(place, positive), np.bincount(place, ~positive)
    assert auroc_of_counts(*counts) == auroc(scores, positive)
    both = auroc_of_counts(*(np.stack([one, 3 * one, 0 * one]) for one in counts))
    assert both[:2].tolist() == [auroc(scores, positive)] * 2 and np.isnan(both[2])
