"""Random changes of training pictures that leave the label true: one warp, one matrix of colours, blur, noise, erasing.

Everything random is drawn by ``data/seeded_random.py``, or by torchvision from torch's global generator.
"""
from typing import List, Optional

import cv2
import numpy as np
import torch
from torchvision.transforms import v2

from ...core.networks.preprocess import Preprocessing
from ...core.types import Picture
from ..dataset import picture_tensor
from ..seeded_random import chance
from .config import AugmentConfig
from .photometric import blur, erase, jitter, noise, normalise_table
from .random_view import RandomView

_LEAST_ERASED = 0.02  # of the picture
_MEAN_COLOUR = 0.0  # after normalising


class TrainTransform:
    """A stored picture -> the tensor that is learned from: changed at random, of the network's size, normalised.

    Args:
        config: what is changed.
        preprocessing: size, mean and standard deviation, as the network takes them.
    """

    def __init__(self, config: AugmentConfig, preprocessing: Preprocessing) -> None:
        self._config = config
        self._channels = preprocessing.channels
        self._view = RandomView(config, preprocessing.crop, [round(255 * value) for value in preprocessing.mean])
        self._jitter = (config.brightness, config.contrast, config.saturation if self._channels == 3 else 0.0)
        self._colour = _torchvision_steps(config, self._channels)
        radius = max(1, min(round(3 * config.blur_sigma), (min(preprocessing.crop) - 1) // 2))
        self._blur_kernel = 2 * radius + 1
        self._table = normalise_table(preprocessing.mean, preprocessing.std)

    @property
    def is_thread_safe(self) -> bool:
        """Whether several pictures can be changed at a time; what is torchvision's draws from the global generator."""
        return self._colour is None

    def __call__(self, picture: Picture) -> torch.Tensor:
        """float32, shape (C, crop height, crop width), whose memory is as of (crop height, crop width, C)."""
        config = self._config
        seen = picture_tensor(Picture(self._view(picture.pixels), picture.order), self._channels)
        pixels = np.ascontiguousarray(seen.permute(1, 2, 0).numpy())
        if any(self._jitter) or config.grayscale:
            pixels = jitter(pixels, self._jitter, is_grey=chance(config.grayscale))
        if self._colour is not None:
            changed = self._colour(torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1))
            pixels = np.ascontiguousarray(changed.permute(1, 2, 0).numpy())
        if chance(config.blur):
            pixels = blur(pixels, self._blur_kernel, config.blur_sigma)
        if chance(config.noise):
            pixels = noise(pixels, config.noise_sigma)
        values = np.atleast_3d(cv2.LUT(pixels, self._table))
        if chance(config.erasing):
            erase(values, _LEAST_ERASED, config.erasing_max, _MEAN_COLOUR)
        return torch.from_numpy(values).permute(2, 0, 1)


def _torchvision_steps(config: AugmentConfig, channels: int) -> Optional[v2.Compose]:
    """What is not the same affine change of all pixels; uint8 (C, H, W) -> the same."""
    steps: List[torch.nn.Module] = []
    if config.hue and channels == 3:
        steps.append(v2.ColorJitter(hue=config.hue))
    if config.augmix:
        steps.append(v2.AugMix(severity=config.augmix_severity))
    return v2.Compose(steps) if steps else None
