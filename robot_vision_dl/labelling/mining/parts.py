"""``parts/`` of a queue: what was found in one recording, a file each, by which a mining that was ended goes on.

A part is named after all that it follows from: what is in the bag, its labels, the model, the settings of the pass. It
is written whole, by whoever looked at the recording, and thrown away when a mining without it is done.
"""
import hashlib
import json
import sqlite3
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Tuple

import numpy as np

from ... import __version__
from ...core.errors import raise_about_machine
from ...core.text.json_text import parse_json
from ...data.folders import shown
from ...evaluation.recordings import Recording
from ..queue_file import QueueFrame
from ..whole_database import WholeDatabase, whole_database
from .cutting import Closed
from .intervals import Interval

PARTS = 'parts'
SUFFIX = '.part.sqlite'
_FORMAT = 2
_READ_WHOLE = 64 << 20
_SAMPLES, _SAMPLE = 1024, 1 << 16
_COLUMNS = ('topic', 'start_ns', 'end_ns', 'frames', 'hash', 'top', 'unknown', 'uncertain', 'changes', 'runs',
            'surprise', 'ood_p', 'faults', 'fault', 'given', 'exchanged')
_SCHEMA = f"""
CREATE TABLE head (content TEXT NOT NULL);
CREATE TABLE interval (id INTEGER PRIMARY KEY, {', '.join(_COLUMNS)}, feature BLOB NOT NULL);
CREATE TABLE frame (interval INTEGER NOT NULL, place INTEGER NOT NULL, stamp_ns INTEGER NOT NULL,
    decision TEXT NOT NULL, confidence REAL NOT NULL, jpeg BLOB NOT NULL, PRIMARY KEY (interval, place)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class PartHead:
    """What became of the frames of a recording.

    Attributes:
        start_ns: receive time of the first message.
        looked_at: frames.
        left_out: frames that came too soon after another.
        unusable: frames that could not be read or decided, by reason.
        problems: sentences about the bag and its labels.
    """

    start_ns: int
    looked_at: int
    left_out: int
    unusable: Dict[str, int]
    problems: Tuple[str, ...]


def part_path(folder: Path, key: str) -> Path:
    """Where the part of a key is, in the folder of a queue."""
    return folder / PARTS / f'{key}{SUFFIX}'


def part_key(recording: Recording, settings: Dict[str, Any]) -> str:
    """What names a part: all that it follows from.

    Args:
        settings: of the pass, as JSON holds them; the model's identity among them.
    """
    digest = hashlib.blake2b(digest_size=16)
    content = {'format': _FORMAT, 'version': __version__, 'topics': recording.topics, **settings}
    digest.update(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())
    if recording.labels is not None:
        for interval in recording.labels.intervals:
            digest.update(repr((interval.start_ns, interval.end_ns, interval.label, interval.topic, interval.track,
                                interval.clock.value)).encode())
    for file in recording.files.files:
        digest.update(content_of(file))
    return digest.hexdigest()


def content_of(file: Path) -> bytes:
    """A digest of a file: of all of it up to 64 MiB; of a larger one, of its size and 1 024 stretches of 64 KiB."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(file, 'rb') as content:
            size = content.seek(0, 2)
            digest.update(f'{size} '.encode())
            places = [0] if size <= _READ_WHOLE else np.linspace(0, size - _SAMPLE, _SAMPLES).astype(np.int64).tolist()
            for place in places:
                content.seek(place)
                digest.update(content.read(_READ_WHOLE if len(places) == 1 else _SAMPLE))
    except OSError as error:
        raise_about_machine(error, shown(file))
        raise
    return digest.digest()


class PartWriter:
    """Takes the intervals of a recording as they are closed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._count = 0

    def add(self, closed: Iterable[Closed]) -> None:
        """Write intervals with the pictures of their film strips."""
        for interval, strip in closed:
            values = [getattr(interval, name) for name in _COLUMNS]
            self._connection.execute(
                f'INSERT INTO interval VALUES ({", ".join("?" * (len(_COLUMNS) + 2))})',
                (self._count, *map(_stored, _COLUMNS, values), interval.feature.astype('<f2').tobytes()))
            self._connection.executemany('INSERT INTO frame VALUES (?, ?, ?, ?, ?, ?)', (
                (self._count, place, one.stamp_ns, one.decision, one.confidence, one.jpeg)
                for place, one in enumerate(strip)))
            self._count += 1

    def end(self, head: PartHead) -> None:
        """Nothing more comes."""
        self._connection.execute('INSERT INTO head VALUES (?)', (json.dumps(asdict(head), ensure_ascii=False),))


@contextmanager
def writing_part(path: Path) -> Iterator[PartWriter]:
    """Write a part, which takes its place at the end of the ``with`` block, and not if that raises."""
    with whole_database(path, _SCHEMA) as connection:
        yield PartWriter(connection)


class Part(WholeDatabase):
    """A part that is there, open.

    Raises:
        sqlite3.DatabaseError, ValueError: it is none, or damaged; so do its methods.
    """

    def head(self) -> PartHead:
        """What became of the frames."""
        row = self._connection.execute('SELECT content FROM head').fetchone()
        if row is None:
            raise ValueError('it has no head')
        content = parse_json(row[0], 'head')
        return PartHead(**{**content, 'problems': tuple(content['problems'])})

    def intervals(self) -> Iterator[Interval]:
        """All, in the order in which they ended; their features are as they were stored, in float16."""
        for row in self._connection.execute(f'SELECT {", ".join(_COLUMNS)}, feature FROM interval ORDER BY id'):
            values = {name: _read(name, value) for name, value in zip(_COLUMNS, row)}
            yield Interval(feature=np.frombuffer(row[-1], '<f2'), **values)

    def strip(self, number: int) -> List[QueueFrame]:
        """Film strip of an interval, by its number from 0 in the order of :meth:`intervals`."""
        return [QueueFrame(*row) for row in self._connection.execute(
            'SELECT stamp_ns, decision, confidence, jpeg FROM frame WHERE interval = ? ORDER BY place', (number,))]


def _stored(name: str, value: Any) -> Any:
    if name == 'hash':
        return f'{value:016x}'  # 64 bits without a sign are more than SQLite's numbers hold
    if name in ('top', 'runs'):
        return json.dumps(value, ensure_ascii=False)
    if name == 'ood_p':
        return None if value != value else value
    return value


def _read(name: str, value: Any) -> Any:
    if name == 'hash':
        return int(value, 16)
    if name == 'top':
        return tuple((int(place), float(p)) for place, p in parse_json(value, name))
    if name == 'runs':
        return tuple(parse_json(value, name))
    if name == 'ood_p':
        return float('nan') if value is None else value
    return value
