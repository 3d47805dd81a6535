"""Write mcap files (https://mcap.dev/spec) that can be read whenever their writer ends, and whatever ends it.

Each chunk is appended at once, with its checksum and the times of its messages; all that a reader needs stands before
it. What closing adds at the end (the index) only saves readers a walk through the file. There is no compression: what
takes the space are pictures, of which most are compressed already.
"""
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..files.file_identity import file_identity
from .message_definitions import definition

_MAGIC = b'\x89MCAP0\r\n'
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _INDEX = 1, 2, 3, 4, 5, 6, 7
_CHUNK_INDEX, _STATISTICS, _SUMMARY_OFFSET, _DATA_END = 8, 0x0B, 0x0E, 0x0F
_LIBRARY = 'robot_vision_dl'
_MOST_NS = (1 << 63) - 1
_MOST_PARTS = 1000  # Linux takes 1024 at once


class RecordedMessage(NamedTuple):
    """A serialized message.

    Attributes:
        topic: its name, with the leading slash.
        msgtype: one of :mod:`.message_definitions`.
        time_ns: when it was received.
        data: CDR, as it came from the wire.
    """

    topic: str
    msgtype: str
    time_ns: int
    data: bytes


class Chunk(NamedTuple):
    """Messages as they will stand in a file, of which nothing is written yet.

    Attributes:
        parts: bytes to be appended, in order.
        length: of all parts.
        needed: bytes of them without which messages are lost; what follows lists where they are.
        channels: number of the channel of each topic and type, of those that are new.
        definitions: records that describe them.
        counts: messages by channel.
        start_ns, end_ns: first and last time.
        entry: the record that the index will have of it.
    """

    parts: Tuple[bytes, ...]
    length: int
    needed: int
    channels: Dict[Tuple[str, str], int]
    definitions: Tuple[bytes, ...]
    counts: Dict[int, int]
    start_ns: int
    end_ns: int
    entry: bytes


