"""Conformal sets: the classes that a frame may be, at a promised error rate.

Four ways to rank classes, each with a threshold from calibration pictures:

``lac``        1 - p_c: the smallest sets on average (Sadinle et al. 2019)
``per_class``  the same with a threshold for each class, so that each class has the error rate (Vovk 2012)
``aps``        probability of all classes above c: larger sets for harder pictures (Romano et al. 2020)
``raps``       that plus a penalty for ranks beyond a few, which cuts long tails (Angelopoulos et al. 2021)

A set {c : score_c <= q} holds the true class of an exchangeable picture with probability 1 - alpha at least.
"""
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Optional, Tuple

import numpy as np

from ..errors import BundleError, ConfigError
from ..text.printable import printable

CONFORMAL_METHODS = ('lac', 'per_class', 'aps', 'raps')
_PENALTIES = (0.0, 0.001, 0.01, 0.1, 0.2, 0.5)  # those that the authors of RAPS try, and none
_NO_THRESHOLD = 1e9  # above every score: all classes


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
    p = np.asarray(probabilities, np.float64)
    return min(quantile(1 - p[np.arange(len(p)), labels], alpha), 1.0)


def quantile(scores: np.ndarray, alpha: float) -> float:
    """The ceil((n + 1)(1 - alpha))-th smallest of n scores; 1e9 where n is too small for alpha.

    Raises:
        ConfigError: alpha is not in (0, 1).
    """
    if not 0 < alpha < 1:
        raise ConfigError(f'conformal error rate alpha must be in (0, 1), got {alpha!r}')
    ascending = np.sort(np.asarray(scores, np.float64))
    # The product carries rounding: 10 * (1 - 0.1) must stay rank 9.
    rank = ceil((len(ascending) + 1) * (1 - alpha) - 1e-9)
    return float(ascending[rank - 1]) if rank <= len(ascending) else _NO_THRESHOLD


def lac_set(probabilities: np.ndarray, quantile: float) -> Tuple[Tuple[int, ...], bool]:
    """Classes with 1 - p <= quantile, most probable first, and whether there was none.

    An empty set is defined to be the most probable class.

    Args:
        probabilities: shape (C,).
        quantile: of :func:`lac_quantile`.
    """
    p = np.asarray(probabilities, np.float64)
    return _best_first(p, np.flatnonzero(1 - p <= quantile))


def class_scores(probabilities: np.ndarray, method: str = 'lac', penalty: float = 0.0, free: int = 0,
                 draws: Optional[np.ndarray] = None) -> np.ndarray:
    """Score of each class, float64 (n, C), smaller is more likely.

    Args:
        probabilities: shape (n, C).
        method: of ``CONFORMAL_METHODS``.
        penalty, free: of RAPS: lambda for each rank beyond the first k_reg = ``free``.
        draws: in [0, 1], shape (n,): so much of a class's own probability does not count (APS, RAPS), as its authors
            have it; None: all of it, so that equal pictures have equal sets, and the best class is always in.
    """
    p = np.asarray(probabilities, np.float64)
    if method in ('lac', 'per_class'):
        return 1 - p
    if method not in CONFORMAL_METHODS:
        raise ConfigError(f'no conformal method {method!r}; there are {", ".join(CONFORMAL_METHODS)}')
    order = np.argsort(-p, axis=1, kind='stable')
    descending = np.take_along_axis(p, order, 1)
    own = 1.0 if draws is None else np.asarray(draws)[:, None]
    total = np.minimum(np.cumsum(descending, axis=1), 1.0) - own * descending
    if method == 'raps':
        total = total + penalty * np.maximum(np.arange(1, p.shape[1] + 1) - free, 0)
    scores = np.empty_like(p)
    np.put_along_axis(scores, order, total, 1)
    return scores


