"""Figures of a set of frames: how many of each class, their weights, mean and standard deviation of the pixels."""
from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from ..core.errors import ConfigError
from ..core.networks.preprocess import Preprocessing
from ..core.text.table import aligned
from .cache import FrameStore
from .dataset import NO_CLASS, Indices, picture_tensor

WEIGHTINGS = ('none', 'inverse', 'sqrt', 'effective')
_BETA = 0.999


@dataclass(frozen=True)
class ClassBalance:
    """Frames and weight of each class; ``str()`` gives a table.

    Attributes:
        class_names: C names.
        counts: int64, shape (C,).
        weights: float64, shape (C,); their mean over all frames is 1.
    """

    class_names: Tuple[str, ...]
    counts: np.ndarray
    weights: np.ndarray

    def __str__(self) -> str:
        rows = [['class', 'frames', 'share', 'weight']]
        total = max(1, self.counts.sum())
        rows += [[name, str(int(count)), f'{count / total:.3f}', f'{weight:.3f}']
                 for name, count, weight in zip(self.class_names, self.counts, self.weights)]
        return '\n'.join(aligned(rows))


def class_counts(targets: np.ndarray, classes: int) -> np.ndarray:
    """Frames of each class, int64, shape (classes,); those of no class are not counted."""
    return np.bincount(targets[targets != NO_CLASS], minlength=classes)


def class_balance(targets: np.ndarray, class_names: Sequence[str], weighting: str = 'inverse') -> ClassBalance:
    """Weights of the classes, for a weighted loss or a sampler.

    Args:
        targets: int64, shape (n,), as of :class:`~.dataset.FrameDataset`.
        weighting: ``none``: all 1. ``inverse``: 1 / n_c. ``sqrt``: 1 / sqrt(n_c). ``effective``: 1 over the effective
            number (1 - beta^n_c) / (1 - beta), beta = 0.999 (Cui et al. 2019). A class without frames gets 0.

    Raises:
        ConfigError: another weighting.
    """
    counts = class_counts(targets, len(class_names))
    n = np.maximum(counts, 1).astype(np.float64)
    if weighting == 'none':
        weights = np.ones(len(n))
    elif weighting == 'inverse':
        weights = 1 / n
    elif weighting == 'sqrt':
        weights = 1 / np.sqrt(n)
    elif weighting == 'effective':
        weights = (1 - _BETA) / (1 - _BETA**n)
    else:
        raise ConfigError(f'class weighting: must be one of {", ".join(WEIGHTINGS)}, got {weighting!r}')
    weights = np.where(counts > 0, weights, 0.0)
    return ClassBalance(tuple(class_names), counts, weights * counts.sum() / max((weights * counts).sum(), 1e-300))


def sample_weights(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight of each frame for drawing with replacement; frames of no class get 0."""
    return np.where(targets == NO_CLASS, 0.0, weights[targets])


def mean_and_std(store: FrameStore, indices: Indices, preprocessing: Preprocessing
                 ) -> Tuple[Tuple[float, ...], Tuple[float, ...]]:
    """Mean and standard deviation of each channel in 0..1, over the pixels that the network sees (the cut centre).

    One frame at a time, from a histogram of the 256 values, so exact however many there are.
    """
    channels = preprocessing.channels
    histogram = np.zeros((channels, 256), np.int64)
    height, width = preprocessing.crop
    for index in indices:
        picture = picture_tensor(store.picture(int(index)), channels)
        top, left = (round((have - want) / 2) for have, want in zip(picture.shape[1:], (height, width)))
        for channel, pixels in enumerate(picture[:, top:top + height, left:left + width].numpy()):
            histogram[channel] += np.bincount(pixels.reshape(-1), minlength=256)
    values = np.arange(256) / 255
    total = np.maximum(histogram.sum(1), 1)
    mean = histogram @ values / total
    variance = histogram @ values**2 / total - mean**2
    # A single colour: anything but 0 will do.
    std = np.sqrt(np.maximum(variance, 0))
    return tuple(mean.tolist()), tuple(np.where(std < 1e-6, 1.0, std).tolist())
