"""What is cut out for a box: its place, its shape, and what is refused."""
from math import cos, hypot, inf, nan, pi, sin

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor, visible_region
from robot_vision_dl.core.regions.crop import BOX_REASONS, BoxError, crop
from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.core.types import ColorOrder, Picture

SPEC = Preprocessing()


def noise(width=640, height=480, channels=3):
    shape = (height, width, channels) if channels else (height, width)
    return Picture(np.random.default_rng(0).integers(0, 256, shape, np.uint8),
                   ColorOrder.RGB if channels else ColorOrder.MONO)


def coordinates(width=640, height=480):
    """A picture whose red is x / 4 and whose green is y / 4."""
    y, x = np.mgrid[:height, :width]
    return Picture(np.dstack([x // 4, y // 4, np.zeros_like(x)]).astype(np.uint8), ColorOrder.RGB)


def test_an_upright_box_inside_is_a_view_without_a_copy():
    picture = noise()
    found = crop(picture, Box(320, 240, 100, 60), SPEC)
    assert np.shares_memory(found.picture.pixels, picture.pixels)
    assert (found.outside, found.padded, found.shortest_side) == (0, 0, 60)
    assert found.picture.order is ColorOrder.RGB


@pytest.mark.parametrize('spec', [SPEC, Preprocessing(resize=224), Preprocessing(resize=0, crop=(160, 320)),
                                  Preprocessing(resize=300, crop=(224, 288))])
@pytest.mark.parametrize('width, height', [(100, 60), (60, 100), (33, 33), (150, 20)])
def test_the_network_sees_all_of_the_box_and_its_margin(spec, width, height):
    box, margin = Box(320.0, 240.0, width, height), 0.1
    found = crop(coordinates(), box, spec, margin).picture
    top, left, bottom, right = visible_region(spec, found.height, found.width)
    # Where the crop lies in the picture, from what its pixels say.
    x, y = int(found.pixels[0, 0, 0]) * 4, int(found.pixels[0, 0, 1]) * 4
    around = margin * max(width, height)
    slack = 4 + 1  # of the coordinates that the pixels carry, and of rounding
    assert x + left <= 320 - width / 2 - around + slack
    assert x + right >= 320 + width / 2 + around - slack
    assert y + top <= 240 - height / 2 - around + slack
    assert y + bottom >= 240 + height / 2 + around - slack


@pytest.mark.parametrize('spec', [SPEC, Preprocessing(resize=0, crop=(160, 320))])
def test_nothing_is_distorted(spec):
    """A circle in the picture is one in what the network gets."""
    pixels = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(pixels, (320, 240), 30, (255, 255, 255), -1)
    found = crop(Picture(pixels, ColorOrder.RGB), Box(320, 240, 60, 60), spec).picture
    levels = Preprocessor(spec, 'cpu').levels(found)[..., 0] > 127
    across, down = int(levels.any(axis=0).sum()), int(levels.any(axis=1).sum())
    assert abs(across - down) <= 2


def test_at_the_edge_the_crop_moves_into_the_picture_before_anything_is_repeated():
    picture = noise()
    found = crop(picture, Box(5, 470, 40, 40), SPEC)
    assert found.padded == 0 and np.shares_memory(found.picture.pixels, picture.pixels)
    side = found.picture.width
    assert np.array_equal(found.picture.pixels, picture.pixels[480 - side:, :side])
    # -15 to 25 across and 450 to 490 down: a strip of 15 at the left and one of 10 below are outside.
    assert found.outside == pytest.approx(1 - 25 * 30 / 1600)
    assert found.shortest_side == 25


def test_what_is_larger_than_the_picture_repeats_its_edge():
    picture = noise(64, 48)
    found = crop(picture, Box(32, 24, 64, 48), SPEC)
    assert found.picture.width == found.picture.height
    side = found.picture.width
    assert found.padded == pytest.approx(1 - 64 * 48 / side ** 2, abs=1e-9)
    left, top = (side - 64) // 2, (side - 48) // 2
    assert np.array_equal(found.picture.pixels[top:top + 48, left:left + 64], picture.pixels)
    assert np.array_equal(found.picture.pixels[0, left:left + 64], picture.pixels[0])


@pytest.mark.parametrize('theta', [0.3, pi / 2, -2.0, 7.0])
def test_a_turned_box_shows_the_object_upright(theta):
    """An arrow drawn along the box's own axis points along the crop's x axis."""
    pixels = np.zeros((480, 640), np.uint8)
    centre, reach = (300, 200), 60
    tip = (round(centre[0] + reach * cos(theta)), round(centre[1] + reach * sin(theta)))
    cv2.line(pixels, centre, tip, 255, 5)
    found = crop(Picture(pixels, ColorOrder.MONO), Box(*centre, 2 * reach, 40, theta), SPEC).picture.pixels
    rows, columns = np.nonzero(found > 127)
    middle = (found.shape[0] - 1) / 2
    assert abs(rows.mean() - middle) < 1.5
    assert columns.min() == pytest.approx(middle, abs=5) and columns.max() == pytest.approx(middle + reach, abs=5)


def test_a_turn_by_no_angle_gives_the_same_pixels_as_a_turn_by_almost_none():
    picture = coordinates()
    upright = crop(picture, Box(320, 240, 80, 80), SPEC).picture.pixels
    turned = crop(picture, Box(320, 240, 80, 80, 1e-9), SPEC).picture.pixels
    assert upright.shape == turned.shape
    assert np.abs(upright.astype(int) - turned).max() <= 1


def test_the_share_outside_of_a_turned_box_is_that_of_its_area():
    # A square of 100 turned by 45 degrees about the left edge: half of it is outside.
    found = crop(noise(), Box(0, 240, 100, 100, pi / 4), SPEC)
    assert found.outside == pytest.approx(0.5, abs=1e-4)
    # A corner of it 10 pixels beyond the left edge: a triangle of 10 * 10.
    found = crop(noise(), Box(hypot(50, 50) - 10, 240, 100, 100, pi / 4), SPEC)
    assert found.outside == pytest.approx(100 / 10_000, abs=1e-4)


@pytest.mark.parametrize('box, reason', [
    (Box(nan, 0, 1, 1), 'box_not_finite'), (Box(0, inf, 1, 1), 'box_not_finite'),
    (Box(0, 0, 1, 1, nan), 'box_not_finite'),
    (Box(5, 5, -3, 4), 'box_without_area'), (Box(5, 5, 0, 4), 'box_without_area'),
    (Box(5, 5, 1e-300, 1e-300), 'box_without_area'),
    (Box(-50, 5, 10, 10), 'box_outside'), (Box(645, 5, 10, 10), 'box_outside'), (Box(1e18, 5, 10, 10), 'box_outside'),
    (Box(-20, -20, 20, 20, pi / 4), 'box_outside'), (Box(-1e9, 5, 10, 10, 1.0), 'box_outside')])
def test_a_box_that_nothing_can_be_cut_out_for_is_refused_by_reason(box, reason):
    with pytest.raises(BoxError, match='got|nothing of the box') as refused:
        crop(noise(), box, SPEC)
    assert refused.value.reason == reason and reason in BOX_REASONS


NUMBERS = st.floats(-1e12, 1e12) | st.floats(-900, 900) | st.sampled_from([nan, inf, -inf, 0.0, 1e300, 1e-300])


@settings(max_examples=300, deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from([0, 3, 4]))
def test_any_box_gives_a_crop_or_a_reason(x, y, width, height, theta, channels):
    picture = noise(96, 64, channels)
    try:
        found = crop(picture, Box(x, y, width, height, theta), SPEC)
    except BoxError as error:
        assert error.reason in BOX_REASONS
        return
    pixels = found.picture.pixels
    assert pixels.shape[0] == pixels.shape[1] and pixels.shape[2:] == picture.pixels.shape[2:]
    assert max(pixels.shape[:2]) <= 1024  # whatever a box claims
    assert 0 <= found.outside <= 1 and 0 <= found.padded <= 1 and found.shortest_side >= 0


@pytest.mark.parametrize('theta', [0.0, 0.02, pi / 2])
@pytest.mark.parametrize('margin', [0.1, 10.0])
def test_what_is_made_is_bounded_and_shows_the_same(theta, margin):
    """A wide picture of which the box is all: the crop is small, and its middle row shows it from end to end."""
    pixels = np.repeat(np.linspace(0, 255, 6000, dtype=np.uint8)[None], 300, axis=0)
    if theta == pi / 2:
        pixels = np.ascontiguousarray(pixels.T)
    height, width = pixels.shape
    found = crop(Picture(pixels, ColorOrder.MONO), Box(width / 2, height / 2, 6000, 300, theta), SPEC, margin)
    made = found.picture.pixels
    assert made.shape == (1024, 1024)
    row = made[512].astype(float)
    assert row[0] <= 4 and row[-1] >= 251 and (np.diff(row) >= -1).all()
    inner = np.count_nonzero((row > 25) & (row < 230))  # of the ramp
    assert inner == pytest.approx(204 / 255 * 1024 / ((1 + 2 * margin) * 256 / 224), rel=0.08)


def test_a_shrunk_crop_is_what_the_network_would_see_of_the_whole_one():
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (1600, 1200), interpolation=cv2.INTER_CUBIC)
    picture = Picture(coarse, ColorOrder.RGB)
    for theta in (0.0, 0.3):
        small = Picture(cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_AREA), ColorOrder.RGB)
        large = crop(picture, Box(800, 600, 1500, 1100, theta), SPEC)
        same = crop(small, Box(200, 150, 375, 275, theta), SPEC)
        assert max(large.picture.pixels.shape) == 1024 and large.padded == pytest.approx(same.padded, abs=0.01)
        one, other = (Preprocessor(SPEC, 'cpu').levels(each.picture).astype(int) for each in (large, same))
        assert np.abs(one - other).mean() < 2


def test_of_the_smallest_pictures_something_is_seen():
    for resize, cut in ((224, (224, 224)), (256, (224, 224)), (0, (32, 32)), (300, (224, 300))):
        spec = Preprocessing(resize, cut)
        for height in range(1, 12):
            for width in range(1, 60):
                top, left, bottom, right = visible_region(spec, height, width)
                assert 0 <= top < bottom <= height and 0 <= left < right <= width
