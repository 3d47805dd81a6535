"""Frames between two intervals, at which mining did not look: what their label is.

Mining looks at a frame in so many seconds, and ends an interval at the last one that belongs to it. Where people gave
both neighbours one label, it holds in between, too. An earlier label stays there only if one of the neighbours has it:
where both were given others, nobody says it any more.
"""
from bisect import bisect_right
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..data.labels.labels import LabelInterval
from .events import UNSURE
from .queue_file import QueueFile
from .state import Camera, LabelledPiece
from .stretches import TopicStretch, inside

_PERIODS = 3
"""A gap of more than so many times the period of mining is one of the recording."""


class Between(NamedTuple):
    """Time between two neighbouring intervals of which people labelled one at least.

    Attributes:
        stretch: from the end of the one to the start of the other.
        before, after: their labels; None: none was given.
    """

    stretch: TopicStretch
    before: Optional[str]
    after: Optional[str]


def gaps(queue: QueueFile, pieces: Iterable[LabelledPiece], bare: Mapping[Camera, Sequence[Tuple[int, int]]]
         ) -> Dict[Camera, List[Between]]:
    """What lies between the intervals of each camera, in order of time.

    Args:
        bare: where people took a label away, in a mining before; what such a stretch reaches into is left out.
    """
    starts: Dict[Tuple[Camera, int], str] = {}
    ends: Dict[Tuple[Camera, int], str] = {}
    for piece in pieces:
        starts[(piece.recording, piece.topic), piece.start_ns] = piece.label
        ends[(piece.recording, piece.topic), piece.end_ns] = piece.label
    names = {one.id: one.name for one in queue.recordings}
    options = queue.meta.get('options')
    every_s = options.get('every_s') if isinstance(options, dict) else None
    most_ns = round(_PERIODS * every_s * 1e9) if isinstance(every_s, (int, float)) else 0
    cameras: Dict[Camera, List[Tuple[int, int]]] = {}
    for interval in queue.intervals(features=False):
        cameras.setdefault((names[interval.recording], interval.topic), []).append(
            (interval.start_ns, interval.end_ns))
    found: Dict[Camera, List[Between]] = {}
    for camera, spans in cameras.items():
        spans.sort()
        taken = bare.get(camera, ())
        ends_taken = [one[1] for one in taken]
        for (_, end), (start, _) in zip(spans, spans[1:]):
            place = bisect_right(ends_taken, end)
            if place < len(taken) and taken[place][0] < start:
                continue
            before, after = ends.get((camera, end)), starts.get((camera, start))
            if end < start <= end + most_ns and (before is not None or after is not None):
                found.setdefault(camera, []).append(Between(TopicStretch(camera[1], end, start), before, after))
    return found


def filled(between: Iterable[Between]) -> Iterator[TopicStretch]:
    """Those whose neighbours have the same label, given by people."""
    return (one.stretch for one in between if one.before is not None and one.before == one.after)


def silenced(between: Iterable[Between], earlier: Sequence[LabelInterval]) -> Iterator[TopicStretch]:
    """Where earlier labels lose their ground, since neither neighbour has them."""
    for one in between:
        topic, start_ns, end_ns = one.stretch
        there = inside(earlier, one.stretch)
        if not there or (one.before is not None and one.before == one.after):
            continue
        known = {one.before, one.after} - {None, UNSURE}
        if one.before is None:
            known |= {part.label for part in inside(earlier, TopicStretch(topic, start_ns - 1, start_ns))}
        if one.after is None:
            known |= {part.label for part in inside(earlier, TopicStretch(topic, end_ns, end_ns + 1))}
        yield from (TopicStretch(topic, part.start_ns, part.end_ns) for part in there if part.label not in known)
