"""Temperature scaling: one number that makes a network's probabilities honest."""
from math import inf, log
from typing import List, Optional, Sequence, Tuple

import numpy as np

from ..errors import RobotVisionError
from .entropy import over_ln

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
# Of ln T around 0. A factor of 2 costs 1 nat and a factor of 20 costs 18, over all pictures together: as much as a few
# of them tell, and nothing beside a few hundred.
PRIOR_SPREAD = 0.5
LEAST_TEMPERED = 1e-30
"""Of a probability: float32 has no smaller ones to take the logarithm of."""


def calibrated_softmax(logits: np.ndarray, temperature: Optional[float], dtype: type = np.float32) -> np.ndarray:
    """softmax(z / T) in float32, or in another type.

    Args:
        logits: shape (..., C), finite.
        temperature: T > 0; None: 1, the plain softmax of an uncalibrated model.
        dtype: of the arithmetic and of the result.

    Returns:
        Probabilities of the same shape, each row sums to 1.
    """
    p: np.ndarray = np.exp(below_highest(np.asarray(logits, dtype)) / (temperature or 1.0))
    p /= p.sum(axis=-1, keepdims=True)
    return p


def below_highest(logits: np.ndarray) -> np.ndarray:
    """Logits (..., C) minus the largest of their row, which changes no prediction; then exp cannot overflow."""
    below: np.ndarray = logits - logits.max(axis=-1, keepdims=True)
    return below


def softmax_and_entropy(logits: np.ndarray, temperature: Optional[float], tau: Optional[Sequence[float]] = None
                        ) -> Tuple[np.ndarray, List[float]]:
    """:func:`calibrated_softmax` (B, C), and the entropy of each row over ln C, in [0, 1].

    For every frame, with as few operations as that takes.

    Args:
        logits: float32, shape (B, C), finite, of :func:`below_highest`.
        tau: a factor of the temperature for each row, by which probabilities claim less; no probability counts as less
            than ``LEAST_TEMPERED`` then, as in :func:`~.density_aware.tempered`. None: 1.
    """
    z = logits / (temperature or 1.0)
    p = np.exp(z)
    if tau is not None:
        lowest = [log(LEAST_TEMPERED * total) for total in np.add.reduce(p, axis=1).tolist()]
        factors = np.array([lowest, tau], np.float32)[:, :, None]
        np.maximum(z, factors[0], out=z)
        z /= factors[1]
        np.exp(z, out=p)
    totals = np.add.reduce(p, axis=1)
    p /= totals[:, None]
    means = np.add.reduce(np.multiply(z, p, out=z), axis=1)
    # ln p is z - ln(total).
    return p, [over_ln(log(total) - mean, z.shape[1]) for total, mean in zip(totals.tolist(), means.tolist())]


def fit_temperature(logits: np.ndarray, labels: np.ndarray, spread: float = inf, usual: float = 1.0) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017), or the most probable one.

    The likelihood is convex in b = 1/T: its slope is E_p[z] - z_label, its curvature Var_p[z]. The slope's root is
    found by Newton's method within a bracket, in float64. With a prior, ln T is Gaussian around ``ln usual``.

    Args:
        logits: shape (n, C) of pictures that took no part in training.
        labels: shape (n,), integers in 0..C-1.
        spread: standard deviation of ln T in the prior, see ``PRIOR_SPREAD``; infinite: no prior.
        usual: the temperature that is most probable before any picture.

    Returns:
        T in [0.05, 20]; without a prior a bound, where the likelihood grows beyond it (all pictures right, or no better
        than chance).

    Raises:
        RobotVisionError: no pictures, logits that are not finite, or labels out of range.
    """
    z = np.asarray(logits, np.float64)
    y = np.asarray(labels)
    if z.ndim != 2 or len(z) == 0 or y.shape != (len(z),):
        raise RobotVisionError(f'fitting a temperature needs logits (n, C) and labels (n,), n > 0, got {z.shape} and '
                               f'{y.shape}')
    if not np.isfinite(z).all():
        raise RobotVisionError('fitting a temperature: some logits are not finite')
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise RobotVisionError(f'fitting a temperature: labels must be in 0..{z.shape[1] - 1}, got '
                               f'{y.min()}..{y.max()}')
    z = z - z.max(axis=1, keepdims=True)
    z_label = z[np.arange(len(z)), y]
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    weight = 1 / (len(z) * spread ** 2)

    def slope_and_curvature(b: float) -> Tuple[float, float]:
        p = np.exp(b * z)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        log_b = log(b * usual)  # of the prior (ln b usual)^2 / (2 n spread^2)
        return (float(np.mean(mean - z_label)) + weight * log_b / b,
                float(np.mean((p * z ** 2).sum(axis=1) - mean ** 2)) + weight * (1 - log_b) / b ** 2)

    if slope_and_curvature(low)[0] >= 0:
        return MAX_TEMPERATURE
    if slope_and_curvature(high)[0] <= 0:
        return MIN_TEMPERATURE
    b = min(max(1 / usual, low), high)
    for _ in range(100):
        slope, curvature = slope_and_curvature(b)
        low, high = (b, high) if slope < 0 else (low, b)
        step = b - slope / curvature if curvature > 0 else low
        after = step if low < step < high else 0.5 * (low + high)
        if abs(after - b) <= 1e-12 * b:
            break
        b = after
    return float(1 / b)
