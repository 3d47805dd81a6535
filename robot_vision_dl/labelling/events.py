"""``labels.sqlite`` of a queue: what people said, as events that are only ever appended.

An event is stored once, whoever sends it again, and it is on the disk before it is called saved (write-ahead log with
``synchronous=FULL``). It carries recording, topic and times, so that it means the same after a new mining. One process
writes while others read; several that write take turns.
"""
import os
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

from ..core.errors import ConfigError, OutputError
from ..core.files.file_identity import file_identity
from ..core.text.printable import printable
from .event import (
    IGNORE,
    KINDS,
    LABELS,
    RESERVED,
    UNKNOWN,
    UNSURE,
    Action,
    Event,
    Stretch,
    body_of,
    event_of,
)

__all__ = ['IGNORE', 'KINDS', 'LABELS', 'RESERVED', 'UNKNOWN', 'UNSURE', 'Action', 'BusyError', 'Event', 'EventStore',
           'Stored', 'Stretch', 'read_events']

FORMAT = 1
_APPLICATION = 0x52564c42  # "RVLB", told by file(1)
_BUSY_S = 10.0
_SCHEMA = f"""
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, tab TEXT NOT NULL,
    who TEXT NOT NULL, time_ms INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
CREATE TRIGGER event_is_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are only appended'); END;
PRAGMA application_id={_APPLICATION};
PRAGMA user_version={FORMAT};
"""


@dataclass(frozen=True)
class Stored:
    """What became of an action that was to be stored.

    Attributes:
        event: as it is stored now.
        is_new: False: an action of that id was there already, and nothing was added.
    """

    event: Event
    is_new: bool


class BusyError(OutputError):
    """Another process keeps the file from being written."""


class MovedError(OutputError):
    """The file of labels is not the one any more that was opened."""


