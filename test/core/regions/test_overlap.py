"""Intersection over union against values worked out by hand and against counting pixels."""
from math import pi

import cv2
import numpy as np
import pytest

from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.core.regions.overlap import overlaps


def iou(one, other):
    return float(overlaps([one], [other])[0, 0])


def test_values_worked_out_by_hand():
    box = Box(10, 10, 4, 4)
    assert iou(box, box) == 1
    assert iou(box, Box(12, 10, 4, 4)) == pytest.approx(8 / 24)
    assert iou(box, Box(10, 10, 2, 2)) == pytest.approx(4 / 16)
    assert iou(box, Box(14, 10, 4, 4)) == iou(box, Box(100, 100, 4, 4)) == 0
    assert iou(box, Box(10, 10, 4, 4, pi / 2)) == pytest.approx(1)
    # A square and itself turned by 45 degrees share an octagon of 8 (sqrt 2 - 1) r^2, with r half the side.
    octagon = 8 * (2 ** .5 - 1) * 4
    assert iou(box, Box(10, 10, 4, 4, pi / 4)) == pytest.approx(octagon / (32 - octagon), rel=1e-5)


def test_pairs_are_rows_and_columns_and_none_is_an_empty_table():
    boxes = [Box(10, 10, 4, 4), Box(12, 10, 4, 4), Box(10, 10, 4, 4, .3)]
    table = overlaps(boxes, boxes[:2])
    assert table.shape == (3, 2)
    assert table == pytest.approx(np.array([[iou(a, b) for b in boxes[:2]] for a in boxes]))
    assert overlaps([], boxes).shape == (0, 3) and overlaps(boxes, []).shape == (3, 0)


@pytest.mark.parametrize('number', [float('nan'), float('inf'), -float('inf'), 1e308, 0.0, -3.0])
@pytest.mark.parametrize('theta', [0.0, .3])
def test_nonsense_overlaps_with_nothing(number, theta):
    sound = Box(10, 10, 4, 4, theta)
    for odd in (Box(10, 10, number, 4, theta), Box(number, 10, 0 if number == 0 else 4, 4, theta)):
        if odd.width == 4 and abs(number) < 1e300:
            continue
        assert 0 <= iou(sound, odd) <= 1e-6, odd
    assert iou(Box(1, 1, number, number), Box(1, 1, number, number)) in (0, 1)


def test_turned_boxes_against_counting_pixels():
    rng = np.random.default_rng(0)
    for _ in range(30):
        boxes = [Box(*rng.uniform(300, 500, 2), *rng.uniform(100, 300, 2), rng.uniform(-4, 4)) for _ in range(2)]
        masks = []
        for box in boxes:
            mask = np.zeros((800, 800), np.uint8)
            corners = cv2.boxPoints(((box.x, box.y), (box.width, box.height), np.degrees(box.theta)))
            cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
            masks.append(mask.astype(bool))
        counted = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
        assert iou(*boxes) == pytest.approx(counted, abs=.02)


def test_turned_boxes_whose_upright_boxes_overlap_may_share_nothing():
    assert iou(Box(0, 0, 100, 1, pi / 4), Box(20, -20, 100, 1, pi / 4)) == 0
    assert iou(Box(5, 5, 20, 10, .3), Box(5, 5, 20, 10, .3 + pi)) == pytest.approx(1, abs=1e-5)


def test_many_turned_boxes_take_bounded_time():
    boxes = [Box(100 + i, 100, 50, 50, .3) for i in range(300)]
    table = overlaps(boxes, boxes)
    assert table.shape == (300, 300) and table.min() >= 0 and table.max() <= 1
    assert table[0, 0] == pytest.approx(1, abs=1e-5)
