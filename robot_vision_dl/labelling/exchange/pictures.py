"""Pictures of a queue that other programs get: which ones, and names that tell what they are of.

A name ends with start and end of the labelled stretch and the stamp of the picture, in ns, so that a label finds its
way back from any program that keeps names of files. Formats that can carry more have it as metadata, too.
"""
import re
from dataclasses import dataclass
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ...core.text.number_text import plain_int
from ...data.class_folders import end_of
from ..events import RESERVED
from ..queue_file import QueueFile
from ..state import Camera, State

_MOST_KEY_BYTES = 150
_NAME = re.compile(r'(.+)_([0-9]{1,19})_([0-9]{1,19})_([0-9]{1,19})([-_][0-9]{1,4})?', re.DOTALL)
WHAT = ('labelled', 'chosen', 'all')
"""Stretches that are exported: with a label; and those without one that mining chose; and all others."""
FACTS = ('recording', 'topic', 'start_ns', 'end_ns', 'stamp_ns', 'exported')
"""Names of what goes with a picture; ``exported`` is the label that it had."""


class Place(NamedTuple):
    """What a picture is of.

    Attributes:
        recording: its name in the queue.
        topic: image topic.
        start_ns, end_ns: the stretch that is labelled.
        stamp_ns: of the picture.
    """

    recording: str
    topic: str
    start_ns: int
    end_ns: int
    stamp_ns: int


@dataclass(frozen=True)
class ExportPicture:
    """A picture that is exported.

    Attributes:
        name: of its file, without a suffix; unique in an export.
        place: what it is of.
        label: a class name, ``unknown``, ``ignore`` or ``unsure``; empty: none.
        proposals: classes and probabilities of the model for its interval, the most probable first.
        interval, number: where the queue has it.
    """

    name: str
    place: Place
    label: str
    proposals: Tuple[Tuple[str, float], ...]
    interval: int
    number: int

    @property
    def facts(self) -> Dict[str, str]:
        """What goes with it, by :data:`FACTS`; as text, since JavaScript has 53 bits for a number."""
        return dict(zip(FACTS, (*map(str, self.place), self.label)))


class ExportPictures(NamedTuple):
    """All pictures of an export.

    Attributes:
        pictures: by recording, topic and time.
        stretches: how many they are of.
        without: labelled stretches of which the queue has no picture.
    """

    pictures: Tuple[ExportPicture, ...]
    stretches: int
    without: int


def export_pictures(queue: QueueFile, state: State, what: str = 'labelled', most: int = 0) -> ExportPictures:
    """Choose the pictures of an export.

    Args:
        what: one of :data:`WHAT`.
        most: pictures of a stretch, evenly over it; 0: all that the queue has.
    """
    wanted = [(one.recording, one.topic, one.start_ns, one.end_ns, one.label) for one in state.labelled(unsure=True)]
    for piece, given in state.all_pieces() if what != 'labelled' else ():
        interval = state.intervals[piece.interval]
        if given is None and (what == 'all' or interval.chosen):
            wanted.append((*state.camera(interval), piece.start_ns, piece.end_ns, ''))
    keys = {camera: key for key, camera in camera_keys(state).items()}
    found: List[ExportPicture] = []
    without = 0
    for recording, topic, start, end, label in sorted(wanted):
        frames = _frames(queue, state, (recording, topic), start, end, most)
        without += not frames
        for stamp, number, place in frames:
            found.append(ExportPicture(
                f'{keys[recording, topic]}_{start}_{end}_{stamp}', Place(recording, topic, start, end, stamp), label,
                state.intervals[number].proposals, number, place))
    return ExportPictures(tuple(found), len(wanted) - without, without)


def camera_keys(state: State) -> Dict[str, Camera]:
    """What stands for each camera in names of files -> the camera."""
    keys: Dict[str, Camera] = {}
    for camera in sorted({state.camera(one) for one in state.intervals.values()}):
        key = end_of(re.sub(r'[^\w.+-]+', '_', '_'.join(part.strip('/') for part in camera)), _MOST_KEY_BYTES)
        key = key.lstrip('.-_') or 'camera'
        number, unique = 1, key
        while unique in keys:
            number, unique = number + 1, f'{key}.{number}'
        keys[unique] = camera
    return keys


def place_of(name: str, facts: Mapping[str, str], keys: Mapping[str, Camera]) -> Optional[Place]:
    """What a picture is of, by what goes with it, or else by the name of its file; None: that does not tell.

    Args:
        name: of the file, in whatever folder; programs may have put something before it, or ``-2`` behind.
        facts: by :data:`FACTS`, as far as they are known.
        keys: as :func:`camera_keys` gives them.
    """
    numbers = [plain_int(facts.get(key, '')) for key in ('start_ns', 'end_ns', 'stamp_ns')]
    camera = facts.get('recording', ''), facts.get('topic', '')
    start, end, stamp = numbers
    if start is not None and end is not None and stamp is not None and camera in keys.values():
        return _checked(camera, start, end, stamp)
    match = _NAME.fullmatch(re.sub(r'\.[A-Za-z]{1,5}$', '', re.split(r'[/\\]', name)[-1]))
    if match is None:
        return None
    key: Optional[str] = match[1]
    if key not in keys:
        # As Label Studio has it: 1a2b3c4d-NAME.
        fitting = [one for one in keys if match[1].endswith(f'-{one}')]
        key = max(fitting, key=len) if fitting else None
    return None if key is None else _checked(keys[key], int(match[2]), int(match[3]), int(match[4]))


def _checked(camera: Camera, start: int, end: int, stamp: int) -> Optional[Place]:
    return Place(*camera, start, end, stamp) if -2**63 <= start < end < 2**63 else None


def _frames(queue: QueueFile, state: State, camera: Camera, start: int, end: int, most: int
            ) -> List[Tuple[int, int, int]]:
    """(stamp, interval, number) of pictures in a stretch; the one nearest to it where there is none in it."""
    there = [(frame[0], number, place) for number in state.overlapping(camera, start, end)
             for place, frame in enumerate(queue.frames(number))]
    inside = list(_each_stamp(one for one in sorted(there) if start <= one[0] < end))
    if not inside:
        return [min(there, key=lambda one: (max(start - one[0], one[0] - end + 1), one))] if there else []
    if not most or len(inside) <= most:
        return inside
    return [inside[(2 * place + 1) * len(inside) // (2 * most)] for place in range(most)]


def _each_stamp(frames: Iterable[Tuple[int, int, int]]) -> Iterator[Tuple[int, int, int]]:
    seen: Set[int] = set()
    for one in frames:
        if one[0] not in seen:
            seen.add(one[0])
            yield one


def class_list(state: State, pictures: Sequence[ExportPicture]) -> List[str]:
    """Labels that another program is to offer: all classes, then what is no class."""
    return list(dict.fromkeys((*state.class_names, *RESERVED, *sorted({one.label for one in pictures if one.label}))))
