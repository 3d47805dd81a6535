"""Random changes of training pictures that leave the label true: one warp, one matrix of colours, blur, noise, erasing.

Everything random is drawn by :mod:`.draws`, or by torchvision from torch's global generator.
"""
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from torchvision.transforms import v2

from ...core.config import check_values, option
from ...core.errors import ConfigError
from ...core.networks.preprocess import Preprocessing
from ...core.networks.torch_private import gamma_draws
from ...core.types import Picture
from ..dataset import picture_tensor
from ..seeded_random import chance
from .photometric import blur, erase, jitter, noise, normalise_table
from .random_view import RandomView

_LEAST_ERASED = 0.02  # of the picture
_MEAN_COLOUR = 0.0  # after normalising


@dataclass(frozen=True)
class AugmentConfig:
    """How training pictures are changed. Flips are off: where left and right matter, a flip makes the label wrong."""

    enabled: bool = option(True, 'change training pictures at random; false: as in evaluation')
    crop_scale_min: float = option(
        0.5, "smallest share of the picture's area that is cut out and scaled up; 1: the whole picture", minimum=0.01,
        maximum=1.0)
    crop_ratio_max: float = option(1.333, 'aspect ratio of what is cut out is within 1/this..this, relative to the '
                                   "network's input", minimum=1.0, maximum=4.0)
    horizontal_flip: float = option(0.0, 'probability of swapping left and right', minimum=0.0, maximum=1.0)
    vertical_flip: float = option(0.0, 'probability of swapping top and bottom', minimum=0.0, maximum=1.0)
    rotation_deg: float = option(10.0, 'turned by up to so many degrees either way', minimum=0.0, maximum=180.0)
    shift: float = option(0.05, 'moved by up to this share of height and width', minimum=0.0, maximum=0.5)
    shear_deg: float = option(0.0, 'sheared by up to so many degrees either way', minimum=0.0, maximum=45.0)
    zoom: float = option(0.1, 'scaled by 1/(1+this)..1+this about the centre', minimum=0.0, maximum=2.0)
    brightness: float = option(0.2, 'factor is within 1-this..1+this', minimum=0.0, maximum=1.0)
    contrast: float = option(0.2, 'factor is within 1-this..1+this', minimum=0.0, maximum=1.0)
    saturation: float = option(0.2, 'factor is within 1-this..1+this', minimum=0.0, maximum=1.0)
    hue: float = option(0.0, 'moved by up to this share of the colour circle; slower than all the rest together',
                        minimum=0.0, maximum=0.5)
    grayscale: float = option(0.0, 'probability of taking the colours away', minimum=0.0, maximum=1.0)
    blur: float = option(0.2, 'probability of a Gaussian blur of 0.1 to blur_sigma', minimum=0.0, maximum=1.0)
    blur_sigma: float = option(1.5, 'of the strongest blur, in pixels', minimum=0.1, maximum=20.0)
    noise: float = option(0.2, 'probability of Gaussian noise', minimum=0.0, maximum=1.0)
    noise_sigma: float = option(0.03, 'of the strongest noise, where white is 1', minimum=0.0, maximum=1.0)
    augmix: bool = option(False, 'AugMix (Hendrycks et al. 2020): mixtures of chains of changes')
    augmix_severity: int = option(3, 'of AugMix', minimum=1, maximum=10)
    erasing: float = option(0.1, 'probability of covering a rectangle by the mean colour', minimum=0.0, maximum=1.0)
    erasing_max: float = option(0.2, 'largest share of the picture that is covered', minimum=0.02, maximum=0.9)
    mixup: float = option(0.0, 'alpha of mixup (Zhang et al. 2018); 0: off', minimum=0.0, maximum=10.0)
    cutmix: float = option(0.0, 'alpha of CutMix (Yun et al. 2019); 0: off; with mixup, one of both at random',
                           minimum=0.0, maximum=10.0)

    def __post_init__(self) -> None:
        check_values(self, 'augment.')


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


class BatchMixer:
    """Mixup and CutMix of a batch, with targets as probabilities.

    Args:
        config: ``mixup`` and ``cutmix`` are looked at.
        classes: number of classes C.
    """

    def __init__(self, config: AugmentConfig, classes: int) -> None:
        if classes < 2:
            raise ConfigError(f'mixup and cutmix need at least two classes, got {classes}')
        self._mixup, self._cutmix, self._classes = config.mixup, config.cutmix, classes

    @property
    def is_active(self) -> bool:
        """Whether it does anything but turn targets into probabilities."""
        return bool(self._mixup or self._cutmix)

    def __call__(self, pictures: torch.Tensor, targets: torch.Tensor, generator: torch.Generator
                 ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Mix each picture with another of the batch.

        Args:
            pictures: float, shape (B, C', H, W).
            targets: int64, shape (B,).
            generator: of the CPU, so that a resumed run draws the same.

        Returns:
            Pictures of the same shape, and targets of shape (B, C), float32, rows summing to 1.
        """
        soft = torch.nn.functional.one_hot(targets, self._classes).to(torch.float32)
        if not self.is_active:
            return pictures, soft
        use_cutmix = bool(self._cutmix) and (not self._mixup or torch.rand((), generator=generator) < 0.5)
        share = _beta(self._cutmix if use_cutmix else self._mixup, generator)
        order = torch.randperm(len(pictures), generator=generator).to(pictures.device)
        if use_cutmix:
            top, bottom, left, right = _box(pictures.shape[-2:], share, generator)
            mixed = pictures.clone()
            mixed[..., top:bottom, left:right] = pictures[order][..., top:bottom, left:right]
            share = 1 - (bottom - top) * (right - left) / (pictures.shape[-2] * pictures.shape[-1])
        else:
            mixed = share * pictures + (1 - share) * pictures[order]
        return mixed, share * soft + (1 - share) * soft[order]


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A draw of Beta(alpha, alpha) as a ratio of two Gamma draws."""
    first, second = gamma_draws(alpha, 2, generator)
    return first / (first + second) if first + second else 0.5


def _box(size: Sequence[int], share: float, generator: torch.Generator) -> Tuple[int, int, int, int]:
    """(top, bottom, left, right) of a rectangle of 1 - share of the area about a random centre, cut at the edges."""
    sides = []
    for length in size:
        half = length * (1 - share)**0.5 / 2
        centre = float(torch.rand((), generator=generator)) * length
        sides += [max(0, round(centre - half)), min(length, round(centre + half))]
    return tuple(sides)
