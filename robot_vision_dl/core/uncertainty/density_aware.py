"""Density-aware calibration: the further a frame is from what the model knows, the less its probabilities claim.

One temperature serves pictures like those that it was fitted to. Where pictures get worse (blur, noise), accuracy
falls, and the temperature does not know of it. Here it is multiplied by a factor that grows with the frame's OOD score,
as by Tomani et al. 2023 ("Beyond In-Domain Scenarios: Robust Density-Aware Calibration"), with one free number.
"""
from dataclasses import dataclass
from math import inf
from typing import List, NamedTuple, Tuple

import numpy as np

from ..errors import BundleError, RobotVisionError
from ..metrics.proper_scores import log_probability, of_target
from .temperature import LEAST_TEMPERED

MOST_EXPONENT = 4.0
LEAST_PICTURES = 50
"""As the camera gives them; to fewer it is not fitted."""
_STEPS = 81
_NO_NUMBER = 1e9  # units beyond the origin, of a score that is not a number
_MOST_LOSS = 0.05  # nats that pictures as they are may lose


@dataclass(frozen=True)
class DensityAware:
    """tau = (1 + max(0, (score - origin) / unit)) ** exponent; probabilities become p ** (1 / tau), made to sum to 1.

    For softmax(z / T) that is softmax(z / (T tau)).

    Attributes:
        origin: OOD score at which tau begins to grow: the median of calibration pictures.
        unit: above 0: from the median to the score that 5 % of calibration pictures exceed.
        exponent: in [0, 4]; 0: tau is always 1.
    """

    origin: float
    unit: float
    exponent: float

    def __post_init__(self) -> None:
        for name, least, most in (('origin', -1e9, 1e9), ('unit', 1e-9, 1e9), ('exponent', 0.0, MOST_EXPONENT)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not least <= value <= most:
                raise BundleError(f'density_aware: {name} must be a number in {least:g}..{most:g}, got {value!r}')

    def tau(self, scores: np.ndarray) -> np.ndarray:
        """Factors (n,), 1 at least, of OOD scores (n,). A score that is not a number counts as the largest."""
        with np.errstate(invalid='ignore', over='ignore'):
            beyond = np.maximum((np.asarray(scores, np.float64) - self.origin) / self.unit, 0)
        tau: np.ndarray = (1 + np.nan_to_num(beyond, nan=_NO_NUMBER, posinf=_NO_NUMBER)) ** self.exponent
        return tau

    def tau_of(self, score: float) -> float:
        """:meth:`tau` of one score, in plain Python, which is quicker where nothing is in the caches."""
        beyond = (score - self.origin) / self.unit
        if beyond <= 0:
            return 1.0
        return float((1 + (beyond if beyond < inf else _NO_NUMBER)) ** self.exponent)

    def moved_to(self, scores: np.ndarray) -> 'DensityAware':
        """The same exponent for pictures of another camera, whose OOD scores are (n,)."""
        return DensityAware(*scale_of(scores), self.exponent)

    def __call__(self, probabilities: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Probabilities (n, C), of their type, of frames with OOD scores (n,)."""
        return tempered(probabilities, self.tau(scores))


def tempered(probabilities: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """p ** (1 / tau) with rows that sum to 1, of probabilities (n, C) and factors (n,)."""
    logs = np.log(np.maximum(probabilities, LEAST_TEMPERED))
    logs /= tau[:, None].astype(logs.dtype)
    logs -= logs.max(axis=1, keepdims=True)
    p: np.ndarray = np.exp(logs)
    p /= p.sum(axis=1, keepdims=True)
    return p


class Judged(NamedTuple):
    """Of n pictures.

    Attributes:
        probabilities: calibrated for pictures in distribution, shape (n, C).
        scores: OOD scores, shape (n,).
        labels: shape (n,).
    """

    probabilities: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def scale_of(scores: np.ndarray) -> Tuple[float, float]:
    """``origin`` and ``unit`` for OOD scores (n,) of calibration pictures."""
    middle, high = (float(one) for one in np.quantile(np.asarray(scores, np.float64), (0.5, 0.95)))
    return middle, max(high - middle, 1e-6 * max(abs(middle), 1.0))


def fit_density_aware(clean: Judged, worse: Judged) -> DensityAware:
    """The exponent with the least negative log-likelihood, half of it on clean pictures and half on worse ones.

    That of clean pictures alone must not rise by more than .05: an exponent that is bought with it would make a model
    timid about what it is for.

    Args:
        clean: pictures as the camera gives them, that took no part in training.
        worse: the same or others after corruptions.

    Raises:
        RobotVisionError: there are none.
    """
    if not len(clean.labels) or not len(worse.labels):
        raise RobotVisionError('density-aware calibration needs pictures as they are and corrupted ones, got '
                               f'{len(clean.labels)} and {len(worse.labels)}')
    middle, unit = scale_of(clean.scores)

    def losses(exponent: float) -> List[float]:
        found = DensityAware(middle, unit, exponent)
        return [-float(log_probability(of_target(found(one.probabilities, one.scores), one.labels)).mean())
                for one in (clean, worse)]
    allowed = losses(0.0)[0] + _MOST_LOSS

    def loss(exponent: float) -> float:
        of_clean, of_worse = losses(exponent)
        return 0.5 * (of_clean + of_worse) if of_clean <= allowed else inf
    exponents = np.linspace(0, MOST_EXPONENT, _STEPS).tolist()
    best = min(exponents, key=loss)
    step = exponents[1]
    exponent = min(np.linspace(max(best - step, 0), min(best + step, MOST_EXPONENT), 21).tolist(), key=loss)
    return DensityAware(middle, unit, round(exponent, 4))
