"""Entropies against closed forms."""
import math

import pytest
import torch

from robot_vision_dl.core.uncertainty.entropy import normalised_entropies


def test_certain_and_uniform_predictions():
    p = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]])
    result = normalised_entropies(p)
    assert result.predictive.tolist() == pytest.approx([0, 1, 0.5])
    assert result.expected.tolist() == pytest.approx([0, 1, 0.5])
    assert result.mutual_information.tolist() == [0, 0, 0]


def test_members_that_are_sure_of_different_classes_are_all_epistemic():
    members = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    result = normalised_entropies(members)
    assert [float(part) for part in result] == pytest.approx([1, 0, 1])


def test_parts_add_up_and_agree_with_the_definition():
    members = torch.softmax(torch.randn(5, 7, 11, generator=torch.Generator().manual_seed(0)) * 3, -1)
    result = normalised_entropies(members)
    torch.testing.assert_close(result.predictive, result.expected + result.mutual_information)
    for b in range(7):
        mean = members[:, b].double().mean(0)
        total = -sum(float(p) * math.log(float(p)) for p in mean) / math.log(11)
        inner = -(members[:, b].double() * members[:, b].double().log()).sum(1).mean().item() / math.log(11)
        assert result.predictive[b].item() == pytest.approx(total, abs=1e-6)
        assert result.expected[b].item() == pytest.approx(inner, abs=1e-6)


def test_rounding_does_not_leave_the_range_and_one_class_is_certain():
    p = torch.softmax(torch.randn(4, 1000, 1000) * 1e-4, -1)
    for part in normalised_entropies(p):
        assert part.min() >= 0
        assert part.max() <= 1
    assert normalised_entropies(torch.ones(2, 1)).predictive.tolist() == [0, 0]
