"""Entropies against closed forms."""
import math

import numpy as np
import pytest

from robot_vision_dl.core.uncertainty.entropy import normalised_entropies


def test_certain_and_uniform_predictions():
    p = np.array([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]])
    result = normalised_entropies(p)
    assert result.predictive.tolist() == pytest.approx([0, 1, 0.5])
    assert result.expected.tolist() == pytest.approx([0, 1, 0.5])
    assert result.mutual_information.tolist() == [0, 0, 0]


def test_members_that_are_sure_of_different_classes_are_all_epistemic():
    members = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    result = normalised_entropies(members)
    assert [float(part[0]) for part in result] == pytest.approx([1, 0, 1])


def test_parts_add_up_and_agree_with_the_definition():
    members = np.random.default_rng(0).dirichlet(np.full(11, 0.2), (5, 7)).astype(np.float32)
    result = normalised_entropies(members)
    np.testing.assert_allclose(result.predictive, result.expected + result.mutual_information, rtol=1e-6)
    for b in range(7):
        mean = members[:, b].astype(np.float64).mean(axis=0)
        total = -sum(float(p) * math.log(float(p)) for p in mean) / math.log(11)
        inner = -sum(float(p) * math.log(float(p)) for p in members[:, b].ravel() if p > 0) / 5 / math.log(11)
        assert result.predictive[b].item() == pytest.approx(total, abs=1e-6)
        assert result.expected[b].item() == pytest.approx(inner, abs=1e-6)


def test_rounding_does_not_leave_the_range_and_one_class_is_certain():
    p = np.exp(np.random.default_rng(0).normal(0, 1e-4, (4, 1000, 1000)).astype(np.float32))
    p /= p.sum(axis=-1, keepdims=True)
    for part in normalised_entropies(p):
        assert part.min() >= 0
        assert part.max() <= 1
    assert normalised_entropies(np.ones((2, 1))).predictive.tolist() == [0, 0]
