"""Which frames of a live node are worth a label: see :class:`Doubts`."""
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Deque, Dict, NamedTuple, Optional, Sequence, Set, Tuple

from ..config import RecordDoubtsConfig
from ..types import Outcome

UNCERTAIN, UNKNOWN, FLICKERING, CAMERA_FAULT, RANDOM = 'uncertain', 'unknown', 'flickering', 'camera_fault', 'random'
LONGEST_INTERVAL_S = 60.0
"""Between two frames of a doubt that lasts."""
OVER_AFTER_S = 2.0
"""Frames without a doubt for so long, and the next one is another."""
_OF_OUTCOME = {Outcome.UNCERTAIN: UNCERTAIN, Outcome.UNKNOWN: UNKNOWN}
_MOST_KEYS = 1000


class Decided(NamedTuple):
    """What was decided about a picture, or about an object in it.

    Attributes:
        key: of what was seen: the track of an object; the same for all pictures of a camera.
        label: a class name, ``unknown`` or ``uncertain``.
        outcome: accepted, uncertain or unknown.
    """

    key: str
    label: str
    outcome: Outcome


@dataclass
class _Changes:
    """Of the decisions about one thing."""

    label: str
    seen_s: float
    at_s: Deque[float] = field(default_factory=deque)


@dataclass
class _Doubt:
    """A doubt of one kind about a camera."""

    interval_s: float = 0.0
    written_s: float = float('-inf')
    absent_since_s: Optional[float] = None


@dataclass
class _Camera:
    written_s: float = float('-inf')
    changes: Dict[str, _Changes] = field(default_factory=dict)
    doubts: Dict[str, _Doubt] = field(default_factory=dict)


class Doubts:
    """Chooses frames to be recorded: of each doubt some, not all; and frames at random.

    A doubt that lasts gives a frame at once, then after ``min_interval_s``, and each time after twice as long as
    before, up to :data:`LONGEST_INTERVAL_S`. Frames at random are drawn one by one, whatever else is chosen.

    Args:
        config: may be replaced at any time.
        random: where numbers in 0..1 come from.
    """

    def __init__(self, config: RecordDoubtsConfig, random: Optional[Random] = None) -> None:
        self.config = config
        self._random = random or Random()
        self._cameras: Dict[str, _Camera] = {}

    def reasons(self, camera: str, decided: Sequence[Decided], at_fault: bool, now_s: float) -> Tuple[str, ...]:
        """Why a frame is to be recorded, of the names above; empty: it is not.

        Args:
            camera: its name.
            decided: all decisions about the frame, one unless objects are decided.
            at_fault: the camera is.
            now_s: when it was decided, by a clock that never goes back.
        """
        state = self._cameras.setdefault(camera, _Camera())
        found = self._found(state, decided, at_fault, now_s)
        self._end_doubts(state, found, now_s)
        due = [kind for kind in found if kind in self.config.kinds and self._is_due(state, kind, now_s)]
        reasons = tuple(due) if due and now_s - state.written_s >= self.config.min_interval_s else ()
        for kind in reasons:
            doubt = state.doubts[kind]
            longer = 2 * doubt.interval_s if doubt.written_s > float('-inf') else self.config.min_interval_s
            doubt.interval_s = min(longer, max(LONGEST_INTERVAL_S, self.config.min_interval_s))
            doubt.written_s = state.written_s = now_s
        if self.config.random_share and self._random.random() < self.config.random_share:
            reasons += (RANDOM,)
        return reasons

    @staticmethod
    def _end_doubts(state: _Camera, found: Sequence[str], now_s: float) -> None:
        for kind, doubt in list(state.doubts.items()):
            absent_since_s = doubt.absent_since_s
            if kind not in found:
                doubt.absent_since_s = now_s if absent_since_s is None else absent_since_s
            elif absent_since_s is not None and now_s - absent_since_s >= OVER_AFTER_S:
                state.doubts[kind] = _Doubt()
            else:
                doubt.absent_since_s = None

    def _found(self, state: _Camera, decided: Sequence[Decided], at_fault: bool, now_s: float) -> Sequence[str]:
        if at_fault:  # which says nothing of what is before it
            return [CAMERA_FAULT]
        found: Set[str] = set()
        for one in decided:
            if one.outcome in _OF_OUTCOME:
                found.add(_OF_OUTCOME[one.outcome])
            if self._flickers(state, one, now_s):
                found.add(FLICKERING)
        if len(state.changes) > _MOST_KEYS:  # tracks that are gone
            state.changes = {key: changes for key, changes in state.changes.items()
                             if now_s - changes.seen_s <= self.config.flicker_window_s}
        return [kind for kind in (UNCERTAIN, UNKNOWN, FLICKERING) if kind in found]

    def _flickers(self, state: _Camera, one: Decided, now_s: float) -> bool:
        changes = state.changes.setdefault(one.key, _Changes(one.label, now_s))
        changes.seen_s = now_s
        if one.label != changes.label:
            changes.label = one.label
            changes.at_s.append(now_s)
        while changes.at_s and (now_s - changes.at_s[0] > self.config.flicker_window_s
                                or len(changes.at_s) > self.config.flicker_changes + 1):
            changes.at_s.popleft()
        return len(changes.at_s) > self.config.flicker_changes

    def _is_due(self, state: _Camera, kind: str, now_s: float) -> bool:
        doubt = state.doubts.setdefault(kind, _Doubt())
        return now_s - doubt.written_s >= doubt.interval_s
