"""Labels of frames: intervals of time with a name, wherever they were written down, and what holds at a frame."""
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Collection, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple
from unicodedata import normalize

import numpy as np

from ...core.class_name import name_problem
from ...core.config import check_values, option
from ...core.errors import ConfigError
from ...core.suggestions import did_you_mean
from ...core.text.printable import printable
from ...core.types import UNCERTAIN, UNKNOWN

IGNORE = 'ignore'
"""A label that takes its frames out, whatever else is said about them."""
UNLABELLED = 'unlabelled'
"""Name of every frame where the source is ``none``: what such frames are sorted by, never a class."""
UNLABELLED_NAMES = (UNLABELLED, 'unlabeled')
FOREVER_NS = 2**63 - 1


# Suffixes that image_transport's plugins append.
_TRANSPORT = re.compile(r'(/(compressed|compressedDepth|zstd)|_compressed)$')


@dataclass(frozen=True)
class LabelConfig:
    """Where the labels come from."""

    sources: Tuple[str, ...] = option(
        ('auto',), 'where labels are: auto (a labels.yaml or labels.csv beside the bag, else a topic that ends with '
        '/label), topic:<name>, the path of a .yaml or .csv file, or none (every frame is "unlabelled"); several may '
        'be named, and frames for which they disagree are left out; pictures in folders are labelled by their folder')
    hold_s: float = option(
        0.0, 'a label of a topic or CSV file holds until the next, but no longer than this; 0: however long that is',
        minimum=0.0, maximum=1e6)
    ignore: Tuple[str, ...] = option((), 'labels whose frames are left out, as those labelled "ignore" are')

    def __post_init__(self) -> None:
        check_values(self, 'labels.')
        if not self.sources:
            raise ConfigError('labels.sources: at least one source is needed, got an empty list; use [auto]')


class Clock(str, Enum):
    """What a time is compared with."""

    HEADER = 'header'  # when the picture was taken
    RECEIVE = 'receive'  # when it was recorded


