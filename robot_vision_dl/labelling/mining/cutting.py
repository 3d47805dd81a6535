"""Where a camera's stream is cut: as frames come, by what they show and what was decided.

An interval ends

- where there is a gap in time,
- where the recording's own label changes, or a fault of the camera begins or ends,
- where what is seen changes: a frame is farther from the mean of the interval (cosine distance of features) than frames
  of one thing are with this camera, and the next one does not come back,
- where the decision changes and stays so for three frames: until then it flickers,
- after the longest length.

A single frame that differs stays in its interval. At most two frames wait for the next to tell. Where something
changes, an interval ends with its last frame and the next one begins with its first: what is between them, which was
not looked at, may show either, and nobody is to learn from it by a label of one. At a gap an interval ends where the
next frame would have been looked at, and after the longest length where the next one begins.
"""
from collections import deque
from typing import Deque, Iterator, List, Optional, Tuple

import numpy as np

from .intervals import Growing, Interval, Seen, StripFrame

CHANGED = 0.18
"""Cosine distance between a frame and the mean of its interval from which on something else is seen, at most.

Two frames a second of a moving camera, two networks: of one object 99 % are within .11 of the next, of two objects 99 %
are farther than .28.
"""
_LEAST_CHANGED, _TIMES_USUAL = 0.05, 6.0
"""A camera that stands still sees less change: then it is so many times the median of the last steps that tells."""
_STEPS, _FEW = 64, 4
_STAYS = 3
_GAP = 4.0  # times the distance of frames
_LEAST_GAP_S = 1.0

Closed = Tuple[Interval, List[StripFrame]]


class Cutter:
    """Cuts the frames of one camera; keeps one interval and at most two frames.

    Args:
        topic: image topic.
        every_s: frames are this far apart, in seconds; 0: not known.
        longest_s: of an interval.
        reference_p: see :class:`~.intervals.Growing`.
    """

    def __init__(self, topic: str, every_s: float, longest_s: float, reference_p: float) -> None:
        self._topic, self._reference_p = topic, reference_p
        self._every_ns = self._period_ns = round(every_s * 1e9)
        self._longest_ns = round(longest_s * 1e9)
        self._growing: Optional[Growing] = None
        self._waiting: List[Seen] = []
        self._last_ns = 0
        self._before: Optional[np.ndarray] = None
        self._steps: Deque[float] = deque(maxlen=_STEPS)
        self._times_ns: Deque[int] = deque(maxlen=_STEPS)
        self._changed = CHANGED

    def add(self, seen: Seen) -> Iterator[Closed]:
        """Take the next frame; gives the intervals that it ends."""
        last_ns = self._waiting[-1].time_ns if self._waiting else self._last_ns
        growing, step_ns = self._growing, seen.time_ns - last_ns
        if growing is not None and not 0 <= step_ns <= self._longest_step_ns():
            yield from self.end()
        elif growing is not None and (seen.given != growing.given or bool(seen.fault) != growing.is_fault):
            yield from self._settle_waiting()
            yield self._close(last_ns + 1)
        elif growing is not None and seen.time_ns - growing.first_ns >= self._longest_ns:
            yield from self._settle_waiting()
            yield self._close(seen.time_ns)
        self._see_step(seen, step_ns if self._before is not None else 0)
        yield from self._take(seen)

    def end(self) -> Iterator[Closed]:
        """No frame follows, or none for a while."""
        yield from self._settle_waiting()
        if self._growing is not None:
            yield self._close(self._last_ns + max(1, self._every_ns or self._period_ns))

    def _see_step(self, seen: Seen, step_ns: int) -> None:
        """How much frames usually differ from the one before, and how far apart they are: a camera may be slow."""
        if step_ns > 0:
            self._times_ns.append(step_ns)
            self._period_ns = max(self._every_ns, sorted(self._times_ns)[len(self._times_ns) // 2])
        if self._before is not None:
            self._steps.append(float(1 - np.dot(seen.feature, self._before)))
        self._before = seen.feature
        if len(self._steps) >= _FEW:
            usual = sorted(self._steps)[len(self._steps) // 2]
            self._changed = min(CHANGED, max(_LEAST_CHANGED, _TIMES_USUAL * usual))

    def _longest_step_ns(self) -> float:
        return max(_LEAST_GAP_S * 1e9, _GAP * self._period_ns)

    def _take(self, seen: Seen) -> Iterator[Closed]:
        growing = self._growing
        if growing is None:
            self._growing = growing = Growing(self._topic, self._reference_p)
        elif self._is_far(seen, growing) or seen.decision != growing.decision:
            self._waiting.append(seen)
            first = self._first_of_change(growing)
            if first is not None:
                yield from self._cut_before(first)
            elif len(self._waiting) >= _STAYS:
                self._put_in(self._waiting.pop(0))
            return
        for one in (*self._waiting, seen):
            self._put_in(one)
        self._waiting = []

    def _is_far(self, seen: Seen, growing: Growing) -> bool:
        return float(1 - np.dot(seen.feature, growing.mean)) > self._changed

    def _first_of_change(self, growing: Growing) -> Optional[int]:
        """Which of the waiting frames is the first of something else; None: not known yet."""
        far = [self._is_far(one, growing) for one in self._waiting]
        if len(far) > 1 and far[-1] and far[-2]:
            return len(far) - 2
        decisions = [one.decision for one in self._waiting[-_STAYS:]]
        if len(decisions) == _STAYS and len(set(decisions)) == 1 and decisions[0] != growing.decision:
            return len(self._waiting) - _STAYS
        return None

    def _cut_before(self, first: int) -> Iterator[Closed]:
        waiting, self._waiting = self._waiting, []
        for one in waiting[:first]:
            self._put_in(one)
        yield self._close(self._last_ns + 1)
        for one in waiting[first:]:
            yield from self._take(one)

    def _settle_waiting(self) -> Iterator[Closed]:
        """Nothing more comes that could tell: the last frames are of something else if they look like it."""
        while self._waiting and self._growing is not None:
            if self._is_far(self._waiting[0], self._growing):
                yield from self._cut_before(0)
            else:
                self._put_in(self._waiting.pop(0))

    def _put_in(self, seen: Seen) -> None:
        assert self._growing is not None
        self._growing.add(seen)
        self._last_ns = seen.time_ns

    def _close(self, end_ns: int) -> Closed:
        growing, self._growing = self._growing, None
        assert growing is not None
        return growing.closed(growing.first_ns, max(end_ns, growing.last_ns + 1))
