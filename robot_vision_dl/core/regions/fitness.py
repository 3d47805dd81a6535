"""Whether an object can be told from what is in the picture of it: large enough, inside enough, and sharp enough."""
from typing import NamedTuple

from ..config import DetectionsConfig
from ..types import Picture
from ..uncertainty.camera.statistics import sharpness
from .detections import Box
from .results import BLURRED, MOSTLY_OUTSIDE, TOO_SMALL


class Refusal(NamedTuple):
    """Why an object is not looked at, of :data:`.results.OBJECT_REASONS`, and a sentence; both empty: it is."""

    reason: str = ''
    sentence: str = ''


FIT = Refusal()


def refusal_of_part(part: Box, outside: float, wish: DetectionsConfig) -> Refusal:
    """Of an object, by :func:`.crop.visible_part`."""
    if outside > wish.max_outside:
        return Refusal(MOSTLY_OUTSIDE, f'{outside:.0%} of its box lies outside of the picture, more than '
                       f'{wish.max_outside:.0%} (detections.max_outside)')
    side = min(part.width, part.height)
    if side < wish.least_side_px:
        hint = '; are its numbers shares of the picture instead of pixels?' if side <= 1 else ''
        return Refusal(TOO_SMALL, f'its shorter side is {side:.3g} pixels, less than {wish.least_side_px:g} '
                       f'(detections.least_side_px){hint}')
    return FIT


def refusal_of_pixels(cut: Picture, wish: DetectionsConfig) -> Refusal:
    """Of an object, by what was cut out for it."""
    if not wish.least_sharpness:
        return FIT
    found = sharpness(cut)
    if found >= wish.least_sharpness:
        return FIT
    return Refusal(BLURRED, f'blurred: sharpness {found:.3f}, below {wish.least_sharpness:g} '
                   '(detections.least_sharpness)')
