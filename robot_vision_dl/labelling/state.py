"""What the events of a queue add up to: pieces with labels, classes, cuts.

Labels hold for times of a camera, not for intervals: after a new mining they are found where they were given. Pieces
end where a label does, so that each has one label or none, and what is shown is what is written. Frames at which the
mining before did not look have none: nothing tells them from those that somebody has seen and left without. What lies
outside of all intervals is kept.
"""
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from .cuts import Cuts, cut_times
from .events import UNSURE, Event, Stretch
from .queue_file import QueueFile, QueueInterval, QueueRecording
from .timeline import Label, Segment, Timeline

Camera = Tuple[str, str]
"""Name of the recording, and image topic."""


class Piece(NamedTuple):
    """What is labelled at once: an interval, or what cuts and the ends of labels made of it.

    Attributes:
        interval: its id.
        start_ns, end_ns: start_ns <= stamp < end_ns.
    """

    interval: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class LabelledPiece:
    """A label and the time for which it was given.

    Attributes:
        recording: its name.
        path: the bag, where the present mining found it; of a recording that it lacks, where the one before did.
        topic: image topic.
        start_ns, end_ns: start_ns <= stamp < end_ns.
        label: a class name, ``unknown``, ``ignore`` or ``unsure``.
        who: the person.
        time_ms: when it was given, ms since 1970.
    """

    recording: str
    path: str
    topic: str
    start_ns: int
    end_ns: int
    label: str
    who: str
    time_ms: int


@dataclass(frozen=True)
class SecondLook:
    """A piece that was labelled again without seeing its first label.

    Attributes:
        piece: as it is now.
        first: its label.
        second: what it was called blind, last.
    """

    piece: Piece
    first: Label
    second: Label


