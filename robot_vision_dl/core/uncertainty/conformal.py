"""Conformal sets: the classes that a frame may be, at a promised error rate."""
from math import ceil
from typing import Tuple

import numpy as np

from ..errors import ConfigError


def lac_quantile(probabilities: np.ndarray, labels: np.ndarray, alpha: float) -> float:
    """The threshold q of least ambiguous sets (Sadinle et al. 2019).

    It is the ceil((n + 1)(1 - alpha))-th smallest of the scores 1 - p(label): a set {c : 1 - p_c <= q} then holds the
    true class of an exchangeable picture with probability 1 - alpha at least.

    Args:
        probabilities: shape (n, C), of calibration pictures.
        labels: shape (n,), integers.
        alpha: error rate in (0, 1).

    Returns:
        q in [0, 1]; 1, which is every class, where n is too small for alpha.
    """
    if not 0 < alpha < 1:
        raise ConfigError(f'conformal error rate alpha must be in (0, 1), got {alpha!r}')
    p = np.asarray(probabilities, np.float64)
    scores = np.sort(1 - p[np.arange(len(p)), labels])
    # The product carries rounding: 10 * (1 - 0.1) must stay rank 9.
    rank = ceil((len(scores) + 1) * (1 - alpha) - 1e-9)
    return float(scores[rank - 1]) if rank <= len(scores) else 1.0


def lac_set(probabilities: np.ndarray, quantile: float) -> Tuple[Tuple[int, ...], bool]:
    """Classes with 1 - p <= quantile, most probable first, and whether there was none.

    An empty set is defined to be the most probable class.

    Args:
        probabilities: shape (C,).
        quantile: of :func:`lac_quantile`.
    """
    p = np.asarray(probabilities, np.float64)
    inside = np.flatnonzero(1 - p <= quantile)
    if not len(inside):
        return (int(p.argmax()),), True
    return tuple(inside[np.argsort(-p[inside], kind='stable')].tolist()), False
