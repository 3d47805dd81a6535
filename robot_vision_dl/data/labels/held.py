"""Labels that hold from a moment on: until one that is given, or until the next of their topic."""
from itertools import groupby, zip_longest
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from .labels import FOREVER_NS, Clock, LabelInterval


class Held(NamedTuple):
    """A label from a moment on: until ``end_ns``, or where that is None until the next one."""

    start_ns: int
    label: str
    track: Optional[str] = None
    end_ns: Optional[int] = None
    where: str = ''


def held(moments: Sequence[Held], hold_s: float, topic: Optional[str], clock: Clock) -> Iterator[LabelInterval]:
    """Intervals: a label without an end of its own holds until the next, at most ``hold_s`` if that is not 0.

    Labels of one moment hold together: where they differ, the frames until the next are in conflict.
    """
    hold_ns = round(hold_s * 1e9) if hold_s else FOREVER_NS
    groups = [_of_one_moment(group) for _, group in groupby(
        sorted(moments, key=lambda moment: moment.start_ns), key=lambda moment: moment.start_ns)]
    begin: Optional[Held] = None
    for group, following in zip_longest(groups, groups[1:]):
        next_ns = following[0].start_ns if following else FOREVER_NS
        for moment in group:
            begin = begin or moment
            if moment.end_ns is not None:
                end = moment.end_ns
            else:
                end = min(moment.start_ns + hold_ns, next_ns, FOREVER_NS)
                goes_on = following and end == next_ns and [one[1:4] for one in following] == [moment[1:4]]
                if goes_on and len(group) == 1:
                    continue
            if moment.label and end > begin.start_ns:
                yield LabelInterval(begin.start_ns, end, moment.label, topic, moment.track, clock, begin.where)
            begin = None


def _of_one_moment(group: Iterable[Held]) -> List[Held]:
    """Without what is said twice, and without what a later empty label ends at once."""
    found: Dict[Tuple[Any, ...], Held] = {}
    for moment in group:
        if not moment.label and moment.end_ns is None:
            found = {key: one for key, one in found.items() if one.end_ns is not None}
        found.setdefault(moment[1:4], moment)
    labelled = [one for one in found.values() if one.label]
    return labelled or list(found.values())
