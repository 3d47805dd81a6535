"""Time constants of the fusion from labelled recordings."""
from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np

from .config import FusionConfig
from .errors import RobotVisionError
from .fusion import BayesFilter
from .uncertainty.calibrate import FusionTimes

LEAST_FRAMES = 20
_GRID_S = (0.0, 0.03, 0.1, 0.2, 0.4, 0.7, 1.2, 2.0, 3.5, 6.0, 10.0, 20.0, 40.0)
_CHANGE_RANGE_S = (0.05, 3600.0)


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


def fused(stream: Stream, config: FusionConfig) -> np.ndarray:
    """The filter's posterior after each frame, shape (n, C)."""
    belief = BayesFilter(stream.probabilities.shape[1], config)
    return np.array([belief.update(p, int(t)) for p, t in zip(stream.probabilities, stream.times_ns)])


def change_time_s(streams: Sequence[Stream], reset_gap_s: float = 1.0) -> float:
    """Mean time between changes of the class: time that was watched over changes seen; gaps are not watched.

    Where nothing changed, one change is assumed, so that it is not taken to be impossible.
    """
    watched, changes = 0.0, 0
    for stream in streams:
        steps = np.diff(stream.times_ns) * 1e-9
        near = (steps >= 0) & (steps <= reset_gap_s)
        watched += float(steps[near].sum())
        changes += int((np.diff(stream.labels)[near] != 0).sum())
    return float(np.clip(watched / max(changes, 1), *_CHANGE_RANGE_S))


def fit_fusion(streams: Sequence[Stream], config: Optional[FusionConfig] = None) -> FusionTimes:
    """Time constants of the recordings' errors and changes.

    The change time is counted. The correlation time is the one under which the fused posterior gives the labels the
    largest likelihood, over all frames: what fusing is to be good at. It is found on a grid and then between its
    neighbours by golden section.

    Raises:
        RobotVisionError: there are too few frames in a row.
    """
    streams = [stream for stream in streams if len(stream.labels) > 1]
    if sum(len(stream.labels) for stream in streams) < LEAST_FRAMES:
        raise RobotVisionError(f'fitting the fusion needs recordings with {LEAST_FRAMES} labelled frames at least, got '
                               f'{sum(len(stream.labels) for stream in streams)}')
    base = config or FusionConfig()
    change = change_time_s(streams, base.reset_gap_s)

    def loss(correlation_s: float) -> float:
        settings = base.resolved()
        settings = FusionConfig(correlation_time_s=correlation_s, change_time_s=change,
                                reset_gap_s=settings.reset_gap_s)
        return fused_nll(streams, settings)
    losses: List[float] = [loss(value) for value in _GRID_S]
    place = int(np.argmin(losses))
    low, high = _GRID_S[max(place - 1, 0)], _GRID_S[min(place + 1, len(_GRID_S) - 1)]
    found = _golden_section(loss, low, high)
    best = found if loss(found) < losses[place] else _GRID_S[place]
    return FusionTimes(float(f'{best:.3g}'), float(f'{change:.3g}'))


def fused_nll(streams: Sequence[Stream], config: FusionConfig) -> float:
    """Mean of -ln posterior(label) over all frames, nats."""
    total, count = 0.0, 0
    for stream in streams:
        posterior = fused(stream, config)[np.arange(len(stream.labels)), stream.labels]
        total -= float(np.log(np.maximum(posterior, 1e-12)).sum())
        count += len(posterior)
    return total / count


def _golden_section(loss, low: float, high: float, steps: int = 8) -> float:
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
