"""What can still be read of a storage file that has no index: cut off, still being written, or damaged.

rosbags refuses such files. These readers walk through the records from the start and stop where the file does; mcap as
in https://mcap.dev/spec, ROS 1 as in http://wiki.ros.org/Bags/Format/2.0, SQLite by row number.
"""
import bz2
import heapq
import struct
import sqlite3
from pathlib import Path
from typing import Callable, Collection, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .bag_channel import Channel, RawMessage

_MCAP_MAGIC = b'\x89MCAP0\r\n'
_BLOCK_BYTES = 1 << 20


class _Block(NamedTuple):
    """A stretch of the file whose messages are sorted together: a chunk, or up to 1 MiB of records without one."""

    start_ns: int
    end_ns: int
    offset: int
    length: int
    compression: Optional[str]


class _BlockReader:
    """Finds blocks once, then yields their messages in time order, holding only blocks that overlap in time."""

    def __init__(self, path: Path):
        self.path = path
        self.channels: List[Channel] = []
        self.problems: List[str] = []
        self.start_ns: Optional[int] = None
        self.end_ns: Optional[int] = None
        self._blocks: List[_Block] = []
        self._channels: Dict[int, Channel] = {}
        self._counts: Dict[int, int] = {}
        with path.open('rb') as file:
            cut_at = self._scan(file)
        self.channels = [channel._replace(count=self._counts.get(key, 0)) for key, channel in self._channels.items()]
        self._channels = {channel.key: channel for channel in self.channels}
        if self._blocks:
            self.start_ns = min(block.start_ns for block in self._blocks)
            self.end_ns = max(block.end_ns for block in self._blocks)
        total = sum(self._counts.values())
        where = f'ends in the middle of a record at byte {cut_at}' if cut_at is not None else 'has no usable index'
        self.problems.append(f'{path.name}: {where}; {total} messages before it could be read'
                             if cut_at is not None else f'{path.name}: {where}; all {total} messages could be read')

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def messages(self, channels: Collection[Channel], start_ns: Optional[int] = None,
                 end_ns: Optional[int] = None) -> Iterator[RawMessage]:
        """Messages of ``channels`` with ``start_ns`` <= receive time < ``end_ns``."""
        wanted = {channel.key for channel in channels}
        with self.path.open('rb') as file:
            blocks = [block for block in self._blocks
                      if (start_ns is None or block.end_ns >= start_ns) and (end_ns is None or block.start_ns < end_ns)]
            for stamp, _, _, key, data in heapq.merge(*(self._sorted(file, i, b) for i, b in enumerate(blocks))):
                if key in wanted and (start_ns is None or stamp >= start_ns) and (end_ns is None or stamp < end_ns):
                    yield RawMessage(self._channels[key], stamp, data)

    def _sorted(self, file, index: int, block: _Block) -> Iterator[Tuple[int, int, int, int, bytes]]:
        # The first item makes heapq.merge leave a block unread until its time has come.
        yield block.start_ns, index, -1, -1, b''
        found = list(self._messages_of(self._content(file, block)))
        yield from sorted((stamp, index, number, key, data) for number, (key, stamp, data) in enumerate(found))

    def _content(self, file, block: _Block) -> bytes:
        file.seek(block.offset)
        data = file.read(block.length)
        return data if block.compression is None else _decompress_what_is_there(data, block.compression)

    def _add_block(self, file, offset: int, length: int, compression: Optional[str]) -> None:
        content = self._content(file, _Block(0, 0, offset, length, compression))
        first = last = None
        for key, stamp, _ in self._messages_of(content):
            self._counts[key] = self._counts.get(key, 0) + 1
            first = stamp if first is None else min(first, stamp)
            last = stamp if last is None else max(last, stamp)
        if first is not None:
            self._blocks.append(_Block(first, last, offset, length, compression))

    def _scan(self, file) -> Optional[int]:
        """Fill blocks, channels and counts; return the byte where the file was cut off, None if it was not."""
        raise NotImplementedError

    def _messages_of(self, content: bytes) -> Iterator[Tuple[int, int, bytes]]:
        """(channel key, receive time in ns, data) of each whole message in ``content``; learns of channels in it."""
        raise NotImplementedError


