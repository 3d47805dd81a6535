"""Whether confidences are probabilities: calibration errors over bins, and what they are by chance alone.

Pure functions of confidence in 0..1 (n,) and right, bool (n,); :func:`top_label` makes both of probabilities.
"""
from typing import Callable, NamedTuple, Optional, Tuple

import numpy as np

BINS = 15
Binning = Callable[[np.ndarray, int], np.ndarray]
"""Confidences (n,) and a number of bins -> bin of each, int (n,)."""


class Reliability(NamedTuple):
    """Answers by confidence, for a reliability diagram; NaN for empty bins.

    Attributes:
        confidence, accuracy: means over a bin, shape (bins,).
        counts: answers of a bin, int64, shape (bins,).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray


def top_label(probabilities: np.ndarray, targets: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """(confidence, right) of the most probable classes: their probability, and whether they are the targets (n,)."""
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == targets


def equal_width(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bin of each answer, over 0..1; a confidence of 1 belongs to the last (Guo et al. 2017)."""
    index: np.ndarray = np.minimum((np.asarray(confidence, np.float64) * bins).astype(int), bins - 1)
    return index


def equal_mass(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Bin of each answer, with about as many answers in each; equal confidences share a bin (Nixon et al. 2019)."""
    c = np.asarray(confidence, np.float64)
    if not len(c):
        return np.zeros(0, int)
    ordered = np.sort(c)
    # The first confidence of each bin; an answer belongs to the last bin that begins at or below its confidence.
    starts = ordered[(np.arange(1, bins) * len(c)) // bins]
    return np.searchsorted(starts, c, side='right')


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS, binning: Binning = equal_width
                ) -> Reliability:
    """Means over bins."""
    index = binning(confidence, bins)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid='ignore'):
        return Reliability(np.bincount(index, confidence, bins) / count, np.bincount(index, right, bins) / count, count)


def error_of_bins(surplus: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Calibration error of bins: the mean over answers of |accuracy - confidence| of their bin.

    Args:
        surplus: of each bin the sum over its answers of (right - confidence), shape (..., bins).
        count: answers of each bin, the same shape.

    Returns:
        In 0..1, shape (...); NaN without answers.
    """
    with np.errstate(invalid='ignore'):
        error: np.ndarray = np.abs(surplus).sum(axis=-1) / count.sum(axis=-1)
    return error


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS,
                               binning: Binning = equal_width) -> float:
    """Calibration error (ECE) over bins of equal width, or with :func:`equal_mass` of equal mass; NaN for nothing."""
    c = np.asarray(confidence, np.float64)
    index = binning(c, bins)
    return float(error_of_bins(np.bincount(index, right - c, bins), np.bincount(index, minlength=bins)))


def floor_of_objects(confidence: np.ndarray, objects: Optional[np.ndarray], seed: int = 0) -> Optional[float]:
    """:func:`calibration_error_floor` with these groups; None where each answer is of another object."""
    if objects is None or len(np.unique(objects)) == len(objects):
        return None
    return calibration_error_floor(confidence, seed, groups=objects)


def calibration_error_floor(confidence: np.ndarray, seed: int = 0, tries: int = 200, bins: int = BINS,
                            groups: Optional[np.ndarray] = None) -> float:
    """Mean ECE over equal-width bins of outcomes drawn so that the confidences are exactly right; NaN for nothing.

    Args:
        groups: int (n,); what has the same number is right or wrong together, as far as its confidences allow: frames
            of one object are that nearly, so that many frames of few objects tell little. None: each by itself.
    """
    c = np.asarray(confidence, np.float64)
    place = np.arange(len(c)) if groups is None else np.unique(groups, return_inverse=True)[1]
    many = int(place.max(initial=-1)) + 1
    index, rng = equal_width(c, bins), np.random.default_rng(seed)
    count, expected = np.bincount(index, minlength=bins), np.bincount(index, c, bins)
    total = 0.0
    for _ in range(tries):  # one draw at a time: memory for one
        total += float(error_of_bins(np.bincount(index, rng.random(many)[place] < c, bins) - expected, count))
    return total / tries
