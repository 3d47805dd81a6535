"""The threshold that holds a chosen error rate among accepted frames (selective risk control)."""
from dataclasses import dataclass
from math import ceil, log
from typing import Optional

import numpy as np

from ..errors import ConfigError

_THRESHOLDS, _STARTS = 100, 5


@dataclass(frozen=True)
class RiskThreshold:
    """A threshold on the confidence, and what it costs.

    Attributes:
        threshold: least confidence that is accepted; above 1 if none can be.
        coverage: share of the held-out frames that are accepted.
        risk: share of those that are wrong; NaN where none is accepted.
        bound: upper limit of the error rate on frames like these, at confidence 1 - delta.
        accepted, pictures: counts.
    """

    threshold: float
    coverage: float
    risk: float
    bound: float
    accepted: int
    pictures: int


def threshold_for_risk(confidence: np.ndarray, wrong: np.ndarray, risk: float, delta: float = 0.1) -> RiskThreshold:
    """The lowest threshold whose error rate is at most ``risk`` with probability 1 - ``delta``.

    A hundred thresholds are tested by the exact binomial limit, from five of them downwards until one fails: the first
    failure ends it, so that testing many costs nothing, and each start has a fifth of ``delta`` (fixed-sequence testing
    with several starts; Angelopoulos et al. 2021, "Learn then test").

    Args:
        confidence, wrong: shape (n,), of held-out frames that are independent of each other. A confidence below 0 is of
            a frame that no threshold accepts, being called unknown.
        risk: in (0, 1).
        delta: in (0, 1).
    """
    for name, value in (('risk', risk), ('delta', delta)):
        if not 0 < value < 1:
            raise ConfigError(f'{name} must be in (0, 1), got {value!r}')
    order = np.argsort(-np.asarray(confidence, np.float64), kind='stable')
    c, errors = np.asarray(confidence, np.float64)[order], np.cumsum(np.asarray(wrong, bool)[order])
    pictures = len(c)
    c = c[c >= 0]
    share = delta / _STARTS
    least = pictures_for_risk(risk, delta)
    best: Optional[int] = None
    if least <= len(c):
        last_of_value = np.flatnonzero(np.append(np.diff(c) != 0, True))  # equal confidences go together
        # Evenly spread over the frames, fixed before their errors are looked at.
        wanted = np.linspace(least, len(c), _THRESHOLDS).astype(int) - 1
        tested = last_of_value[np.searchsorted(last_of_value, wanted)]
        # The upper limit is at most the risk exactly if so few errors are that improbable under it.
        passed = [binomial_cdf(int(errors[place]), int(place) + 1, risk) <= share for place in tested]
        for start in range(0, _THRESHOLDS, _THRESHOLDS // _STARTS):
            for place in range(start, _THRESHOLDS):
                if not passed[place]:
                    break
                best = max(best or 0, int(tested[place]))
    if best is None:
        return RiskThreshold(float('inf'), 0.0, float('nan'), 1.0, 0, pictures)
    accepted, failed = best + 1, int(errors[best])
    return RiskThreshold(float(c[best]), accepted / pictures, failed / accepted, upper_limit(failed, accepted, share),
                         accepted, pictures)


def one_of_each(objects: np.ndarray, seed: int = 0) -> np.ndarray:
    """The place of one element of each number, drawn at random, ascending, int64 (k,)."""
    order = np.random.default_rng(seed).permutation(len(objects))
    return np.sort(order[np.unique(objects[order], return_index=True)[1]])


def pictures_for_risk(risk: float, delta: float = 0.1) -> int:
    """The fewest frames that can prove an error rate of at most ``risk`` with probability 1 - delta: all right."""
    return ceil(log(delta / _STARTS) / log(1 - risk))


def upper_limit(errors: int, n: int, delta: float) -> float:
    """The error rate at which so few errors among n have the probability ``delta`` (Clopper and Pearson 1934)."""
    if errors >= n:
        return 1.0
    low, high = errors / n, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if binomial_cdf(errors, n, middle) > delta else (low, middle)
    return high


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for n tries with probability p."""
    if p <= 0:
        return 1.0
    if p >= 1:
        return float(k >= n)
    i = np.arange(1, k + 1)
    # ln of n choose i, by its ratio to the one before.
    choose = np.concatenate([[0.0], np.cumsum(np.log(n - i + 1) - np.log(i))])
    i = np.arange(k + 1)
    return float(min(1.0, np.exp(choose + i * log(p) + (n - i) * log(1 - p)).sum()))
