"""Labels along the time of one camera: each new one covers what was there before."""
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Iterator, List, Optional, Set, Tuple


@dataclass(frozen=True)
class Label:
    """Who called something what.

    Attributes:
        name: a class, ``unknown``, ``ignore`` or ``unsure``.
        who: the person.
        event: id of the event that said so.
        seq: its place in the order of events.
        time_ms: when, ms since 1970.
    """

    name: str
    who: str
    event: str
    seq: int
    time_ms: int


@dataclass(frozen=True)
class Segment:
    """A label that holds for start_ns <= stamp < end_ns."""

    start_ns: int
    end_ns: int
    label: Label


@dataclass(frozen=True)
class _Coat:
    """What one event says of a stretch; without a label it takes away what is there."""

    start_ns: int
    end_ns: int
    label: Optional[Label]
    seq: int


class Timeline:
    """Labels of one camera of one recording; they do not overlap."""

    def __init__(self, path: str) -> None:
        """Begin without labels; ``path`` is the bag, as the newest event says."""
        self.path = path
        self._segments: List[Segment] = []
        self._starts: List[int] = []
        self._coats: List[_Coat] = []
        self._undone: Set[int] = set()

    def paint(self, start_ns: int, end_ns: int, label: Optional[Label], seq: int) -> None:
        """Give a stretch a label, over what it had; None takes it away."""
        coat = _Coat(start_ns, end_ns, label, seq)
        self._coats.append(coat)
        self._put(coat)

    def undo(self, seq: int, undone: bool) -> None:
        """Take back what an event painted, or (``undone`` False) put it on again: below what came later."""
        (self._undone.add if undone else self._undone.discard)(seq)
        holes = sorted((one for one in self._coats if one.seq == seq), key=lambda one: one.start_ns)
        starts = [one.start_ns for one in holes]
        reach = list(accumulate((one.end_ns for one in holes), max))
        for hole in holes:
            self._put(replace(hole, label=None))
        for coat in self._coats:
            if coat.seq in self._undone:
                continue
            for hole in holes[bisect_right(reach, coat.start_ns):bisect_left(starts, coat.end_ns)]:
                start, end = max(coat.start_ns, hole.start_ns), min(coat.end_ns, hole.end_ns)
                if start < end:
                    self._put(replace(coat, start_ns=start, end_ns=end))

    def within(self, start_ns: int, end_ns: int) -> Iterator[Segment]:
        """Segments that overlap a stretch, in order, not clipped."""
        place = max(0, bisect_right(self._starts, start_ns) - 1)
        while place < len(self._segments) and self._segments[place].start_ns < end_ns:
            if self._segments[place].end_ns > start_ns:
                yield self._segments[place]
            place += 1

    def runs(self, start_ns: int, end_ns: int) -> List[List[Segment]]:
        """Segments that overlap a stretch, not clipped, those together that are of one label and adjoin."""
        found: List[List[Segment]] = []
        for one in self.within(start_ns, end_ns):
            before = found[-1][-1] if found else None
            if before is not None and before.label.name == one.label.name and before.end_ns == one.start_ns:
                found[-1].append(one)
            else:
                found.append([one])
        return found

    def bare(self) -> List[Tuple[int, int]]:
        """Stretches that have no label any more, of which events once said something; ascending."""
        found: List[Tuple[int, int]] = []
        done = -2**63  # up to here
        for coat in sorted(self._coats, key=lambda one: one.start_ns):
            at = max(coat.start_ns, done)
            for one in self.within(at, coat.end_ns) if at < coat.end_ns else ():
                if at < one.start_ns:
                    found.append((at, one.start_ns))
                at = max(at, one.end_ns)
            if at < coat.end_ns:
                found.append((at, coat.end_ns))
            done = max(done, coat.end_ns)
        return found

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def _put(self, coat: _Coat) -> None:
        start, end = coat.start_ns, coat.end_ns
        first = max(0, bisect_right(self._starts, start) - 1)
        last = bisect_left(self._starts, end)
        new = []
        for one in self._segments[first:last]:
            if one.start_ns < start:
                new.append(replace(one, end_ns=min(one.end_ns, start)))
        if coat.label is not None:
            new.append(Segment(start, end, coat.label))
        for one in self._segments[first:last]:
            if one.end_ns > end:
                new.append(replace(one, start_ns=max(one.start_ns, end)))
        self._segments[first:last] = new
        self._starts[first:last] = [one.start_ns for one in new]
