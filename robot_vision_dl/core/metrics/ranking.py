"""How well a score ranks positives above negatives: pure functions of scores (n,) and positives, bool (n,).

Ties count half, as if they were put in random order. Where there are no positives or no negatives the answer is NaN.
"""
from typing import Tuple

import numpy as np

_ROUNDING = 1e-12  # .95 of 60 must be reached by 57


def two_groups(negatives: np.ndarray, positives: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """(scores, positive) of the scores of two groups, as the functions here take them."""
    scores = np.concatenate([np.asarray(negatives, np.float64), np.asarray(positives, np.float64)])
    return scores, np.arange(len(scores)) >= len(negatives)


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive scores higher than a negative (area under the ROC curve)."""
    s, y = np.asarray(scores, np.float64), np.asarray(positive, bool)
    distinct, place = np.unique(s, return_inverse=True)
    place = place.reshape(-1)
    return float(auroc_of_counts(np.bincount(place[y], minlength=len(distinct)),
                                 np.bincount(place[~y], minlength=len(distinct))))


def auroc_of_counts(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """:func:`auroc`, shape (...), of how many score each of k values, ascending, shapes (..., k)."""
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    with np.errstate(invalid='ignore', divide='ignore'):
        area: np.ndarray = (positives * below).sum(axis=-1) / (positives.sum(axis=-1) * negatives.sum(axis=-1))
    return area


def thresholds(scores: np.ndarray, positive: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(distinct scores, descending; positives and negatives that score at least so much)."""
    s, y = np.asarray(scores, np.float64), np.asarray(positive, bool)
    order = np.argsort(-s, kind='stable')
    s, y = s[order], y[order]
    last = np.flatnonzero(np.append(np.diff(s) != 0, True)) if len(s) else np.zeros(0, int)
    return s[last], np.cumsum(y)[last] if len(s) else last, np.cumsum(~y)[last] if len(s) else last


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall curve (AUPR): the sum of precision times gain in recall, not interpolated."""
    _, hits, alarms = thresholds(scores, positive)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return float('nan')
    precision = hits / (hits + alarms)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def fpr_at_tpr(scores: np.ndarray, positive: np.ndarray, tpr: float = 0.95) -> float:
    """Share of negatives at or above the highest threshold that at least ``tpr`` of the positives reach (FPR95).

    What is positive is up to the caller. ``evaluate`` takes unknown things: known ones called unknown where 95 % of the
    unknown are found. ``bench reliability`` takes known ones: unknown things that pass where 95 % of the known do.
    """
    _, hits, alarms = thresholds(scores, positive)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return float('nan')
    enough = int(np.argmax(hits >= tpr * hits[-1] * (1 - _ROUNDING)))
    return float(alarms[enough] / alarms[-1])