class McapSalvage(_BlockReader):
    """An mcap file without summary or with one that rosbags does not take (also profiles other than ``ros2``)."""

    def __init__(self, path: Path):
        self._schemas: Dict[int, Tuple[str, str, str]] = {}
        super().__init__(path)

    def _scan(self, file) -> Optional[int]:
        if file.read(8) != _MCAP_MAGIC:
            return 0
        size = self.path.stat().st_size
        run_start = position = 8
        while True:
            file.seek(position)
            head = file.read(9)
            if len(head) < 9 or head[0] in (0x02, 0x0F) or position - run_start > _BLOCK_BYTES or head[0] == 0x06:
                if position > run_start:
                    self._add_block(file, run_start, position - run_start, None)
                run_start = position
            if len(head) < 9:
                return None if head == _MCAP_MAGIC else position
            if head[0] in (0x02, 0x0F):
                return None
            length = struct.unpack_from('<Q', head, 1)[0]
            end = position + 9 + length
            if head[0] == 0x06:
                file.seek(position + 9)
                fixed = file.read(32)
                if len(fixed) == 32:
                    name_length = struct.unpack_from('<I', fixed, 28)[0]
                    compression = file.read(name_length).decode('ascii', 'replace')
                    start = position + 9 + 32 + name_length + 8
                    if start < min(end, size):
                        self._add_block(file, start, min(end, size) - start, compression)
                run_start = end
            if end > size:
                return position
            position = end

    def _messages_of(self, content: bytes) -> Iterator[Tuple[int, int, bytes]]:
        position = 0
        while position + 9 <= len(content):
            op, length = struct.unpack_from('<BQ', content, position)
            body = position + 9
            position = body + length
            if position > len(content):
                return
            if op == 0x05 and length >= 22:
                key, _, stamp = struct.unpack_from('<HIQ', content, body)
                if key in self._channels:
                    yield key, stamp, content[body + 22:position]
            elif op == 0x03:
                key = struct.unpack_from('<H', content, body)[0]
                name, at = _string(content, body + 2)
                encoding, at = _string(content, at)
                self._schemas[key] = (name, encoding, _string(content, at)[0])
            elif op == 0x04:
                key, schema = struct.unpack_from('<HH', content, body)
                topic, at = _string(content, body + 4)
                encoding, at = _string(content, at)
                name, form, text = self._schemas.get(schema, ('', '', ''))
                latched = b'transient_local' in content[at:position] or b'durability: 1' in content[at:position]
                self._channels.setdefault(key, Channel(key, topic, name, encoding, form, text, latched, 0))


class Ros1Salvage(_BlockReader):
    """A ROS 1 bag without index (``.active``), cut off or damaged."""

    def _scan(self, file) -> Optional[int]:
        if not file.readline(64).startswith(b'#ROSBAG V2.0'):
            return 0
        size = self.path.stat().st_size
        while True:
            position = file.tell()
            if position == size:
                return None
            head = _ros1_header(file)
            length = file.read(4)
            if head is None or len(length) < 4:
                return position
            data_at, count = file.tell(), struct.unpack('<I', length)[0]
            if head.get(b'op') == b'\x05':
                compression = head.get(b'compression', b'none').decode('ascii', 'replace')
                self._add_block(file, data_at, min(count, size - data_at), '' if compression == 'none' else compression)
            if data_at + count > size:
                return position
            file.seek(data_at + count)

    def _messages_of(self, content: bytes) -> Iterator[Tuple[int, int, bytes]]:
        position = 0
        while position + 4 <= len(content):
            head_length = struct.unpack_from('<I', content, position)[0]
            head = _ros1_fields(content[position + 4:position + 4 + head_length])
            position += 4 + head_length
            if head is None or position + 4 > len(content):
                return
            length = struct.unpack_from('<I', content, position)[0]
            data = content[position + 4:position + 4 + length]
            position += 4 + length
            if len(data) < length:
                return
            if head.get(b'op') == b'\x02' and len(head.get(b'time', b'')) == 8:
                key = struct.unpack('<I', head[b'conn'])[0]
                seconds, nanoseconds = struct.unpack('<II', head[b'time'])
                if key in self._channels:
                    yield key, seconds * 10**9 + nanoseconds, data
            elif head.get(b'op') == b'\x07':
                self._learn(head, _ros1_fields(data) or {})

    def _learn(self, head: Dict[bytes, bytes], fields: Dict[bytes, bytes]) -> None:
        key = struct.unpack('<I', head[b'conn'])[0]
        name = fields.get(b'type', b'').decode('utf-8', 'replace').replace('/', '/msg/', 1)
        self._channels.setdefault(key, Channel(
            key, head.get(b'topic', b'').decode('utf-8', 'replace'), name, 'ros1', 'ros1msg',
            fields.get(b'message_definition', b'').decode('utf-8', 'replace'), fields.get(b'latching') == b'1', 0))


