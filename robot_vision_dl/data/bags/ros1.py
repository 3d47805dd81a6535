"""Read ROS 1 bags (http://wiki.ros.org/Bags/Format/2.0), sound or not: by their index where it agrees with the records.

The heads of all records are walked through and compared with the index; chunks are unpacked when their time comes,
within bounds, and their messages compared with those that are listed after them. The format has no checksums.
"""
import re
import struct
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Tuple

from .blocks import MOST_DEFINITION_BYTES, Block, BlockFile, Entry, read_at, windows
from .channel import Channel

MAGIC = b'#ROSBAG V2.0\n'
_MESSAGE, _BAG, _INDEX, _CHUNK, _CHUNK_INFO, _CONNECTION = 2, 3, 4, 5, 6, 7
# A header is some dozen bytes, and a topic name.
_MOST_HEADER_BYTES = 1 << 16
_OPERATION = re.compile(rb'\x04\x00\x00\x00op=[\x02-\x07]')
_MOST_BEFORE_OPERATION = 400
_NS_PER_S = 10**9


class _Record(NamedTuple):
    """Operation, fields of the header, and where the data is."""

    operation: int
    fields: Dict[bytes, bytes]
    begin: int
    end: int


class _Info(NamedTuple):
    """What the index says of a chunk."""

    start_ns: int
    end_ns: int
    counts: Dict[int, int]


