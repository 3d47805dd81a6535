"""Conformal sets for streams that drift, where labels come later: the error rate is steered (Gibbs and Candes 2021)."""
from collections import deque
from typing import Deque, Tuple

import numpy as np

from ..errors import ConfigError
from .conformal import class_scores, quantile


class AdaptiveConformal:
    """Keeps the share of sets that miss the true class at ``alpha`` over any long stretch, whatever the stream does.

    After each label, the level moves by ``gamma`` (alpha - [missed]); the mean error over t frames is then within
    (max(alpha_1, 1 - alpha_1) + gamma) / (gamma t) of alpha (proposition 4.1).

    Args:
        alpha: error rate in (0, 1) that is to be held.
        gamma: step; .005 for slow drift, more follows faster and makes sets vary.
        method, penalty, free: see :func:`~.conformal.class_scores`; not ``per_class``.
        window: so many of the newest scores make the thresholds.
    """

    def __init__(self, alpha: float, gamma: float = 0.005, method: str = 'lac', penalty: float = 0.0, free: int = 0,
                 window: int = 1000) -> None:
        if not 0 < alpha < 1 or not gamma > 0:
            raise ConfigError(f'adaptive conformal sets need alpha in (0, 1) and gamma above 0, got {alpha} and '
                              f'{gamma}')
        if method == 'per_class':
            raise ConfigError('adaptive conformal sets: per_class has no stream of its own; use lac, aps or raps')
        self.alpha, self.gamma = alpha, gamma
        self.level = alpha
        self._method, self._penalty, self._free = method, penalty, free
        self._scores: Deque[float] = deque(maxlen=window)

    def begin_with(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Take in calibration pictures (n, C), (n,), so that the first sets have thresholds."""
        scores = class_scores(probabilities, self._method, self._penalty, self._free)
        self._scores.extend(scores[np.arange(len(scores)), labels].tolist())

    def set_of(self, probabilities: np.ndarray) -> Tuple[int, ...]:
        """Classes of the set, most probable first; empty where the level is at 1 or above, all where at 0 or below.

        Args:
            probabilities: of one frame, shape (C,).
        """
        p = np.asarray(probabilities, np.float64)
        order = np.argsort(-p, kind='stable')
        if self.level <= 0:
            return tuple(order.tolist())
        if self.level >= 1:
            return ()
        limit = quantile(np.array(self._scores), self.level)
        scores = class_scores(p[None], self._method, self._penalty, self._free)[0]
        return tuple(order[scores[order] <= limit].tolist())

    def learn(self, probabilities: np.ndarray, label: int) -> bool:
        """Take in the true class of a frame; whether its set, with today's threshold, holds it.

        Args:
            probabilities: of the frame, shape (C,).
            label: its class.
        """
        held = label in self.set_of(probabilities)
        self.level += self.gamma * (self.alpha - (not held))
        score = class_scores(np.asarray(probabilities)[None], self._method, self._penalty, self._free)[0, label]
        self._scores.append(float(score))
        return held
