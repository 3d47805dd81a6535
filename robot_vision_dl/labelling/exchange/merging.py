"""What another program says, held against what the queue says now: what is new, what is to stay.

Three labels meet at each stretch: that of the export, that of the program and that of the queue. What was changed in
the program only is taken; what was changed in the queue since, and not in the program, stays; where both were changed
the queue's stays and the user is told.
"""
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from ...core.class_name import new_name_problem
from ...core.errors import ConfigError
from ...core.text.printable import printable
from ...data.labels.labels import alike
from ..events import RESERVED, Action, Stretch
from ..state import Camera, State
from .pictures import Place, camera_keys, place_of
from .said import Said

_DO = ('label', 'span', 'clear')


@dataclass
class Merged:
    """What an import does; counts are of stretches unless another thing is named.

    Attributes:
        actions: what is to be stored.
        pictures: that were read.
        new, changed, cleared: stretches that get a label, another one, or lose theirs.
        same: that have the label already.
        newer: that were labelled otherwise in the queue since the export, and not in the program: they stay.
        conflicts: that were labelled otherwise in both: they stay as the queue has them. (camera, time, queue's label,
            program's label).
        divided: exported stretches whose pictures have different labels now.
        strangers: pictures that belong to no interval of the queue.
        torn: pictures that are listed with two labels: left out.
        classes: new ones.
    """

    actions: List[Action] = field(default_factory=list)
    pictures: int = 0
    new: int = 0
    changed: int = 0
    cleared: int = 0
    same: int = 0
    newer: int = 0
    conflicts: List[Tuple[Camera, int, str, str]] = field(default_factory=list)
    divided: int = 0
    strangers: List[str] = field(default_factory=list)
    torn: int = 0
    classes: List[str] = field(default_factory=list)


class _Part(NamedTuple):
    """A stretch of which a program says one thing; ``exported`` is None where it does not tell what was exported."""

    camera: Camera
    start_ns: int
    end_ns: int
    label: str
    exported: Optional[str]


def merged(state: State, said: Iterable[Said], clear: bool, source: str) -> Merged:
    """What is to be done so that the queue says what another program says.

    Args:
        state: of the queue, now.
        said: of each picture.
        clear: pictures without a label take the label away; otherwise they say nothing.
        source: name of the format, which goes into the ids of the actions.

    Raises:
        ConfigError: the name of a class that the queue does not have yet cannot be seen as it is, or is that of
            another one but for case or spelling of the same letters.
    """
    result = Merged()
    lines = _Lines(state)
    paths = {one.name: one.path for one in state.recordings.values()}
    for part in _parts(state, said, clear, result):
        for start, end, label in lines.taken(part, result):
            kind = 'clear' if not label else 'label' if _is_piece(state, part.camera, start, end) else 'span'
            recording, topic = part.camera
            number = sha256(repr((source, state.seq, part.camera, start, end, label)).encode()).hexdigest()[:32]
            result.actions.append(Action(number, kind, (
                Stretch(recording, paths[recording], topic, start, end),), label))
    known = {*state.class_names, *RESERVED}
    result.classes = sorted({one.label for one in result.actions if one.label} - known)
    for name in result.classes:
        problem = new_name_problem(name)
        if problem is not None:
            raise ConfigError(f'{source}: the new class {printable(name, 60)!r} {problem}')
    for before, name in alike([*RESERVED, *state.class_names, *result.classes]):
        if name in result.classes:
            raise ConfigError(f'{source}: the new class {printable(name, 60)!r} and {printable(before, 60)!r} differ '
                              'in case or spelling of the same letters only, and would be two classes; name them '
                              'alike there')
    result.actions[:0] = [Action(sha256(repr((source, state.seq, name)).encode()).hexdigest()[:32], 'class', label=name)
                          for name in result.classes]
    return result


def _parts(state: State, said: Iterable[Said], clear: bool, result: Merged) -> Iterator[_Part]:
    keys = camera_keys(state)
    places: Dict[Place, Dict[str, Optional[str]]] = {}
    for one in said:
        result.pictures += 1
        place = place_of(one.name, one.facts, keys)
        if place is None or not state.overlapping((place.recording, place.topic), place.start_ns, place.end_ns):
            result.strangers.append(one.name)
            continue
        # A program gives a new label without facts no value for this one.
        places.setdefault(place, {})[one.label] = one.facts.get('exported')
    for stretch, group in groupby(sorted(places), key=lambda place: place[:4]):
        camera = stretch[:2]
        start, end = _within(state, camera, stretch[2], stretch[3])
        pictures = []
        for place in group:
            if len(places[place]) > 1:
                result.torn += 1
                continue
            (label, exported), = places[place].items()
            if label or clear:
                pictures.append((place.stamp_ns, label, exported))
        runs = [(label, list(members)) for label, members in groupby(pictures, key=lambda one: one[1])]
        result.divided += len(runs) > 1
        begins = [start, *(min(max(members[0][0], start), end) for _, members in runs[1:]), end]
        for (label, members), begin, stop in zip(runs, begins, begins[1:]):
            exported = next((one[2] for one in members if one[2] is not None), None)
            if begin < stop:
                yield _Part(camera, begin, stop, label, exported)


