"""Which pieces are shown a second time, blind, and where in the queue: agreement with oneself."""
import hashlib
from dataclasses import dataclass
from typing import List, Sequence, Tuple

SHARE = 20
"""One in so many is shown again."""
_SOONEST, _LATEST = 20, 60
_LEAST_GAP = 5


@dataclass(frozen=True)
class Repeat:
    """An interval that is shown again.

    Attributes:
        interval: its id.
        place: its place among what is to be labelled, from 0.
        after: the place after which it is shown again.
    """

    interval: int
    place: int
    after: int


def repeats(marks: Sequence[Tuple[int, str]], seed: int = 0) -> List[Repeat]:
    """A twentieth of the intervals, each 20 to 60 places later; the same for the same intervals.

    Args:
        marks: of what is to be labelled, in order: id of the interval, and a text that names it whatever else is in
            the queue.
        seed: other seeds choose others.
    """
    found = []
    for place, (interval, mark) in enumerate(marks):
        digest = hashlib.sha256(f'{seed}\0{mark}'.encode('utf-8', 'surrogatepass')).digest()
        if int.from_bytes(digest[:8], 'big') % SHARE:
            continue
        gap = _SOONEST + int.from_bytes(digest[8:16], 'big') % (_LATEST - _SOONEST + 1)
        after = min(place + gap, len(marks) - 1)
        if after - place >= _LEAST_GAP:
            found.append(Repeat(interval, place, after))
    return found
