"""Pictures of bad days: what they are called, worse with each strength, the same with the same seed."""
import numpy as np
import pytest
import torch

from robot_vision_dl.bench.unforeseen import UNFORESEEN
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.data.augmentation.corruptions import SHIFTS, STRENGTHS, CorruptedTransform, shifted
from robot_vision_dl.data.seeded_random import drawing_from

ALL = {**SHIFTS, **UNFORESEEN}


def picture(channels=3, side=64):
    y, x = np.mgrid[:side, :side]
    waves = 120 + 60 * np.sin(x / 3) * np.cos(y / 4)
    pixels = np.clip(waves, 0, 255).astype(np.uint8)
    return Picture(np.repeat(pixels[..., None], 3, 2) if channels == 3 else pixels,
                   ColorOrder.BGR if channels == 3 else ColorOrder.MONO)


@pytest.mark.parametrize('channels', [3, 1])
@pytest.mark.parametrize('kind', ALL)
def test_each_strength_is_further_from_the_picture_and_keeps_its_form(kind, channels):
    before = picture(channels)
    copy = before.pixels.copy()
    distances = []
    for strength in STRENGTHS:
        after = shifted(before, kind, strength, 3, ALL)
        assert after.pixels.shape == before.pixels.shape
        assert (after.pixels.dtype, after.order) == (np.uint8, before.order)
        distances.append(np.abs(after.pixels.astype(float) - before.pixels).mean())
    assert distances[0] > 0
    assert distances == sorted(distances)
    np.testing.assert_array_equal(before.pixels, copy)
    np.testing.assert_array_equal(shifted(before, kind, 3, 7, ALL).pixels, shifted(before, kind, 3, 7, ALL).pixels)


def test_shifts_are_what_they_are_called():
    before = picture()
    assert shifted(before, 'blur', 5).pixels.std() < 0.5 * before.pixels.std()
    residual = shifted(before, 'noise', 3, seed=1).pixels.astype(float) - before.pixels
    assert residual.std() == pytest.approx(20, rel=0.05)
    assert (shifted(before, 'exposure', 5).pixels == 255).mean() > 0.8
    assert not np.array_equal(shifted(before, 'noise', 1, 1).pixels, shifted(before, 'noise', 1, 2).pixels)
    np.testing.assert_array_equal(shifted(before, 'noise', 1, 1).pixels, shifted(before, 'noise', 1, 1).pixels)


def test_small_and_large_pictures_are_blurred_alike():
    small, large = picture(side=64), picture(side=256)
    large = Picture(np.kron(small.pixels, np.ones((4, 4, 1), np.uint8)), large.order)
    one, other = shifted(small, 'blur', 4).pixels, shifted(large, 'blur', 4).pixels[2::4, 2::4]
    assert np.abs(one.astype(float) - other).mean() < 3


def test_wrong_shifts_are_refused():
    for kind, strength in (('fog', 1), ('blur', 0), ('blur', 6)):
        with pytest.raises(ConfigError, match='there are blur, noise, exposure, compression of strengths 1 to 5'):
            shifted(picture(), kind, strength)


def test_what_becomes_of_a_picture_is_drawn_anew_for_each_and_the_same_with_a_seed():
    transform = CorruptedTransform(Preprocessing(resize=64, crop=(48, 48)))
    generator = torch.Generator()

    def made(seed):
        generator.manual_seed(seed)
        with drawing_from(generator):
            return transform(picture())
    first = made(0)
    assert first.shape == (3, 48, 48) and torch.equal(first, made(0))
    assert len({made(seed).numpy().tobytes() for seed in range(30)}) > 15