class Db3Salvage:
    """A damaged SQLite storage file, row by row as far as its pages are there."""

    def __init__(self, path: Path):
        self.path = path
        self.problems: List[str] = []
        self.channels: List[Channel] = []
        self.start_ns: Optional[int] = None
        self.end_ns: Optional[int] = None
        self._database = sqlite3.connect(f'{path.absolute().as_uri()}?mode=ro&immutable=1', uri=True)
        # Without it SQLite refuses a file that is shorter than its header says.
        self._database.execute('PRAGMA writable_schema=ON')
        try:
            rows = self._database.execute('SELECT id, name, type, serialization_format FROM topics').fetchall()
        except sqlite3.Error as error:
            self.problems.append(f'{path.name}: nothing could be read ({error})')
            return
        found = {key: Channel(key, name, kind, encoding, '', '', False, 0) for key, name, kind, encoding in rows}
        counts: Dict[int, int] = {}
        self.channels = list(found.values())
        for message in self.messages(self.channels):
            counts[message.channel.key] = counts.get(message.channel.key, 0) + 1
            self.start_ns = min(self.start_ns or message.receive_ns, message.receive_ns)
            self.end_ns = max(self.end_ns or message.receive_ns, message.receive_ns)
        self.channels = [channel._replace(count=counts.get(channel.key, 0)) for channel in found.values()]
        self.problems.append(f'{path.name}: damaged or cut off; {sum(counts.values())} messages could be read')

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def messages(self, channels: Collection[Channel], start_ns: Optional[int] = None,
                 end_ns: Optional[int] = None) -> Iterator[RawMessage]:
        """Messages of ``channels`` in the order they were recorded, with ``start_ns`` <= receive time < ``end_ns``."""
        wanted = {channel.key: channel for channel in channels}
        last, skip = 0, 1
        # Beyond the damaged pages there may be more: look further and further ahead.
        while skip < 1 << 20:
            try:
                for row, key, stamp, data in self._database.execute(
                        'SELECT id, topic_id, timestamp, data FROM messages WHERE id >= ? ORDER BY id', (last + skip,)):
                    # SQLite reads pages that are not there as zeros, and then gives rows without end.
                    if not (isinstance(row, int) and row > last and isinstance(stamp, int) and isinstance(data, bytes)):
                        break
                    last, skip = row, 1
                    if key in wanted and (start_ns is None or stamp >= start_ns) and (end_ns is None or stamp < end_ns):
                        yield RawMessage(wanted[key], stamp, data)
                else:
                    return
            except sqlite3.Error:
                pass
            skip *= 2


def _string(content: bytes, at: int) -> Tuple[str, int]:
    length = struct.unpack_from('<I', content, at)[0]
    return content[at + 4:at + 4 + length].decode('utf-8', 'replace'), at + 4 + length


def _ros1_header(file) -> Optional[Dict[bytes, bytes]]:
    length = file.read(4)
    if len(length) < 4:
        return None
    count = struct.unpack('<I', length)[0]
    # A header is some dozen bytes, with a topic name at most; anything else is damage, not worth reading in.
    data = file.read(count) if count < 1 << 16 else b''
    return _ros1_fields(data) if data and len(data) == count else None


def _ros1_fields(data: bytes) -> Optional[Dict[bytes, bytes]]:
    fields, position = {}, 0
    while position < len(data):
        if position + 4 > len(data):
            return None
        length = struct.unpack_from('<I', data, position)[0]
        name, equals, value = data[position + 4:position + 4 + length].partition(b'=')
        if not equals:
            return None
        fields[name] = value
        position += 4 + length
    return fields


def _decompress_what_is_there(data: bytes, compression: str) -> bytes:
    """As much of a chunk as can be decompressed; chunks are a few MB by the recorders' defaults."""
    if compression == '':
        return data
    step = _stream(compression)
    if step is None:
        return b''
    parts = []
    # In small steps: where the data turns bad, all before it is kept.
    for at in range(0, len(data), 4096):
        try:
            parts.append(step(data[at:at + 4096]))
        # Each library has its own error for damaged data, and EOFError for data after the end.
        except Exception:
            break
    return b''.join(parts)


def _stream(compression: str) -> Optional[Callable[[bytes], bytes]]:
    if compression == 'bz2':
        return bz2.BZ2Decompressor().decompress
    if compression == 'lz4':
        from lz4.frame import LZ4FrameDecompressor
        return LZ4FrameDecompressor().decompress
    if compression == 'zstd':
        try:
            from compression import zstd
        except ImportError:
            from backports import zstd
        return zstd.ZstdDecompressor().decompress
    return None
