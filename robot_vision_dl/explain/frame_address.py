"""Where a frame of the data can be seen again, and which frames show one thing."""
import shlex
from pathlib import Path
from typing import Dict, Hashable, List, NamedTuple, Sequence, Tuple

from ..core.errors import RobotVisionError
from ..core.text.printable import printable
from ..data.bags.reader import BagReader
from ..data.cameras import choose_topics
from ..data.labels.labels import LabelledFrame

_MS, _S = 1_000_000, 1_000_000_000


class Address(NamedTuple):
    """Of a frame.

    Attributes:
        short: to read: a picture's file name, or ``bag@seconds``.
        whole: what ``robot-vision explain MODEL`` takes to show it, quoted for a shell.
    """

    short: str
    whole: str


class _Bag(NamedTuple):
    start_ns: int
    end_ns: int
    cameras: int


class FrameAddresses:
    """Addresses of frames; each bag is opened once."""

    def __init__(self) -> None:
        self._bags: Dict[str, _Bag] = {}

    def of(self, frame: LabelledFrame) -> Address:
        """Its address; of a bag that can no longer be read, the recording and the topic."""
        path = Path(frame.path)
        if not frame.topic:
            return Address(printable(path.name), _quoted(frame.path))
        try:
            if frame.path not in self._bags:
                self._bags[frame.path] = _looked_at(path)
        except (RobotVisionError, OSError):  # no bag, but a picture that was exported from one
            return Address(printable(path.name), _quoted(frame.path))
        bag = self._bags[frame.path]
        at = _seconds(frame.receive_ns - bag.start_ns, bag.end_ns - bag.start_ns)
        topic = f' --topic {_quoted(frame.topic)}' if bag.cameras != 1 else ''
        return Address(f'{printable(path.name)}@{at}', _quoted(f'{frame.path}@{at}') + topic)


def things(frames: Sequence[LabelledFrame]) -> Tuple[int, ...]:
    """For each frame the number of the thing that it shows.

    Frames of one track show one thing; where nobody has named tracks, those of one topic of a recording as long as its
    label does not change; a picture of a folder without a track is a thing of its own.

    Args:
        frames: those of one topic in the order they were recorded.
    """
    numbers: Dict[Hashable, int] = {}
    stretches: Dict[Tuple[str, str], Tuple[str, int]] = {}
    found: List[int] = []
    for place, frame in enumerate(frames):
        camera = frame.recording, frame.topic
        if frame.track is not None:
            thing: Hashable = (*camera, frame.track)
        elif not frame.topic:
            thing = place
        else:
            label, first = stretches.get(camera, ('', -1))
            stretches[camera] = frame.label, first if label == frame.label else place
            thing = (*camera, stretches[camera][1])
        found.append(numbers.setdefault(thing, len(numbers)))
    return tuple(found)


def _looked_at(path: Path) -> _Bag:
    with BagReader(path) as reader:
        start_ns = reader.start_ns or 0
        return _Bag(start_ns, reader.end_ns or start_ns, len(choose_topics(reader).topics))


def _seconds(since_ns: int, length_ns: int) -> str:
    """Rounded up to the ms, for what was recorded last at that time is shown; exact where that is behind the end."""
    up_ms = -(-since_ns // _MS)
    if up_ms * _MS <= length_ns:
        return f'{up_ms / 1000:.3f}'
    return f'{since_ns // _S}.{since_ns % _S:09d}'


def _quoted(text: str) -> str:
    return shlex.quote(printable(text))
