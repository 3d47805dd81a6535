"""``mined.sqlite`` of a queue: what mining found, in the order in which it is to be labelled.

The file is written whole and never changed afterwards: what people say of it is in ``labels.sqlite`` beside it. The
same content gives the same bytes, so that two minings can be compared as files.
"""
import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..core.errors import ConfigError
from ..core.text.json_text import parse_json
from ..core.text.printable import printable
from .whole_database import WholeDatabase, whole_database

MINED = 'mined.sqlite'
"""Name of the file in a queue's folder."""
FORMAT = 1
REASONS = ('unknown', 'uncertain', 'flickering', 'label', 'camera_fault', 'random', 'sure')
"""Why an interval is in the queue, the strongest first: the model calls it unknown or is uncertain, its decision
changes back and forth, its given label is likely wrong, the camera is at fault, it was drawn at random, or none."""

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE recording (id INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL, start_ns INTEGER NOT NULL);
CREATE TABLE interval (
    id INTEGER PRIMARY KEY, recording INTEGER NOT NULL REFERENCES recording, topic TEXT NOT NULL,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, frames INTEGER NOT NULL, reason TEXT NOT NULL,
    doubt REAL NOT NULL, random INTEGER NOT NULL, chosen INTEGER NOT NULL, proposals TEXT NOT NULL,
    explanation TEXT NOT NULL, given TEXT NOT NULL, alike INTEGER, feature BLOB NOT NULL);
CREATE TABLE frame (
    interval INTEGER NOT NULL REFERENCES interval, place INTEGER NOT NULL, stamp_ns INTEGER NOT NULL,
    decision TEXT NOT NULL, confidence REAL NOT NULL, jpeg BLOB NOT NULL, PRIMARY KEY (interval, place)) WITHOUT ROWID;
