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

An AR(1) process goes on through a change of the class, and errors do not: they begin anew with a new thing. Where
calibration bags have told how much frames differ across a change and otherwise, the filter is a mixture of "stayed",
which takes the innovation, and "changed", which takes the whole frame (a switching filter). On synthesised bags of
CIFAR pictures that brought the log-loss of the posterior from .597 to .499, where a single frame has .517.

Whether the camera looks at something of no class is a state beside it, with evidence of its own: see
``e_value.py``.
"""
from math import exp, log
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..config import FALLBACK_CHANGE_TIME_S, FALLBACK_CORRELATION_TIME_S, FusionConfig
from ..errors import ConfigError
from ..suggestions import did_you_mean
from ..text.printable import printable
from ..uncertainty.fusion_times import FusionTimes
from .e_value import OodEvidence, unknown_probability

# Keeps one frame of a saturated softmax from ruling a class out for ever.
SMALLEST_PROBABILITY = 1e-6
# Where a bundle was calibrated on pictures. Without any evidence of changes the filter forgets faster than correlated
# frames teach it, and is worse than single frames: on a real video (one bottle for 40 s, 10 Hz) its NLL was .69, that
# of single frames .31, and with this line, which is about that of synthesised bags of CIFAR-10, .29; on the demo bag
# .83, .64 and .67.
FALLBACK_TIMES = FusionTimes(FALLBACK_CORRELATION_TIME_S, FALLBACK_CHANGE_TIME_S, 8.7, 2.5)


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
    result: np.ndarray = np.log(np.maximum(probabilities, SMALLEST_PROBABILITY))
    if prior is not None:
        result = result - np.log(prior)
    return result


def innovation(current: np.ndarray, previous: np.ndarray, rho: float, share: float = 1.0) -> np.ndarray:
    """``share`` of what a frame tells beyond the one before it: (l_t - rho l_(t-1)) / (1 + rho), shape (C,)."""
    return current * (share / (1.0 + rho)) - previous * (share * rho / (1.0 + rho))


def dissimilarity(p: np.ndarray, q: np.ndarray) -> float:
    """ln of 1 - sum sqrt(p q), the squared Hellinger distance of two predictions (C,); bounded below by ln 1e-4."""
    return _log_distance(np.sqrt(p), np.sqrt(q))


def _log_distance(root_p: np.ndarray, root_q: np.ndarray) -> float:
    return log(1e-4 + max(1.0 - float(root_p @ root_q), 0.0))


def change_evidence(root_p: np.ndarray, root_q: np.ndarray, offset: float, slope: float) -> float:
    """ln of the Bayes factor of "the class changed between these frames" against "it did not".

    What is looked at changes from frame to frame in another way than errors do: a straight line in the
    :func:`dissimilarity`, fitted to calibration bags by logistic regression.

    Args:
        root_p, root_q: square roots of the predictions (C,).
    """
    return offset + slope * _log_distance(root_p, root_q)


def predict(belief: np.ndarray, change: float, expected: Optional[np.ndarray] = None) -> np.ndarray:
    """Belief after time has passed: with probability ``change`` the class became any of the others.

    Args:
        belief: shape (C,), sums to 1.
        change: in [0, 1].
        expected: how probable classes are where nothing has been seen, shape (C,); None: equally. Beliefs drift there.
    """
    classes = belief.shape[0]
    if classes == 1:
        return belief
    # (1-g) b + g (1-b)/(C-1) is (1-h) b + h/C with h = g C/(C-1). More than h = 1, total ignorance, would mean
    # remembering by contradiction.
    forgotten = min(change * classes / (classes - 1), 1.0)
    drifted: np.ndarray = (1.0 - forgotten) * belief + forgotten * (1.0 / classes if expected is None else expected)
    return drifted


def correct(belief: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """The belief (it need not sum to 1) after evidence, log-likelihoods up to a constant: Bayes' rule; shapes (C,)."""
    unnormalised, total = _weighed(belief, np.exp(evidence), evidence)
    return unnormalised / total


def _weighed(belief: np.ndarray, factors: np.ndarray, evidence: np.ndarray) -> Tuple[np.ndarray, float]:
    """The product of a belief and the factors exp(evidence), in their place, up to a constant; and its sum."""
    total = float(belief @ factors)
    factors *= belief
    if 1e-250 < total < 1e250:
        return factors, total
    # Strong evidence, and against what was believed: the product must not vanish.
    log_belief = np.log(np.maximum(belief, 1e-300)) + evidence
    factors = np.exp(log_belief - log_belief.max())
    return factors, float(factors.sum())


