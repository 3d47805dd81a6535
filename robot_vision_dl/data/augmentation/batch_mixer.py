"""Mixup and CutMix: pictures of a batch mixed with each other, and their targets with them."""
from typing import Sequence, Tuple

import torch

from ...core.errors import ConfigError
from ...core.networks.torch_private import gamma_draws
from .config import AugmentConfig


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
