"""Entropy of a prediction, split into what more data could not change and what it could."""
from math import log
from typing import NamedTuple

import numpy as np

_TINY = 1e-38  # so that 0 ln 0 = 0


class Entropies(NamedTuple):
    """Each of shape (B,), divided by ln C, so in [0, 1].

    Attributes:
        predictive: H[mean p], the total uncertainty.
        expected: mean H[p], aleatoric: what the members agree on.
        mutual_information: predictive - expected, epistemic: what the members disagree on; 0 for one member.
    """

    predictive: np.ndarray
    expected: np.ndarray
    mutual_information: np.ndarray


def normalised_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy over ln C of each row (..., C), in [0, 1]; shape (...)."""
    classes = probabilities.shape[-1]
    scale = -1 / log(classes) if classes > 1 else 0.0
    entropy = (probabilities * np.log(np.maximum(probabilities, _TINY))).sum(axis=-1)
    # Rounding can take a uniform prediction past 1.
    within: np.ndarray = np.minimum(np.maximum(entropy * scale, 0), 1)
    return within


def over_ln(entropy: float, classes: int) -> float:
    """An entropy in nats over ln C, in [0, 1]: rounding can take it past these."""
    return min(max(entropy / log(classes), 0.0), 1.0) if classes > 1 else 0.0


def normalised_entropies(probabilities: np.ndarray) -> Entropies:
    """Entropies of the mean of M predictions (Depeweg et al. 2018).

    Args:
        probabilities: shape (M, B, C), or (B, C) for one member; rows sum to 1.
    """
    if probabilities.ndim == 2:
        alone = normalised_entropy(probabilities)
        return Entropies(alone, alone, np.zeros_like(alone))
    predictive = normalised_entropy(probabilities.mean(axis=0))
    expected = np.minimum(normalised_entropy(probabilities).mean(axis=0), predictive)
    return Entropies(predictive, expected, predictive - expected)
