"""Risk against coverage: closed forms, brute force over orders, degenerate input."""
from itertools import permutations

import numpy as np
import pytest

from robot_vision_dl.core.metrics.selective import (
    accuracy_at_coverage,
    aurc,
    aurc_of_counts,
    coverage_at_risk,
    excess_aurc,
    risk_curve,
)


def test_ties_are_the_mean_over_all_orders():
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.2])
    wrong = np.array([False, True, False, True, True])
    curves = []
    for middle in permutations([1, 2, 3]):
        w = wrong[[0, *middle, 4]]
        curves.append(np.cumsum(w) / np.arange(1, 6))
    coverage, risk = risk_curve(confidence, wrong)
    np.testing.assert_allclose(coverage, np.arange(1, 6) / 5)
    np.testing.assert_allclose(risk, np.mean(curves, axis=0), atol=1e-15)
    shuffled = np.array([3, 0, 4, 2, 1])
    assert aurc(confidence[shuffled], wrong[shuffled]) == aurc(confidence, wrong)


@pytest.mark.parametrize('n, errors', [(10, 0), (10, 3), (10, 10), (1, 1)])
def test_closed_forms(n, errors):
    wrong = np.arange(n) >= n - errors
    perfect = -np.arange(n, dtype=float)
    k = np.arange(1, n + 1)
    best = (np.maximum(k - (n - errors), 0) / k).mean()
    assert aurc(perfect, wrong) == pytest.approx(best)
    assert excess_aurc(perfect, wrong) == pytest.approx(0)
    # Confidence that says nothing: the error rate at every coverage.
    assert aurc(np.zeros(n), wrong) == pytest.approx(errors / n)


def test_accuracy_at_coverage_and_coverage_at_risk():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    wrong = np.array([False, False, True, False, True])
    assert accuracy_at_coverage(confidence, wrong, 0.4) == 1.0
    assert accuracy_at_coverage(confidence, wrong, 0.41) == pytest.approx(2 / 3)
    assert accuracy_at_coverage(confidence, wrong, 1.0) == pytest.approx(0.6)
    assert coverage_at_risk(confidence, wrong, 0.0) == 0.4
    assert coverage_at_risk(confidence, wrong, 0.25) == 0.8
    assert coverage_at_risk(confidence, wrong, 0.5) == 1.0
    assert coverage_at_risk(confidence, ~np.zeros(5, bool), 0.1) == 0.0


def test_a_threshold_does_not_part_equal_confidences():
    assert coverage_at_risk(np.full(4, 0.5), np.array([False, False, False, True]), 0.2) == 0.0
    assert coverage_at_risk(np.full(4, 0.5), np.array([False, False, False, True]), 0.25) == 1.0


def test_empty():
    nothing = np.zeros(0)
    for value in (aurc(nothing, nothing), accuracy_at_coverage(nothing, nothing, 0.5),
                  coverage_at_risk(nothing, nothing, 0.1)):
        assert np.isnan(value)


@pytest.mark.parametrize('n, levels', [(1, 1), (7, 3), (400, 12), (400, 400)])
def test_from_counts_it_is_the_same(n, levels):
    rng = np.random.default_rng(n)
    confidence, wrong = rng.integers(0, levels, n), rng.random(n) < 0.3
    surest_first = np.unique(-confidence, return_inverse=True)[1].reshape(-1)
    counts = np.bincount(surest_first, wrong), np.bincount(surest_first)
    assert aurc_of_counts(*counts) == pytest.approx(aurc(confidence, wrong), abs=1e-12)
    # Of several samples at once, one of them nothing.
    both = aurc_of_counts(*(np.stack([one, 0 * one, 2 * one]) for one in counts))
    assert both[0] == aurc_of_counts(*counts) and np.isnan(both[1])
    assert both[2] == pytest.approx(aurc(np.tile(confidence, 2), np.tile(wrong, 2)), abs=1e-12)


def test_as_the_authors_of_the_measure_compute_it():
    """Geifman and El-Yaniv's code: errors of the surest k over k, mean over k."""
    rng = np.random.default_rng(0)
    confidence, wrong = rng.random(300), rng.random(300) < 0.2
    order = np.argsort(-confidence)
    assert aurc(confidence, wrong) == pytest.approx(np.mean([wrong[order[:k]].mean() for k in range(1, 301)]))
