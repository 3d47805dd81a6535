"""Pictures as a camera gives them on a bad day: blurred, noisy, overexposed, compressed, at five strengths.

In the manner of ImageNet-C (Hendrycks and Dietterich 2019), with what happens to robots' cameras, and in a few lines:
lengths are shares of the picture's shorter side, so that small and large pictures suffer alike.
"""
from dataclasses import replace
from typing import Callable, Dict, Mapping

import cv2
import numpy as np
import torch

from ...core.errors import ConfigError
from ...core.networks.preprocess import Preprocessing
from ...core.types import Picture
from ..dataset import EvalTransform
from ..seeded_random import share

STRENGTHS = (1, 2, 3, 4, 5)
_BLUR = (0.012, 0.022, 0.031, 0.044, 0.0625)  # standard deviation over the shorter side
_NOISE = (6.0, 12.0, 20.0, 30.0, 45.0)  # standard deviation in grey levels
_GAIN = (1.3, 1.6, 2.0, 2.6, 3.4)
_QUALITY = (50, 30, 18, 10, 5)


def levels(light: np.ndarray) -> np.ndarray:
    """Grey levels, uint8, of light of any range."""
    found: np.ndarray = np.clip(light, 0, 255).round().astype(np.uint8)
    return found


def blur(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Out of focus."""
    return cv2.GaussianBlur(pixels, (0, 0), _BLUR[strength - 1] * min(pixels.shape[:2]))


def noise(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """A sensor with too little light."""
    return levels(pixels + rng.normal(0, _NOISE[strength - 1], pixels.shape))


def exposure(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """Overexposed: bright parts are cut off."""
    return levels(pixels * _GAIN[strength - 1])


def compression(pixels: np.ndarray, strength: int, rng: np.random.Generator) -> np.ndarray:
    """JPEG of a low quality."""
    code = cv2.imencode('.jpg', pixels, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY[strength - 1]))[1]
    decoded = cv2.imdecode(code, cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    return decoded


Change = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
"""Pixels, strength and a generator -> pixels."""
SHIFTS: Dict[str, Change] = {
    'blur': blur, 'noise': noise, 'exposure': exposure, 'compression': compression}


def shifted(picture: Picture, kind: str, strength: int, seed: int = 0, kinds: Mapping[str, Change] = SHIFTS
            ) -> Picture:
    """The picture as it would look.

    Args:
        picture: uint8, grey, BGR or RGB.
        kind: a key of ``kinds``.
        strength: 1 (one can live with it) to 5.
        seed: of what is random.
        kinds: of changes, by name.

    Raises:
        ConfigError: there is no such kind or strength.
    """
    if kind not in kinds or strength not in STRENGTHS:
        raise ConfigError(f'no shift {kind!r} of strength {strength!r}; there are {", ".join(kinds)} of strengths '
                          f'{STRENGTHS[0]} to {STRENGTHS[-1]}')
    pixels = kinds[kind](np.ascontiguousarray(picture.pixels), strength, np.random.default_rng(seed))
    return replace(picture, pixels=pixels)


class CorruptedTransform:
    """What the live node makes of a picture to which something happened: a kind and a strength are drawn for each.

    As :class:`~..dataset.EvalTransform`; the draws are those of :mod:`..seeded_random`.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._plain = EvalTransform(preprocessing)

    def __call__(self, picture: Picture) -> torch.Tensor:
        """float32, shape (C, crop height, crop width)."""
        kind = list(SHIFTS)[int(share() * len(SHIFTS))]
        strength = STRENGTHS[int(share() * len(STRENGTHS))]
        return self._plain(shifted(picture, kind, strength, int(share() * 2 ** 24)))
