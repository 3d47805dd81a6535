"""The resize that does without torch against torch's own, bit by bit, over sizes, channels and both filters."""
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from robot_vision_dl.core.networks import resize as resizing
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.types import ColorOrder, Picture

pytestmark = pytest.mark.skipif(not resizing.is_available(), reason='cykooz.resizer has no wheel here')
CAMERAS = [((480, 640), (256, 341)), ((720, 1280), (256, 455)), ((1080, 1920), (256, 455)), ((1944, 2592), (224, 224))]


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
def test_pixels_are_those_of_torch(interpolation):
    random = np.random.default_rng(0)
    # Noise, and black and white alone, which is where weights of 16 bits overflow first.
    sizes = CAMERAS + [(random.integers(2, 700, 2), random.integers(2, 400, 2)) for _ in range(60)]
    sizes += [((limit * 3 - 1, 40), (3, 40)) for limit in (2, 17, 90, resizing.MOST_RATIO)]
    for place, (size, new) in enumerate(sizes):
        most = 256 if place % 2 else 2
        pixels = random.integers(0, most, (*size, (1, 3, 4)[place % 3]), np.uint8) * np.uint8(255 // (most - 1))
        wanted = resizing._by_torch(pixels, *map(int, new), interpolation)
        np.testing.assert_array_equal(resizing._without_torch(pixels, *map(int, new), interpolation), wanted)
    assert resizing.is_equal()


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
def test_a_part_is_that_of_the_whole_and_is_made_alone_where_that_is_the_same(interpolation, monkeypatch):
    random = np.random.default_rng(3)
    monkeypatch.setattr(resizing.torch_use, 'is_loaded', lambda: False)
    made, whole, same = [], resizing._without_torch, []

    def counted(*args):
        made.append(len(args) == 5)
        return whole(*args)
    monkeypatch.setattr(resizing, '_without_torch', counted)
    sizes = CAMERAS + [(random.integers(20, 500, 2), random.integers(20, 260, 2)) for _ in range(40)]
    sizes += [((300, 256), (224, 256)), ((224, 400), (224, 300))]  # one side stays as it is
    for place, (size, new) in enumerate(sizes):
        new = tuple(map(int, new))
        side = min(224, *new)
        part = resizing.Part((new[0] - side) // 2, (new[1] - side) // 2, side, side)
        for time in range(7):
            pixels = random.integers(0, 256, (*size, (1, 3, 4)[place % 3]), np.uint8)
            made.clear()
            found = resizing.resize(pixels, *new, interpolation, part)
            np.testing.assert_array_equal(found, part.of(resizing._by_torch(pixels, *new, interpolation)))
            assert made == [False] or time == 3 or made == [True] and time > 3
        if place < len(CAMERAS):
            same.append(made == [True])
        assert resizing.resize(pixels, *new, interpolation, resizing.Part(0, 0, *new)).shape[:2] == new
    if interpolation == 'bilinear':
        assert same == [True, True, True, False]  # what cameras have most, and one where it is another


@pytest.mark.parametrize('size, new, part, interpolation', [
    ((97, 58, 3), (388, 232), (82, 4, 224, 224), 'bicubic'),
    ((376, 672, 3), (381, 309), (347, 19, 16, 236), 'bilinear'),
    ((1773, 1882, 1), (270, 55), (39, 40, 160, 12), 'bilinear'), ((31, 8, 1), (217, 37), (79, 21, 128, 3), 'bilinear'),
    ((39, 11, 1), (907, 256), (422, 96, 64, 64), 'bicubic'),
    ((362, 776, 3), (388, 831), (44, 266, 299, 299), 'bilinear'),
    ((6, 156, 3), (240, 6240), (0, 3000, 240, 240), 'bilinear')])
def test_a_part_that_differs_in_few_pixels_is_noticed(size, new, part, interpolation):
    part = resizing.Part(*part)
    assert not (resizing._is_same(size[0], new[0], part.top, part.height, interpolation, size[2], True)
                and resizing._is_same(size[1], new[1], part.left, part.width, interpolation, size[2], False))


def test_parts_of_random_sizes_are_those_of_the_whole(monkeypatch):
    random = np.random.default_rng(5)
    monkeypatch.setattr(resizing.torch_use, 'is_loaded', lambda: False)
    taken = 0
    for _ in range(60):
        height, width, side = (int(one) for one in random.integers((300, 500, 160), (900, 1200, 300)))
        shorter, interpolation = int(side * random.choice([1, 256 / 224, 1.3])), str(random.choice(['bilinear',
                                                                                                    'bicubic']))
        new = tuple(shorter * one // min(height, width) for one in (height, width))
        part = resizing.Part((new[0] - side) // 2, (new[1] - side) // 2, side, side)
        asked = [resizing._comes_again(((height, width, 3), *new, interpolation, part)) for _ in range(4)]
        taken += asked[-1]
        for most in (256, 2):
            pixels = random.integers(0, most, (height, width, 3), np.uint8) * np.uint8(255 // (most - 1))
            np.testing.assert_array_equal(resizing.resize(pixels, *new, interpolation, part),
                                          part.of(resizing._without_torch(pixels, *new, interpolation)))
    assert taken > 30


def test_what_shrinks_too_far_is_left_to_torch(monkeypatch):
    pixels = np.random.default_rng(1).integers(0, 256, (3 * resizing.MOST_RATIO + 3, 8, 3), np.uint8)
    monkeypatch.setattr(resizing.torch_use, 'is_loaded', lambda: False)
    monkeypatch.setattr(resizing, '_without_torch', lambda *args: pytest.fail('not equal there'))
    assert resizing.resize(pixels, 3, 8).shape == (3, 8, 3)


def test_grey_levels_are_those_of_torchvision():
    random = np.random.default_rng(2)
    rgb = random.integers(0, 256, (224, 224, 3), np.uint8)
    expected = functional.rgb_to_grayscale(torch.from_numpy(rgb).permute(2, 0, 1))[0]
    spec = Preprocessing(0, (224, 224), (0.5,), (0.5,))
    np.testing.assert_array_equal(Preprocessor(spec).levels(Picture(rgb, ColorOrder.RGB))[..., 0], expected)
