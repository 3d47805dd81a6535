"""More of what happens to a camera's pictures, at five strengths, that nothing is ever fitted on.

A calibration may be fitted on the corruptions of ``data/augmentation/corruptions.py``; whether it holds for what nobody
foresaw is told by others only.
"""
from typing import Dict

import cv2
import numpy as np

from ..data.augmentation.corruptions import Change, levels

_WAY = (0.03, 0.06, 0.09, 0.13, 0.18)  # of the motion while the shutter is open, over the shorter side
_LIGHT = (0.6, 0.4, 0.25, 0.15, 0.08)  # that is left
_CONTRAST = (0.6, 0.42, 0.28, 0.18, 0.1)  # that is left
_CLEAR = (0.7, 0.55, 0.42, 0.3, 0.2)  # share of the light that comes through the fog
_READ_NOISE, _FOG, _FOG_VARIES = 2.0, 215.0, 25.0  # in grey levels


def motion_blur(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """The camera moves in some direction while the shutter is open."""
    length = max(2.0, _WAY[strength - 1] * min(pixels.shape[:2]))
    side = 2 * int(np.ceil(length / 2)) + 1
    angle, along = rng.uniform(0, np.pi), np.linspace(-length / 2, length / 2, 8 * side)
    kernel = np.zeros((side, side), np.float32)
    np.add.at(kernel, ((side // 2 + np.sin(angle) * along).round().astype(int),
                       (side // 2 + np.cos(angle) * along).round().astype(int)), 1)
    return cv2.filter2D(pixels, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def darkness(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Too little light, with the noise of reading the sensor."""
    return levels(pixels * _LIGHT[strength - 1] + rng.normal(0, _READ_NOISE, pixels.shape))


def low_contrast(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Everything moves towards the mean, as behind a dirty pane."""
    mean = float(pixels.mean())
    return levels(mean + _CONTRAST[strength - 1] * (pixels - mean))


def fog(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Bright haze, thicker in some places than in others."""
    patches = cv2.resize(rng.normal(0, 1, (4, 4)).astype(np.float32), pixels.shape[1::-1],
                         interpolation=cv2.INTER_CUBIC)
    haze = _FOG + _FOG_VARIES * patches
    clear = _CLEAR[strength - 1]
    return levels(clear * pixels + (1 - clear) * (haze if pixels.ndim == 2 else haze[..., None]))


UNFORESEEN: Dict[str, Change] = {
    'motion blur': motion_blur, 'darkness': darkness, 'low contrast': low_contrast, 'fog': fog}
"""Kinds for :func:`~..data.augmentation.corruptions.shifted`."""