class McapWriter:
    """One file, which is made when the first chunk is appended, and must not exist before.

    Attributes:
        path: where it is.
        size: bytes so far.
        start_ns, end_ns: time of the first and the last message; None: there is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Optional[int] = None
        self._begin = _MAGIC + _record(_HEADER, _text('ros2') + _text(_LIBRARY))
        self.size = len(self._begin)
        self.start_ns: Optional[int] = None
        self.end_ns: Optional[int] = None
        self._channels: Dict[Tuple[str, str], int] = {}
        self._definitions: List[bytes] = []
        self._counts: Dict[int, int] = {}
        self._chunks: List[bytes] = []

    @classmethod
    def reopen(cls, path: Path) -> 'McapWriter':
        """Go on with a file that its writer was killed at: all whole chunks stay, and what follows them is cut off.

        Raises:
            OSError: it cannot be read or written.
            ValueError: it is not a file as this class writes it.
        """
        writer, missing = cls(path), b''
        with path.open('rb') as file:
            if file.read(writer.size) != writer._begin:
                raise ValueError(f'{path}: was not written by {_LIBRARY}')
            topics: Dict[int, Tuple[str, str]] = {}
            while messages := _next_messages(file, topics):
                chunk = writer.prepare(messages)
                file.seek(writer.size)
                content, expected = file.read(chunk.length), b''.join(chunk.parts)
                if content[:chunk.needed] != expected[:chunk.needed]:
                    break
                writer._note(chunk)
                writer.size += chunk.length
                if content != expected:
                    missing = expected[chunk.needed:]
                    break
        writer._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(writer._file, writer.size - len(missing))
        _write(writer._file, (missing,))
        return writer

    def prepare(self, messages: Sequence[RecordedMessage]) -> Chunk:
        """What :meth:`append` would write for these, at least one."""
        channels: Dict[Tuple[str, str], int] = {}
        definitions: List[bytes] = []
        parts: List[bytes] = []
        indices: Dict[int, List[Tuple[int, int]]] = {}
        position = crc = 0
        for message in messages:
            key = message.topic, message.msgtype
            number = self._channels.get(key) or channels.get(key)
            if number is None:
                number = channels[key] = len(self._channels) + len(channels) + 1
                # A type is described anew for each topic: it is short, and nothing has to be looked up.
                definitions += [_schema(number, message.msgtype), _channel(number, message.topic)]
            time_ns = min(max(message.time_ns, 0), _MOST_NS)
            head = struct.pack('<BQHIQQ', _MESSAGE, 22 + len(message.data), number,
                               self._counts.get(number, 0) + len(indices.get(number, ())), time_ns, time_ns)
            parts += [head, message.data]
            crc = zlib.crc32(message.data, zlib.crc32(head, crc))
            indices.setdefault(number, []).append((time_ns, position))
            position += len(head) + len(message.data)
        times = [time_ns for entries in indices.values() for time_ns, _ in entries]
        start, end = min(times), max(times)
        head = struct.pack('<BQQQQIIQ', _CHUNK, 40 + position, start, end, position, crc, 0, position)
        lists = [_record(_INDEX, struct.pack('<HI', number, 16 * len(entries)) + b''.join(
            struct.pack('<QQ', *entry) for entry in entries)) for number, entries in indices.items()]
        at = self.size + sum(map(len, definitions))
        after = at + len(head) + position
        places, offset = b'', after
        for number, record in zip(indices, lists):
            places += struct.pack('<HQ', number, offset)
            offset += len(record)
        index = _record(_CHUNK_INDEX, struct.pack('<QQQQI', start, end, at, after - at, len(places)) + places
                        + struct.pack('<QIQQ', offset - after, 0, position, position))
        counts = {number: len(entries) for number, entries in indices.items()}
        return Chunk((*definitions, head, *parts, *lists), offset - self.size, after - self.size, channels,
                     tuple(definitions), counts, start, end, index)

    def closed_size(self, chunk: Optional[Chunk] = None) -> int:
        """Bytes that the file would have, appended to by this and closed."""
        size = self.size if chunk is None else self.size + chunk.length
        return size + len(self._end(size, chunk))

    def append(self, chunk: Chunk) -> None:
        """Write what was the last to be prepared.

        Raises:
            OSError: it cannot be written; then nothing of it is there.
        """
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                _write(self._file, (self._begin, *chunk.parts))
            except OSError:
                os.close(self._file)
                self._file = None
                self.path.unlink(missing_ok=True)
                raise
            self.size += chunk.length
        else:
            self._append(self._file, chunk.parts)
        self._note(chunk)

    def _note(self, chunk: Chunk) -> None:
        self._channels.update(chunk.channels)
        self._definitions += chunk.definitions
        self._chunks.append(chunk.entry)
        for number, count in chunk.counts.items():
            self._counts[number] = self._counts.get(number, 0) + count
        self.start_ns = chunk.start_ns if self.start_ns is None else min(self.start_ns, chunk.start_ns)
        self.end_ns = chunk.end_ns if self.end_ns is None else max(self.end_ns, chunk.end_ns)

    def sync(self) -> None:
        """Have all on the disk that was written; raises OSError."""
        if self._file is not None:
            os.fdatasync(self._file)

    def is_removed(self) -> bool:
        """Whether somebody has removed, moved or replaced the file meanwhile."""
        return self._file is not None and file_identity(self._file) != file_identity(self.path)

    def close(self) -> None:
        """Add the index and close the file; raises OSError where there is no room for the index, and closes it, too."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            self._append(file, (self._end(self.size),))
            os.fdatasync(file)
        finally:
            os.close(file)

    def counts(self) -> Dict[Tuple[str, str], int]:
        """Messages by topic and type."""
        return {key: self._counts[number] for key, number in self._channels.items()}

    def _append(self, file: int, parts: Sequence[bytes]) -> None:
        try:
            _write(file, parts)
        except OSError:
            os.ftruncate(file, self.size)  # what is half there would only be in the way of what comes after it
            raise
        self.size += sum(map(len, parts))

    def _end(self, at: int, chunk: Optional[Chunk] = None) -> bytes:
        """All from the end of the messages on, for a file of ``at`` bytes."""
        definitions = [*self._definitions, *(chunk.definitions if chunk else ())]
        chunks = [*self._chunks, *([chunk.entry] if chunk else [])]
        channels = len(self._channels) + len(chunk.channels if chunk else ())
        counts = b''.join(struct.pack('<HQ', number, self._counts.get(number, 0)) for number in range(1, channels + 1))
        statistics = _record(_STATISTICS, struct.pack(
            '<QHIIIIQQI', sum(self._counts.values()), channels, channels, 0, 0, len(chunks), self.start_ns or 0,
            self.end_ns or 0, len(counts)) + counts)
        data_end = _record(_DATA_END, struct.pack('<I', 0))  # 0: the chunks have checksums of their own
        start = at + len(data_end)
        groups = [(_SCHEMA, b''.join(definitions[::2])), (_CHANNEL, b''.join(definitions[1::2])),
                  (_STATISTICS, statistics), (_CHUNK_INDEX, b''.join(chunks))]
        summary, offsets = b'', b''
        for kind, group in groups:
            if group:
                offsets += _record(_SUMMARY_OFFSET, struct.pack('<BQQ', kind, start + len(summary), len(group)))
            summary += group
        footer = struct.pack('<BQQQ', _FOOTER, 20, start, start + len(summary))
        crc = zlib.crc32(summary + offsets + footer)
        return data_end + summary + offsets + footer + struct.pack('<I', crc) + _MAGIC


