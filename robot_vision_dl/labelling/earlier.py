"""What a bag is labelled already, wherever that is written, by the pictures' stamps."""
from array import array
from dataclasses import replace
from itertools import groupby
from typing import Collection, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..core.errors import ConfigError, ImageError
from ..core.text.printable import printable
from ..data.bags.reader import BagReader
from ..data.folders import shown
from ..data.labels.labels import Clock, LabelInterval, camera_topic
from ..data.labels.sources import label_files_beside, label_topics, labels_of_bag


class EarlierLabels(NamedTuple):
    """Labels that every command would read of a bag now.

    Attributes:
        intervals: by the header's clock, of one topic or of all.
        source: where they are, for messages; empty: there are none.
        notes: sentences about what was decided.
    """

    intervals: Tuple[LabelInterval, ...] = ()
    source: str = ''
    notes: Tuple[str, ...] = ()


def earlier_labels(reader: BagReader, recording: str) -> EarlierLabels:
    """Labels beside a bag or in it.

    Times from the bag's start are turned into stamps by the frames that they cover, which keep their labels exactly.

    Raises:
        ConfigError: they cannot be read, or two frames of one stamp have different ones.
    """
    files = label_files_beside(reader.files)
    if not files and not label_topics(reader):
        return EarlierLabels()
    found = labels_of_bag(reader, recording)
    notes = [*found.problems, *found.notes]
    intervals = found.labels.intervals
    others = [one for one in intervals if one.clock is not Clock.HEADER]
    if others:
        converted = _by_stamp(reader, others)
        notes.append(f'{shown(reader.path)}: {len(others)} earlier intervals are not by the stamps of the pictures; '
                     'they are written so now, and every frame that they cover keeps its label')
        intervals = (*(one for one in intervals if one.clock is Clock.HEADER), *converted)
    return EarlierLabels(tuple(intervals), ', '.join(shown(file) for file in files[:1]) or ', '.join(found.used),
                         tuple(notes))


def with_frames(reader: BagReader, intervals: Sequence[LabelInterval], whole: Collection[LabelInterval]
                ) -> List[LabelInterval]:
    """Intervals by the header's clock without those that cover no frame, which are what is left of cut ones.

    The bag is read only where something is left of one that was cut.

    Args:
        whole: stay as they are, whatever they cover.
    """
    known = {replace(one, where='') for one in whole}
    rests = {one for one in (replace(one, where='') for one in intervals) if one not in known}
    cameras = {camera_topic(one.topic) for one in rests if one.topic is not None}
    topics = [name for name in image_topics(reader) if not reader.topics[name].unreadable
              and (camera_topic(name) in cameras or any(one.topic is None for one in rests))]
    stamps = {topic: np.sort(found) for topic, (found, _) in _frame_times(reader, topics if rests else ()).items()
              if len(found)}

    def is_empty(one: LabelInterval) -> bool:
        times = [there for topic, there in stamps.items()
                 if one.topic is None or camera_topic(one.topic) == camera_topic(topic)]
        return bool(times) and not any(np.searchsorted(there, one.start_ns) < np.searchsorted(there, one.end_ns)
                                       for there in times)
    return [one for one in intervals if replace(one, where='') not in rests or not is_empty(one)]


def image_topics(reader: BagReader) -> List[str]:
    """Topics that carry pictures."""
    return [name for name, topic in reader.topics.items() if topic.is_image]


def _by_stamp(reader: BagReader, intervals: Sequence[LabelInterval]) -> List[LabelInterval]:
    """Intervals by receive time as intervals by stamp that cover the same frames."""
    cameras = {camera_topic(one.topic) for one in intervals if one.topic is not None}
    topics = [name for name in image_topics(reader) if not reader.topics[name].unreadable
              and (camera_topic(name) in cameras or any(one.topic is None for one in intervals))]
    found: List[LabelInterval] = []
    for topic, (stamps, receives) in _frame_times(reader, topics).items():
        order = np.argsort(stamps, kind='stable')
        for one in intervals:
            if one.topic is None or camera_topic(one.topic) == camera_topic(topic):
                covered = (one.start_ns <= receives) & (receives < one.end_ns)
                found += [replace(one, topic=topic, start_ns=start, end_ns=end, clock=Clock.HEADER) for start, end
                          in _runs(stamps[order], covered[order], f'{shown(reader.path)}, {printable(topic)}')]
    return found


def _frame_times(reader: BagReader, topics: Sequence[str]) -> Dict[str, Tuple[np.ndarray, np.ndarray]]:
    """Stamps and receive times in ns, each (n,) int64, of the frames of each topic, in the order of the bag."""
    times: Dict[str, Tuple['array[int]', 'array[int]']] = {topic: (array('q'), array('q')) for topic in topics}
    for message in reader.image_messages(topics) if topics else ():
        try:
            stamp_ns = message.decode().header.stamp_ns or message.receive_ns
        except ImageError:
            continue  # no frame that anything could be done with
        times[message.topic][0].append(stamp_ns)
        times[message.topic][1].append(message.receive_ns)
    return {topic: (np.asarray(stamps, np.int64), np.asarray(receives, np.int64))
            for topic, (stamps, receives) in times.items()}


def _runs(stamps: np.ndarray, covered: np.ndarray, where: str) -> Iterator[Tuple[int, int]]:
    """Spans of ascending stamps that hold what is covered and nothing else."""
    split = (stamps[1:] == stamps[:-1]) & (covered[1:] != covered[:-1])
    if split.any():
        raise ConfigError(f'{where}: two frames have the stamp {int(stamps[1:][split][0])} ns, and only one of them is '
                          'in an earlier interval, whose times are from the start of the bag; write these labels anew, '
                          'by stamp, or give --out FOLDER and read both files')
    for is_in, places in groupby(range(len(stamps)), key=lambda place: bool(covered[place])):
        if is_in:
            run = list(places)
            after = run[-1] + 1
            yield int(stamps[run[0]]), int(stamps[after]) if after < len(stamps) else int(stamps[run[-1]]) + 1
