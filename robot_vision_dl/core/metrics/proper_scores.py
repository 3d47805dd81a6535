"""Proper scores of probabilities: negative log-likelihood and Brier score.

Probabilities have the shape (n, C), rows that sum to 1; targets are integers in 0..C-1, shape (n,).
"""
import numpy as np

SMALLEST = float(np.finfo(np.float64).tiny)
"""What a probability of 0 counts as in a logarithm, the least normal float64: -ln of it is 708.4 nats."""


def log_probability(probability: np.ndarray) -> np.ndarray:
    """ln p in nats, of any shape; less than :data:`SMALLEST` counts as that, NaN stays."""
    logarithm: np.ndarray = np.log(np.maximum(np.asarray(probability, np.float64), SMALLEST))
    return logarithm


def of_target(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """p(target) of each row, shape (n,)."""
    own: np.ndarray = probabilities[np.arange(len(targets)), targets]
    return own


def negative_log_likelihood(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean of -ln p(target), nats."""
    return -float(log_probability(of_target(probabilities, targets)).mean())


def brier_scores(sum_of_squares: np.ndarray, p_target: np.ndarray) -> np.ndarray:
    """sum_c (p_c - [c is the target])^2 in 0..2, of each row from sum_c p_c^2 and p(target), shapes (n,)."""
    scores: np.ndarray = sum_of_squares - 2 * p_target + 1
    return scores


def brier(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean of :func:`brier_scores` (Brier 1950)."""
    return float(brier_scores((probabilities ** 2).sum(axis=1), of_target(probabilities, targets)).mean())
