"""Kinds of worse pictures that nothing is fitted on."""
import numpy as np
import pytest

from robot_vision_dl.bench.unforeseen import UNFORESEEN
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.data.augmentation.corruptions import SHIFTS, shifted


def unforeseen(before, kind, strength, seed=0):
    return shifted(before, kind, strength, seed, UNFORESEEN)


def picture():
    pixels = np.clip(np.random.default_rng(0).normal(100, 50, (64, 64, 3)), 0, 255).astype(np.uint8)
    return Picture(pixels, ColorOrder.BGR)


def test_they_are_what_they_are_called_and_none_is_fitted_on():
    before = picture()
    assert unforeseen(before, 'darkness', 5).pixels.mean() < 0.15 * before.pixels.mean()
    assert unforeseen(before, 'low contrast', 5).pixels.std() < 0.15 * before.pixels.std()
    assert unforeseen(before, 'fog', 5).pixels.mean() > 160
    assert not set(UNFORESEEN) & set(SHIFTS)


def test_motion_blurs_along_one_direction():
    spot = np.zeros((101, 101), np.uint8)
    spot[50, 50] = 255
    for seed in range(3):
        y, x = np.nonzero(unforeseen(Picture(spot, ColorOrder.MONO), 'motion blur', 5, seed).pixels)
        spread = np.linalg.eigvalsh(np.cov(np.stack([y, x])))
        assert spread[1] > 10 * spread[0]
        assert np.hypot(np.ptp(y), np.ptp(x)) == pytest.approx(0.18 * 101, abs=2.5)
