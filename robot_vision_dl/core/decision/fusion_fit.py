"""Time constants of the fusion from labelled recordings."""
from dataclasses import dataclass, replace
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..config import FusionConfig
from ..errors import RobotVisionError
from ..metrics.proper_scores import negative_log_likelihood
from ..uncertainty.fusion_times import FusionTimes
from .fusion import FALLBACK_TIMES, BayesFilter, dissimilarity

LEAST_FRAMES = 20
LEAST_CHANGES = 10
_GRID_S = (0.0, 0.05, 0.15, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 25.0, 60.0)
_CHANGE_RANGE_S = (0.05, 3600.0)
_LOG_TIME_SPREAD = 1.5  # of the prior: a factor of 4.5 costs half a nat, over all frames together
_MOST_GROUPS = 5


@dataclass(frozen=True)
class Stream:
    """Frames of one camera in the order they were taken.

    Attributes:
        times_ns: int64 (n,), ascending.
        probabilities: calibrated, of each frame alone, shape (n, C).
        labels: int64 (n,), classes.
    """

    times_ns: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray


def fused(stream: Stream, config: FusionConfig, times: Optional[FusionTimes] = None) -> np.ndarray:
    """The filter's posterior after each frame, shape (n, C); ``times`` as for :class:`~.fusion.BayesFilter`."""
    belief = BayesFilter(stream.probabilities.shape[1], config, times=times)
    return np.array([belief.update(p, int(t)) for p, t in zip(stream.probabilities, stream.times_ns)])


def change_time_s(streams: Sequence[Stream], reset_gap_s: float = 1.0) -> float:
    """Mean time between changes of the class: time that was watched over changes seen; gaps are not watched.

    One change in the time that is usual is added to what was seen, so that a few frames do not say much, and what was
    never seen is not taken to be impossible.
    """
    watched, changes = FALLBACK_TIMES.change_time_s, 1
    for stream in streams:
        steps = np.diff(stream.times_ns) * 1e-9
        near = (steps >= 0) & (steps <= reset_gap_s)
        watched += float(steps[near].sum())
        changes += int((np.diff(stream.labels)[near] != 0).sum())
    return float(np.clip(watched / changes, *_CHANGE_RANGE_S))


def fit_change_evidence(streams: Sequence[Stream], reset_gap_s: float = 1.0) -> Optional[Tuple[float, float]]:
    """Offset and slope of :func:`~.fusion.change_evidence` by logistic regression over pairs of neighbouring frames.

    None where fewer than ``LEAST_CHANGES`` changes were seen, or the pairs tell nothing. The line is that of the frame
    rate of the recordings; at another rate it is off a little.
    """
    x: List[float] = []
    changed: List[bool] = []
    for stream in streams:
        steps = np.diff(stream.times_ns) * 1e-9
        for place in np.flatnonzero((steps >= 0) & (steps <= reset_gap_s)).tolist():
            x.append(dissimilarity(stream.probabilities[place + 1], stream.probabilities[place]))
            changed.append(bool(stream.labels[place + 1] != stream.labels[place]))
    y = np.array(changed, float)
    if not LEAST_CHANGES <= y.sum() <= len(y) - LEAST_CHANGES:
        return None
    mean, spread = float(np.mean(x)), max(float(np.std(x)), 1e-9)
    offset, slope = logistic_line((np.array(x) - mean) / spread, y)
    slope /= spread
    offset -= slope * mean + np.log(y.mean() / (1 - y.mean()))
    return (float(f'{offset:.4g}'), float(f'{slope:.4g}')) if slope > 0 else None


def logistic_line(x: np.ndarray, y: np.ndarray, ridge: float = 1e-2) -> Tuple[float, float]:
    """a and b that maximise the likelihood of P(y = 1) = 1 / (1 + exp(-a - b x)), by damped Newton steps.

    Args:
        x, y: shape (n,); y is 0 or 1.
        ridge: keeps a line that tells all apart from growing for ever: half of it times a^2 + b^2 is added.
    """
    design = np.stack([np.ones(len(x)), x], axis=1)
    weights = np.array([np.log(y.mean() / (1 - y.mean())), 0.0])

    def loss(w: np.ndarray) -> float:
        z = design @ w
        return float(np.logaddexp(0, z).sum() - y @ z + 0.5 * ridge * w @ w)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        gradient = design.T @ (p - y) + ridge * weights
        step = np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + ridge * np.eye(2), gradient)
        before, size = loss(weights), 1.0
        while loss(weights - size * step) > before and size > 1e-6:
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def fit_fusion(streams: Sequence[Stream], config: Optional[FusionConfig] = None) -> FusionTimes:
    """Time constants of the recordings' errors and changes.

    The change time is counted. The correlation time is the one under which the fused posterior gives the labels the
    largest likelihood, over all frames: what fusing is to be good at. It is found on a grid and then between its
    neighbours by golden section. Both have a prior at the general times, worth a few frames.

    Raises:
        RobotVisionError: there are too few frames in a row.
    """
    streams = [stream for stream in streams if len(stream.labels) > 1]
    if sum(len(stream.labels) for stream in streams) < LEAST_FRAMES:
        raise RobotVisionError(f'fitting the fusion needs recordings with {LEAST_FRAMES} labelled frames at least, got '
                               f'{sum(len(stream.labels) for stream in streams)}')
    base = config or FusionConfig()
    frames = sum(len(stream.labels) for stream in streams)
    change = change_time_s(streams, base.reset_gap_s)
    found = []
    generic = FALLBACK_TIMES.change_offset, FALLBACK_TIMES.change_slope
    own = fit_change_evidence(streams, base.reset_gap_s)
    for evidence in (None, generic) if own is None else (None, own):
        times = FusionTimes(0.0, change, *(evidence or ()))

        def loss(correlation_s: float, times: FusionTimes = times) -> float:
            settings = replace(base, correlation_time_s=correlation_s, change_time_s=change)
            return fused_nll(streams, settings, times) + _prior(correlation_s) / frames
        least, best = _minimum(loss)
        found.append((least, times._replace(correlation_time_s=float(f'{best:.3g}'),
                                            change_time_s=float(f'{change:.3g}'))))
    return min(found, key=lambda item: item[0])[1]


