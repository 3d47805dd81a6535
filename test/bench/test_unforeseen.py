"""Kinds of worse pictures that nothing is fitted on."""
import numpy as np
import pytest

from robot_vision_dl.bench.unforeseen import UNFORESEEN, unforeseen
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.data.augmentation.corruptions import SHIFTS, STRENGTHS


def picture(channels=3, side=64):
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(100, 50, (side, side, 3)), 0, 255).astype(np.uint8)
    return Picture(pixels if channels == 3 else pixels[..., 0], ColorOrder.BGR if channels == 3 else ColorOrder.MONO)


@pytest.mark.parametrize('channels', [3, 1])
@pytest.mark.parametrize('kind', UNFORESEEN)
def test_each_strength_is_further_from_the_picture_and_keeps_its_form(kind, channels):
    before = picture(channels)
    copy = before.pixels.copy()
    distances = []
    for strength in STRENGTHS:
        after = unforeseen(before, kind, strength, seed=3)
        assert after.pixels.shape == before.pixels.shape
        assert (after.pixels.dtype, after.order) == (np.uint8, before.order)
        distances.append(np.abs(after.pixels.astype(float) - before.pixels).mean())
    assert distances[0] > 0
    assert distances == sorted(distances)
    np.testing.assert_array_equal(before.pixels, copy)
    np.testing.assert_array_equal(unforeseen(before, kind, 3, 7).pixels, unforeseen(before, kind, 3, 7).pixels)


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
