"""A box -> the part of the picture that is classified for it.

The part is upright in the box's own frame and has the shape of the network's input, so that nothing is distorted and
nothing of the object is cut away by the network's own centre crop. It is as large as the box needs with a margin around
it, moved into the picture where it reaches beyond, and only what is still missing there repeats the picture's edge.
What has to be made anew, turned or at the edge, has 1024 pixels on its longer side at most.
Training cuts objects out by the same function, so that a network sees on the robot what it was trained on.
"""
from dataclasses import dataclass
from math import cos, hypot, isfinite, sin
from typing import Tuple

import cv2
import numpy as np

from ..errors import RobotVisionError
from ..networks.preprocess import Preprocessing, visible_region
from ..types import Picture
from .detections import Box

BOX_REASONS = (
    'box_not_finite',  # NaN or infinite
    'box_without_area',  # a side of (nearly) zero or less
    'box_outside',  # nothing of it is in the picture
)
"""Every value of :attr:`BoxError.reason`."""
DEFAULT_MARGIN = 0.1
CROP_MARGIN = 'crop_margin'
"""In the provenance of a bundle that was trained on what was cut out: the margin, as a decimal number."""
_LEAST_SIDE = 1e-3  # pixels
_MOST_MADE = 1024  # pixels on a side of a crop that is no view of the picture
_MOST_SIDE = 1e6  # pixels: beyond that, the digits of a float32 do not tell pixels apart


class BoxError(RobotVisionError, ValueError):
    """A box that nothing can be cut out for.

    Attributes:
        reason: one of :data:`BOX_REASONS`, under which the object is counted.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Crop:
    """What was cut out for a box.

    Attributes:
        picture: the pixels; a view of the whole picture where the box is not turned and nothing was missing.
        outside: share of the box that lies outside of the picture, in [0, 1].
        padded: share of the crop that repeats the picture's edge, in [0, 1).
        shortest_side: of the part of the box that is in the picture, in pixels.
        window: what was cut out, in pixels of the whole picture, which it may reach beyond.
    """

    picture: Picture
    outside: float
    padded: float
    shortest_side: float
    window: Box


def crop(picture: Picture, box: Box, spec: Preprocessing, margin: float = DEFAULT_MARGIN) -> Crop:
    """Cut out what a network is to see of an object.

    Args:
        picture: the whole one.
        box: in its pixels.
        spec: of the network, whose shape of input and centre crop count.
        margin: around the box on each side, as a share of its longer side, at least 0.

    Raises:
        BoxError: the box has a number that is none, no area, or nothing in the picture.
    """
    visible, outside = visible_part(box, picture.width, picture.height)
    width, height = _window(visible, spec, margin)
    if box.theta:
        pixels, padded = _turned(picture, visible, width, height)
        window = Box(visible.x, visible.y, width, height, box.theta)
    else:
        left = _moved_in(visible.x - width / 2, width, picture.width)
        top = _moved_in(visible.y - height / 2, height, picture.height)
        pixels, padded = _upright(picture, left, top, width, height)
        window = Box.of_corners(left, top, left + width, top + height)
    return Crop(Picture(pixels, picture.order), outside, padded, min(visible.width, visible.height), window)


def seen_of(cut: Crop, spec: Preprocessing) -> Box:
    """The part of a crop's window that the network sees, in pixels of the whole picture: its centre."""
    height, width = cut.picture.height, cut.picture.width
    top, left, bottom, right = visible_region(spec, height, width)
    window = cut.window
    return Box(window.x, window.y, window.width * (right - left) / width, window.height * (bottom - top) / height,
               window.theta)


def check_box(box: Box) -> None:
    """Raise :class:`BoxError` for a box whose numbers make no area."""
    numbers = (box.x, box.y, box.width, box.height, box.theta)
    if not all(isfinite(number) for number in numbers):
        raise BoxError('box_not_finite', f'a box must be finite numbers, got {box}; does the detector divide by zero?')
    if box.width < _LEAST_SIDE or box.height < _LEAST_SIDE:
        raise BoxError('box_without_area', f'a box must have sides of {_LEAST_SIDE:g} pixels at least, got {box}; '
                       'size_x and size_y are its sides in pixels (right - left, bottom - top), bbox.center its middle')


def visible_part(box: Box, width: int, height: int) -> Tuple[Box, float]:
    """The part of a box that is in a picture, as a box turned alike; and the share of its area that is not.

    Raises:
        BoxError: the box has a number that is none, no area, or nothing in the picture.
    """
    check_box(box)
    reach = hypot(box.width, box.height) / 2
    far = max(abs(box.x), abs(box.y)) - reach
    if far > 2 * (width + height):
        raise BoxError('box_outside', _says_outside(box, width, height))
    if not box.theta:
        left, top, right, bottom = box.corners
        inner = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
        if inner[2] <= inner[0] or inner[3] <= inner[1]:
            raise BoxError('box_outside', _says_outside(box, width, height))
        part = Box.of_corners(*inner)
        return part, min(max(1 - part.width * part.height / (box.width * box.height), 0.0), 1.0)
    across, down = min(box.width, _MOST_SIDE), min(box.height, _MOST_SIDE)
    c, s = cos(box.theta), sin(box.theta)
    # The picture's corners in the frame of the box, in which both are convex polygons.
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - (box.x, box.y)
    frame = (corners @ np.array([[c, -s], [s, c]])).astype(np.float32)
    own = np.array([[-across, -down], [across, -down], [across, down], [-across, down]], np.float32) / 2
    area, shared = cv2.intersectConvexConvex(frame, own)
    if shared is None or area <= 0:
        raise BoxError('box_outside', _says_outside(box, width, height))
    (left, top), (right, bottom) = shared[:, 0].min(axis=0).tolist(), shared[:, 0].max(axis=0).tolist()
    along, below = (left + right) / 2, (top + bottom) / 2
    part = Box(box.x + along * c - below * s, box.y + along * s + below * c, right - left, bottom - top, box.theta)
    return part, min(max(1 - float(area) / (box.width * box.height), 0.0), 1.0)


