"""Faults of a camera, made of the pictures that ship, at drawn strengths; ordinary pictures; pictures of any size."""
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from robot_vision_dl.core.config import CameraFaultConfig
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.core.types import CameraFault, ColorOrder, Picture
from robot_vision_dl.core.uncertainty.camera.bounds import TWO_SIDED, as_json, default_bounds, from_json
from robot_vision_dl.core.uncertainty.camera.fit import fit_bounds
from robot_vision_dl.core.uncertainty.camera.statistics import COLOURS, NAMES, look
from robot_vision_dl.core.uncertainty.camera.watch import CameraWatch, frozen_after_s
from robot_vision_dl.core.uncertainty.ood.sensor_faults import SPOILT, share_told, spoilt_pictures
from robot_vision_dl.data.bags.reader import BagReader

DEMO = Path(__file__).resolve().parents[4] / 'config' / 'demo'
SECOND = 1_000_000_000
KINDS = {'covered': CameraFault.COVERED, 'overexposed': CameraFault.OVEREXPOSED, 'one colour': CameraFault.ONE_COLOUR,
         'out of focus': CameraFault.OUT_OF_FOCUS, 'noise': CameraFault.NOISE, 'lost rows': CameraFault.ROWS,
         'missing channel': CameraFault.WRONG_COLOURS, 'no contrast': CameraFault.NO_CONTRAST}


@lru_cache(maxsize=1)
def pictures():
    """Frames of the demo's bag of waste, of 22 objects one after another; BGR."""
    with BagReader(DEMO / 'waste') as reader:
        return [Picture(np.ascontiguousarray(decode(message.decode()).pixels), ColorOrder.BGR)
                for message in reader.image_messages()]


@lru_cache(maxsize=1)
def fitted():
    """Bounds from every frame whose number is no multiple of 3, p-values from half of them."""
    seen = [look(picture) for place, picture in enumerate(pictures()) if place % 3]
    return fit_bounds(np.array([one.values for one in seen]), np.array([one.colours for one in seen]))


def judged(picture, bounds=None):
    return (bounds or fitted()).judge(look(picture))


@pytest.mark.parametrize('seed', [0, 1])
@pytest.mark.parametrize('grey', [False, True])
def test_every_kind_is_told_at_drawn_strengths(seed, grey):
    some = pictures()[::12]
    if grey:
        some = [Picture(cv2.cvtColor(one.pixels, cv2.COLOR_BGR2GRAY), ColorOrder.MONO) for one in some]
    groups = spoilt_pictures(some, seed)
    assert set(groups) == {name for name in SPOILT if not (grey and 'channel' in name)}
    told = share_told(groups, fitted())
    told.pop('exchanged channels', None)  # on a white board of another light each time, hardly
    assert min(told.values()) >= 0.85, told
    assert np.mean(list(told.values())) > 0.95, told
    for name, fault in KINDS.items():
        found = [judged(picture).fault for picture in groups.get(name, [])]
        assert found.count(fault) >= 0.7 * len(found), (name, found)


def test_general_bounds_tell_what_is_a_fault_of_any_camera():
    told = share_told(spoilt_pictures(pictures()[::12], 2), default_bounds())
    for name in ('covered', 'overexposed', 'underexposed', 'noise', 'one colour', 'missing channel', 'stuck rows'):
        assert told[name] >= 0.8, (name, told)


def test_ordinary_pictures_are_no_faults():
    for bounds in (fitted(), default_bounds()):
        found = [bounds.judge(look(picture)) for picture in pictures()[::3]]
        assert [one.reason for one in found if one.fault] == []
    p_values = [one.p_value for one in map(judged, pictures()[::3])]
    held_out = len(fitted().scores)
    assert held_out == 64 and min(p_values) >= 1 / (held_out + 1)
    assert 0.3 < np.mean(p_values) < 0.7  # they are like those that were held out


def test_a_reason_says_what_is_seen():
    white = np.full((240, 320, 3), 90, np.uint8)
    white[:147] = 255
    found = judged(Picture(white, ColorOrder.BGR))
    assert found.fault is CameraFault.OVEREXPOSED and found.reason.startswith('overexposed: 6')
    assert found.reason.endswith('% of the values at the limit')
    assert found.p_value == 1 / (len(fitted().scores) + 1)