class EventStore:
    """``labels.sqlite``, open for one thread at a time."""

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        """Open it; it is made where it is missing, unless only read.

        Raises:
            ConfigError: it is no such file, or of a newer version.
            OutputError: it cannot be written.
        """
        self.path = folder / LABELS
        self._read_only = read_only
        self._connection: Optional[sqlite3.Connection] = None
        self._file: Optional[Tuple[int, int]] = None
        if read_only and not self.path.exists():
            return
        mode = 'ro' if read_only else 'rwc'
        with self._told():
            self._connection = sqlite3.connect(f'{self.path.absolute().as_uri()}?mode={mode}', uri=True,
                                               timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(self._connection)
                self._file = file_identity(self.path)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not self._read_only:
            _write_ahead(connection)
            connection.execute('PRAGMA synchronous=FULL')
            connection.execute('BEGIN IMMEDIATE')
            if not self._version(connection):
                # One transaction: whoever is killed leaves an empty file or a whole one.
                for statement in _statements(_SCHEMA):
                    connection.execute(statement)
            connection.execute('COMMIT')
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        version = self._version(connection)
        if version > FORMAT:
            raise ConfigError(f'{printable(self.path)}: is of version {version}, and this program reads up to '
                              f'{FORMAT}; update robot_vision_dl')

    def _version(self, connection: sqlite3.Connection) -> int:
        """Version of the format; 0: there is nothing in the file yet."""
        version = int(connection.execute('PRAGMA user_version').fetchone()[0])
        kind = int(connection.execute('PRAGMA application_id').fetchone()[0])
        foreign = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchone()[0]
        if (version or foreign) and kind != _APPLICATION:
            raise ConfigError(f'{printable(self.path)}: is a database of something else; move it away')
        return version

    def __enter__(self) -> 'EventStore':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    @property
    def is_in_place(self) -> bool:
        """Whether the file that was opened is still the one of this name: not removed, moved or replaced."""
        return self._file == file_identity(self.path)

    @property
    def last(self) -> int:
        """Sequence number of the last event; 0: there is none."""
        if self._connection is None:
            return 0
        with self._told():
            return int(self._connection.execute('SELECT COALESCE(MAX(seq), 0) FROM event').fetchone()[0]
                       if self._version(self._connection) else 0)

    def events(self, after: int = 0) -> Iterator[Event]:
        """All events whose ``seq`` is greater than ``after``, in order."""
        if self._connection is None or not self._version(self._connection):
            return
        with self._told():
            rows = self._connection.execute(
                'SELECT seq, id, kind, tab, who, time_ms, body FROM event WHERE seq > ? ORDER BY seq', (after,))
            for row in rows:
                yield event_of(row)

    @contextmanager
    def writing(self) -> Iterator[Callable[[str, str, Action], Stored]]:
        """A transaction: what is stored in the block is on the disk when it ends, or nothing is.

        No other process writes meanwhile, so that :meth:`events` at its beginning is all there is.

        Yields:
            A function that stores an action of a tab and a person.

        Raises:
            OutputError: nothing was stored, since the disk is full or the file cannot be written.
            MovedError: somebody has removed, moved or replaced the file; what is stored in it now would be lost.
        """
        connection = self._connection
        assert connection is not None and not self._read_only, 'opened to be read'
        self._check_place()
        with self._told(), _transaction(connection):
            yield lambda tab, who, action: self._store(connection, tab, who, action)
        self._check_place()

    def _check_place(self) -> None:
        if not self.is_in_place:
            raise MovedError(f'{printable(self.path)}: was removed, moved or replaced since it was opened; put it '
                             'back, or start again with what is there')

    def append(self, tab: str, who: str, actions: Sequence[Action]) -> List[Stored]:
        """Store actions, all or none; when this returns they are on the disk.

        Args:
            tab, who: where they come from.
            actions: what was done, in order.

        Returns:
            For each action the event of its id.

        Raises:
            OutputError: as of :meth:`writing`.
        """
        with self.writing() as store:
            return [store(tab, who, action) for action in actions]

    def _store(self, connection: sqlite3.Connection, tab: str, who: str, action: Action) -> Stored:
        there = self.find(action.id)
        if there is not None:
            return Stored(there, False)
        time_ms = time.time_ns() // 10**6
        seq = connection.execute(
            'INSERT INTO event (id, kind, tab, who, time_ms, body) VALUES (?, ?, ?, ?, ?, ?)',
            (action.id, action.kind, tab, who, time_ms, body_of(action))).lastrowid
        assert seq is not None
        return Stored(Event(seq, tab, who, time_ms, action), True)

    def find(self, action_id: str) -> Optional[Event]:
        """The event of an id; None: there is none."""
        if self._connection is None:
            return None
        row = self._connection.execute(
            'SELECT seq, id, kind, tab, who, time_ms, body FROM event WHERE id = ?', (action_id,)).fetchone()
        return None if row is None else event_of(row)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what SQLite's errors mean, and what to do."""
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            if 'locked' in str(error):
                raise BusyError(f'{printable(self.path)}: another process has been writing for {_BUSY_S:.0f} s; see '
                                'what it is, and try again; nothing that was saved is lost') from error
            raise OutputError(f'{printable(self.path)}: cannot be {"read" if self._read_only else "written"} '
                              f'({error}); make room, see that the folder may be written and is on a disk of this '
                              'machine; nothing that was saved is lost') from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(f'{printable(self.path)}: cannot be read as labels ({error}); move it away, and keep it: '
                              '`sqlite3 FILE .recover` may read it') from error


def read_events(folder: Path) -> List[Event]:
    """All events of a queue's folder, also while another process writes; empty where nobody has labelled yet."""
    with EventStore(folder, read_only=True) as store:
        return list(store.events())


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; of several who open a new file at once, SQLite lets all but one down unwaited."""
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute('PRAGMA journal_mode=WAL').fetchone()
            return
        except sqlite3.OperationalError as error:
            if 'locked' not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute('BEGIN IMMEDIATE')
    try:
        yield
        connection.execute('COMMIT')
    except BaseException:
        if connection.in_transaction:
            connection.execute('ROLLBACK')
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script: ``executescript`` would commit first."""
    statement = ''
    for line in script.splitlines():
        statement += line + '\n'
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ''
