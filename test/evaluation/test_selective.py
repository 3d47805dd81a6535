"""Risk against coverage: closed forms, brute force over orders, degenerate input."""
from itertools import permutations

import numpy as np
import pytest

from robot_vision_dl.evaluation.selective import accuracy_at_coverage, aurc, coverage_at_risk, excess_aurc, risk_curve


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
