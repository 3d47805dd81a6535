"""Random crops, turns, shifts and flips as one warp."""
from math import cos, exp, log, radians, sin, sqrt, tan
from typing import Sequence, Tuple

import cv2
import numpy as np

from ..seeded_random import chance, share, uniform
from .config import AugmentConfig


class RandomView:
    """Cuts, scales, turns, shifts, shears, zooms and flips in one bilinear warp of the whole picture.

    What torchvision's RandomResizedCrop (its ranges and its ten tries) and RandomAffine do one after another; in one it
    costs a tenth of the time, blurs once, and shows what there is around the cut where those show empty corners. There
    is no antialiasing: pictures are stored little larger than what comes out.

    Args:
        config: the geometric settings are looked at.
        size: (height, width) of the result.
        fill: colour of what is outside of the picture, 0..255 a channel; one value is for all channels.
    """

    def __init__(self, config: AugmentConfig, size: Tuple[int, int], fill: Sequence[int]) -> None:
        self._config = config
        self._size = size
        # OpenCV takes what is missing for 0.
        self._fill = tuple(fill) * 3 if len(fill) == 1 else tuple(fill)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8, shape (H, W[, 3]) -> uint8, shape (height, width[, 3])."""
        return cv2.warpAffine(
            pixels, self.matrix(*pixels.shape[:2]), self._size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT, borderValue=self._fill)

    def matrix(self, height: int, width: int) -> np.ndarray:
        """A random map, shape (2, 3), from pixels (x, y) of the result to those of a picture of this size."""
        config = self._config
        top, left, cut_height, cut_width = self._cut(height, width)
        zoom = exp(uniform(log(1 + config.zoom)))
        angle, shear = radians(uniform(config.rotation_deg)), tan(radians(uniform(config.shear_deg)))
        flips = [-1.0 if chance(each) else 1.0 for each in (config.horizontal_flip, config.vertical_flip)]
        scale = np.diag((flips[0] * cut_width / self._size[1], flips[1] * cut_height / self._size[0])) / zoom
        turn = np.array(((cos(angle), -sin(angle)), (sin(angle), cos(angle)))) @ np.array(((1.0, shear), (0.0, 1.0)))
        linear = turn @ scale
        middle = np.array((left + cut_width / 2 + uniform(config.shift) * cut_width,
                           top + cut_height / 2 + uniform(config.shift) * cut_height))
        # Coordinates are of the pixels' centres: pixel 0 is at 0.5.
        offset = middle - 0.5 - linear @ (np.array(self._size[::-1]) / 2 - 0.5)
        return np.column_stack((linear, offset))

    def _cut(self, height: int, width: int) -> Tuple[float, float, float, float]:
        """(top, left, height, width) of the part that is shown, within the picture."""
        ratio = self._size[1] / self._size[0]
        for _ in range(10):
            area = height * width * (1 - (1 - self._config.crop_scale_min) * share())
            aspect = ratio * exp(uniform(log(self._config.crop_ratio_max)))
            cut_width, cut_height = sqrt(area * aspect), sqrt(area / aspect)
            if cut_width <= width and cut_height <= height:
                return (share() * (height - cut_height), share() * (width - cut_width),
                        cut_height, cut_width)
        cut_height, cut_width = min(height, width / ratio), min(width, height * ratio)
        return (height - cut_height) / 2, (width - cut_width) / 2, cut_height, cut_width