class Ros1File(BlockFile):
    """One ROS 1 bag; see :class:`BlockFile`."""

    def _open(self, file: BinaryIO) -> Optional[str]:
        file.seek(0)
        begins = file.read(len(MAGIC)) == MAGIC
        head = self._record(file, len(MAGIC), self.size) if begins else None
        if head is None or head.operation != _BAG or len(head.fields.get(b'index_pos', b'')) != 8:
            self._walk(file, len(MAGIC), self.size)
            return 'its beginning is damaged'
        if head.fields.get(b'encryptor'):
            self._tell('is encrypted, which is not supported')
            return ''
        index_at = struct.unpack('<Q', head.fields[b'index_pos'])[0]
        if not head.end <= index_at <= self.size:
            index_at = 0
        reason = self._walk(file, head.end, index_at or self.size)
        if not index_at:
            return reason or 'has no usable index'
        infos, complaint = self._index(file, index_at, head.fields)
        if infos:
            self._claimed = dict.fromkeys(self._channels, 0)
            for info in infos.values():
                for key, count in info.counts.items():
                    self._claimed[key] = self._claimed.get(key, 0) + count
        if reason or complaint:
            return reason or complaint
        if set(infos) != set(self._listed):
            return f'has {len(self._listed)} chunks where its index lists {len(infos)}, or at other places'
        if not set(self._claimed or ()) <= set(self._channels):
            return 'its index lists messages of topics that it does not describe'
        if any({k: n for k, n in info.counts.items() if n} != self._listed[at] for at, info in infos.items()):
            return 'its index does not fit the lists of its messages'
        listed = (infos[at] for at in self._listed)
        self._blocks = [block._replace(start_ns=info.start_ns, end_ns=info.end_ns)
                        for block, info in zip(self._blocks, listed) if any(info.counts.values())]
        return None

    def _walk(self, file: BinaryIO, position: int, end: int) -> str:
        """Find all chunks and what is listed after each; returns what is wrong."""
        self._listed: Dict[int, Dict[int, int]] = {}
        reason, chunk_at = '', -1
        while position < end:
            record = self._record(file, position, end)
            if record is None:
                head = _header(file, position)
                if head is not None and head[0].get(b'op') == bytes((_CHUNK,)) and self._add_chunk(
                        head[0], head[1] + 4, end):
                    return f'ends in the middle of a record at byte {position}'
                found = self._next(file, position + 1, end)
                if found is None:
                    return reason or (f'is damaged at byte {position}' if end < self.size
                                      else f'ends in the middle of a record at byte {position}')
                reason = reason or f'is damaged, first at byte {position}'
                position, chunk_at = found, -1
                continue
            if record.operation == _CHUNK:
                chunk_at = position if self._add_chunk(record.fields, record.begin, record.end) else -1
                if chunk_at >= 0:
                    self._listed[chunk_at] = {}
            elif record.operation == _INDEX and chunk_at >= 0:
                key, count = (_number(record.fields, name) for name in (b'conn', b'count'))
                if key is None or count is None or 12 * count != record.end - record.begin:
                    reason = reason or f'is damaged at byte {position}'
                else:
                    self._listed[chunk_at][key] = self._listed[chunk_at].get(key, 0) + count
                    if not self._blocks[-1].index_at:
                        self._blocks[-1] = self._blocks[-1]._replace(index_at=position)
            elif record.operation == _CONNECTION and end == self.size:
                self._learn(record.fields, read_at(file, record.begin, record.end - record.begin), [])
            position = record.end
        return reason

    def _index(self, file: BinaryIO, position: int, head: Dict[bytes, bytes]) -> Tuple[Dict[int, _Info], str]:
        infos: Dict[int, _Info] = {}
        noted: List[str] = []
        connections = 0
        while position < self.size:
            record = self._record(file, position, self.size)
            if record is None:
                return infos, f'its index is damaged at byte {position}'
            data = read_at(file, record.begin, min(record.end - record.begin, MOST_DEFINITION_BYTES))
            if record.operation == _CONNECTION:
                connections += 1
                self._learn(record.fields, data, noted)
            elif record.operation == _CHUNK_INFO:
                at, start, end = (record.fields.get(name, b'') for name in (b'chunk_pos', b'start_time', b'end_time'))
                if not len(at) == len(start) == len(end) == 8 or len(data) % 8:
                    return infos, f'its index is damaged at byte {position}'
                counts = dict(struct.iter_unpack('<II', data))
                infos[struct.unpack('<Q', at)[0]] = _Info(_time(start), _time(end), counts)
            position = record.end
        if (_number(head, b'conn_count'), _number(head, b'chunk_count')) != (connections, len(infos)):
            return infos, 'its index is damaged: it is shorter or longer than the beginning says'
        return infos, '; '.join(dict.fromkeys(noted[:3]))

    def _add_chunk(self, fields: Dict[bytes, bytes], begin: int, end: int) -> bool:
        size = _number(fields, b'size')
        if size is None or end <= begin:
            return False
        compression = fields.get(b'compression', b'none').decode('ascii', 'replace')
        self._blocks.append(Block(0, 0, begin, end - begin, '' if compression == 'none' else compression, size))
        return True

    def _record(self, file: BinaryIO, position: int, end: int) -> Optional[_Record]:
        """The record at ``position``; None if there is none that ends before ``end``."""
        head = _header(file, position)
        if head is None:
            return None
        fields, at = head
        length = read_at(file, at, 4)
        operation = fields.get(b'op', b'')
        if len(length) < 4 or len(operation) != 1 or not _MESSAGE <= operation[0] <= _CONNECTION:
            return None
        begin = at + 4
        stop = begin + struct.unpack('<I', length)[0]
        return _Record(operation[0], fields, begin, stop) if stop <= end else None

    def _next(self, file: BinaryIO, begin: int, end: int) -> Optional[int]:
        """Where the next record begins that ends before ``end`` and has another one after it."""
        for position, window in windows(file, begin, end, _MOST_BEFORE_OPERATION):
            for match in _OPERATION.finditer(window):
                for at in _header_starts(window, match.start()):
                    record = self._record(file, position + at, end)
                    if record is not None and record.operation != _MESSAGE and (
                            record.end == end or self._record(file, record.end, end) is not None):
                        return position + at
        return None

    def _entries(self, content: bytes, damage: List[str]) -> Iterator[Entry]:
        position, unknown, lost = 0, 0, 0
        while position < len(content):
            record = _record_in(content, position)
            if record is None:
                following = _resynchronized(content, position + 1)
                lost += following - position
                position = following
                continue
            position = record.end
            if record.operation == _MESSAGE:
                key, stamp = _number(record.fields, b'conn'), record.fields.get(b'time', b'')
                if key is None or len(stamp) != 8:
                    lost += record.end - record.begin
                elif key not in self._channels:
                    unknown += 1
                else:
                    yield Entry(key, _time(stamp), record.begin, record.end)
            elif record.operation == _CONNECTION:
                self._learn(record.fields, content[record.begin:record.end], damage)
        if lost:
            damage.append(f'{lost} bytes of messages cannot be read')
        if unknown:
            damage.append(f'{unknown} messages are left out: nothing says of which topic they are')

    def _learn(self, head: Dict[bytes, bytes], data: bytes, damage: List[str]) -> None:
        """Keep a connection; the first description of each counts, and others must agree with it."""
        key, fields = _number(head, b'conn'), _fields(data)
        if key is None or not fields or not head.get(b'topic') or not fields.get(b'type'):
            damage.append('the description of a topic is damaged')
            return
        parts = [part for part in fields[b'type'].decode('utf-8', 'replace').split('/') if part]
        if len(parts) == 2:
            parts.insert(1, 'msg')
        channel = Channel(key, head[b'topic'].decode('utf-8', 'replace'), '/'.join(parts), 'ros1', 'ros1msg',
                          fields.get(b'message_definition', b'').decode('utf-8', 'replace'),
                          fields.get(b'latching') == b'1', 0)
        if self._channels.setdefault(key, channel)[:6] != channel[:6]:
            damage.append(f'there are two descriptions of topic number {key}: one is damaged')

    def _indexed(self, file: BinaryIO, block: Block) -> Optional[List[Tuple[int, int]]]:
        found: List[Tuple[int, int]] = []
        position = block.index_at
        while True:
            record = self._record(file, position, self.size)
            if record is None or record.operation != _INDEX:
                return sorted(found)
            key, length = _number(record.fields, b'conn'), record.end - record.begin
            if key is None or length % 12 or length > block.length + 1024 and not block.compression:
                return []
            found += [(key, seconds * _NS_PER_S + nanoseconds) for seconds, nanoseconds, _ in
                      struct.iter_unpack('<III', read_at(file, record.begin, length))]
            position = record.end


