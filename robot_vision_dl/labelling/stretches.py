"""Labels over time, put together: what is taken away, what is kept, what is joined. All by the header's clock."""
from dataclasses import replace
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from ..data.labels.labels import LabelInterval, camera_topic


class TopicStretch(NamedTuple):
    """start_ns <= stamp < end_ns of one image topic."""

    topic: str
    start_ns: int
    end_ns: int


def outside(intervals: Iterable[LabelInterval], stretches: Sequence[TopicStretch], topics: Sequence[str]
            ) -> List[LabelInterval]:
    """What of ``intervals`` lies outside ``stretches``.

    An interval of all topics becomes one for each of the other cameras where a stretch of one of them lies in it.

    Args:
        topics: all image topics of the recording.
    """
    by_camera: Dict[str, List[Tuple[int, int]]] = {}
    for one in stretches:
        by_camera.setdefault(camera_topic(one.topic), []).append((one.start_ns, one.end_ns))
    taken = {camera: _union(spans) for camera, spans in by_camera.items()}
    everywhere = _union(span for spans in taken.values() for span in spans)
    cameras = sorted({camera_topic(topic) for topic in topics} | set(taken))
    kept: List[LabelInterval] = []
    for interval in intervals:
        if interval.topic is not None:
            kept += _cut(interval, taken.get(camera_topic(interval.topic), ()))
            continue
        kept += _cut(interval, everywhere)
        for part in _shared(interval, everywhere):
            kept += [each for camera in cameras
                     for each in _cut(replace(part, topic=camera), taken.get(camera, ()))]
    return kept


def inside(intervals: Iterable[LabelInterval], stretch: TopicStretch) -> List[LabelInterval]:
    """What of ``intervals`` holds for a stretch, as intervals of its topic."""
    return [part if part.topic is not None else replace(part, topic=stretch.topic)
            for interval in intervals
            if interval.topic is None or camera_topic(interval.topic) == camera_topic(stretch.topic)
            for part in _shared(interval, [(stretch.start_ns, stretch.end_ns)])]


def with_tracks(interval: LabelInterval, others: Iterable[LabelInterval]) -> Iterator[LabelInterval]:
    """``interval`` in parts, each with the track that one of ``others`` of the same label gives it."""
    assert interval.topic is not None
    stretch = TopicStretch(interval.topic, interval.start_ns, interval.end_ns)
    named = [one for one in inside(others, stretch) if one.label == interval.label and one.track is not None]
    edges = sorted({interval.start_ns, interval.end_ns, *(one.start_ns for one in named),
                    *(one.end_ns for one in named)})
    for start, end in zip(edges, edges[1:]):
        tracks = [one.track for one in named if one.track is not None and one.start_ns <= start < one.end_ns]
        yield replace(interval, start_ns=start, end_ns=end, track=min(tracks) if tracks else None)


def joined(intervals: Iterable[LabelInterval]) -> List[LabelInterval]:
    """In order, equal ones once; those that adjoin and say the same of the same topic are one. No ``where``."""
    found: List[LabelInterval] = []
    last: Dict[Tuple[str, str, str], int] = {}
    for one in sorted(intervals, key=_order):
        key = (one.topic or '', one.label, one.track or '')
        place = last.get(key)
        if place is not None and one.start_ns <= found[place].end_ns:
            found[place] = replace(found[place], end_ns=max(found[place].end_ns, one.end_ns))
        else:
            last[key] = len(found)
            found.append(replace(one, where=''))
    return sorted(found, key=_order)


def _order(one: LabelInterval) -> Tuple[str, int, int, str, str]:
    return one.topic or '', one.start_ns, one.end_ns, one.label, one.track or ''


def _union(spans: Iterable[Tuple[int, int]]) -> List[Tuple[int, int]]:
    found: List[Tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _cut(interval: LabelInterval, taken: Sequence[Tuple[int, int]]) -> Iterator[LabelInterval]:
    """What of an interval is outside of spans that ascend and do not overlap."""
    position = interval.start_ns
    for start, end in taken:
        if position < min(start, interval.end_ns):
            yield replace(interval, start_ns=position, end_ns=min(start, interval.end_ns))
        position = max(position, end)
        if position >= interval.end_ns:
            return
    yield replace(interval, start_ns=position)


def _shared(interval: LabelInterval, spans: Iterable[Tuple[int, int]]) -> Iterator[LabelInterval]:
    for start, end in spans:
        if max(start, interval.start_ns) < min(end, interval.end_ns):
            yield replace(interval, start_ns=max(start, interval.start_ns), end_ns=min(end, interval.end_ns))
