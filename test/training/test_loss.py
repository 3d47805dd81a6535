"""Losses against torch's own and closed forms."""
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from robot_vision_dl.training.loss import focal_cross_entropy, soft_targets


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(32, 5, generator=generator) * 3, torch.randint(0, 5, (32,), generator=generator)


def test_plain_and_smoothed_are_torchs_cross_entropy(batch):
    logits, labels = batch
    for smoothing in (0.0, 0.1):
        ours = focal_cross_entropy(logits, soft_targets(labels, 5, smoothing))
        assert ours.item() == pytest.approx(cross_entropy(logits, labels, label_smoothing=smoothing).item(), abs=1e-6)


def test_weighted_is_torchs_weighted_cross_entropy(batch):
    logits, labels = batch
    weights = torch.tensor([0.2, 1.0, 3.0, 0.5, 2.0])
    ours = focal_cross_entropy(logits, soft_targets(labels, 5), weights)
    assert ours.item() == pytest.approx(cross_entropy(logits, labels, weight=weights).item(), abs=1e-6)


def test_shared_targets_are_shares_of_both_losses(batch):
    logits, labels = batch
    other = labels.roll(1)
    shares = 0.3 * soft_targets(labels, 5) + 0.7 * soft_targets(other, 5)
    expected = 0.3 * cross_entropy(logits, labels) + 0.7 * cross_entropy(logits, other)
    assert focal_cross_entropy(logits, shares).item() == pytest.approx(expected.item(), abs=1e-6)


def test_focal_loss_by_hand():
    p = 0.8
    logits = torch.tensor([[math.log(p), math.log(1 - p)]])
    loss = focal_cross_entropy(logits, soft_targets(torch.tensor([0]), 2), gamma=2.0)
    assert loss.item() == pytest.approx(-(1 - p) ** 2 * math.log(p), rel=1e-5)


def test_gradient_of_certain_and_wrong_pictures_is_finite():
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    focal_cross_entropy(logits, soft_targets(torch.tensor([0, 0]), 2), gamma=2.0).backward()
    assert torch.isfinite(logits.grad).all()