def _header(file: BinaryIO, position: int) -> Optional[Tuple[Dict[bytes, bytes], int]]:
    """Fields of the header at ``position``, and where it ends."""
    length = read_at(file, position, 4)
    if len(length) < 4:
        return None
    count = struct.unpack('<I', length)[0]
    # Anything longer is damage, not worth reading in.
    data = file.read(count) if count < _MOST_HEADER_BYTES else b''
    fields = _fields(data) if data and len(data) == count else None
    return None if fields is None else (fields, position + 4 + count)


def _record_in(content: bytes, position: int) -> Optional[_Record]:
    if position + 8 > len(content):
        return None
    count = struct.unpack_from('<I', content, position)[0]
    at = position + 4 + count
    if not 0 < count < _MOST_HEADER_BYTES or at + 4 > len(content):
        return None
    fields = _fields(content[position + 4:at])
    if fields is None:
        return None
    operation = fields.get(b'op', b'')
    end = at + 4 + struct.unpack_from('<I', content, at)[0]
    if len(operation) != 1 or end > len(content) or not _MESSAGE <= operation[0] <= _CONNECTION:
        return None
    return _Record(operation[0], fields, at + 4, end)


def _resynchronized(content: bytes, position: int) -> int:
    """Where the next record begins that has another one after it, or the end."""
    for match in _OPERATION.finditer(content, position):
        for at in _header_starts(content, match.start()):
            record = _record_in(content, at) if at >= position else None
            if record is not None and (record.end == len(content) or _record_in(content, record.end) is not None):
                return at
    return len(content)


def _header_starts(content: bytes, operation_at: int) -> Iterator[int]:
    """Where a header may begin that has the field ``op`` at ``operation_at``: its length and first field come there."""
    for at in range(operation_at - 4, max(-1, operation_at - _MOST_BEFORE_OPERATION), -1):
        count, first = struct.unpack_from('<II', content, at)
        if operation_at + 8 - at - 4 <= count < _MOST_HEADER_BYTES and 4 <= first < count:
            yield at


def _fields(data: bytes) -> Optional[Dict[bytes, bytes]]:
    fields, position = {}, 0
    while position < len(data):
        if position + 4 > len(data):
            return None
        length = struct.unpack_from('<I', data, position)[0]
        name, equals, value = data[position + 4:position + 4 + length].partition(b'=')
        position += 4 + length
        if not equals or position > len(data):
            return None
        fields[name] = value
    return fields


def _number(fields: Dict[bytes, bytes], name: bytes) -> Optional[int]:
    value = fields.get(name, b'')
    return struct.unpack('<I', value)[0] if len(value) == 4 else None


def _time(value: bytes) -> int:
    seconds, nanoseconds = struct.unpack('<II', value)
    return seconds * _NS_PER_S + nanoseconds
