"""``labels.sqlite`` of a queue: what people said, as events that are only ever appended.

An event is stored once, whoever sends it again, and it is on the disk before it is called saved (write-ahead log with
``synchronous=FULL``). It carries recording, topic and times, so that it means the same after a new mining. One process
writes while others read; several that write take turns.
"""
import json
import os
import re
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from ..core.errors import ConfigError, OutputError
from ..core.text.printable import printable

LABELS = 'labels.sqlite'
"""Name of the file in a queue's folder."""
FORMAT = 1
KINDS = ('label', 'clear', 'cut', 'span', 'undo', 'class')
UNKNOWN, IGNORE, UNSURE = RESERVED = ('unknown', 'ignore', 'unsure')
"""Labels that are no class: none of the classes; not to be used for anything; to be looked at by somebody else."""
_APPLICATION = 0x52564c42  # "RVLB", told by file(1)
_ID = re.compile(r'[0-9A-Za-z_-]{8,64}')
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
class Stretch:
    """A piece of time of one camera that an event is about.

    Attributes:
        recording: its name in the queue.
        path: the bag, as it was given to the mining.
        topic: image topic.
        start_ns, end_ns: start_ns <= stamp < end_ns.
    """

    recording: str
    path: str
    topic: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Action:
    """What somebody did.

    Attributes:
        id: made by whoever did it, 8 to 64 of ``0-9A-Za-z_-``: an action of the same id is stored once.
        kind: one of :data:`KINDS`. ``label`` and ``clear`` give stretches a label or take it; ``cut`` divides the
            stretch at ``at_ns``; ``span`` labels a stretch and cuts at both its ends; ``undo`` takes another event
            back (or an undo); ``class`` adds a class.
        stretches: what it is about; empty for ``undo`` and ``class``.
        label: of ``label``, ``span`` and ``class``.
        at_ns: of ``cut``.
        undoes: id of the event that ``undo`` takes back.
        blind: a second label that was given without seeing the first: it is compared with that, and changes nothing.
    """

    id: str
    kind: str
    stretches: Tuple[Stretch, ...] = ()
    label: str = ''
    at_ns: int = 0
    undoes: str = ''
    blind: bool = False

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ConfigError(f'id of an event: {printable(self.id)!r}; 8 to 64 letters, digits, _ and - are allowed')
        if self.kind not in KINDS:
            raise ConfigError(f'kind of an event: {printable(self.kind)!r}; there are {", ".join(KINDS)}')
        for one in self.stretches:
            if not -2**63 <= one.start_ns < one.end_ns < 2**63:
                raise ConfigError(f'a stretch from {one.start_ns} to {one.end_ns} ns: it has to end after its start')


@dataclass(frozen=True)
class Event:
    """An action that is stored.

    Attributes:
        seq: place in the order of all events, from 1.
        tab: window of the browser, or program, that it came from.
        who: the person.
        time_ms: when it was stored, ms since 1970.
        action: what was done.
    """

    seq: int
    tab: str
    who: str
    time_ms: int
    action: Action


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
        if read_only and not self.path.exists():
            return
        mode = 'ro' if read_only else 'rwc'
        with self._told():
            self._connection = sqlite3.connect(f'{self.path.absolute().as_uri()}?mode={mode}', uri=True,
                                               timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(self._connection)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not self._read_only:
            connection.execute('PRAGMA journal_mode=WAL').fetchone()
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
                yield _event(row)

    @contextmanager
    def writing(self) -> Iterator[Callable[[str, str, Action], Stored]]:
        """A transaction: what is stored in the block is on the disk when it ends, or nothing is.

        No other process writes meanwhile, so that :meth:`events` at its beginning is all there is.

        Yields:
            A function that stores an action of a tab and a person.

        Raises:
            OutputError: nothing was stored, since the disk is full or the file cannot be written.
        """
        connection = self._connection
        assert connection is not None and not self._read_only, 'opened to be read'
        with self._told(), _transaction(connection):
            yield lambda tab, who, action: self._store(connection, tab, who, action)

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
            (action.id, action.kind, tab, who, time_ms, _body(action))).lastrowid
        assert seq is not None
        return Stored(Event(seq, tab, who, time_ms, action), True)

    def find(self, action_id: str) -> Optional[Event]:
        """The event of an id; None: there is none."""
        if self._connection is None:
            return None
        row = self._connection.execute(
            'SELECT seq, id, kind, tab, who, time_ms, body FROM event WHERE id = ?', (action_id,)).fetchone()
        return None if row is None else _event(row)

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


def _body(action: Action) -> str:
    """What of an action has no column, without what is empty."""
    content: Dict[str, Any] = {key: value for key, value in asdict(action).items()
                               if key not in ('id', 'kind') and value}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(',', ':'))


def _event(row: Tuple[Any, ...]) -> Event:
    seq, action_id, kind, tab, who, time_ms, body = row
    content = json.loads(body)
    stretches = tuple(Stretch(**one) for one in content.pop('stretches', ()))
    return Event(seq, tab, who, time_ms, Action(action_id, kind, stretches, **content))