class _Evidence(NamedTuple):
    """What is kept of a source's last frame: its log-likelihoods and the square roots of its probabilities, (C,)."""

    time_ns: int
    likelihood: np.ndarray
    root: np.ndarray


class BayesFilter:
    """Belief about what a camera looks at, or what several look at together.

    Args:
        classes: number of classes C.
        config: time constants; may be replaced between frames. -1 stands for the fallback.
        prior: class frequencies the classifier was trained under; None for equal ones.
        times: of the bundle, for the evidence of changes; None: changes are only known to come at a rate.
    """

    def __init__(self, classes: int, config: FusionConfig, prior: Optional[np.ndarray] = None,
                 times: Optional[FusionTimes] = None) -> None:
        self.config = config
        self.times = times
        self._prior = prior
        self._start = np.full(classes, 1.0 / classes) if prior is None else prior.astype(np.float64)
        self._expected: Optional[np.ndarray] = None
        self._belief = self._start
        self._time_ns: Optional[int] = None
        self._sources: Dict[str, _Evidence] = {}
        self._ood_evidence: Dict[str, OodEvidence] = {}
        self._ood_source = ''  # whose frame was the last

    @property
    def config(self) -> FusionConfig:
        """Time constants, resolved."""
        return self._config

    @config.setter
    def config(self, config: FusionConfig) -> None:
        self._config = config.resolved()

    @property
    def times(self) -> Optional[FusionTimes]:
        """What is known of the evidence for changes; may be replaced between frames, as with another model."""
        return self._times

    @times.setter
    def times(self, times: Optional[FusionTimes]) -> None:
        if times is None or times.change_offset is None or times.change_slope is None:
            self._times, self._change_line = None, None
        else:
            self._times, self._change_line = times, (times.change_offset, times.change_slope)

    def reset(self) -> None:
        """Forget all frames; what is expected stays."""
        self._belief = self._start if self._expected is None else self._expected
        self._time_ns = None
        self._sources = {}

    def expect(self, expected: Optional[np.ndarray]) -> None:
        """Take over a prior from elsewhere, a map or another sensor, until the next one.

        What frames have told so far is kept: the belief is multiplied by the new prior over the old one.

        Args:
            expected: shape (C,), above 0, sums to 1; None: back to the start.
        """
        before = self._start if self._expected is None else self._expected
        self._expected = None if expected is None else np.asarray(expected, np.float64)
        after = self._start if self._expected is None else self._expected
        self._belief = correct(self._belief, np.log(after) - np.log(before))

    def update(self, probabilities: np.ndarray, time_ns: int, source: str = '', share: float = 1.0) -> np.ndarray:
        """Take in a frame.

        Args:
            probabilities: calibrated posterior of this frame, shape (C,).
            time_ns: when it was taken, not before the last one of its source.
            source: the camera, where several share the belief; each has its own errors.
            share: how much its evidence counts: 1 for independent cameras; 1/n for n that may be wrong together, which
                gives the geometric mean of their likelihoods.

        Returns:
            the fused posterior, float32, shape (C,), sums to 1.
        """
        probabilities = np.asarray(probabilities, np.float64)
        if not self._config.enabled:
            self.reset()
            if self._expected is None:
                return probabilities.astype(np.float32)
            return correct(self._expected, log_likelihood(probabilities, self._prior)).astype(np.float32)
        frame = _Evidence(time_ns, log_likelihood(probabilities, self._prior), np.sqrt(probabilities))
        gap = self._config.reset_gap_s
        dt_s = None if self._time_ns is None else (time_ns - self._time_ns) * 1e-9
        # Frames of several cameras come a little out of order; further back than that, a recording has begun anew.
        if dt_s is None or dt_s > gap or dt_s < (0 if len(self._sources) < 2 and source in self._sources else -gap):
            self.reset()
            dt_s = 0.0
        before = self._sources.get(source)
        since_s = (time_ns - before.time_ns) * 1e-9 if before else -1.0
        if before is None or not 0 <= since_s <= gap:
            self._belief = correct(self._later(dt_s), share * frame.likelihood)
        else:
            rho = correlation(since_s, self._config.correlation_time_s)
            news = innovation(frame.likelihood, before.likelihood, rho, share)
            if self._change_line is None:
                self._belief = correct(self._later(dt_s), news)
            else:
                evidence = change_evidence(frame.root, before.root, *self._change_line)
                self._belief = self._stay_or_change(frame, evidence, dt_s, news, share)
        self._time_ns = time_ns if self._time_ns is None else max(time_ns, self._time_ns)
        self._sources[source] = frame
        return self._belief.astype(np.float32)

    def _stay_or_change(self, frame: '_Evidence', evidence: float, dt_s: float, news: np.ndarray, share: float
                        ) -> np.ndarray:
        """The belief if the class stayed, and the frame tells its news, or changed, and errors began anew.

        ``evidence`` is that of :func:`change_evidence`.
        """
        if len(self._belief) == 1:
            return self._belief
        chance = max(change_probability(dt_s, self._config.change_time_s), 1e-9)
        odds = log(chance / (1 - chance)) + evidence
        changed = 1 / (1 + exp(-min(max(odds, -50.0), 50.0)))
        others = 1.0 - self._belief
        if self._expected is not None:
            others *= self._expected
        likelihood = frame.likelihood if share == 1 else share * frame.likelihood
        # After a forward pass nothing of this is in the caches: what counts is the number of operations.
        stayed, total = _weighed(self._belief, np.exp(news), news)
        stayed *= (1 - changed) / total
        other, total = _weighed(others, np.exp(likelihood), likelihood)
        other *= changed / total
        stayed += other
        return stayed

    def at(self, time_ns: int) -> np.ndarray:
        """The belief at a moment without a frame that could be used, float32, shape (C,).

        Such moments do not count as frames: if they last for longer than ``reset_gap_s``, the next frame starts afresh.
        """
        if self._time_ns is None:
            return (self._start if self._expected is None else self._expected).astype(np.float32)
        return self._later((time_ns - self._time_ns) * 1e-9).astype(np.float32)

    def _later(self, dt_s: float) -> np.ndarray:
        return predict(self._belief, change_probability(dt_s, self._config.change_time_s), self._expected)

    def update_ood(self, p_value: float, time_ns: int, source: str = '') -> None:
        """Take in how far out of distribution a frame is; see :class:`~.decision.e_value.OodEvidence`."""
        state = self._ood_evidence.setdefault(source, OodEvidence())
        self._ood_source = source
        state.update(p_value, time_ns, self._config.unknown_time_s if self._config.enabled else 0.0,
                     self._config.reset_gap_s)

    def unknown_probability(self, epsilon: float) -> float:
        """Posterior of the unknown at an accepted rate epsilon of false unknowns, in [0, 1].

        The mean over the cameras that share the belief: a mean of e-values is one, however they depend on each other.
        What a camera saw counts for ``reset_gap_s``: one that is covered or gone says nothing of what the others see
        later. Without fusion the last frame stands alone.
        """
        last = self._ood_evidence.get(self._ood_source)
        if last is None:
            return 0.0
        gap_ns = self._config.reset_gap_s * 1e9 if self._config.enabled else -1
        evidence = [state.evidence for state in self._ood_evidence.values() if state.evidence is not None
                    and (state is last or abs(last.time_ns - state.time_ns) <= gap_ns)]
        return unknown_probability(sum(evidence) / len(evidence), epsilon)


def expected_from(named: Mapping[str, float], class_names: Sequence[str]) -> np.ndarray:
    """A prior (C,) from the probabilities of some classes; the others share what is left.

    No class is ruled out: each keeps ``SMALLEST_PROBABILITY`` at least.

    Raises:
        ConfigError: a name is not a class, a probability is not in 0..1, or they sum to more than 1.
    """
    for name, probability in named.items():
        if name not in class_names:
            shown = printable(repr(name), 80)
            raise ConfigError(f'prior: {shown} is not a class of the model; '
                              f'{printable(did_you_mean(name[:80], class_names))}')
        if not 0 <= probability <= 1:  # false for NaN
            raise ConfigError(f'prior: the probability of {printable(repr(name), 80)} must be in 0..1, got '
                              f'{probability!r}')
    total = sum(named.values())
    if total > 1 + 1e-3:
        raise ConfigError(f'prior: the probabilities sum to {total:.3f}, which is more than 1')
    left = max(1.0 - total, 0.0) / max(len(class_names) - len(named), 1)
    expected = np.maximum([named.get(name, left) for name in class_names], SMALLEST_PROBABILITY)
    prior: np.ndarray = expected / expected.sum()
    return prior