class _Lines:
    """Labels of the queue over time, and whether there ever was one."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._rows: Dict[Camera, List[Tuple[int, int, str]]] = {}
        for one in state.labelled(unsure=True):
            self._rows.setdefault((one.recording, one.topic), []).append((one.start_ns, one.end_ns, one.label))
        self._starts = {camera: [row[0] for row in rows] for camera, rows in self._rows.items()}

    def taken(self, part: _Part, result: Merged) -> List[Tuple[int, int, str]]:
        """Stretches in which what a program says is to be done."""
        found: List[Tuple[int, int, str]] = []
        kinds: Counter[str] = Counter()
        for start, end, own in self._segments(part.camera, part.start_ns, part.end_ns):
            is_newer = part.exported is not None and own != part.exported and self._was_said(part.camera, start, end)
            if own == part.label:
                kinds['same'] += 1
            elif is_newer and part.label == part.exported:
                kinds['newer'] += 1
            elif is_newer:
                result.conflicts.append((part.camera, start, own, part.label))
            else:
                kinds['changed' if own and part.label else 'new' if part.label else 'cleared'] += 1
                if found and found[-1][1] == start:
                    start = found.pop()[0]
                found.append((start, end, part.label))
        for name in ('changed', 'new', 'cleared', 'newer', 'same'):
            if kinds[name]:  # one stretch of the program, whatever the queue has there
                setattr(result, name, getattr(result, name) + 1)
                break
        return found

    def _segments(self, camera: Camera, start_ns: int, end_ns: int) -> Iterator[Tuple[int, int, str]]:
        rows, starts = self._rows.get(camera, []), self._starts.get(camera, [])
        position = start_ns
        for start, end, label in rows[max(0, bisect_right(starts, start_ns) - 1):bisect_left(starts, end_ns)]:
            if end <= position:
                continue
            if start > position:
                yield position, start, ''
            yield max(start, position), min(end, end_ns), label
            position = min(end, end_ns)
        if position < end_ns:
            yield position, end_ns, ''

    def _was_said(self, camera: Camera, start_ns: int, end_ns: int) -> bool:
        """Whether the queue ever had something to say there."""
        return any(event.action.kind in _DO and not event.action.blind and any(
            (one.recording, one.topic) == camera and one.start_ns < end_ns and one.end_ns > start_ns
            for one in event.action.stretches)
            for interval in self._state.overlapping(camera, start_ns, end_ns)
            for event in self._state.history(interval))


def _within(state: State, camera: Camera, start_ns: int, end_ns: int) -> Tuple[int, int]:
    """A stretch, no longer than the intervals that it overlaps."""
    members = [state.intervals[number] for number in state.overlapping(camera, start_ns, end_ns)]
    return max(start_ns, min(one.start_ns for one in members)), min(end_ns, max(one.end_ns for one in members))


def _is_piece(state: State, camera: Camera, start_ns: int, end_ns: int) -> bool:
    """Whether a stretch is one piece as it is."""
    return any((piece.start_ns, piece.end_ns) == (start_ns, end_ns)
               for number in state.overlapping(camera, start_ns, end_ns) for piece, _ in state.pieces(number))


def told(result: Merged, stored: int) -> List[str]:
    """Sentences about an import, for its user.

    Args:
        stored: events that are new.
    """
    lines = [f'{_counted(result.pictures, "picture")} read, {_counted(stored, "event")} stored']
    counts = (('got a label', result.new), ('got another label', result.changed), ('lost the label', result.cleared),
              ('had it already', result.same))
    lines += [f'{_counted(count, "stretch")} {text}' for text, count in counts if count]
    if result.divided:
        lines.append(f'{_counted(result.divided, "stretch")} divided: the pictures have different labels now; each '
                     'holds from its first picture on')
    if result.newer:
        lines.append(f'{_counted(result.newer, "stretch")} kept as the queue has it now: labelled anew there since '
                     'the export')
    if result.conflicts:
        (recording, topic), time_ns, own, other = result.conflicts[0]
        lines.append(f'{_counted(len(result.conflicts), "stretch")} kept as the queue has it now, though labelled anew '
                     f'both here and there; the first: {printable(recording)} {printable(topic)} at '
                     f'{time_ns / 1e9:.3f} s, {printable(own) or "no label"} here, {printable(other) or "no label"} '
                     'there')
    if result.torn:
        lines.append(f'{_counted(result.torn, "picture")} left out: listed with two labels')
    if result.strangers:
        lines.append(f'{_counted(len(result.strangers), "picture")} of no interval of the queue, the first: '
                     f'{printable(result.strangers[0])}')
    if result.classes:
        lines.append(f'new classes: {printable(", ".join(result.classes))}')
    return lines


def _counted(count: int, unit: str) -> str:
    plural = f'{unit}es' if unit.endswith('ch') else f'{unit}s'
    return f'{count} {unit if count == 1 else plural}'