def test_frames_of_few_objects_draw_no_bound_narrower_than_the_general_ones():
    seen = [look(one) for one in pictures()[::2]]
    arrays = np.array([one.values for one in seen]), np.array([one.colours for one in seen])
    few, many, general = fit_bounds(*arrays, objects=14), fit_bounds(*arrays, objects=30), default_bounds()
    assert many == fit_bounds(*arrays)
    moved = [name for name in NAMES if name not in TWO_SIDED and many.bounds[name] != few.bounds[name]]
    assert 'bright' in moved and all(few.bounds[name] == general.bounds[name] for name in moved)
    assert all(few.bounds[name] is None for name in TWO_SIDED) and not few.swap_weights
    lit = pictures()[1].pixels.copy()
    lit[:len(lit) // 2] = 255  # a lamp over the half of what is seen, which fourteen objects did not show
    assert judged(Picture(lit, ColorOrder.BGR), many).fault is CameraFault.OVEREXPOSED
    assert judged(Picture(lit, ColorOrder.BGR), few).fault is None
    assert judged(Picture(np.full_like(lit, 255), ColorOrder.BGR), few).fault is CameraFault.OVEREXPOSED


def test_a_camera_whose_channels_are_exchanged_is_told_where_its_colour_is_steady():
    rng = np.random.default_rng(0)
    warm = [Picture(np.clip(one.pixels * np.array([0.7, 0.9, 1.1]) + rng.uniform(-9, 9), 0, 255).astype(np.uint8),
                    ColorOrder.BGR) for one in pictures()]
    seen = [look(one) for one in warm[::2]]
    bounds = fit_bounds(np.array([one.values for one in seen]), np.array([one.colours for one in seen]),
                        np.arange(len(seen)) % 4 == 3, 0.0)
    # A program that takes RGB for BGR: the same array under the other name.
    swapped = [judged(Picture(one.pixels, ColorOrder.RGB), bounds).fault for one in warm[1::2]]
    right = [judged(one, bounds).fault for one in warm[1::2]]
    assert right.count(None) >= 0.98 * len(right)
    assert swapped.count(CameraFault.WRONG_COLOURS) > 0.5 * len(swapped)


def test_red_and_blue_that_were_exchanged_are_so_until_the_colours_say_otherwise():
    rng = np.random.default_rng(0)
    warm = [Picture(np.clip(one.pixels * np.array([0.7, 0.9, 1.1]) + rng.uniform(-9, 9), 0, 255).astype(np.uint8),
                    ColorOrder.BGR) for one in pictures()]
    swapped = [Picture(one.pixels, ColorOrder.RGB) for one in warm]
    # Redder than blue is usual, and a bound that half of the exchanged pictures do not reach, as where light is mixed.
    bounds = replace(default_bounds(), swap_weights=(1.0,) * COLOURS, swap_bound=-1.0)
    bounds = replace(bounds, swap_bound=-float(np.median([bounds.swapped(look(one)) for one in swapped[1::2]])))
    watch = CameraWatch()
    faults = [watch.check(look(one), one, number * 100_000_000, bounds, 0.0, 1.0).fault
              for number, one in enumerate(swapped[1::2] + warm[1::2])]
    exchanged, sound = faults[:len(swapped[1::2])], faults[len(swapped[1::2]):]
    alone = [judged(one, bounds).fault for one in swapped[1::2]]
    begun = alone.index(CameraFault.WRONG_COLOURS)
    assert exchanged[:begun] == [None] * begun
    assert alone.count(CameraFault.WRONG_COLOURS) < 0.6 * len(alone)
    assert exchanged[begun:].count(CameraFault.WRONG_COLOURS) > 0.9 * len(exchanged[begun:])
    assert sound.count(None) >= 0.98 * len(sound)


def test_statistics_do_not_depend_on_the_order_of_the_channels_or_an_alpha():
    picture = pictures()[40]
    rgb = np.ascontiguousarray(picture.pixels[..., ::-1])
    one = look(picture)
    for other in (Picture(rgb, ColorOrder.RGB), Picture(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), ColorOrder.RGBA),
                  Picture(np.repeat(picture.pixels, 2, axis=0)[::2], ColorOrder.BGR)):
        np.testing.assert_allclose(look(other).values, one.values, atol=1.01)
        np.testing.assert_allclose(look(other).colours, one.colours, atol=0.05)
    exchanged = look(Picture(rgb, ColorOrder.BGR))
    np.testing.assert_allclose(exchanged.colours, -one.colours, atol=1e-6)
    assert exchanged.values[NAMES.index('tint')] == pytest.approx(-one.values[NAMES.index('tint')], abs=1e-4)


