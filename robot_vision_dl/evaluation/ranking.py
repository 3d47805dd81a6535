"""How well a score ranks positives above negatives: pure functions of scores (n,) and positives, bool (n,).

Ties count half, as if they were put in random order. Where there are no positives or no negatives the answer is NaN.
"""
from typing import Tuple

import numpy as np


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive scores higher than a negative (area under the ROC curve)."""
    s, y = np.asarray(scores, np.float64), np.asarray(positive, bool)
    positives, negatives = int(y.sum()), int((~y).sum())
    if not positives or not negatives:
        return float('nan')
    _, place, counts = np.unique(s, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]
    return float((rank[y].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def thresholds(scores: np.ndarray, positive: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(distinct scores, descending; positives and negatives that score at least so much)."""
    s, y = np.asarray(scores, np.float64), np.asarray(positive, bool)
    order = np.argsort(-s, kind='stable')
    s, y = s[order], y[order]
    last = np.flatnonzero(np.append(np.diff(s) != 0, True)) if len(s) else np.zeros(0, int)
    return s[last], np.cumsum(y)[last] if len(s) else last, np.cumsum(~y)[last] if len(s) else last


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall curve as the sum of precision times gain in recall (no interpolation)."""
    _, hits, alarms = thresholds(scores, positive)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return float('nan')
    precision = hits / (hits + alarms)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def fpr_at_tpr(scores: np.ndarray, positive: np.ndarray, tpr: float = 0.95) -> float:
    """Share of negatives at or above the highest threshold that at least ``tpr`` of the positives reach."""
    _, hits, alarms = thresholds(scores, positive)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return float('nan')
    enough = int(np.argmax(hits >= tpr * hits[-1] - 1e-12))
    return float(alarms[enough] / alarms[-1])