CREATE INDEX interval_time ON interval (recording, topic, start_ns);
"""


@dataclass(frozen=True)
class QueueRecording:
    """A recording that was mined.

    Attributes:
        id: from 1.
        name: unique in the queue.
        path: the bag, absolute; relative as it was given in queues of before.
        start_ns: receive time of its first message.
    """

    id: int
    name: str
    path: str
    start_ns: int


@dataclass(frozen=True)
class QueueFrame:
    """A picture of an interval's film strip.

    Attributes:
        stamp_ns: of its header; the receive time where that is zero.
        decision: of the model for this frame alone: a class name, ``unknown`` or ``uncertain``.
        confidence: of the most probable class, in [0, 1].
        jpeg: a small picture.
    """

    stamp_ns: int
    decision: str
    confidence: float
    jpeg: bytes


@dataclass(frozen=True)
class QueueInterval:
    """A stretch of one camera of one recording in which neither the decision nor what is seen changes.

    Attributes:
        id: from 1, in the order of the queue.
        recording: id of the recording.
        topic: image topic.
        start_ns, end_ns: it holds for start_ns <= stamp < end_ns.
        frames: how many frames were looked at.
        reason: the strongest of :data:`REASONS`.
        doubt: from 0 (sure) to 1, by which the queue is ordered apart from what was drawn at random.
        random: drawn at random from all intervals, so that figures of these hold for the recordings as a whole.
        chosen: it belongs to the batch that is worth labelling; the others can be looked up and labelled in
            bulk.
        proposals: class names and their mean calibrated probability, the most probable first; ``unknown`` first where
            the model calls it that.
        explanation: the reason in words, for people.
        given: the label that the recording has there already; empty for none.
        alike: id of the interval that stands for this one, which shows nearly the same; None: it stands for itself.
        feature: float32 (F,), mean of the L2-normalised features of its frames, of length 1.
    """

    id: int
    recording: int
    topic: str
    start_ns: int
    end_ns: int
    frames: int
    reason: str
    doubt: float
    random: bool
    chosen: bool
    proposals: Tuple[Tuple[str, float], ...]
    explanation: str = ''
    given: str = ''
    alike: Optional[int] = None
    feature: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


def write_queue(folder: Path, meta: Mapping[str, Any], recordings: Sequence[QueueRecording],
                intervals: Iterable[Tuple[QueueInterval, Sequence[QueueFrame]]]) -> Path:
    """Write ``mined.sqlite`` whole: the same arguments give the same bytes.

    Args:
        folder: of the queue.
        meta: values that JSON can hold: ``class_names`` (a list), ``model``, ``model_hash``, ``options``, ... No times
            and no names of machines, which would make equal minings differ.
        recordings, intervals: by id, ascending. Intervals may be made one after another.

    Raises:
        OutputError: it cannot be written.
    """
    path = folder / MINED
    with whole_database(path, _SCHEMA) as connection:
        connection.executemany('INSERT INTO meta VALUES (?, ?)', sorted(
            (key, json.dumps(value, ensure_ascii=False, sort_keys=True))
            for key, value in {**meta, 'format': FORMAT}.items()))
        connection.executemany('INSERT INTO recording VALUES (?, ?, ?, ?)', (
            (one.id, one.name, one.path, one.start_ns) for one in recordings))
        for interval, frames in intervals:
            connection.execute(f'INSERT INTO interval VALUES ({", ".join("?" * 15)})', (
                interval.id, interval.recording, interval.topic, interval.start_ns, interval.end_ns,
                interval.frames, interval.reason, interval.doubt, int(interval.random), int(interval.chosen),
                json.dumps(interval.proposals, ensure_ascii=False), interval.explanation, interval.given,
                interval.alike, np.asarray(interval.feature, '<f2').tobytes()))
            connection.executemany('INSERT INTO frame VALUES (?, ?, ?, ?, ?, ?)', (
                (interval.id, place, one.stamp_ns, one.decision, one.confidence, one.jpeg)
                for place, one in enumerate(frames)))
    return path


class QueueFile(WholeDatabase):
    """``mined.sqlite``, read. One thread at a time.

    Attributes:
        folder: of the queue.
        meta: as it was written.
        class_names: of the model that mined.
        former: recordings of minings before into this folder that the queue lacks, with id 0: labels may name them.
    """

    def __init__(self, folder: Path) -> None:
        """Open it.

        Raises:
            ConfigError: there is none, or it is no such file.
        """
        self.folder = folder
        path = folder / MINED
        if not path.is_file():
            raise ConfigError(f'{printable(folder)}: is no queue, {MINED} is missing; `robot-vision mine BAGS --model '
                              'MODEL --out QUEUE` makes one')
        try:
            super().__init__(path)
            self.meta: Dict[str, Any] = {key: parse_json(value, key)
                                         for key, value in self._connection.execute('SELECT key, value FROM meta')}
        except (sqlite3.DatabaseError, ValueError) as error:
            raise ConfigError(f'{printable(path)}: cannot be read as a queue ({error}); mine again') from error
        if self.meta.get('format') != FORMAT:
            raise ConfigError(f'{printable(path)}: is a queue of format {self.meta.get("format")!r}, and this version '
                              f'reads {FORMAT}; mine again, labels are kept')
        names = self.meta.get('class_names')
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ConfigError(f'{printable(path)}: names no classes; mine again, labels are kept')
        self.class_names: Tuple[str, ...] = tuple(names)
        try:
            self.former = [QueueRecording(0, str(name), str(place), int(start_ns))
                           for name, place, start_ns in self.meta.get('former', ())]
        except (TypeError, ValueError) as error:
            raise ConfigError(f'{printable(path)}: its recordings of before cannot be read ({error}); mine again, '
                              'labels are kept') from error

    @property
    def recordings(self) -> List[QueueRecording]:
        """All recordings by id."""
        return [QueueRecording(*row) for row in self._connection.execute(
            'SELECT id, name, path, start_ns FROM recording ORDER BY id')]

    def intervals(self, features: bool = True) -> Iterator[QueueInterval]:
        """All intervals by id; without ``features`` each has an empty one, which is quicker."""
        rows = self._connection.execute(
            'SELECT id, recording, topic, start_ns, end_ns, frames, reason, doubt, random, chosen, proposals, '
            f'explanation, given, alike, {"feature" if features else "zeroblob(0)"} FROM interval ORDER BY id')
        return map(_interval, rows)

    def features(self) -> np.ndarray:
        """float16 (n, F) of all intervals by id."""
        rows = [np.frombuffer(row[0], '<f2') for row in self._connection.execute(
            'SELECT feature FROM interval ORDER BY id')]
        return np.stack(rows) if rows else np.zeros((0, 0), np.float16)

    def frames(self, interval: int) -> List[Tuple[int, float, str]]:
        """Stamp, confidence and decision of the film strip's pictures of an interval, in order."""
        return [(stamp, confidence, decision) for stamp, confidence, decision in self._connection.execute(
            'SELECT stamp_ns, confidence, decision FROM frame WHERE interval = ? ORDER BY place', (interval,))]

    def picture(self, interval: int, place: int) -> Optional[bytes]:
        """The JPEG file of a picture; None where there is none."""
        row = self._connection.execute('SELECT jpeg FROM frame WHERE interval = ? AND place = ?',
                                       (interval, place)).fetchone()
        return None if row is None else bytes(row[0])


def _interval(row: Tuple[Any, ...]) -> QueueInterval:
    (number, recording, topic, start_ns, end_ns, frames, reason, doubt, random, chosen, proposals, explanation, given,
     alike, feature) = row
    try:
        proposed = tuple((str(name), float(p)) for name, p in parse_json(proposals, 'proposals'))
        vector = np.frombuffer(feature, '<f2').astype(np.float32)
    except (ValueError, TypeError) as error:
        raise ConfigError(f'{MINED}: interval {printable(number, 30)} cannot be read ({printable(error)}); mine again, '
                          'labels are kept') from error
    return QueueInterval(
        number, recording, topic, start_ns, end_ns, frames, reason, doubt, bool(random), bool(chosen), proposed,
        explanation, given, alike, vector)