def test_structure_of_known_pictures():
    rng = np.random.default_rng(0)
    noise = look(Picture(np.clip(rng.normal(128, 20, (200, 200)), 0, 255).astype(np.uint8), ColorOrder.MONO)).values
    assert noise[NAMES.index('noise')] == pytest.approx(19, abs=2)  # the quietest quarter, so a little less than 20
    assert noise[NAMES.index('uneven')] == pytest.approx(1, abs=0.2)
    slope = np.broadcast_to(np.arange(200, dtype=np.uint8), (200, 200))  # an edge over all of the picture
    assert look(Picture(slope, ColorOrder.MONO)).values[NAMES.index('sharpness')] == pytest.approx(1 / 64)
    edge = np.zeros((200, 200), np.uint8)
    edge[:, 80:] = 200
    for turned in (edge, edge.T):
        assert look(Picture(turned, ColorOrder.MONO)).values[NAMES.index('sharpness')] == pytest.approx(
            1 / 8, abs=0.01)  # two of sixteen pixels see a step at a distance of 2, all sixteen at 16


def test_a_camera_that_moves_is_not_out_of_focus():
    sharpness = NAMES.index('sharpness')
    some = [picture.pixels for picture in pictures()[::12]]
    way = np.zeros((41, 41), np.float32)
    way[20] = 1 / 41
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (41, 41)).astype(np.float32)
    sharp, *moved, blurred = (
        np.array([look(Picture(pixels if kernel is None else cv2.filter2D(pixels, -1, kernel), ColorOrder.BGR)
                       ).values[sharpness] for pixels in some]) for kernel in (None, way, way.T, disc / disc.sum()))
    for found in moved:
        assert np.mean(found > blurred) > 0.9 and np.median(found) > 1.3 * np.median(blurred)
    assert np.median(blurred) < 0.025 < 0.04 < np.median(sharp)


def _letterboxed(pixels):
    boxed = pixels.copy()
    boxed[:len(pixels) // 8] = 0
    boxed[-len(pixels) // 8:] = 0
    return boxed


def _compressed(pixels):
    return cv2.imdecode(cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, 15])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize('delivered', [
    _letterboxed, _compressed, lambda pixels: np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1),
    lambda pixels: np.repeat(np.repeat(pixels, 3, axis=0), 3, axis=1)], ids=['bars', 'JPEG 15', 'twice', 'thrice'])
def test_pictures_that_were_boxed_enlarged_or_compressed_have_no_fault_of_rows(delivered):
    found = [judged(Picture(delivered(picture.pixels), ColorOrder.BGR)) for picture in pictures()[::6]]
    assert [one.reason for one in found if one.fault is CameraFault.ROWS] == []


def test_a_picture_that_all_pictures_were_like_is_as_usual_as_they_also_from_a_file():
    same = look(pictures()[30])
    bounds = fit_bounds(np.tile(same.values, (60, 1)), np.tile(same.colours, (60, 1)))
    for one in (bounds, from_json(json.loads(json.dumps(as_json(bounds))))):
        assert one.judge(same).p_value == 1.0


def test_what_is_lost_at_one_end_is_no_bar():
    lost = NAMES.index('lost')
    pixels = pictures()[0].pixels.copy()
    pixels[-len(pixels) // 4:] = 0
    assert look(Picture(pixels, ColorOrder.BGR)).values[lost] == pytest.approx(0.25, abs=0.01)
    assert judged(Picture(pixels, ColorOrder.BGR)).fault is CameraFault.ROWS
    pixels[:len(pixels) // 4] = 0
    assert look(Picture(pixels, ColorOrder.BGR)).values[lost] > 0.4  # half of the picture is more than bars


@pytest.mark.parametrize('shape', [(1, 1), (2, 2), (1, 500), (500, 1), (23, 40), (25, 31), (33, 2000, 3), (97, 97, 4),
                                   (481, 643, 3), (3, 3, 3), (720, 24), (24, 24, 3)])
def test_pictures_of_any_shape_are_looked_at(shape):
    rng = np.random.default_rng(0)
    order = {2: ColorOrder.MONO, 3: ColorOrder.BGR if shape[-1] == 3 else ColorOrder.RGBA}[len(shape)]
    for pixels in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), np.full(shape, 128, np.uint8),
                   rng.integers(0, 256, shape, np.uint8)):
        seen = look(Picture(pixels, order))
        assert np.isfinite(seen.values).all() and seen.values.shape == (len(NAMES),)
        assert np.isfinite(seen.colours).all() and seen.colours.shape == (COLOURS,)
        for bounds in (fitted(), default_bounds()):
            assert np.isfinite(bounds.judge(seen).score)
    assert judged(Picture(np.zeros(shape, np.uint8), order)).fault is CameraFault.COVERED
    assert judged(Picture(np.full(shape, 255, np.uint8), order)).fault is CameraFault.OVEREXPOSED