def _prior(correlation_s: float) -> float:
    """-ln of the prior of a correlation time: Gaussian in its logarithm around the general one."""
    floor = 0.05  # below this all times are the same
    ratio = (correlation_s + floor) / (FALLBACK_TIMES.correlation_time_s + floor)
    return float(0.5 * (np.log(ratio) / _LOG_TIME_SPREAD) ** 2)


class KeptTimes(NamedTuple):
    """What :func:`keep_fusion` came to.

    Attributes:
        times: fitted to all streams; None: the general ones stay.
        nll, nll_general: of the fused posteriors by cross-validation, with times fitted to the other recordings and
            with the general ones.
        note: a sentence where the general ones stay; else empty.
    """

    times: Optional[FusionTimes]
    nll: float
    nll_general: float
    note: str


def keep_fusion(streams: Sequence[Stream], config: Optional[FusionConfig] = None) -> KeptTimes:
    """Fit the times, and keep them unless other recordings say that the general times are better.

    Each of at most five groups of recordings is judged by what was fitted to the others; of a single recording, each
    half by the other.

    Raises:
        RobotVisionError: there are too few frames in a row.
    """
    streams = [stream for stream in streams if len(stream.labels) > 1]
    found = fit_fusion(streams, config)
    parts = streams if len(streams) > 1 else _halves(streams[0])
    groups = [parts[number::_MOST_GROUPS] for number in range(min(len(parts), _MOST_GROUPS))]
    base = config or FusionConfig()
    own = general = count = 0.0
    for number, judged in enumerate(groups):
        others = [stream for other, group in enumerate(groups) if other != number for stream in group]
        if sum(len(stream.labels) for stream in others) < LEAST_FRAMES:
            return KeptTimes(None, np.nan, np.nan, 'the general times of the fusion stay: the recordings are too few '
                             'to see whether their own are better on another')
        frames = sum(len(stream.labels) for stream in judged)
        own += frames * _nll(judged, base, fit_fusion(others, config))
        general += frames * _nll(judged, base, FALLBACK_TIMES)
        count += frames
    if own > general:
        return KeptTimes(None, own / count, general / count, 'the general times of the fusion stay: by '
                         f'cross-validation over {len(groups)} recordings or parts, times of their own make the '
                         f'negative log-likelihood of fused frames worse, {general / count:.4f} -> {own / count:.4f}')
    return KeptTimes(found, own / count, general / count, '')


def _nll(streams: Sequence[Stream], base: FusionConfig, times: FusionTimes) -> float:
    return fused_nll(streams, base.resolved(times.correlation_time_s, times.change_time_s), times)


def _halves(stream: Stream) -> List[Stream]:
    middle = len(stream.labels) // 2
    return [Stream(stream.times_ns[part], stream.probabilities[part], stream.labels[part])
            for part in (slice(None, middle), slice(middle, None))]


def _minimum(loss: Callable[[float], float]) -> Tuple[float, float]:
    """The least loss and the correlation time that has it."""
    losses: List[float] = [loss(value) for value in _GRID_S]
    place = int(np.argmin(losses))
    low, high = _GRID_S[max(place - 1, 0)], _GRID_S[min(place + 1, len(_GRID_S) - 1)]
    between = _golden_section(loss, low, high)
    return min((losses[place], _GRID_S[place]), (loss(between), between))


def fused_nll(streams: Sequence[Stream], config: FusionConfig, times: Optional[FusionTimes] = None) -> float:
    """Mean of -ln posterior(label) over all frames, nats."""
    total, count = 0.0, 0
    for stream in streams:
        total += negative_log_likelihood(fused(stream, config, times), stream.labels) * len(stream.labels)
        count += len(stream.labels)
    return total / count


def _golden_section(loss: Callable[[float], float], low: float, high: float, steps: int = 6) -> float:
    """Where a function with one valley in [low, high] is least."""
    ratio = (5 ** 0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(steps):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return left if at_left < at_right else right
