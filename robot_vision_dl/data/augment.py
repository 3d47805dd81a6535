"""Random changes of training pictures that leave the label true: one warp, then torchvision's v2 transforms on uint8.

Everything random draws from torch's global generator.
"""
from dataclasses import dataclass
from math import cos, exp, log, radians, sin, sqrt, tan
from typing import List, Sequence, Tuple

import cv2
import numpy as np
import torch
from torchvision.transforms import v2

from ..core.config import check_values, option
from ..core.errors import ConfigError
from ..core.preprocess import Preprocessing
from ..core.types import Picture
from .dataset import picture_tensor


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

    def __post_init__(self):
        check_values(self, 'augment.')


class RandomView:
    """Cuts, scales, turns, shifts, shears, zooms and flips in one bilinear warp of the whole picture.

    What torchvision's RandomResizedCrop (its ranges and its ten tries) and RandomAffine do one after another; in one it
    costs a tenth of the time, blurs once, and shows what there is around the cut where those show empty corners. There
    is no antialiasing: pictures are stored little larger than what comes out.

    Args:
        config: the geometric settings are looked at.
        size: (height, width) of the result.
        fill: colour of what is outside of the picture, 0..255 a channel.
    """

    def __init__(self, config: AugmentConfig, size: Tuple[int, int], fill: Sequence[int]):
        self._config = config
        self._size = size
        self._fill = tuple(fill)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8, shape (H, W[, 3]) -> uint8, shape (height, width[, 3])."""
        return cv2.warpAffine(
            pixels, self.matrix(*pixels.shape[:2]), self._size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT, borderValue=self._fill)

    def matrix(self, height: int, width: int) -> np.ndarray:
        """A random map, shape (2, 3), from pixels (x, y) of the result to those of a picture of this size."""
        config = self._config
        top, left, cut_height, cut_width = self._cut(height, width)
        zoom = exp(_uniform(log(1 + config.zoom)))
        angle, shear = radians(_uniform(config.rotation_deg)), tan(radians(_uniform(config.shear_deg)))
        flips = [-1.0 if _chance(chance) else 1.0 for chance in (config.horizontal_flip, config.vertical_flip)]
        scale = np.diag((flips[0] * cut_width / self._size[1], flips[1] * cut_height / self._size[0])) / zoom
        turn = np.array(((cos(angle), -sin(angle)), (sin(angle), cos(angle)))) @ np.array(((1.0, shear), (0.0, 1.0)))
        linear = turn @ scale
        middle = np.array((left + cut_width / 2 + _uniform(config.shift) * cut_width,
                           top + cut_height / 2 + _uniform(config.shift) * cut_height))
        # Coordinates are of the pixels' centres: pixel 0 is at 0.5.
        offset = middle - 0.5 - linear @ (np.array(self._size[::-1]) / 2 - 0.5)
        return np.column_stack((linear, offset))

    def _cut(self, height: int, width: int) -> Tuple[float, float, float, float]:
        """(top, left, height, width) of the part that is shown, within the picture."""
        ratio = self._size[1] / self._size[0]
        for _ in range(10):
            area = height * width * (1 - (1 - self._config.crop_scale_min) * float(torch.rand(())))
            aspect = ratio * exp(_uniform(log(self._config.crop_ratio_max)))
            cut_width, cut_height = sqrt(area * aspect), sqrt(area / aspect)
            if cut_width <= width and cut_height <= height:
                return (float(torch.rand(())) * (height - cut_height), float(torch.rand(())) * (width - cut_width),
                        cut_height, cut_width)
        cut_height, cut_width = min(height, width / ratio), min(width, height * ratio)
        return (height - cut_height) / 2, (width - cut_width) / 2, cut_height, cut_width


def _uniform(limit: float) -> float:
    """A draw from -limit..limit."""
    return limit * (2 * float(torch.rand(())) - 1)


def _chance(probability: float) -> bool:
    return float(torch.rand(())) < probability


class GaussianBlur(torch.nn.Module):
    """Blurs a uint8 picture by a random width, as torchvision's does but with OpenCV: a tenth of the time on a CPU."""

    def __init__(self, kernel: int, sigma: float):
        super().__init__()
        self.kernel, self.sigma = kernel, sigma

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """uint8 (C, H, W) -> the same."""
        sigma = 0.1 + (self.sigma - 0.1) * float(torch.rand(()))
        blurred = cv2.GaussianBlur(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), (self.kernel, self.kernel),
                                   sigma, borderType=cv2.BORDER_REFLECT_101)
        return torch.from_numpy(blurred.reshape(*picture.shape[1:], -1)).permute(2, 0, 1)


