"""Whether confidences are probabilities: pure functions of confidence in 0..1 (n,) and right, bool (n,)."""
from typing import NamedTuple

import numpy as np

from .metrics import BINS


class Bins(NamedTuple):
    """Answers by confidence; NaN for empty bins.

    Attributes:
        confidence, accuracy: means over a bin, shape (bins,).
        count: int64.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Mean over answers of |accuracy - confidence| of their bin; NaN without answers."""
        there = self.count > 0
        if not there.any():
            return float('nan')
        gap = np.abs(self.accuracy[there] - self.confidence[there])
        return float((gap * self.count[there]).sum() / self.count.sum())


def equal_width(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bin of each answer, over 0..1; a confidence of 1 belongs to the last (Guo et al. 2017)."""
    return np.minimum((np.asarray(confidence, np.float64) * bins).astype(int), bins - 1)


def equal_mass(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bin of each answer, with about as many answers in each; equal confidences share a bin (Nixon et al. 2019)."""
    c = np.asarray(confidence, np.float64)
    if not len(c):
        return np.zeros(0, int)
    ordered = np.sort(c)
    # The first confidence of each bin; an answer belongs to the last bin that begins at or below its confidence.
    starts = ordered[(np.arange(1, bins) * len(c)) // bins]
    return np.searchsorted(starts, c, side='right')


def in_bins(confidence: np.ndarray, right: np.ndarray, index: np.ndarray, bins: int = BINS) -> Bins:
    """Means over bins; ``index`` is that of :func:`equal_width` or :func:`equal_mass`."""
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid='ignore'):
        return Bins(np.bincount(index, confidence, bins) / count, np.bincount(index, right, bins) / count, count)


def error_floor(confidence: np.ndarray, seed: int = 0, tries: int = 200, bins: int = BINS) -> float:
    """Mean error over equal-width bins of outcomes drawn so that the confidences are exactly right."""
    c = np.asarray(confidence, np.float64)
    if not len(c):
        return float('nan')
    index, rng = equal_width(c, bins), np.random.default_rng(seed)
    expected = np.bincount(index, c, bins)
    total = 0.0
    for _ in range(tries):  # one draw at a time: memory for one
        total += np.abs(np.bincount(index, rng.random(len(c)) < c, bins) - expected).sum() / len(c)
    return float(total / tries)