class State:
    """Events of a queue, added up. One thread at a time.

    Attributes:
        seq: of the last event that it has.
        intervals: all by id, without features.
        recordings: by id.
    """

    def __init__(self, intervals: Iterable[QueueInterval], recordings: Sequence[QueueRecording],
                 class_names: Sequence[str]) -> None:
        """Begin without events."""
        self.seq = 0
        self.intervals: Dict[int, QueueInterval] = {one.id: one for one in intervals}
        self.recordings: Dict[int, QueueRecording] = {one.id: one for one in recordings}
        self._classes: Dict[str, int] = dict.fromkeys(class_names, 0)
        self._events: Dict[str, Event] = {}
        self._undone: Set[str] = set()
        self._void: Set[str] = set()  # undos of nothing
        self._lines: Dict[Camera, Timeline] = {}
        self._cuts: Dict[Camera, Cuts] = {}
        self._history: Dict[int, List[Event]] = {}  # of an interval
        self._pieces: Dict[int, List[Tuple[Piece, Optional[Label]]]] = {}
        self._blind: Dict[int, List[Event]] = {}  # by interval
        self._order: Dict[Camera, _Order] = {}
        by_camera: Dict[Camera, List[QueueInterval]] = {}
        for one in self.intervals.values():
            by_camera.setdefault(self.camera(one), []).append(one)
        for camera, members in by_camera.items():
            self._order[camera] = _Order(members)

    def camera(self, interval: QueueInterval) -> Camera:
        """The recording's name and the topic of an interval."""
        return self.recordings[interval.recording].name, interval.topic

    def stretch(self, piece: Piece) -> Stretch:
        """A piece as events name it."""
        interval = self.intervals[piece.interval]
        recording = self.recordings[interval.recording]
        return Stretch(recording.name, recording.path, interval.topic, piece.start_ns, piece.end_ns)

    @property
    def class_names(self) -> Tuple[str, ...]:
        """Classes of the model, and after them those that people added, in order."""
        return tuple(self._classes)

    def extend(self, events: Iterable[Event]) -> List[int]:
        """Add events, whose ``seq`` must ascend; those that are in already are left out.

        Returns:
            Ids of the intervals that they concern, ascending.
        """
        touched: Set[int] = set()
        for event in events:
            if event.seq > self.seq:
                touched.update(self._add(event))
                self.seq = event.seq
        return sorted(touched)

    def pieces(self, interval: int) -> List[Tuple[Piece, Optional[Label]]]:
        """The pieces of an interval in order of time, each with its label."""
        found = self._pieces.get(interval)
        if found is None:
            one = self.intervals[interval]
            camera = self.camera(one)
            line, cuts = self._lines.get(camera), self._cuts.get(camera)
            runs = line.runs(one.start_ns, one.end_ns) if line else []
            ends = {end for run in runs for end in (run[0].start_ns, run[-1].end_ns) if one.start_ns < end < one.end_ns}
            edges = sorted({one.start_ns, *(cuts.within(one.start_ns, one.end_ns) if cuts else ()), *ends, one.end_ns})
            found = [(Piece(interval, start, end), _label_of(runs, start, end)) for start, end in zip(edges, edges[1:])]
            self._pieces[interval] = found
        return found

    def piece(self, interval: int, start_ns: int) -> Optional[Tuple[Piece, Optional[Label]]]:
        """The piece that begins there, with its label; None: there is none."""
        if interval not in self.intervals:
            return None
        return next((one for one in self.pieces(interval) if one[0].start_ns == start_ns), None)

    def all_pieces(self) -> Iterator[Tuple[Piece, Optional[Label]]]:
        """All pieces in the order of the queue."""
        for interval in self.intervals:
            yield from self.pieces(interval)

    def overlapping(self, camera: Camera, start_ns: int, end_ns: int) -> List[int]:
        """Ids of the intervals that overlap a time of a camera, in order of time."""
        order = self._order.get(camera)
        return order.within(start_ns, end_ns) if order else []

    def version(self, interval: int) -> int:
        """``seq`` of the last event that concerns an interval; 0: none does."""
        history = self._history.get(interval)
        return history[-1].seq if history else 0

    def history(self, interval: int) -> Sequence[Event]:
        """All events that concern an interval, in order; those that were undone, and what undid them, too."""
        return self._history.get(interval, ())

    def event(self, action_id: str) -> Optional[Event]:
        """The event of an id; None: there is none."""
        return self._events.get(action_id)

    def is_undone(self, action_id: str) -> bool:
        """Whether an event was taken back, and that was not taken back itself."""
        return action_id in self._undone

    def intervals_of(self, event: Event) -> List[int]:
        """Ids of the intervals that an event concerns: of an undo those of what it undoes."""
        while event.action.kind == 'undo' and event.action.id not in self._void:
            event = self._events[event.action.undoes]
        found: Set[int] = set()
        for one in event.action.stretches:
            found.update(self.overlapping((one.recording, one.topic), one.start_ns, one.end_ns))
        return sorted(found)

    def labelled(self, unsure: bool = False) -> List[LabelledPiece]:
        """All labels that hold, also of times that the present mining has no interval for.

        Args:
            unsure: those as well that nobody was sure of.

        Returns:
            By recording, topic and time. They do not overlap; neighbours may have the same label.
        """
        paths = self.touched
        return [LabelledPiece(recording, paths[recording], topic, one.start_ns, one.end_ns, one.label.name,
                              one.label.who, one.label.time_ms)
                for (recording, topic), line in sorted(self._lines.items()) for one in line
                if unsure or one.label.name != UNSURE]

    @property
    def touched(self) -> Dict[str, str]:
        """Path of each recording by name of which something was ever labelled, also if nothing is any more."""
        now = {one.name: one.path for one in self.recordings.values()}
        return {recording: now.get(recording, line.path) for (recording, _), line in self._lines.items()}

    def bare(self) -> Dict[Camera, List[Tuple[int, int]]]:
        """Stretches whose label was taken away, by camera, ascending."""
        return {camera: line.bare() for camera, line in self._lines.items()}

    def seconds(self, interval: int) -> Dict[Piece, Label]:
        """What pieces of an interval, that have a label, were called blind, the last time."""
        found: Dict[Piece, Label] = {}
        for event in self._blind.get(interval, ()):
            if self.is_undone(event.action.id):
                continue
            camera = self.camera(self.intervals[interval])
            for one in event.action.stretches:
                for piece, label in self.pieces(interval) if (one.recording, one.topic) == camera else ():
                    shared = min(piece.end_ns, one.end_ns) - max(piece.start_ns, one.start_ns)
                    if label is not None and 2 * shared >= piece.end_ns - piece.start_ns:
                        found[piece] = _label(event)
        return found

    def second_looks(self) -> List[SecondLook]:
        """Pieces that were labelled twice, the second time blind, by the order of the second labels."""
        found = [SecondLook(piece, label, seconds[piece]) for interval in self._blind
                 for seconds in [self.seconds(interval)] for piece, label in self.pieces(interval)
                 if label is not None and piece in seconds]
        return sorted(found, key=lambda one: one.second.seq)

    def _add(self, event: Event) -> List[int]:
        """Add one event; the ids of the intervals that it concerns."""
        action = event.action
        if action.id in self._events:
            return []
        self._events[action.id] = event
        if action.kind == 'class':
            self._classes.setdefault(action.label, event.seq)
        elif action.kind == 'undo':
            target = self._events.get(action.undoes)
            if target is None or target.seq >= event.seq or action.undoes in self._undone:
                self._void.add(action.id)
            else:
                self._take_back(target)
        else:
            self._do(event)
        touched = self.intervals_of(event)
        for interval in touched:
            self._history.setdefault(interval, []).append(event)
            self._pieces.pop(interval, None)
        return touched

    def _do(self, event: Event) -> None:
        action = event.action
        if action.blind:
            for interval in self.intervals_of(event):
                self._blind.setdefault(interval, []).append(event)
            return
        for one in action.stretches:
            camera = one.recording, one.topic
            for at_ns in cut_times(action, one):
                self._cuts.setdefault(camera, Cuts()).put(at_ns, event.seq)
            if action.kind != 'cut':
                line = self._lines.setdefault(camera, Timeline(one.path))
                line.path = one.path
                line.paint(one.start_ns, one.end_ns, None if action.kind == 'clear' else _label(event), event.seq)

    def _take_back(self, event: Event) -> None:
        """Undo an event; of an undo that does again what it had taken back, and so on."""
        undone = True
        while event.action.kind == 'undo':
            self._mark(event, undone)
            if event.action.id in self._void:
                return
            event, undone = self._events[event.action.undoes], not undone
        self._mark(event, undone)
        action = event.action
        if action.kind == 'class':
            if undone and self._classes.get(action.label) == event.seq:
                del self._classes[action.label]
            elif not undone:
                self._classes.setdefault(action.label, event.seq)
        elif not action.blind:
            for one in action.stretches:
                for at_ns in cut_times(action, one):
                    cuts = self._cuts[one.recording, one.topic]
                    (cuts.take if undone else cuts.put)(at_ns, event.seq)
            for camera in {(one.recording, one.topic) for one in action.stretches} & set(self._lines):
                self._lines[camera].undo(event.seq, undone)

    def _mark(self, event: Event, undone: bool) -> None:
        (self._undone.add if undone else self._undone.discard)(event.action.id)


