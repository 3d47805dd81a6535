"""The parts of all recordings in memory, without pictures: what is compared, judged and put in order."""
import sqlite3
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import List, NamedTuple, Sequence

import numpy as np

from ...core.errors import OutputError, raise_about_machine
from ...core.text.printable import printable
from ..queue_file import QueueFrame
from .intervals import Interval
from .parts import Part, PartHead

_OPEN = 64
_NO_FEATURE = np.zeros(0, np.float16)


class Gathered(NamedTuple):
    """n intervals by recording, topic and time.

    Attributes:
        intervals: without their features.
        features: float16 (n, F), of length 1.
        recordings: int64 (n,), which recording each is of.
        numbers: int64 (n,), which interval of its part.
        heads: of the parts.
    """

    intervals: List[Interval]
    features: np.ndarray
    recordings: np.ndarray
    numbers: np.ndarray
    heads: List[PartHead]


def gather(paths: Sequence[Path]) -> Gathered:
    """Read the parts of recordings; features take 2 F bytes an interval.

    Raises:
        OutputError: a part is damaged; it is removed.
    """
    intervals: List[Interval] = []
    features: List[np.ndarray] = []
    recordings: List[np.ndarray] = []
    numbers: List[np.ndarray] = []
    heads: List[PartHead] = []
    for recording, path in enumerate(paths):
        try:
            with Part(path) as part:
                heads.append(part.head())
                found, mine = [], np.zeros((len(part), 0), np.float16)
                for number, interval in enumerate(part.intervals()):
                    if not number:
                        mine = np.zeros((len(mine), len(interval.feature)), np.float16)
                    mine[number] = interval.feature
                    found.append(replace(interval, feature=_NO_FEATURE))
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            raise_about_machine(error, path)
            path.unlink(missing_ok=True)
            raise OutputError(f'{printable(path)}: was damaged ({error}) and is removed; give the same command again, '
                              'which looks at its recording anew') from error
        order = sorted(range(len(found)), key=lambda place: (found[place].topic, found[place].start_ns))
        intervals += [found[place] for place in order]
        if found:
            features.append(mine[order])
        recordings.append(np.full(len(found), recording, np.int64))
        numbers.append(np.array(order, np.int64))
    return Gathered(intervals, np.concatenate(features) if features else np.zeros((0, 0), np.float16),
                    np.concatenate([np.zeros(0, np.int64), *recordings]),
                    np.concatenate([np.zeros(0, np.int64), *numbers]), heads)


class Strips:
    """Film strips of parts, of which some stay open; a context manager."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._open: OrderedDict[int, Part] = OrderedDict()

    def __enter__(self) -> 'Strips':
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._open.values():
            part.close()

    def of(self, recording: int, number: int) -> List[QueueFrame]:
        """That of an interval of the part of a recording."""
        part = self._open.pop(recording, None) or Part(self._paths[recording])
        self._open[recording] = part
        if len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return part.strip(number)