def _next_messages(file: BinaryIO, topics: Dict[int, Tuple[str, str]]) -> List[RecordedMessage]:
    """Those of the chunk that begins where the file is, after what describes their topics; none: it is not whole.

    Args:
        topics: by the number of their channel; those that are described are added.
    """
    types: Dict[int, str] = {}
    try:
        while True:
            kind, length = struct.unpack('<BQ', file.read(9))
            if kind not in (_SCHEMA, _CHANNEL, _CHUNK) or length > os.fstat(file.fileno()).st_size:
                return []
            body = file.read(length)
            if kind == _SCHEMA:
                types[struct.unpack_from('<H', body)[0]] = _text_at(body, 2)
            elif kind == _CHANNEL:
                number, schema = struct.unpack_from('<HH', body)
                topics[number] = _text_at(body, 4), types[schema]
            else:
                return list(_messages(body[40:], topics))
    except (struct.error, KeyError, UnicodeDecodeError):
        return []


def _messages(records: bytes, topics: Mapping[int, Tuple[str, str]]) -> Iterator[RecordedMessage]:
    position = 0
    while position < len(records):
        _, length, number, _, time_ns = struct.unpack_from('<BQHIQ', records, position)
        end = position + 9 + length
        yield RecordedMessage(*topics[number], time_ns, records[position + 31:end])
        position = end


def _text_at(body: bytes, at: int) -> str:
    length = struct.unpack_from('<I', body, at)[0]
    return body[at + 4:at + 4 + length].decode()


def _write(file: int, parts: Sequence[bytes]) -> None:
    """All parts with as few calls as can be: a process is rarely killed within one."""
    left = [memoryview(part) for part in parts if part]
    while left:
        count = os.writev(file, left[:_MOST_PARTS])
        while left and count >= len(left[0]):
            count -= len(left.pop(0))
        if count:
            left[0] = left[0][count:]


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack('<BQ', kind, len(body)) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack('<I', len(data)) + data


def _schema(number: int, msgtype: str) -> bytes:
    return _record(_SCHEMA, struct.pack('<H', number) + _text(msgtype) + _text('ros2msg') + _text(definition(msgtype)))


def _channel(number: int, topic: str) -> bytes:
    return _record(_CHANNEL, struct.pack('<HH', number, number) + _text(topic) + _text('cdr') + struct.pack('<I', 0))