def test_bounds_are_the_same_after_json():
    for bounds in (fitted(), default_bounds()):
        values = json.loads(json.dumps(as_json(bounds), allow_nan=False))
        values['pictures'] = max(values['pictures'], 1)
        again = from_json(values)
        for picture in pictures()[::40]:
            assert again.judge(look(picture)).score == pytest.approx(bounds.judge(look(picture)).score, rel=1e-4)
    values = as_json(fitted())
    for broken, text in (({'pictures': 0}, 'pictures'), ({'scores': [2, 1]}, 'ascending'), ({'extra': 1}, 'exactly'),
                         ({'usual': {**values['usual'], 'bright': True}}, 'usual.bright'),
                         ({'bounds': {**values['bounds'], 'noise': -5}}, 'wrong side'),
                         ({'bounds': {**values['bounds'], 'tint': [9, 8]}}, 'bounds.tint'),
                         ({'swap': {'weights': [1], 'bound': -1}}, 'swap'), ({'repeats_s': -1}, 'repeats_s')):
        with pytest.raises(ValueError, match=text):
            from_json({**values, **broken})


def test_the_colours_of_few_pictures_are_not_all_there_are():
    seen = [look(picture) for picture in pictures()[::3]]
    values, colours = np.array([one.values for one in seen]), np.array([one.colours for one in seen])
    few, many = fit_bounds(values, colours), fit_bounds(np.tile(values, (40, 1)), np.tile(colours, (40, 1)))
    for name in TWO_SIDED:
        (low, high), (least, most) = few.bounds[name], many.bounds[name]
        assert low < least < most < high


def test_few_pictures_get_no_bounds():
    assert fit_bounds(np.zeros((50, len(NAMES))), np.zeros((50, COLOURS))) is None


def frames(watch, shown, period_s=0.1, frozen_s=1.0, start_ns=SECOND):
    """What is said of pictures that follow each other."""
    return [watch.check(look(picture), picture, start_ns + round(place * period_s * SECOND), fitted(), frozen_s, 1.0)
            for place, picture in enumerate(shown)]


def test_a_frozen_camera_is_told_after_its_time_and_how_long():
    picture = pictures()[10]
    found = frames(CameraWatch(), [picture] * 15)
    assert [one.fault for one in found] == [None] * 10 + [CameraFault.FROZEN] * 5
    assert found[-1].lasts_s == pytest.approx(1.4) and found[-1].frames == 5
    assert found[-1].reason == 'frozen: the same picture 15 times in 1.4 s'
    assert found[-1].state == 'frozen since 1.4 s, 5 frames'
    changed = picture.pixels.copy()
    changed[3, 5, 1] ^= 1  # one bit, in a row that no statistic is read from
    watch = CameraWatch()
    assert not any(one.fault for one in frames(watch, [picture, Picture(changed, picture.order)] * 10))
    assert frames(watch, [picture], start_ns=2 * SECOND)[0].fault is None


def test_what_is_no_frozen_camera():
    same = [pictures()[10]] * 15
    assert not any(one.fault for one in frames(CameraWatch(), same, frozen_s=0.0))  # switched off
    assert not any(one.fault for one in frames(CameraWatch(), same, period_s=0.0))  # one message again and again
    assert not any(one.fault for one in frames(CameraWatch(), same, period_s=1.5))  # too far apart
    assert [one.fault for one in frames(CameraWatch(), same, period_s=0.9)][:3] == [None, None, CameraFault.FROZEN]


def test_a_fault_lasts_until_the_picture_is_sound():
    dark = Picture(np.zeros_like(pictures()[0].pixels), ColorOrder.BGR)
    found = frames(CameraWatch(), [pictures()[0], dark, dark, pictures()[1], dark])
    assert [one.frames for one in found] == [0, 1, 2, 0, 1]
    assert [round(one.lasts_s, 3) for one in found] == [0, 0, 0.1, 0, 0]
    assert found[0].state == 'sound' and found[2].state == 'covered since 0.1 s, 2 frames'


def test_recordings_in_which_pictures_repeat_raise_the_time():
    bounds = default_bounds(repeats_s=4.0)
    assert frozen_after_s(CameraFaultConfig(), bounds) == 6.0
    assert frozen_after_s(CameraFaultConfig(frozen_after_s=9.0), bounds) == 9.0
    assert frozen_after_s(CameraFaultConfig(frozen_after_s=0.0), bounds) == 0.0