class GaussianNoise(torch.nn.Module):
    """Adds noise of a random strength to a uint8 picture (torchvision has one since 0.20, of a fixed strength)."""

    def __init__(self, sigma: float):
        super().__init__()
        self.sigma = sigma

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """uint8 -> uint8 of the same shape."""
        sigma = 255 * self.sigma * torch.rand(())
        noisy = picture.float().add_(torch.randn(picture.shape), alpha=float(sigma))
        return noisy.round_().clamp_(0, 255).to(torch.uint8)


class TrainTransform:
    """A stored picture -> the tensor that is learned from: changed at random, of the network's size, normalised.

    Args:
        config: what is changed.
        preprocessing: size, mean and standard deviation, as the network takes them.
    """

    def __init__(self, config: AugmentConfig, preprocessing: Preprocessing):
        self._channels = preprocessing.channels
        self._view = RandomView(config, preprocessing.crop, [round(255 * value) for value in preprocessing.mean])
        self._colour = v2.Compose(_uint8_steps(config, preprocessing) or [torch.nn.Identity()])
        self._finish = v2.Compose([
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(preprocessing.mean, preprocessing.std, inplace=True),
            # After normalising, 0 is the mean colour.
            *([v2.RandomErasing(config.erasing, scale=(0.02, config.erasing_max))] if config.erasing else [])])

    def __call__(self, picture: Picture) -> torch.Tensor:
        """float32, shape (C, crop height, crop width)."""
        seen = Picture(self._view(picture.pixels), picture.order)
        return self._finish(self._colour(picture_tensor(seen, self._channels)))


def _uint8_steps(config: AugmentConfig, preprocessing: Preprocessing) -> List[torch.nn.Module]:
    height, width = preprocessing.crop
    steps: List[torch.nn.Module] = []
    if preprocessing.channels == 1:
        jitter = v2.ColorJitter(config.brightness, config.contrast)
        if config.brightness or config.contrast:
            steps.append(jitter)
    elif config.brightness or config.contrast or config.saturation or config.hue:
        steps.append(v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue))
    if config.grayscale and preprocessing.channels == 3:
        steps.append(v2.RandomGrayscale(config.grayscale))
    if config.augmix:
        steps.append(v2.AugMix(severity=config.augmix_severity))
    if config.blur:
        radius = max(1, min(round(3 * config.blur_sigma), (min(height, width) - 1) // 2))
        steps.append(v2.RandomApply([GaussianBlur(2 * radius + 1, config.blur_sigma)], config.blur))
    if config.noise and config.noise_sigma:
        steps.append(v2.RandomApply([GaussianNoise(config.noise_sigma)], config.noise))
    return steps


class BatchMixer:
    """Mixup and CutMix of a batch, with targets as probabilities.

    Args:
        config: ``mixup`` and ``cutmix`` are looked at.
        classes: number of classes C.
    """

    def __init__(self, config: AugmentConfig, classes: int):
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
    first, second = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator).tolist()
    return first / (first + second) if first + second else 0.5


def _box(size: Sequence[int], share: float, generator: torch.Generator) -> Tuple[int, int, int, int]:
    """(top, bottom, left, right) of a rectangle of 1 - share of the area about a random centre, cut at the edges."""
    sides = []
    for length in size:
        half = length * (1 - share)**0.5 / 2
        centre = float(torch.rand((), generator=generator)) * length
        sides += [max(0, round(centre - half)), min(length, round(centre + half))]
    return tuple(sides)
