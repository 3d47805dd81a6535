"""SQLite files of intervals that are written whole and never changed afterwards."""
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Iterator, Optional, Type, TypeVar

from ..core.errors import OutputError
from ..core.files.whole_files import REMEDY, whole_file
from ..core.text.printable import printable

_Self = TypeVar('_Self', bound='WholeDatabase')


@contextmanager
def whole_database(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """A new SQLite file in a transaction, which takes its place at the end of the ``with`` block, not if that raises.

    The same statements give the same bytes.

    Raises:
        OutputError: it cannot be written; what was there before is still there.
    """
    with whole_file(path) as file:
        try:
            with closing(sqlite3.connect(file.name, isolation_level=None)) as connection:
                connection.executescript('PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;')
                connection.executescript(schema)
                connection.execute('BEGIN')
                yield connection
                connection.execute('COMMIT')
        except sqlite3.OperationalError as error:
            raise OutputError(f'{printable(path)}: cannot be written ({error}); {REMEDY}') from error


class WholeDatabase:
    """Such a file, read; its length is the number of its intervals. One thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open it; what is no such file raises ``sqlite3.DatabaseError``, here or when it is read."""
        self._connection = sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro&immutable=1', uri=True,
                                           check_same_thread=False)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __len__(self) -> int:
        return int(self._connection.execute('SELECT COUNT(*) FROM interval').fetchone()[0])
