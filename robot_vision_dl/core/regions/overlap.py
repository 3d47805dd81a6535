"""How much two boxes cover the same: intersection over union (Jaccard index)."""
from math import cos, sin
from typing import Sequence

import cv2
import numpy as np

from .detections import Box

MOST_TURNED_PAIRS = 20_000
"""So many pairs with a turned box are compared exactly in one call, at some 10 microseconds each; those beyond by the
upright boxes around them."""


def overlaps(first: Sequence[Box], second: Sequence[Box]) -> np.ndarray:
    """Intersection over union of each pair of boxes.

    Returns:
        float64 (n, m), in [0, 1]; 0 where a box has no area or a number that is none.
    """
    one, other = _numbers(first), _numbers(second)
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)))
    with np.errstate(all='ignore'):
        reach, other_reach = _extent(one), _extent(other)
        low = np.maximum((one[:, :2] - reach)[:, None], (other[:, :2] - other_reach)[None])
        high = np.minimum((one[:, :2] + reach)[:, None], (other[:, :2] + other_reach)[None])
        shared = np.clip(high - low, 0, None).prod(axis=-1)
        areas = np.clip(one[:, 2:4], 0, None).prod(axis=-1), np.clip(other[:, 2:4], 0, None).prod(axis=-1)
        turned = (shared > 0) & ((one[:, 4] != 0)[:, None] | (other[:, 4] != 0)[None])
        for pair in np.flatnonzero(turned)[:MOST_TURNED_PAIRS].tolist():
            row, column = divmod(pair, len(other))
            shared[row, column] = _shared_of_turned(one[row], other[column])
        shared = np.minimum(shared, np.minimum(areas[0][:, None], areas[1][None]))
        found = shared / (areas[0][:, None] + areas[1][None] - shared)
    sound = ((areas[0] > 0) & np.isfinite(one).all(axis=1))[:, None] & (
        (areas[1] > 0) & np.isfinite(other).all(axis=1))[None]
    return np.where(sound & np.isfinite(found), np.clip(found, 0, 1), 0.0)


def _numbers(boxes: Sequence[Box]) -> np.ndarray:
    """float64 (n, 5): x, y, width, height, theta."""
    return np.array([(box.x, box.y, box.width, box.height, box.theta) for box in boxes], np.float64).reshape(-1, 5)


def _extent(numbers: np.ndarray) -> np.ndarray:
    """float64 (n, 2): half the width and half the height of the upright boxes around boxes."""
    c, s = np.abs(np.cos(numbers[:, 4])), np.abs(np.sin(numbers[:, 4]))
    width, height = numbers[:, 2], numbers[:, 3]
    return np.stack([width * c + height * s, width * s + height * c], axis=-1) / 2


def _shared_of_turned(one: np.ndarray, other: np.ndarray) -> float:
    if not (np.isfinite(one).all() and np.isfinite(other).all()) or min(*one[2:4], *other[2:4]) <= 0:
        return 0.0
    # About the centre of one of them: float32, in which OpenCV computes, has few digits far from 0.
    first, second = _corners(one, one[:2]), _corners(other, one[:2])
    area, _ = cv2.intersectConvexConvex(first, second)
    return float(area)


def _corners(box: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """float32 (4, 2) of a box, from an origin."""
    x, y, width, height, theta = box.tolist()
    c, s = cos(theta), sin(theta)
    own = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width / 2, height / 2)
    found: np.ndarray = (own @ np.array([[c, s], [-s, c]]) + (x - origin[0], y - origin[1])).astype(np.float32)
    return found
