"""Recursive Bayes filter over the frames of one camera.

The class that a camera looks at is the hidden state of a Markov chain; each frame's calibrated posterior, divided by
the prior it was trained under, is its likelihood. Neighbouring frames of a video share their errors, so multiplying
their likelihoods as if they were independent makes the result overconfident. The errors of the log-likelihoods l are
taken to be a first-order autoregressive process with correlation rho = exp(-dt / correlation_time); what frame t tells
beyond frame t-1 is then its innovation,

    (l_t - rho l_(t-1)) / (1 + rho),

which is the log-likelihood ratio of Gaussian classes under AR(1) noise (generalised least squares; Box and Jenkins). Of
frames that say the same, each counts (1 - rho) / (1 + rho), the effective sample size of such a process; a frame that
says something new counts at once. Forgetting and correlation are functions of time, not of the number of frames, so a
camera at 5 Hz and one at 60 Hz come to the same belief.
"""
from math import exp
from typing import Optional

import numpy as np

from .config import FusionConfig

# Keeps one frame of a saturated softmax from ruling a class out for ever.
SMALLEST_PROBABILITY = 1e-6


def change_probability(dt_s: float, change_time_s: float) -> float:
    """Chance that the class changed within ``dt_s``, if changes arrive as a Poisson process. In [0, 1)."""
    return 1.0 - exp(-max(dt_s, 0.0) / change_time_s)


def correlation(dt_s: float, correlation_time_s: float) -> float:
    """rho of two frames ``dt_s`` apart, in [0, 1]."""
    return exp(-max(dt_s, 0.0) / correlation_time_s) if correlation_time_s > 0 else 0.0


def log_likelihood(probabilities: np.ndarray, prior: Optional[np.ndarray] = None) -> np.ndarray:
    """ln (probabilities / prior), shape (C,), up to a constant; no class is ever ruled out.

    Args:
        probabilities: calibrated posterior of a frame, shape (C,), sums to 1.
        prior: class frequencies the classifier was trained under; None for equal ones.
    """
    result = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    return result if prior is None else result - np.log(prior)


def innovation(current: np.ndarray, previous: np.ndarray, rho: float) -> np.ndarray:
    """What a frame tells beyond the one before it: (l_t - rho l_(t-1)) / (1 + rho), shape (C,)."""
    return (current - rho * previous) / (1.0 + rho)


def predict(belief: np.ndarray, change: float) -> np.ndarray:
    """Belief after time has passed: with probability ``change`` the class became any of the others.

    Args:
        belief: shape (C,), sums to 1.
        change: in [0, 1].
    """
    classes = belief.shape[0]
    if classes == 1:
        return belief
    # Sums over the others; a change of C-1/C is total ignorance, more would mean remembering by contradiction.
    change = min(change, (classes - 1) / classes)
    return (1.0 - change) * belief + change * (1.0 - belief) / (classes - 1)


def correct(belief: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Belief after evidence (log-likelihoods up to a constant) was seen: Bayes' rule; shapes (C,)."""
    log_belief = np.log(np.maximum(belief, 1e-300)) + evidence
    unnormalised = np.exp(log_belief - log_belief.max())
    return unnormalised / unnormalised.sum()


class BayesFilter:
    """Belief about what one camera looks at.

    Args:
        classes: number of classes C.
        config: time constants; may be replaced between frames.
        prior: see :func:`correct`.
    """

    def __init__(self, classes: int, config: FusionConfig, prior: Optional[np.ndarray] = None):
        self.config = config
        self._prior = prior
        self._start = np.full(classes, 1.0 / classes) if prior is None else prior.astype(np.float64)
        self._belief = self._start
        self._time_ns: Optional[int] = None
        self._previous: Optional[np.ndarray] = None

    def reset(self) -> None:
        """Forget all frames."""
        self._belief = self._start
        self._time_ns = None

    def update(self, probabilities: np.ndarray, time_ns: int) -> np.ndarray:
        """Take in a frame.

        Args:
            probabilities: calibrated posterior of this frame, shape (C,).
            time_ns: when it was taken, not before the last one.

        Returns:
            the fused posterior, float32, shape (C,), sums to 1.
        """
        probabilities = np.asarray(probabilities, np.float64)
        if not self.config.enabled:
            self.reset()
            return probabilities.astype(np.float32)
        likelihood = log_likelihood(probabilities, self._prior)
        dt_s = None if self._time_ns is None else (time_ns - self._time_ns) * 1e-9
        if dt_s is None or not 0 <= dt_s <= self.config.reset_gap_s:
            self.reset()
            evidence = likelihood
        else:
            evidence = innovation(likelihood, self._previous, correlation(dt_s, self.config.correlation_time_s))
            self._belief = predict(self._belief, change_probability(dt_s, self.config.change_time_s))
        self._time_ns, self._previous = time_ns, likelihood
        self._belief = correct(self._belief, evidence)
        return self._belief.astype(np.float32)

    def at(self, time_ns: int) -> np.ndarray:
        """The belief at a moment without a frame that could be used, float32, shape (C,).

        Such moments do not count as frames: if they last for longer than ``reset_gap_s``, the next frame starts afresh.
        """
        if self._time_ns is None:
            return self._start.astype(np.float32)
        change = change_probability((time_ns - self._time_ns) * 1e-9, self.config.change_time_s)
        return predict(self._belief, change).astype(np.float32)
