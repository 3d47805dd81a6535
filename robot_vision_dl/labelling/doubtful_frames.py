"""The most doubtful intervals of a mined queue, each by one of its frames."""
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from ..core.errors import BagError, ConfigError, ImageError
from ..core.files.user_path import user_path
from ..core.images.image import decode
from ..core.text.printable import printable
from ..core.types import ColorOrder, Picture
from ..data.bags.reader import BagReader
from .queue_file import QueueFile, QueueInterval, QueueRecording

_S = 1_000_000_000
_NEAR_S = 10  # between a frame's stamp and when it was received, mostly


class DoubtfulFrame(NamedTuple):
    """A frame that stands for an interval.

    Attributes:
        picture: it.
        name: where it comes from.
        words: why it is in the queue.
    """

    picture: Picture
    name: str
    words: str


def doubtful_frames(folder: Path, most: int) -> List[DoubtfulFrame]:
    """One frame of each of the intervals with the greatest doubt, the most doubtful first.

    Intervals that show nearly the same as another are left out. Of the frames of the film strip the one is taken that
    was decided as the interval's reason says, and of these the least sure; where there is no doubt, the one in the
    middle. Where the bag is not there any more, the small picture of the film strip stands for it.

    Args:
        folder: of the queue.
        most: intervals.

    Raises:
        ConfigError: it is no queue, or there is nothing in it.
    """
    with QueueFile(folder) as queue:
        recordings = {one.id: one for one in queue.recordings}
        intervals = sorted((one for one in queue.intervals(features=False) if one.alike is None),
                           key=lambda one: (-one.doubt, one.id))[:most]
        if not intervals:
            raise ConfigError(f'{printable(folder)}: the queue is empty')
        return [_picture(queue, recordings[one.recording], one) for one in intervals]


def _picture(queue: QueueFile, recording: QueueRecording, interval: QueueInterval) -> DoubtfulFrame:
    strip = queue.frames(interval.id)
    if not strip:
        raise ConfigError(f'{printable(queue.folder)}: interval {interval.id} has no pictures; mine again, labels are '
                          'kept')
    place = _representative(strip, interval.reason)
    stamp_ns = strip[place][0]
    name = (f'{queue.folder}, interval {interval.id}: {recording.name}, {interval.topic} at '
            f'{(stamp_ns - recording.start_ns) / _S:.3f} s')
    words = (f'In the queue as {interval.reason.replace("_", " ")}, doubt {interval.doubt:.2f} of 1, one of '
             f'{interval.frames} frames{": " + interval.explanation if interval.explanation else ""}')
    try:
        return DoubtfulFrame(_frame(recording.path, interval.topic, stamp_ns), name, words)
    except (BagError, ConfigError, ImageError) as error:
        data = queue.picture(interval.id, place)
        small = None if data is None else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if small is None:
            raise
        return DoubtfulFrame(Picture(small, ColorOrder.BGR), name, f'{words}. From the small picture of the queue, '
                             f'which may be decided otherwise than the frame itself, since {error}')


def _representative(strip: Sequence[Tuple[int, float, str]], reason: str) -> int:
    """Place in a film strip of (stamp, confidence, decision)."""
    if reason in ('unknown', 'uncertain', 'flickering'):
        fitting = [place for place, one in enumerate(strip) if one[2] == reason] or list(range(len(strip)))
        return min(fitting, key=lambda place: (strip[place][1], place))
    return len(strip) // 2


def _frame(path: str, topic: str, stamp_ns: int) -> Picture:
    """The frame of a bag with a stamp; frames without one are known by when they were received."""
    with BagReader(user_path(path)) as reader:
        for begin, end in _windows(stamp_ns):
            for message in reader.image_messages([topic], begin, end):
                try:
                    image = message.decode()
                except ImageError:
                    continue
                if (image.header.stamp_ns or message.receive_ns) == stamp_ns:
                    return decode(image)
    raise BagError(f'{printable(path)}: has no frame of {printable(topic)} with the stamp {stamp_ns / _S:.3f} s any '
                   'more')


def _windows(stamp_ns: int) -> Iterator[Tuple[int, int]]:
    """Times of receipt that are looked through: those near the stamp, then all."""
    near = max(stamp_ns - _NEAR_S * _S, 0), max(stamp_ns + _NEAR_S * _S, 1)
    yield near
    yield 0, near[0]
    yield near[1], 2 ** 63 - 1