@dataclass(frozen=True)
class Conformal:
    """Fitted sets; :func:`fit_conformal` makes them.

    Attributes:
        method: of ``CONFORMAL_METHODS``.
        alpha: error rate in (0, 1).
        thresholds: one number, or for ``per_class`` one a class.
        penalty, free: of RAPS.
    """

    method: str
    alpha: float
    thresholds: Tuple[float, ...]
    penalty: float = 0.0
    free: int = 0

    def __post_init__(self) -> None:
        if self.method not in CONFORMAL_METHODS:
            raise BundleError(f'conformal: no method {printable(repr(self.method), 60)}; there are '
                              f'{", ".join(CONFORMAL_METHODS)}')
        if not 0 < self.alpha < 1 or not self.thresholds or (self.method != 'per_class' and len(self.thresholds) != 1):
            raise BundleError(f'conformal ({self.method}): needs alpha in (0, 1) and one threshold, or one a class for '
                              f'per_class; got {self.alpha!r} and {len(self.thresholds)} threshold(s)')

    @cached_property
    def _limit(self) -> np.ndarray:
        return np.asarray(self.thresholds, np.float64)

    def set_of(self, probabilities: np.ndarray) -> Tuple[Tuple[int, ...], bool]:
        """Classes of a frame's set, most probable first, and whether there was none: then it is the best class.

        Args:
            probabilities: shape (C,).
        """
        if self.method == 'lac':
            return _least_ambiguous(probabilities, self.thresholds[0])
        p = np.asarray(probabilities, np.float64)
        if self.method == 'per_class':
            return _best_first(p, np.flatnonzero(1 - p <= self._limit))
        scores = class_scores(p[None], self.method, self.penalty, self.free)[0]
        return _best_first(p, np.flatnonzero(scores <= self._limit[0]))

    def inside(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes are in the sets of pictures (n, C), bool, as they stand: a set may be empty."""
        inside: np.ndarray = class_scores(probabilities, self.method, self.penalty, self.free) <= self._limit
        return inside


def fit_conformal(probabilities: np.ndarray, labels: np.ndarray, alpha: float, method: str = 'lac',
                  penalty: Optional[float] = None, free: Optional[int] = None, seed: int = 0) -> Conformal:
    """Thresholds from calibration pictures.

    Args:
        probabilities, labels: shapes (n, C) and (n,), of pictures that nothing else was fitted on.
        alpha: error rate in (0, 1).
        method: of ``CONFORMAL_METHODS``.
        penalty, free: of RAPS; None: chosen for the smallest sets on a fifth of the pictures, which then do not count
            for the threshold.
    """
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    if method == 'per_class':
        scores = 1 - p[np.arange(len(p)), y]
        limits = [quantile(scores[y == c], alpha) for c in range(p.shape[1])]
        return Conformal(method, alpha, tuple(limits))
    if method == 'raps' and (penalty is None or free is None):
        order = np.random.default_rng(seed).permutation(len(p))
        tuned, rest = order[:len(p) // 5], order[len(p) // 5:]
        penalty, free = choose_regularisation(p[tuned], y[tuned], alpha)
        p, y = p[rest], y[rest]
    penalty, free = penalty or 0.0, free or 0
    scores = class_scores(p, method, penalty, free)
    return Conformal(method, alpha, (quantile(scores[np.arange(len(p)), y], alpha),), penalty, free)


def choose_regularisation(probabilities: np.ndarray, labels: np.ndarray, alpha: float) -> Tuple[float, int]:
    """Choose lambda and k_reg of RAPS as its authors do: k_reg the quantile of true ranks, lambda for small sets."""
    p = np.asarray(probabilities, np.float64)
    rows = np.arange(len(p))
    ranks = 1 + (p > p[rows, labels][:, None]).sum(axis=1)
    free = int(min(quantile(ranks, alpha), p.shape[1]))

    def mean_size(penalty: float) -> float:
        scores = class_scores(p, 'raps', penalty, free)
        return float((scores <= quantile(scores[rows, labels], alpha)).sum(axis=1).clip(1).mean())
    return min(_PENALTIES, key=mean_size), free


def coverage_and_size(inside: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> Tuple[float, float]:
    """Share of sets that hold the true class, and their mean size, empty sets counted as the best class alone."""
    sets = np.array(inside)
    empty = ~sets.any(axis=1)
    sets[empty, np.asarray(probabilities)[empty].argmax(axis=1)] = True
    return float(sets[np.arange(len(sets)), labels].mean()), float(sets.sum(axis=1).mean())


def _least_ambiguous(probabilities: np.ndarray, limit: float) -> Tuple[Tuple[int, ...], bool]:
    """As :func:`lac_set`, in plain Python, which is quicker where nothing is in the caches."""
    best = int(probabilities.argmax())
    if 1 - float(probabilities[best]) > limit:
        return (best,), True
    # numpy picks the few that may be in; which are is decided in float64.
    places = range(len(probabilities)) if len(probabilities) <= 64 else (
        probabilities >= 1 - limit - 1e-6).nonzero()[0].tolist()
    p = {place: float(probabilities[place]) for place in places}
    inside = [place for place, value in p.items() if 1 - value <= limit]
    return tuple(sorted(inside, key=lambda place: -p[place])), False


def _best_first(p: np.ndarray, inside: np.ndarray) -> Tuple[Tuple[int, ...], bool]:
    if not len(inside):
        return (int(p.argmax()),), True
    return tuple(inside[np.argsort(-p[inside], kind='stable')].tolist()), False
