"""Evidence laid lightly over the part of a picture that the network saw, so that the picture stays readable."""
from math import ceil, cos, sin
from typing import Optional, Tuple

import cv2
import numpy as np

from ..networks.evidence_picture import AGAINST, FOR
from ..regions.detections import Box
from ..types import ShownEvidence

WHITE = (255, 255, 255)
_STRONGEST = 0.5  # how much of the picture the colour hides where the map is at its largest
_LEAST = 0.12  # of the largest: what is less is not shown
_STEPS = 128  # levels of a map on either side of 0
_HALF = 64  # levels: lines are drawn where half of the largest is reached
_LEAST_WITH_LINES = 0.15  # of the canvas's width: in smaller parts lines would hide what they are about
_FINE, _LARGEST = 8, 512  # a map is made so many times finer by a cubic, which its coarse cells need to look round


def _tables() -> Tuple[np.ndarray, np.ndarray]:
    """Level of a map, 0..255 with 0 at 128 -> how much of the picture stays, and the colour that is added."""
    share = (np.arange(256, dtype=np.float32) - _STEPS) / (_STEPS - 1)
    strength = _STRONGEST * np.clip((np.abs(share) - _LEAST) / (1 - _LEAST), 0, 1) ** 0.8
    colours = np.where(share[:, None] > 0, np.array(FOR), np.array(AGAINST)) * strength[:, None]
    stays = np.repeat(255 * (1 - strength)[:, None], 3, axis=1)
    return stays.round().astype(np.uint8)[:, None], colours.round().astype(np.uint8)[:, None]


_STAYS, _ADDED = _tables()


def lay_over(canvas: np.ndarray, evidence: ShownEvidence, seen: Box, outline: Optional[np.ndarray] = None) -> None:
    """Lay a map over the part of a picture that it is about; the strongest colour is that of its largest value.

    Args:
        canvas: uint8 (H, W, 3), BGR; written to.
        evidence: with values.
        seen: the part, in pixels of the canvas, which it may reach beyond.
        outline: int32 (n, 2), corners of a convex polygon beyond which nothing is drawn.
    """
    values = evidence.values
    most = 0.0 if values is None else float(np.abs(values).max())
    if values is None or not 0 < most < float('inf'):
        return
    height, width = canvas.shape[:2]
    left, top, right, bottom = _bounds(seen, outline)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if right <= left or bottom <= top:
        return
    rows, columns = values.shape
    finer = max(1, min(_FINE, _LARGEST // max(rows, columns)))
    fine = cv2.resize(np.ascontiguousarray(values, np.float32), (columns * finer, rows * finer),
                      interpolation=cv2.INTER_CUBIC)
    levels = np.clip(np.rint(fine * ((_STEPS - 1) / most) + _STEPS), 0, 255).astype(np.uint8)
    placed = _placed(levels, seen, (left, top, right, bottom))
    if outline is not None or seen.theta:
        inside = np.zeros_like(placed)
        corners = _corners(seen) if outline is None else outline
        cv2.fillConvexPoly(inside, np.rint(corners - (left, top)).astype(np.int32), 1)
        placed[inside == 0] = _STEPS
    part = canvas[top:bottom, left:right]
    stays, added = (cv2.applyColorMap(placed, table) for table in (_STAYS, _ADDED))
    part[:] = cv2.add(cv2.multiply(part, stays, scale=1 / 255), added)
    if min(part.shape[:2]) < _LEAST_WITH_LINES * width:
        return
    # On things of such a colour only a line shows where it is.
    thickness = max(1, round(width / 900))
    for colour, beyond in ((FOR, placed > _STEPS + _HALF), (AGAINST, placed < _STEPS - _HALF)):
        lines, _ = cv2.findContours(beyond.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.polylines(part, lines, True, WHITE, 2 * thickness + 1, cv2.LINE_AA)
        cv2.polylines(part, lines, True, colour, thickness, cv2.LINE_AA)


def _corners(box: Box) -> np.ndarray:
    c, s = cos(box.theta), sin(box.theta)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (box.width / 2, box.height / 2)
    found: np.ndarray = corners @ np.array([[c, s], [-s, c]]) + (box.x, box.y)
    return found


def _bounds(seen: Box, outline: Optional[np.ndarray]) -> Tuple[int, int, int, int]:
    """(left, top, right, bottom) in whole pixels of what is drawn."""
    corners = _corners(seen) if outline is None else outline
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return round(left), round(top), ceil(right - 0.5), ceil(bottom - 0.5)


def _placed(levels: np.ndarray, seen: Box, part: Tuple[int, int, int, int]) -> np.ndarray:
    """The levels of a map in the pixels of a part (left, top, right, bottom) of the canvas."""
    left, top, right, bottom = part
    whole = tuple(round(side) for side in seen.corners)
    if not seen.theta and whole == part:  # ten times as quick
        return cv2.resize(levels, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    return cv2.warpAffine(levels, _to_map(seen, levels.shape, left, top), (right - left, bottom - top),
                          flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)


def _to_map(seen: Box, shape: Tuple[int, ...], left: int, top: int) -> np.ndarray:
    """Matrix (2, 3) from a pixel of the part that begins at (left, top) to one of the map; centres lie at halves."""
    rows, columns = shape[:2]
    along, down = columns / seen.width, rows / seen.height
    c, s = cos(seen.theta), sin(seen.theta)
    turned = np.array([[along * c, along * s], [-down * s, down * c]])
    x, y = left + 0.5 - seen.x, top + 0.5 - seen.y
    shift = turned @ (x, y) + (columns / 2 - 0.5, rows / 2 - 0.5)
    return np.concatenate([turned, shift[:, None]], axis=1)
