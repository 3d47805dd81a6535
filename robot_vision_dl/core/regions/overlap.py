"""How much two boxes cover the same: intersection over union (Jaccard index)."""
from math import cos, sin
from typing import Sequence

import cv2
import numpy as np

from .detections import Box


def overlaps(first: Sequence[Box], second: Sequence[Box]) -> np.ndarray:
    """Intersection over union of each pair of boxes.

    Returns:
        float64 (n, m), in [0, 1]; 0 where a box has no area or a number that is none.
    """
    one, other = _numbers(first), _numbers(second)
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)))
    with np.errstate(all='ignore'):
        low = np.maximum((one[:, :2] - one[:, 2:4] / 2)[:, None], (other[:, :2] - other[:, 2:4] / 2)[None])
        high = np.minimum((one[:, :2] + one[:, 2:4] / 2)[:, None], (other[:, :2] + other[:, 2:4] / 2)[None])
        shared = np.clip(high - low, 0, None).prod(axis=-1)
        areas = np.clip(one[:, 2:4], 0, None).prod(axis=-1), np.clip(other[:, 2:4], 0, None).prod(axis=-1)
        for row, column in zip(*np.nonzero((one[:, 4] != 0)[:, None] | (other[:, 4] != 0)[None])):
            shared[row, column] = _shared_of_turned(one[row], other[column])
        found = shared / (areas[0][:, None] + areas[1][None] - shared)
    sound = ((areas[0] > 0) & np.isfinite(one).all(axis=1))[:, None] & (
        (areas[1] > 0) & np.isfinite(other).all(axis=1))[None]
    return np.where(sound & np.isfinite(found), np.clip(found, 0, 1), 0.0)


def _numbers(boxes: Sequence[Box]) -> np.ndarray:
    """float64 (n, 5): x, y, width, height, theta."""
    return np.array([(box.x, box.y, box.width, box.height, box.theta) for box in boxes], np.float64).reshape(-1, 5)


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