@dataclass(frozen=True)
class LabelInterval:
    """``label`` holds for start_ns <= time < end_ns by ``clock``, on one image topic or on all (None).

    ``where`` says where that is written, for messages.
    """

    start_ns: int
    end_ns: int
    label: str
    topic: Optional[str] = None
    track: Optional[str] = None
    clock: Clock = Clock.HEADER
    where: str = field(default='', compare=False)


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame that is to be learned from or tested on, and where it can be read again.

    Attributes:
        recording: name of the recording, unique among those read together.
        topic: image topic; empty for a picture of a folder.
        stamp_ns: of the header; the receive time where that is zero.
        label: a class name, or ``unknown``.
        track: one object before the camera, from when it comes into view until it leaves; None where nobody says.
        index: which image message of its topic it is, from 0.
        receive_ns: when it was recorded.
        path: the bag, or the picture's file.
        picture: that it is a part of, of its recording, where several frames are cut out of one; None: of no other's.
    """

    recording: str
    topic: str
    stamp_ns: int
    label: str
    track: Optional[str]
    index: int
    receive_ns: int
    path: str
    picture: Optional[str] = None


class Finding(str, Enum):
    """What the labels say about a frame."""

    LABELLED = 'labelled'
    IGNORED = 'ignored'
    CONFLICT = 'conflict'
    GAP = 'gap'


class FrameLabel(NamedTuple):
    """Label and track of a frame; for a conflict the labels, joined by `` / ``; else empty."""

    finding: Finding
    label: str = ''
    track: Optional[str] = None


class FrameTimes(NamedTuple):
    """Stamps and receive times of frames, in ns."""

    stamps: Sequence[int]
    receives: Sequence[int]


@lru_cache(maxsize=4096)
def camera_topic(name: str) -> str:
    """An image topic without the suffix of its transport: labels that name one hold for all of its transports."""
    return _TRANSPORT.sub('', name)


class Labels:
    """All intervals of one recording.

    Attributes:
        intervals: as they were given.
    """

    def __init__(self, intervals: Iterable[LabelInterval], ignore: Sequence[str] = ()) -> None:
        self._ignore = {IGNORE, *ignore}
        self.intervals = tuple(intervals)
        grouped: Dict[Tuple[Clock, Optional[str]], List[LabelInterval]] = {}
        for interval in self.intervals:
            topic = None if interval.topic is None else camera_topic(interval.topic)
            grouped.setdefault((interval.clock, topic), []).append(interval)
        self._segments = {key: _segments(group) for key, group in grouped.items()}

    @property
    def topics(self) -> FrozenSet[str]:
        """Image topics that intervals name."""
        return frozenset(interval.topic for interval in self.intervals if interval.topic is not None)

    def at(self, topic: str, stamp_ns: int, receive_ns: int) -> FrameLabel:
        """What holds for a frame of ``topic``, in whatever transport labels name it."""
        found: Set[Tuple[str, Optional[str]]] = set()
        for clock, time_ns in ((Clock.HEADER, stamp_ns), (Clock.RECEIVE, receive_ns)):
            for name in (None, camera_topic(topic)):
                starts, values = self._segments.get((clock, name), ((), ()))
                place = bisect_right(starts, time_ns) - 1
                if place >= 0:
                    found |= values[place]
        names = sorted({label for label, _ in found})
        if not names:
            return FrameLabel(Finding.GAP)
        if not self._ignore.isdisjoint(names):
            return FrameLabel(Finding.IGNORED)
        if len(names) > 1:
            return FrameLabel(Finding.CONFLICT, ' / '.join(names))
        tracks = sorted(track for _, track in found if track is not None)
        return FrameLabel(Finding.LABELLED, names[0], tracks[0] if tracks else None)

    def without_frames(self, frames: Mapping[str, FrameTimes], there: Collection[str]) -> Tuple[str, ...]:
        """A sentence about the intervals that cover none of the frames of a recording; none where there are none.

        Args:
            frames: times of the frames of each topic that was read.
            there: all image topics of the recording; what is said of those that were not read is left aside.
        """
        if not any(len(times.stamps) for times in frames.values()):
            return ()
        sorted_times = {(topic, clock): np.sort(np.asarray(values, np.int64)) for topic, times in frames.items()
                        for clock, values in ((Clock.HEADER, times.stamps), (Clock.RECEIVE, times.receives))}
        cameras = {camera_topic(topic) for topic in frames}
        known = {camera_topic(topic) for topic in there}
        empty, count = [], 0
        for interval in self.intervals:
            camera = None if interval.topic is None else camera_topic(interval.topic)
            if camera in known - cameras:
                continue
            count += 1
            if not any(np.searchsorted(times, interval.start_ns) < np.searchsorted(times, interval.end_ns)
                       for (topic, clock), times in sorted_times.items()
                       if clock is interval.clock and camera in (None, camera_topic(topic))):
                empty.append(interval)
        if not empty:
            return ()
        first = empty[0]
        return (f'labels: {len(empty)} of {count} intervals cover no frame, the first: {first.label!r} from '
                f'{first.start_ns / 1e9:.3f} s by the {first.clock.value} clock'
                f'{f" on {first.topic}" if first.topic else ""}{f" ({first.where})" if first.where else ""}',)

    def not_there(self, topics: Collection[str]) -> Tuple[str, ...]:
        """A sentence about the intervals whose topic is none of ``topics``, which the recording has."""
        there = {camera_topic(topic) for topic in topics}
        count = Counter(interval.topic for interval in self.intervals
                        if interval.topic is not None and camera_topic(interval.topic) not in there)
        return tuple(f'labels: {number} of {len(self.intervals)} intervals are of {printable(topic, 100)}, which is '
                     f'not among the image topics of the bag; {did_you_mean(topic, topics)}'
                     for topic, number in sorted(count.items())[:5])

    def span(self, clock: Clock, topic: Optional[str] = None) -> Optional[Tuple[int, int]]:
        """First start and last end by ``clock`` of what holds for ``topic`` (None: any); None where nothing is."""
        spans = [(starts[0], starts[-1]) for (by, name), (starts, _) in self._segments.items()
                 if by is clock and (topic is None or name in (None, camera_topic(topic)))]
        return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


def _segments(intervals: Sequence[LabelInterval]) -> Tuple[List[int], List[FrozenSet[Tuple[str, Optional[str]]]]]:
    """Times at which something changes, and the (label, track) pairs that hold from there to the next."""
    changes: Dict[int, List[Tuple[int, Tuple[str, Optional[str]]]]] = {}
    for interval in intervals:
        value = (interval.label, interval.track)
        changes.setdefault(interval.start_ns, []).append((1, value))
        changes.setdefault(interval.end_ns, []).append((-1, value))
    active: Counter[Tuple[str, Optional[str]]] = Counter()
    starts, values = sorted(changes), []
    for time_ns in starts:
        for change, value in changes[time_ns]:
            active[value] += change
            if not active[value]:
                del active[value]
        values.append(frozenset(active))
    return starts, values


def check_label(text: str, where: str) -> str:
    """``text`` without space around it, reserved names in lower case; empty means no label.

    ``unlabelled`` is no label but says that there is none: its frames are left out as those of ``ignore``.

    Raises:
        ConfigError: the label is ``uncertain``, is too long, or holds what is no text.
    """
    label = text.strip()
    name = label.casefold()
    if name == UNCERTAIN:
        raise ConfigError(f'{where}: a frame cannot be labelled {UNCERTAIN!r}, which is an outcome of deciding; label '
                          f'it {UNKNOWN!r} if it is none of the classes, or {IGNORE!r} to leave it out')
    problem = name_problem(label)
    if problem:
        raise ConfigError(f'{where}: {printable(repr(label), 60)} cannot be a label: it {problem}')
    if name in UNLABELLED_NAMES:
        return IGNORE
    return name if name in (UNKNOWN, IGNORE) else label


def alike(names: Iterable[str]) -> List[Tuple[str, str]]:
    """Pairs of names that differ in case or in the spelling of the same letters only."""
    first: Dict[str, str] = {}
    pairs = [(first.setdefault(normalize('NFC', name).casefold().strip(), name), name) for name in names]
    return [(before, name) for before, name in pairs if before != name]
