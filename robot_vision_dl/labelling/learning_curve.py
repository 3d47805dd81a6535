"""How the accuracy of a simple classifier grows with the number of labels: enough yet?

Ridge regression onto the classes (a least-squares classifier: Hastie, Tibshirani and Friedman, "The Elements of
Statistical Learning", 4.2), in its dual form, over the features that mining kept. Each interval is judged by
classifiers that saw none of its group, at growing numbers of labels, each subset within the next.
"""
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np

LEAST = 20
"""Labels below which there is no curve."""
MOST = 1200
"""Intervals that are worth looking at: solving takes their cube."""
_FOLDS = 5
_REPEATS = 3
_SMALLEST = 10
_DECAY = .1
_RESAMPLES = 1000


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy with so many labels, and its 95 % interval."""

    labels: int
    accuracy: float
    interval: Tuple[float, float]


@dataclass(frozen=True)
class LearningCurve:
    """Points by number of labels, which doubles from one to the next.

    Attributes:
        points: at least one.
        gain: of accuracy, from the last but one to the last.
        gain_interval: 95 %, by resampling whole groups.
    """

    points: Tuple[CurvePoint, ...]
    gain: float
    gain_interval: Tuple[float, float]


def learning_curve(features: np.ndarray, labels: Sequence[str], groups: Sequence[int], seed: int = 0
                   ) -> Optional[LearningCurve]:
    """The learning curve of labelled intervals; None: there are too few, or of one class or group alone.

    Args:
        features: float (n, F).
        labels: n names.
        groups: n numbers; what is of one group (a recording, a stretch of it) is never on both sides.
        seed: of folds and subsets.
    """
    draws = np.random.default_rng(seed)
    names, targets = np.unique(np.asarray(labels), return_inverse=True)
    group = np.unique(np.asarray(groups), return_inverse=True)[1].reshape(-1)
    n, groups_n = len(labels), int(group.max()) + 1 if len(labels) else 0
    if n < LEAST or len(names) < 2 or groups_n < 2:
        return None
    centred = np.asarray(features, np.float32)
    centred = centred - centred.mean(axis=0)
    centred /= max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-12)
    kernel = (centred @ centred.T).astype(np.float64) + 1.0  # + 1: a bias
    wanted = np.eye(len(names))[targets.reshape(-1)]
    folds = min(_FOLDS, groups_n)
    right: List[np.ndarray] = []
    sizes: List[int] = []
    for repeat in range(_REPEATS):
        fold = draws.permutation(np.arange(groups_n) % folds)[group]
        smallest = min(int((fold != one).sum()) for one in range(folds))
        if not repeat:
            sizes = _sizes(smallest)
            right = [np.zeros(n) for _ in sizes]
        for one in range(folds):
            inside, outside = np.flatnonzero(fold == one), draws.permutation(np.flatnonzero(fold != one))
            for place, size in enumerate(sizes):
                seen = outside[:size]
                weights = np.linalg.solve(kernel[np.ix_(seen, seen)] + _DECAY * np.eye(len(seen)), wanted[seen])
                found = (kernel[np.ix_(inside, seen)] @ weights).argmax(axis=1)
                right[place][inside] += (wanted[inside].argmax(axis=1) == found) / _REPEATS
    resampled = draws.multinomial(groups_n, np.full(groups_n, 1 / groups_n), _RESAMPLES)
    points = tuple(CurvePoint(size, float(values.mean()), _interval(values, group, resampled))
                   for size, values in zip(sizes, right))
    gained = right[-1] - right[-2] if len(right) > 1 else np.zeros(n)
    return LearningCurve(points, float(gained.mean()), _interval(gained, group, resampled))


def sample(intervals: Sequence[int], seed: int = 0) -> List[int]:
    """Those that a curve is made of: all, or of many as many at random as are quick."""
    if len(intervals) <= MOST:
        return list(intervals)
    return [intervals[place] for place in np.sort(np.random.default_rng(seed).permutation(len(intervals))[:MOST])]


def _sizes(most: int) -> List[int]:
    """``most``, and half of it again and again, ascending."""
    sizes = [most]
    while sizes[0] // 2 >= _SMALLEST:
        sizes.insert(0, sizes[0] // 2)
    return sizes


def _interval(values: np.ndarray, group: np.ndarray, resampled: np.ndarray) -> Tuple[float, float]:
    """Percentiles of the mean when groups are drawn anew."""
    sums = np.bincount(group, values, resampled.shape[1])
    counts = np.bincount(group, minlength=resampled.shape[1])
    means = (resampled @ sums) / np.maximum(resampled @ counts, 1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