def _says_outside(box: Box, width: int, height: int) -> str:
    return (f'nothing of the box {box} lies in the picture of {width}x{height}; do the detections belong to pictures '
            'of another size (scaled, or cut), or are they shares instead of pixels?')


def _window(box: Box, spec: Preprocessing, margin: float) -> Tuple[int, int]:
    """(width, height) in whole pixels of what is cut out: the shape of the network's input around box and margin."""
    crop_height, crop_width = spec.crop
    around = 2 * margin * max(box.width, box.height)
    # One pixel of the network's input is so many of the picture.
    scale = max((box.width + around) / crop_width, (box.height + around) / crop_height)
    if spec.resize:
        # The shorter side is resized to `resize`, and the centre is cut out of that.
        full = spec.resize / min(crop_height, crop_width)
        scale *= full
    return max(1, round(scale * crop_width)), max(1, round(scale * crop_height))


def _upright(picture: Picture, left: int, top: int, width: int, height: int) -> Tuple[np.ndarray, float]:
    inner_left, inner_top = max(left, 0), max(top, 0)
    inner_right, inner_bottom = min(left + width, picture.width), min(top + height, picture.height)
    pixels = picture.pixels[inner_top:inner_bottom, inner_left:inner_right]
    inner = pixels.shape[0] * pixels.shape[1]
    if inner == width * height:
        return pixels, 0.0
    shrink = _shrink(width, height)
    if shrink < 1:
        pixels = _smaller(pixels, shrink)
    above, below = _edges((inner_top - top) * shrink, pixels.shape[0], max(1, round(height * shrink)))
    before, behind = _edges((inner_left - left) * shrink, pixels.shape[1], max(1, round(width * shrink)))
    padded = cv2.copyMakeBorder(np.ascontiguousarray(pixels), above, below, before, behind, cv2.BORDER_REPLICATE)
    return padded, 1 - inner / (width * height)


def _edges(before: float, inner: int, length: int) -> Tuple[int, int]:
    """Whole pixels before and behind ``inner`` ones that make ``length`` together, ``before`` of them before."""
    left = max(length - inner, 0)
    first = min(round(before), left)
    return first, left - first


def _shrink(width: int, height: int) -> float:
    """By what a crop is made smaller that must be made anew: a margin may be larger than any memory."""
    return min(1.0, _MOST_MADE / max(width, height))


def _smaller(pixels: np.ndarray, shrink: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    found: np.ndarray = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
    return found


def _moved_in(start: float, length: int, room: int) -> int:
    """Where a stretch begins that is moved into 0..room as far as it fits, around it where it does not."""
    if length >= room:
        return round((room - length) / 2)
    return min(max(round(start), 0), room - length)


def _turned(picture: Picture, box: Box, width: int, height: int) -> Tuple[np.ndarray, float]:
    c, s = cos(box.theta), sin(box.theta)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - (width / 2, height / 2)
    frame = corners @ np.array([[c, s], [-s, c]]) + (box.x, box.y)
    whole = np.array([[0, 0], [picture.width, 0], [picture.width, picture.height], [0, picture.height]], np.float32)
    area, _ = cv2.intersectConvexConvex(frame.astype(np.float32), whole)
    # Only what the crop reaches is read, and made smaller before it is turned where there is much of it.
    left, top = np.clip(np.floor(frame.min(axis=0)) - 1, 0, (picture.width - 1, picture.height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(frame.max(axis=0)) + 1, (left + 1, top + 1), (picture.width, picture.height)
                            ).astype(int)
    pixels, shrink = picture.pixels[top:bottom, left:right], _shrink(width, height)
    along = down = 1.0
    if shrink < 1:
        pixels = _smaller(pixels, shrink)
        along, down = pixels.shape[1] / (right - left), pixels.shape[0] / (bottom - top)
    out_width, out_height = max(1, round(width * shrink)), max(1, round(height * shrink))
    # From a pixel of the crop to one of what is read; centres of pixels lie at halves.
    step_x, step_y = width / out_width, height / out_height
    middle_x, middle_y = (out_width - 1) / 2, (out_height - 1) / 2
    to_read = np.array([[along * c * step_x, -along * s * step_y, 0.0], [down * s * step_x, down * c * step_y, 0.0]])
    to_read[0, 2] = along * (box.x - left) - 0.5 - to_read[0, 0] * middle_x - to_read[0, 1] * middle_y
    to_read[1, 2] = down * (box.y - top) - 0.5 - to_read[1, 0] * middle_x - to_read[1, 1] * middle_y
    found = cv2.warpAffine(np.ascontiguousarray(pixels), to_read, (out_width, out_height),
                           flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    return found, min(max(1 - float(area) / (width * height), 0.0), 1.0)
