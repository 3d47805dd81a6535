"""What is kept of an interval: sums over its frames, and a few small pictures. Frames themselves are not."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ...core.types import UNCERTAIN, UNKNOWN, Frame
from ...data.selection import perceptual_hash
from ...evaluation.example_frames import thumbnail

STRIP = 8
"""Pictures of a film strip at most."""
STRIP_WIDTH = 448
PROPOSALS = 5
_RUNS = 6


class Seen(NamedTuple):
    """What is known of a frame.

    Attributes:
        frame: it, with its picture.
        feature: float32 (F,), of length 1.
        probabilities: calibrated, float32 (C,).
        decision: of this frame alone: a class name, ``unknown`` or ``uncertain``.
        ood_p: p-value of the score of unknowns; None where the model has none.
        fault: what is wrong with the camera, in words; empty: nothing. Exchanged colours are none: of one picture
            they are not told surely.
        given: the label that the recording has there already; empty: none.
        exchanged: its colours are as if red and blue were exchanged.
    """

    frame: Frame
    feature: np.ndarray
    probabilities: np.ndarray
    decision: str
    ood_p: Optional[float]
    fault: str
    given: str
    exchanged: bool = False

    @property
    def time_ns(self) -> int:
        """Of its stamp."""
        return self.frame.time_ns


class StripFrame(NamedTuple):
    """A picture of the film strip; ``confidence`` is that of the most probable class."""

    stamp_ns: int
    decision: str
    confidence: float
    jpeg: bytes
    hash: int


@dataclass(frozen=True)
class Interval:
    """A stretch of one camera in which neither the decision nor what is seen changes.

    Attributes:
        topic: image topic.
        start_ns, end_ns: it holds for start_ns <= stamp < end_ns.
        frames: that were looked at, n.
        feature: float32 (F,), mean of those of the frames, of length 1.
        hash: 64 bit perceptual hash of the frame in the middle.
        top: numbers of the most probable classes and their mean probabilities, at most :data:`PROPOSALS`.
        unknown, uncertain: frames that were decided so.
        changes: of the decision from a frame to the next.
        runs: the first decisions that followed each other.
        surprise: in [0, 1]: mean over the frames of how far their p-value is below ten times the rate of false
            unknowns, 0 where it is not.
        ood_p: mean p-value; NaN where there is none.
        faults: frames with a fault of the camera.
        fault: the first, in words.
        given: label that the recording has.
        exchanged: frames whose colours are as if red and blue were exchanged.
    """

    topic: str
    start_ns: int
    end_ns: int
    frames: int
    feature: np.ndarray
    hash: int
    top: Tuple[Tuple[int, float], ...]
    unknown: int
    uncertain: int
    changes: int
    runs: Tuple[str, ...]
    surprise: float
    ood_p: float
    faults: int
    fault: str
    given: str
    exchanged: int = 0


@dataclass
class Growing:
    """An interval to which frames are added.

    Args:
        topic: image topic.
        reference_p: p-values below it are surprising.
    """

    topic: str
    reference_p: float
    frames: int = 0
    first_ns: int = 0
    last_ns: int = 0
    decision: str = ''
    given: str = ''
    is_fault: bool = False
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    _feature: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _probabilities: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _decisions: Counter[str] = field(default_factory=Counter)
    _runs: List[str] = field(default_factory=list)
    _before: str = ''
    _changes: int = 0
    _surprise: float = 0.0
    _ood_p: float = 0.0
    _faults: int = 0
    _fault: str = ''
    _exchanged: int = 0
    _strip: Dict[int, StripFrame] = field(default_factory=dict)
    _stride: int = 1

    def add(self, seen: Seen) -> None:
        """Take a frame in."""
        if not self.frames:
            self.first_ns, self.decision, self.given = seen.time_ns, seen.decision, seen.given
            self.is_fault, self._fault, self._before = bool(seen.fault), seen.fault, seen.decision
            self._feature = np.zeros(len(seen.feature))
            self._probabilities = np.zeros(len(seen.probabilities))
        if self.frames % self._stride == 0:
            self._keep(seen)
        self.frames += 1
        self.last_ns = seen.time_ns
        self._feature += seen.feature
        self.mean = (self._feature / max(float(np.linalg.norm(self._feature)), 1e-12)).astype(np.float32)
        self._probabilities += seen.probabilities
        self._decisions[seen.decision] += 1
        self._changes += seen.decision != self._before
        if (not self._runs or seen.decision != self._before) and len(self._runs) < _RUNS:
            self._runs.append(seen.decision)
        self._before = seen.decision
        self._faults += bool(seen.fault)
        self._exchanged += seen.exchanged
        if seen.ood_p is not None:
            self._surprise += max(0.0, 1.0 - seen.ood_p / self.reference_p) if self.reference_p else 0.0
            self._ood_p += seen.ood_p
        else:
            self._ood_p = float('nan')

    def _keep(self, seen: Seen) -> None:
        """Keep the frame's picture; twice as many as the strip takes are thinned to every other one."""
        picture = seen.frame.seen
        jpeg = thumbnail(seen.frame, min(STRIP_WIDTH, picture.width))
        self._strip[self.frames] = StripFrame(seen.time_ns, seen.decision, float(seen.probabilities.max()), jpeg,
                                              perceptual_hash(picture))
        if len(self._strip) > 2 * STRIP:
            self._stride *= 2
            self._strip = {place: one for place, one in self._strip.items() if place % self._stride == 0}

    def closed(self, start_ns: int, end_ns: int) -> Tuple[Interval, List[StripFrame]]:
        """The interval, and the pictures of its film strip, evenly spread over it."""
        n, places = self.frames, list(self._strip)
        wanted = np.unique(np.linspace(0, len(places) - 1, min(STRIP, len(places))).round().astype(int))
        strip = [self._strip[places[place]] for place in wanted]
        p = self._probabilities / n
        best = np.argsort(-p, kind='stable')[:PROPOSALS]
        # Rounded, so that what is written does not tell sums in another order apart.
        top = tuple((int(place), round(float(p[place]), 6)) for place in best)
        return Interval(
            self.topic, start_ns, end_ns, n, self.mean, strip[len(strip) // 2].hash, top, self._decisions[UNKNOWN],
            self._decisions[UNCERTAIN], self._changes, tuple(self._runs), round(self._surprise / n, 6),
            round(self._ood_p / n, 6), self._faults, self._fault, self.given,
            self._exchanged), strip
