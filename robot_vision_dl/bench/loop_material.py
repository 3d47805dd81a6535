"""What ``bench loop`` labels, learns from and judges by: intervals of recordings, divided by recording."""
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..core.errors import DataError
from ..data.labels.labels import LabelledFrame
from ..labelling.mining.intervals import PROPOSALS
from ..labelling.mining.intervals import Interval as MinedInterval
from ..labelling.mining.job import SURPRISING

LEAST_RECORDINGS = 5


class Interval(NamedTuple):
    """A stretch of one camera of one recording that shows one thing.

    Attributes:
        recording: its name.
        topic: image topic.
        start_ns, end_ns: it holds for start_ns <= stamp < end_ns, by header stamps.
    """

    recording: str
    topic: str
    start_ns: int
    end_ns: int


Label = Callable[[Sequence[Interval]], Sequence[str]]
"""Whoever labels: gives a name for each interval; one that is no class (``unknown``, ``ignore``, ``unsure``) is not
learned from."""


class Intervals(NamedTuple):
    """All intervals of some frames.

    Attributes:
        intervals: k of them, in the order of the frames.
        of_frame: number of each frame's interval, int64 (n,).
        true: label of each, as the recordings have it.
    """

    intervals: Tuple[Interval, ...]
    of_frame: np.ndarray
    true: Tuple[str, ...]

    def label_truly(self, intervals: Sequence[Interval]) -> List[str]:
        """A :data:`Label` that is always right."""
        known = dict(zip(self.intervals, self.true))
        return [known[one] for one in intervals]


class Division(NamedTuple):
    """Numbers of intervals, int64, by what their recordings are for.

    Attributes:
        start: labelled from the beginning, and trained on.
        pool: may be labelled.
        calibration: labelled from the beginning, never trained on.
        test: held out, never mined.
    """

    start: np.ndarray
    pool: np.ndarray
    calibration: np.ndarray
    test: np.ndarray


def intervals_of(frames: Sequence[LabelledFrame]) -> Intervals:
    """The tracks of recordings, and where there are none, stretches of one label: cut as a person would.

    Raises:
        DataError: a frame is of no recording.
    """
    numbers: Dict[Tuple[object, ...], int] = {}
    places: List[int] = []
    stamps: List[List[int]] = []
    true: List[str] = []
    keys: List[Tuple[str, str]] = []
    last: Tuple[object, ...] = ()
    run = 0
    for frame in frames:
        if not frame.topic:
            raise DataError(f'{frame.path}: is a picture of no recording, and intervals of recordings are labelled; '
                            '`robot-vision bag synth` makes recordings of pictures')
        here = (frame.recording, frame.topic, frame.label)
        run, last = run + (here != last), here
        key = (*here, frame.track) if frame.track is not None else (*here, run)
        number = numbers.setdefault(key, len(numbers))
        if number == len(stamps):
            stamps.append([])
            true.append(frame.label)
            keys.append((frame.recording, frame.topic))
        stamps[number].append(frame.stamp_ns)
        places.append(number)
    found = tuple(Interval(*key, min(own), max(own) + 1) for key, own in zip(keys, stamps))
    return Intervals(found, np.array(places, np.int64), tuple(true))


def divide_recordings(intervals: Intervals, start: float, calibration: float, test: float, seed: int) -> Division:
    """Whole recordings, drawn by seed.

    Args:
        start, calibration, test: shares of the recordings; what is left is the pool.

    Raises:
        DataError: there are too few recordings.
    """
    of_interval = np.array([one.recording for one in intervals.intervals])
    names = np.unique(of_interval)
    counts = [max(round(share * len(names)), 1) for share in (start, calibration, test)]
    if len(names) < LEAST_RECORDINGS or sum(counts) >= len(names):
        raise DataError(f'{len(names)} recordings: {LEAST_RECORDINGS} are needed at least, and {sum(counts)} are asked '
                        'for as start, calibration and test; give more recordings, or smaller shares')
    order = names[np.random.default_rng(seed).permutation(len(names))]
    parts = np.split(order, np.cumsum(counts))
    first, second, third, rest = (np.flatnonzero(np.isin(of_interval, part)) for part in parts)
    return Division(start=first, pool=rest, calibration=second, test=third)


def interval_of(interval: Interval, features: np.ndarray, probabilities: np.ndarray, p_values: np.ndarray,
                threshold: float, rate: float) -> MinedInterval:
    """An interval as mining sums it up, of what a model says of its frames in the order of time.

    Args:
        features, probabilities, p_values: (n, F), calibrated (n, C), and of "known" (n,).
        threshold: a frame is uncertain below this probability.
        rate: of false unknowns.
    """
    top = probabilities.argmax(axis=1)
    unknown = p_values <= rate
    uncertain = ~unknown & (probabilities.max(axis=1) < threshold)
    decisions = np.where(unknown, -2, np.where(uncertain, -1, top))
    length = np.linalg.norm(features, axis=1, keepdims=True)
    feature = (features / np.maximum(length, 1e-12)).sum(axis=0)
    mean = probabilities.mean(axis=0)
    surprise = np.maximum(0, 1 - p_values / min(1.0, SURPRISING * rate)).mean()
    return MinedInterval(
        topic=interval.topic, start_ns=interval.start_ns, end_ns=interval.end_ns, frames=len(top),
        feature=feature / max(float(np.linalg.norm(feature)), 1e-12), hash=0,
        top=tuple((int(place), float(mean[place])) for place in np.argsort(-mean, kind='stable')[:PROPOSALS]),
        unknown=int(unknown.sum()), uncertain=int(uncertain.sum()), changes=int((np.diff(decisions) != 0).sum()),
        runs=(), surprise=float(surprise), ood_p=float(p_values.mean()), faults=0, fault='', given='')
