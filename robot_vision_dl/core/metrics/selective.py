"""What becomes of the error rate if only the surest answers are given.

Pure functions of confidence (n,) and wrong, bool (n,). Answers of equal confidence are taken in random order, and what
is reported is the expectation, so the order of the input does not matter. Empty input gives NaN. (El-Yaniv and Wiener
2010; Geifman and El-Yaniv 2017.)
"""
from typing import Tuple

import numpy as np


def risk_curve(confidence: np.ndarray, wrong: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """(coverage, selective risk) of the k surest answers for k = 1..n."""
    c, w = np.asarray(confidence, np.float64), np.asarray(wrong, np.float64)
    n = len(c)
    order = np.argsort(-c, kind='stable')
    _, place, counts = np.unique(-c[order], return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    mean = np.bincount(place, w[order], len(counts)) / np.maximum(counts, 1)
    k = np.arange(1, n + 1)
    return k / max(n, 1), np.cumsum(mean[place]) / k if n else np.zeros(0)


def aurc(confidence: np.ndarray, wrong: np.ndarray) -> float:
    """Mean selective risk over all coverages: the area under the risk-coverage curve."""
    _, risk = risk_curve(confidence, wrong)
    return float(risk.mean()) if len(risk) else float('nan')


def aurc_of_counts(wrong: np.ndarray, count: np.ndarray) -> np.ndarray:
    """:func:`aurc`, shape (...), of answers by confidence, surest first, in k groups of equal confidence.

    Args:
        wrong, count: wrong answers and all answers of each group, whole numbers, shapes (..., k).
    """
    wrong_before, before = np.cumsum(wrong, axis=-1) - wrong, np.cumsum(count, axis=-1) - count
    share = wrong / np.maximum(count, 1)
    # The sum over j = 1..count of (wrong_before + share j) / (before + j), with H(n) = 1 + 1/2 + ... + 1/n.
    total = count.sum(axis=-1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, total.max(initial=0) + 1))])
    numbers = before.astype(np.int64)
    between = harmonic[numbers + count.astype(np.int64)] - harmonic[numbers]
    with np.errstate(invalid='ignore'):
        area: np.ndarray = (wrong + (wrong_before - share * before) * between).sum(axis=-1) / total
    return area


def excess_aurc(confidence: np.ndarray, wrong: np.ndarray) -> float:
    """AURC beyond that of an order that puts every wrong answer last."""
    w = np.asarray(wrong, bool)
    return aurc(confidence, w) - aurc(~w, w)


def accuracy_at_coverage(confidence: np.ndarray, wrong: np.ndarray, coverage: float) -> float:
    """Accuracy of the surest answers that make up ``coverage`` (in (0, 1]) of all, rounded up to whole answers."""
    _, risk = risk_curve(confidence, wrong)
    if not len(risk):
        return float('nan')
    return float(1 - risk[max(1, int(np.ceil(coverage * len(risk) - 1e-9))) - 1])


def coverage_at_risk(confidence: np.ndarray, wrong: np.ndarray, risk: float) -> float:
    """Largest share of answers that a threshold on the confidence lets through with at most this error rate."""
    coverage, risks = risk_curve(confidence, wrong)
    if not len(risks):
        return float('nan')
    ordered = np.sort(-np.asarray(confidence, np.float64))
    threshold = np.append(np.diff(ordered) != 0, True)  # a threshold cannot part equal confidences
    good = np.flatnonzero(threshold & (risks <= risk + 1e-12))
    return float(coverage[good[-1]]) if len(good) else 0.0
