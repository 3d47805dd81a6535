"""Read sqlite3 files of rosbag2, sound or not: row by row, without their index, as far as their pages are there.

The file is opened as one that nobody changes; only real tables with stored columns are read, and nothing may take long
before it gives a row: views and computed columns can run for ever. The format has no checksums.
"""
import sqlite3
from array import array
from pathlib import Path
from typing import Any, Collection, Dict, Iterator, List, Optional, Tuple

import numpy as np

from ...core.errors import ConfigError, raise_about_machine
from ...core.text.printable import printable
from ...core.text.yaml_text import parse_yaml
from .channel import Channel, RawMessage
from .counts import MOST_METADATA_BYTES, by_topic, claims_of_metadata, differences
from .limits import most_stored_bytes, too_large

# Steps of SQLite's machine between two rows; a row takes some dozen.
_STEPS_A_CALL, _MOST_CALLS = 10_000, 200
_MOST_TOPICS = 10_000
_MOST_SKIP = 1 << 20
_LEAST_BYTES_A_ROW = 4
_FIRST_ROW, _LAST_ROW = -1 << 63, (1 << 63) - 1
_SELECT = 'SELECT _rowid_, topic_id, timestamp, typeof(data), length(data) FROM messages WHERE _rowid_ '


class Db3File:
    """One sqlite3 file.

    Attributes:
        channels: its topics, with as many messages as were found.
        start_ns, end_ns: receive time of the first and the last message; None if there is none.
        problems: sentences about what is missing or damaged; complete once all messages have been read.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Open ``path``, which is called ``name`` in what is said.

        Damage raises nothing: where nothing can be read there are no channels with messages.

        Raises:
            OSError: the file cannot be opened or read.
            MachineError: the disk does not give the file.
        """
        self.path = path
        self.name = name
        self.problems: List[str] = []
        self.channels: List[Channel] = []
        self.start_ns: Optional[int] = None
        self.end_ns: Optional[int] = None
        self._calls = 0
        self._rows, self._stamps, self._keys = array('q'), array('q'), array('q')
        with path.open('rb') as file:
            self._size = file.seek(0, 2)
        self._database = sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro&immutable=1', uri=True,
                                         check_same_thread=False)
        self._database.text_factory = lambda data: data.decode('utf-8', 'replace')
        self._database.set_progress_handler(self._takes_too_long, _STEPS_A_CALL)
        # The first lets SQLite read a file that is shorter than its header says; the others distrust the file.
        for setting in ('writable_schema=ON', 'trusted_schema=OFF', 'cell_size_check=ON'):
            self._query(f'PRAGMA {setting}')
        if self._is_table('topics', ('id', 'name', 'type', 'serialization_format')) and self._is_table(
                'messages', ('topic_id', 'timestamp', 'data')):
            self._read_topics()
            self._find_messages()
            self._compare()

    @property
    def counts(self) -> Dict[str, int]:
        """Messages that were found, by topic."""
        return by_topic(self.channels, {channel.key: channel.messages for channel in self.channels})

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def messages(self, channels: Collection[Channel], start_ns: Optional[int] = None,
                 end_ns: Optional[int] = None) -> Iterator[RawMessage]:
        """Messages of ``channels`` with ``start_ns`` <= receive time < ``end_ns``, in time order."""
        wanted = {channel.key: channel for channel in channels}
        failed: Dict[int, int] = {}
        stamps = np.frombuffer(self._stamps, np.int64)
        for number in np.argsort(stamps, kind='stable'):
            stamp, channel = self._stamps[number], wanted.get(self._keys[number])
            if channel is None or start_ns is not None and stamp < start_ns or end_ns is not None and stamp >= end_ns:
                continue
            rows = self._query('SELECT data FROM messages WHERE _rowid_ = ?', self._rows[number])
            if rows and isinstance(rows[0][0], bytes):
                yield RawMessage(channel, stamp, rows[0][0])
            else:
                failed[channel.key] = failed.get(channel.key, 0) + 1
        for key, count in failed.items():
            self._tell(f'{printable(wanted[key].topic)}: {count} messages cannot be read')

    def _is_table(self, name: str, columns: Collection[str]) -> bool:
        found = self._query('SELECT type, rootpage, sql FROM sqlite_master WHERE name = ?', name)
        if not found:
            self._tell(f'there is no table {name!r} in it')
            return False
        kind, page, sql = found[0]
        if kind != 'table' or not isinstance(page, int) or page < 1 or not isinstance(sql, str):
            self._tell(f'{name!r} in it is no stored table but a {printable(kind)}; it is not read')
            return False
        # Columns that are computed on the way have something in the last field.
        stored = {column[1] for column in self._query(f'PRAGMA table_xinfo({name})') if column[-1] == 0}
        lacking = [column for column in columns if column not in stored]
        if lacking:
            self._tell(f'table {name!r} in it has no stored column {", ".join(lacking)}')
        return not lacking

    def _read_topics(self) -> None:
        definitions = {}
        if self._query("SELECT 1 FROM sqlite_master WHERE name = 'message_definitions' AND type = 'table'") and \
                self._is_table('message_definitions', ('topic_type', 'encoding', 'encoded_message_definition')):
            definitions = {row[0]: (row[1], row[2]) for row in self._query(
                'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions LIMIT ?',
                _MOST_TOPICS) if all(isinstance(value, str) for value in row)}
        profiles = any(column[1] == 'offered_qos_profiles' and column[-1] == 0
                       for column in self._query('PRAGMA table_xinfo(topics)'))
        rows = self._query('SELECT id, name, type, serialization_format, '
                           f'{"offered_qos_profiles" if profiles else "0"} FROM topics LIMIT ?', _MOST_TOPICS)
        found: Dict[int, Channel] = {}
        for key, name, kind, encoding, profile in rows:
            texts = all(isinstance(value, str) and value for value in (name, kind, encoding))
            if not isinstance(key, int) or not texts:
                self._tell(f'a topic in it has no name or type: {printable((key, name, kind, encoding))}')
                continue
            form, text = definitions.get(kind, ('', ''))
            profile = profile if isinstance(profile, str) else ''
            latched = 'transient_local' in profile or 'durability: 1' in profile
            found[key] = Channel(key, name, kind, encoding, form if form.startswith('ros2') else '', text, latched, 0)
        self.channels = list(found.values())

    def _find_messages(self) -> None:
        """Row, stamp and topic of every message; where pages are damaged, look further and further ahead.

        Rows are numbered as their writer pleases: from 0, below it, with gaps. What was stepped over after damage is
        read backwards from the end.
        """
        known = {channel.key for channel in self.channels}
        last, begin, skip, gaps, damaged = _FIRST_ROW - 1, _FIRST_ROW, 1, 0, ''
        odd: Dict[str, int] = {}
        while skip < _MOST_SKIP:
            try:
                self._calls = 0
                for row, *values in self._database.execute(f'{_SELECT} >= ? ORDER BY _rowid_', (begin,)):
                    self._calls = 0
                    if self._is_out_of_order(row, begin - 1, _LAST_ROW + 1):
                        damaged = damaged or 'its rows are not in order'
                        break
                    if begin > last + 1:
                        self._read_backwards(known, odd, last, row)
                    # A recorder numbers from 1.
                    gaps += row - last - 1 if last >= _FIRST_ROW else max(0, row - 1)
                    last, begin, skip = row, row + 1, 1
                    self._take(known, odd, row, *values)
                else:
                    break
            except (sqlite3.Error, OverflowError) as error:
                self._if_the_disk_fails(error)
                damaged = damaged or f'{error}'
            if last >= _LAST_ROW:
                break
            # Where nothing could be read yet, look ahead from where a recorder begins.
            begin = min((last if last >= _FIRST_ROW else 0) + skip, _LAST_ROW)
            skip *= 2
        else:
            self._read_backwards(known, odd, last, _LAST_ROW + 1)
        self._leave_out_half_a_page()
        counts = dict(zip(*(values.tolist() for values in np.unique(
            np.frombuffer(self._keys, np.int64), return_counts=True)))) if self._keys else {}
        self.channels = [channel._replace(messages=counts.get(channel.key, 0)) for channel in self.channels]
        if self._stamps:
            self.start_ns, self.end_ns = min(self._stamps), max(self._stamps)
        for wrong, count in odd.items():
            self._tell(f'{count} rows are left out: {wrong}')
        if damaged:
            self._tell(f'damaged or cut off ({printable(damaged)}); {len(self._rows)} messages could be read')
        elif gaps:
            some = f'{gaps} rows' if gaps < 10 * len(self._rows) + 100 else 'rows'
            self._tell(f'{some} are missing between its first and its last message')

    def _take(self, known: Collection[int], odd: Dict[str, int], row: int, key: object, stamp: object, kind: str,
              length: int) -> None:
        """Remember a row, or count in ``odd`` why it is none to read."""
        wrong = _what_is_wrong(key in known if isinstance(key, int) else False, stamp, kind)
        if not wrong and length > most_stored_bytes():
            wrong = too_large('it', length, most_stored_bytes())
        if wrong:
            odd[wrong] = odd.get(wrong, 0) + 1
            return
        assert isinstance(stamp, int) and isinstance(key, int)
        self._rows.append(row)
        self._stamps.append(stamp)
        self._keys.append(key)

    def _is_out_of_order(self, row: object, after: int, before: int) -> bool:
        """SQLite reads pages that are not there as zeros, and then gives rows without end."""
        return (not isinstance(row, int) or not after < row < before
                or len(self._rows) > self._size // _LEAST_BYTES_A_ROW)

    def _read_backwards(self, known: Collection[int], odd: Dict[str, int], after: int, before: int) -> None:
        """Rows between ``after`` and ``before``, from the latter to the damage."""
        begin = len(self._rows)
        try:
            self._calls = 0
            for row, *values in self._database.execute(f'{_SELECT} <= ? ORDER BY _rowid_ DESC', (before - 1,)):
                self._calls = 0
                if self._is_out_of_order(row, after, before):
                    break
                before = row
                self._take(known, odd, row, *values)
        except (sqlite3.Error, OverflowError) as error:
            self._if_the_disk_fails(error)
        for values in (self._rows, self._stamps, self._keys):
            values[begin:] = values[begin:][::-1]

    def _leave_out_half_a_page(self) -> None:
        """SQLite fills up the last page of a file that is cut off in it with zeros: its message is not whole."""
        page = self._query('PRAGMA page_size')
        if not self._rows or not page or not self._size % page[0][0]:
            return
        data = self._query('SELECT data FROM messages WHERE _rowid_ = ?', self._rows[-1])
        if not data or not data[0][0].endswith(b'\0'):
            return
        for values in (self._rows, self._stamps, self._keys):
            values.pop()

    def _compare(self) -> None:
        """Tell what is missing by the metadata that newer recorders write into the file, too."""
        rows = self._query("SELECT name FROM sqlite_master WHERE name = 'metadata' AND type = 'table' AND rootpage > 0")
        texts = self._query('SELECT metadata FROM metadata ORDER BY id DESC LIMIT 1') if rows else []
        if not texts or not isinstance(texts[0][0], str) or not texts[0][0]:
            return
        try:
            claims = claims_of_metadata(parse_yaml(
                texts[0][0], f'{self.name}: metadata', as_text=True, most_bytes=MOST_METADATA_BYTES))
        except ConfigError as error:
            self._tell(f'its metadata cannot be read: {printable(error)}')
            return
        for text in differences(self.channels, self.counts, claims, 'its metadata'):
            self._tell(text)

    def _query(self, statement: str, *values: object) -> List[Tuple[Any, ...]]:
        """All rows; none where they cannot be read, which is told."""
        self._calls = 0
        try:
            return self._database.execute(statement, values).fetchall()
        except (sqlite3.Error, OverflowError) as error:
            self._if_the_disk_fails(error)
            self._tell(f'part of it could not be read ({printable(error)})')
            return []

    def _takes_too_long(self) -> bool:
        self._calls += 1
        return self._calls > _MOST_CALLS

    def _if_the_disk_fails(self, error: Exception) -> None:
        """SQLite does not tell a failing disk from a damaged file in older Pythons: read the file and see."""
        if 'I/O' not in str(error) and 'open' not in str(error):
            return
        try:
            with self.path.open('rb') as file:
                while file.read(1 << 20):
                    pass
        except OSError as read_error:
            raise_about_machine(read_error, self.path)

    def _tell(self, text: str) -> None:
        text = f'{self.name}: {text}'
        if text not in self.problems:
            self.problems.append(text)


def _what_is_wrong(known: bool, stamp: object, kind: str) -> str:
    if not known:
        return 'nothing says of which topic they are'
    if not isinstance(stamp, int) or stamp < 0:
        return 'their time is no whole number from 0 on'
    return '' if kind == 'blob' else f'their data is {kind}, not bytes'
