"""The few small pictures that a report shows, chosen while the frames go by."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, Hashable, Iterable, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from ..core.runtime.overlay import to_bgr
from ..core.types import Frame
from .picture_messages import TOPIC as PICTURES
from .table import NO_LABEL, UNKNOWN_TARGET, decided

THUMB_WIDTH = 168
_JPEG_QUALITY = 72
WORST, DOUBTFUL = 12, 12
OF_A_CELL, OF_A_WRONG_CELL = 4, 12
APART, STRETCH = 6, 25
MOST_CELLS = 60


class Key(NamedTuple):
    """Which frame: the ``number``-th of its topic, and which object in it; -1: the whole picture."""

    recording: str
    topic: str
    number: int
    object: int = -1

    @property
    def sequence(self) -> Tuple[str, str, int]:
        """Of what others are that follow it."""
        return self.recording, self.topic, self.object


class Shot(NamedTuple):
    """A frame that may be shown, how much it asks for it, and of which object it is."""

    score: float
    key: Key
    object: Hashable


@dataclass
class Choice:
    """Pictures of one model.

    Attributes:
        ood: frames, by trust, labelled unknown that were acted on, the surest first.
        worst: the same of other wrong labels that were acted on.
        doubtful: by entropy, the frames that the model is least sure about.
        cells: (target, what was decided) -> frames, the surest first, both as in :mod:`.table`.
    """

    ood: List[Shot] = field(default_factory=list)
    worst: List[Shot] = field(default_factory=list)
    doubtful: List[Shot] = field(default_factory=list)
    cells: Dict[Tuple[int, int], List[Shot]] = field(default_factory=dict)

    def keys(self) -> List[Key]:
        """Every frame that is shown."""
        found = [shot.key for shot in self.ood + self.worst + self.doubtful]
        return found + [shot.key for entries in self.cells.values() for shot in entries]


def thumbnail(frame: Frame, width: int = THUMB_WIDTH) -> bytes:
    """JPEG of a frame, so many pixels wide."""
    picture = frame.seen
    # A view that is shrunk first: converting the colours of a large picture takes longer.
    scale = width / picture.width
    small = cv2.resize(np.ascontiguousarray(picture.pixels), (width, max(1, round(picture.height * scale))),
                       interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    bgr = to_bgr(type(picture)(small, picture.order))
    done, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes() if done else b''


class ExampleFrames:
    """Pictures of one recording: a strip along its time, and those that some model's choice wants.

    Args:
        models: names of the models.
        strip_every_ns: a picture of each topic so often.
    """

    def __init__(self, recording: str, models: List[str], strip_every_ns: int) -> None:
        self._recording, self._every_ns = recording, strip_every_ns
        self._strip_from: Dict[str, int] = {}
        self.strips: Dict[str, List[Tuple[int, bytes]]] = {}
        self.choices = {model: Choice() for model in models}
        self._pictures: Dict[Key, bytes] = {}
        self._added = 0

    def strip(self, frame: Frame) -> None:
        """Keep the frame, which shows a whole picture, for the strip of its topic if its time has come."""
        due = self._strip_from.get(frame.camera)
        if due is None or frame.time_ns >= due or frame.time_ns < due - 2 * self._every_ns:
            self._strip_from[frame.camera] = frame.time_ns + self._every_ns
            self.strips.setdefault(frame.camera, []).append((frame.time_ns, thumbnail(frame)))

    def offer(self, model: str, frame: Frame, row: np.void, topic: str = '') -> None:
        """Keep the frame if it is among the worst, the most doubtful, or an example of a confusion so far.

        ``topic`` is where it is from, if that is not its camera.
        """
        choice = self.choices[model]
        key = Key(self._recording, topic or frame.camera, int(row['index']), int(row['object']))
        track = int(row['track'])
        # Without tracks of its labels, a stretch of frames counts as an object.
        thing = (*key[:2], 'track', track) if track >= 0 else (
            *key.sequence, 'frames', key.number // _alike(key, STRETCH))
        wanted = False
        target, said, trust = int(row['target']), int(decided(row)), float(row['trust'])
        if target != NO_LABEL and said >= 0 and said != target:
            worst = choice.ood if target == UNKNOWN_TARGET else choice.worst
            wanted |= _push(worst, Shot(trust, key, thing), WORST)
        wanted |= _push(choice.doubtful, Shot(float(row['entropy']), key, thing), DOUBTFUL)
        if target != NO_LABEL:
            cell = (target, said)
            if cell in choice.cells or len(choice.cells) < MOST_CELLS:
                wanted |= _push(choice.cells.setdefault(cell, []), Shot(trust, key, thing), room_of(cell))
        if wanted and key not in self._pictures:
            self._pictures[key] = thumbnail(frame)
            self._added += 1
            if self._added > 500:
                self._forget()

    def pictures(self) -> Dict[Key, bytes]:
        """JPEG of each chosen frame."""
        self._forget()
        return self._pictures

    def _forget(self) -> None:
        """Drop pictures of frames that others have replaced."""
        kept = {key for choice in self.choices.values() for key in choice.keys()}
        self._pictures = {key: jpeg for key, jpeg in self._pictures.items() if key in kept}
        self._added = 0


def _push(entries: List[Shot], entry: Shot, most: int) -> bool:
    """Keep ``entry`` if it is among the ``most`` largest, different objects before others of one object.

    The earlier one of equals stays. Of APART frames that follow each other, which look alike, only the largest stays.
    """
    near = next((other for other in entries if _near(other.key, entry.key)), None)
    if near is not None:
        if entry.score <= near.score:
            return False
        entries.remove(near)
    entries.append(entry)
    entries.sort(key=lambda item: -item.score)
    if len(entries) > most:
        counts = Counter(item.object for item in entries)
        most_of_one = max(counts.values())
        # The last of an object that has most pictures; of as many each, the last of all.
        place = max(place for place, item in enumerate(entries) if counts[item.object] == most_of_one)
        del entries[place]
    return any(item is entry for item in entries)


def _near(a: Key, b: Key) -> bool:
    """Fixed stretches: of a trust that rises all the time, the nearest ones would leave the last frame alone."""
    return a.sequence == b.sequence and a.number // _alike(a, APART) == b.number // _alike(b, APART)


def _alike(key: Key, frames: int) -> int:
    """So many frames in a row are alike; pictures of a folder have nothing to do with each other."""
    return 1 if key.topic == PICTURES else frames


def room_of(cell: Tuple[int, int]) -> int:
    """How many pictures are kept of (what a frame is, what was decided)."""
    return OF_A_WRONG_CELL if cell[1] >= 0 and cell[0] != cell[1] else OF_A_CELL


def joined(choices: List[Choice]) -> Choice:
    """The choice over several recordings."""
    def together(lists: Iterable[List[Shot]], most: int) -> List[Shot]:
        found: List[Shot] = []
        for entry in sorted((entry for entries in lists for entry in entries), key=lambda entry: -entry.score):
            _push(found, entry, most)
        return found

    result = Choice(together((choice.ood for choice in choices), WORST),
                    together((choice.worst for choice in choices), WORST),
                    together((choice.doubtful for choice in choices), DOUBTFUL))
    for cell in dict.fromkeys(cell for choice in choices for cell in choice.cells):
        result.cells[cell] = together((choice.cells.get(cell, []) for choice in choices), room_of(cell))
    return result


def different_first(shots: Sequence[Shot]) -> List[Shot]:
    """One of each recording, then another one of each and so on, of which those of new objects come before others.

    So the first pictures of a report are of as many things as can be. Pictures of folders are each a thing of its own.
    """
    of_object: Counter[Hashable] = Counter()
    of_recording: Counter[str] = Counter()
    by_object = []
    for shot in sorted(shots, key=lambda one: -one.score):
        by_object.append((of_object[shot.object], shot))
        of_object[shot.object] += 1
    ranked = []
    for _, shot in sorted(by_object, key=lambda one: one[0]):  # of equals the highest score stays first
        ranked.append((of_recording[shot.key.recording], shot))
        of_recording[shot.key.recording] += shot.key.topic != PICTURES
    return [shot for _, shot in sorted(ranked, key=lambda one: one[0])]