def fold(queue: QueueFile, events: Iterable[Event]) -> State:
    """Add up the events of a queue."""
    state = State(queue.intervals(features=False), queue.recordings, queue.class_names)
    state.extend(events)
    return state


class _Order:
    """Intervals of one camera by time."""

    def __init__(self, intervals: Sequence[QueueInterval]) -> None:
        rows = sorted((one.start_ns, one.end_ns, one.id) for one in intervals)
        self._starts = [row[0] for row in rows]
        self._ends = [row[1] for row in rows]
        self._ids = [row[2] for row in rows]
        self._reach = list(accumulate(self._ends, max))

    def within(self, start_ns: int, end_ns: int) -> List[int]:
        first = bisect_right(self._reach, start_ns)
        last = bisect_left(self._starts, end_ns)
        return [self._ids[place] for place in range(first, last) if self._ends[place] > start_ns]


def _label_of(runs: Sequence[Sequence[Segment]], start_ns: int, end_ns: int) -> Optional[Label]:
    """The label of a piece, which lies within one of the runs or outside of all; the newest of several events."""
    for run in runs:
        if run[0].start_ns <= start_ns and end_ns <= run[-1].end_ns:
            there = [one for one in run if one.start_ns < end_ns and one.end_ns > start_ns]
            return max((one.label for one in there), key=lambda label: label.seq)
    return None


def _label(event: Event) -> Label:
    return Label(event.action.label, event.who, event.action.id, event.seq, event.time_ms)
