"""Where people cut the time of one camera."""
from bisect import bisect_left, bisect_right, insort
from typing import Dict, List, Set

from .event import Action, Stretch


class Cuts:
    """Times at which at least one event cuts that holds."""

    def __init__(self) -> None:
        """Begin without cuts."""
        self._by: Dict[int, Set[int]] = {}
        self._times: List[int] = []

    def put(self, at_ns: int, seq: int) -> None:
        """The event ``seq`` cuts there."""
        cutters = self._by.setdefault(at_ns, set())
        if not cutters:
            insort(self._times, at_ns)
        cutters.add(seq)

    def take(self, at_ns: int, seq: int) -> None:
        """It does so no longer; the cut stays where another event has cut, too."""
        cutters = self._by.get(at_ns, set())
        if seq in cutters:
            cutters.discard(seq)
            if not cutters:
                del self._times[bisect_left(self._times, at_ns)]

    def within(self, start_ns: int, end_ns: int) -> List[int]:
        """Times of cuts between two times, ascending."""
        return self._times[bisect_right(self._times, start_ns):bisect_left(self._times, end_ns)]


def cut_times(action: Action, stretch: Stretch) -> List[int]:
    """Where an action cuts the camera of one of its stretches."""
    if action.kind == 'cut':
        return [action.at_ns]
    return [stretch.start_ns, stretch.end_ns] if action.kind == 'span' else []
