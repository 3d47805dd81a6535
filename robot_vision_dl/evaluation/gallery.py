"""The few small pictures that a report shows, chosen while the frames go by."""
import heapq
from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np

from .table import ACCEPTED, FOREIGN, NO_LABEL, UNKNOWN_TARGET
from ..core.overlay import to_bgr
from ..core.types import Frame

THUMB_WIDTH = 168
_JPEG_QUALITY = 72
WORST, DOUBTFUL = 12, 12
OF_A_CELL = 3
APART = 15
MOST_CELLS = 60


SAID_UNKNOWN, SAID_UNCERTAIN = -1, -2
"""What was decided, where it is no class."""


class Key(NamedTuple):
    """Which frame."""

    recording: str
    topic: str
    index: int


@dataclass
class Choice:
    """Pictures of one model.

    Attributes:
        foreign: (trust, key) of frames labelled unknown that were acted on, the surest first.
        worst: the same of other wrong labels that were acted on.
        doubtful: (entropy, key) of the frames that the model is least sure about.
        cells: (target, what was decided) -> (trust, key), the surest first; the target of what is labelled unknown is
            -1, what was decided a class's index, :data:`SAID_UNCERTAIN` or :data:`SAID_UNKNOWN`.
    """

    foreign: List[Tuple[float, Key]] = field(default_factory=list)
    worst: List[Tuple[float, Key]] = field(default_factory=list)
    doubtful: List[Tuple[float, Key]] = field(default_factory=list)
    cells: Dict[Tuple[int, int], List[Tuple[float, Key]]] = field(default_factory=dict)

    def keys(self) -> List[Key]:
        """Every frame that is shown."""
        found = [key for _, key in self.foreign + self.worst + self.doubtful]
        return found + [key for entries in self.cells.values() for _, key in entries]


def said_of(row: np.void) -> int:
    """What was decided about a frame: a class's index, or one of the two above."""
    return int(row['fused_predicted']) if row['outcome'] == ACCEPTED else (
        SAID_UNKNOWN if row['outcome'] == FOREIGN else SAID_UNCERTAIN)


def thumbnail(frame: Frame) -> bytes:
    """JPEG of a frame, 168 pixels wide."""
    picture = frame.seen
    # A view that is shrunk first: converting the colours of a large picture takes longer.
    scale = THUMB_WIDTH / picture.width
    small = cv2.resize(np.ascontiguousarray(picture.pixels), (THUMB_WIDTH, max(1, round(picture.height * scale))),
                       interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    bgr = to_bgr(type(picture)(small, picture.order))
    done, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes() if done else b''


class Gallery:
    """Pictures of one recording: a strip along its time, and those that some model's choice wants.

    Args:
        models: names of the models.
        strip_every_ns: a picture of each topic so often.
    """

    def __init__(self, recording: str, models: List[str], strip_every_ns: int):
        self._recording, self._every_ns = recording, strip_every_ns
        self._strip_from: Dict[str, int] = {}
        self.strips: Dict[str, List[Tuple[int, bytes]]] = {}
        self.choices = {model: Choice() for model in models}
        self._pictures: Dict[Key, bytes] = {}
        self._added = 0

    def strip(self, frame: Frame) -> None:
        """Keep the frame for the strip of its topic if its time has come."""
        due = self._strip_from.get(frame.camera)
        if due is None or frame.time_ns >= due or frame.time_ns < due - 2 * self._every_ns:
            self._strip_from[frame.camera] = frame.time_ns + self._every_ns
            self.strips.setdefault(frame.camera, []).append((frame.time_ns, thumbnail(frame)))

    def offer(self, model: str, frame: Frame, row: np.void) -> None:
        """Keep the frame if it is among the worst, the most doubtful, or an example of a confusion so far."""
        choice, key = self.choices[model], Key(self._recording, frame.camera, int(row['index']))
        wanted = False
        target, said, trust = int(row['target']), said_of(row), float(row['trust'])
        if target != NO_LABEL and said >= 0 and said != target:
            worst = choice.foreign if target == UNKNOWN_TARGET else choice.worst
            wanted |= _push(worst, (trust, key), WORST)
        wanted |= _push(choice.doubtful, (float(row['entropy']), key), DOUBTFUL)
        if target != NO_LABEL:
            cell = (target, said)
            if cell in choice.cells or len(choice.cells) < MOST_CELLS:
                wanted |= _push(choice.cells.setdefault(cell, []), (trust, key), OF_A_CELL)
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


def _push(entries: List[Tuple[float, Key]], entry: Tuple[float, Key], most: int) -> bool:
    """Keep ``entry`` if it is among the ``most`` largest; the earlier one of equals stays.

    Of frames that follow each other closely, which look alike, only the largest stays.
    """
    near = next((other for other in entries if _near(other[1], entry[1])), None)
    if near is not None:
        if entry[0] <= near[0]:
            return False
        entries.remove(near)
    elif len(entries) >= most and entry[0] <= entries[-1][0]:
        return False
    entries.append(entry)
    entries.sort(key=lambda item: -item[0])
    del entries[most:]
    return any(item is entry for item in entries)


def _near(a: Key, b: Key) -> bool:
    return a[:2] == b[:2] and abs(a.index - b.index) < APART


def joined(choices: List[Choice]) -> Choice:
    """The choice over several recordings."""
    result = Choice(*(heapq.nlargest(most, (entry for choice in choices for entry in getattr(choice, name)),
                                     key=lambda entry: entry[0])
                      for name, most in (('foreign', WORST), ('worst', WORST), ('doubtful', DOUBTFUL))))
    for choice in choices:
        for cell, entries in choice.cells.items():
            merged = result.cells.setdefault(cell, []) + entries
            result.cells[cell] = heapq.nlargest(OF_A_CELL, merged, key=lambda entry: entry[0])
    return result
