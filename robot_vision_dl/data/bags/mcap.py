"""Read mcap files (https://mcap.dev/spec), sound or not: by their index where it agrees with the records.

The records' heads are always walked through, which is cheap: what stands in the index is compared with what is there.
Chunks are unpacked when their time comes, within bounds, and checked against their checksum or their index.
"""
import struct
import zlib
from array import array
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from .blocks import MOST_DEFINITION_BYTES, RUN_BYTES, Block, BlockFile, Entry, read_at, windows
from .channel import Channel
from .mcap_records import (
    ATTACHMENT,
    CHANNEL,
    CHUNK,
    CHUNK_INDEX,
    DATA_END,
    HEADER,
    IN_DATA,
    INDEX,
    LEAST,
    MAGIC,
    MESSAGE,
    METADATA,
    RECORD,
    SCHEMA,
    STATISTICS,
    checksums_until,
    chunk_index,
    fits,
    most_index_bytes,
    read_head,
    records,
    statistics,
    string_at,
)

_MOST_SEARCHED_BYTES = 1 << 25  # more than a picture
_MOST_SUMMARY_BYTES = 1 << 28
_NO_TIME = 1 << 63
# Of ROS 2's quality of service, by name and by number, and of what `mcap convert` keeps of ROS 1.
_LATCHED = (b'transient_local', b'durability: 1', b'latching\x01\x00\x00\x001')


class _Summary(NamedTuple):
    """The section after the messages, as far as it could be read.

    Attributes:
        data_end: where it begins, and the messages end.
        chunks: by offset: what :class:`Block` holds of each, with its index's place and length unknown.
        counts: messages by channel; None without statistics.
        complaint: what is wrong with it; empty where nothing is.
    """

    data_end: int
    chunks: Dict[int, Tuple[int, int, int, str, int, int]]
    counts: Optional[Dict[int, int]]
    chunk_count: int
    complaint: str


class McapFile(BlockFile):
    """One mcap file; see :class:`BlockFile`."""

    def _open(self, file: BinaryIO) -> Optional[str]:
        self._schemas: Dict[int, Tuple[str, str, str]] = {}
        # Where another file begins within this one (two were put together), what is being read, and which channels
        # that other file describes otherwise.
        self._second, self._reading = _NO_TIME, 0
        self._redefined: Set[int] = set()
        self._places: Dict[Tuple[int, int], int] = {}  # by kind and number, where it was described first
        file.seek(0)
        begins = file.read(8) == MAGIC
        summary = self._summary(file)
        from_summary = set(self._channels)
        self._known_end = bool(summary.data_end)
        self._claimed = summary.counts
        counted, reason = self._walk(file, summary.data_end or self.size)
        chunks = [block for block in self._blocks if block.size is not None]
        reason = reason or summary.complaint or ('' if begins else 'its beginning is damaged')
        if reason:
            return reason
        if not chunks:
            # Counted one by one; what is claimed is compared with it.
            self._found = dict(enumerate(counted))
            if self._claimed is None:
                self._claimed = self._total()
            elif self._claimed != {**dict.fromkeys(self._claimed, 0), **self._total()}:
                return 'its statistics do not fit its messages'
            return None
        if summary.counts is None or not summary.chunks:
            return ''  # there is no index
        if not set(summary.counts) <= from_summary:
            return ''  # topics are described in the chunks only
        found = {block.offset: (block.start_ns, block.end_ns, block.length, block.compression, block.size)
                 for block in chunks}
        if found != {at: values[:5] for at, values in summary.chunks.items()} or summary.chunk_count != len(found):
            return f'has {len(found)} chunks where its index lists {len(summary.chunks)}, or at other places or times'
        listed = self._listed
        if listed and len(chunks) == len(self._blocks) and listed != {k: n for k, n in summary.counts.items() if n}:
            return 'its statistics do not fit the index of its messages'
        self._blocks = [block for block in self._blocks if block.start_ns <= block.end_ns < _NO_TIME
                        and (block.index_at or block.size is None or not listed)]
        return None

    def _summary(self, file: BinaryIO) -> _Summary:
        """Read the summary by the footer; topics in it are learned."""
        file.seek(max(0, self.size - 37))
        end = file.read()
        if end[-8:] != MAGIC or len(end) < 37 or end[:9] != b'\x02' + struct.pack('<Q', 20):
            return _Summary(0, {}, None, 0, 'has no usable index')
        start, offsets, crc = struct.unpack('<QQI', end[9:29])
        footer_at = self.size - 37
        if start == 0:
            return _Summary(footer_at, {}, None, 0, '')
        if not 8 < start <= footer_at or footer_at - start > _MOST_SUMMARY_BYTES:
            return _Summary(0, {}, None, 0, 'has no usable index: it is not where the end of the file says')
        file.seek(start)
        content = file.read(footer_at - start)
        complaint = ''
        # The checksum goes over the footer's first fields, too.
        if crc and zlib.crc32(content + end[:25]) != crc:
            complaint = 'its index is damaged (checksum)'
        chunks: Dict[int, Tuple[int, int, int, str, int, int]] = {}
        noted: List[str] = []
        counts, chunk_count = None, 0
        try:
            for operation, body in records(content):
                if operation in (SCHEMA, CHANNEL):
                    self._learn(operation, body, noted)
                elif operation == CHUNK_INDEX:
                    at, values = chunk_index(body)
                    chunks[at] = values
                elif operation == STATISTICS:
                    counts, chunk_count = statistics(body)
        except (ValueError, struct.error) as error:
            return _Summary(start, {}, counts, 0, complaint or f'its index is damaged ({error})')
        return _Summary(start, chunks, counts, chunk_count, complaint or '; '.join(noted[:1]))

    def _walk(self, file: BinaryIO, data_end: int) -> Tuple[List[Dict[int, int]], str]:
        """Find all blocks; returns messages by channel for each that is a run, and what is wrong."""
        counted: List[Dict[int, int]] = []
        self._listed: Dict[int, int] = {}
        position, reason = 8, ''
        noted: List[str] = []
        run: Optional[Tuple[int, int, int, Dict[int, int]]] = None
        last_chunk = -1

        def end_run(at: int) -> None:
            nonlocal run
            if run is not None and run[3]:
                self._blocks.append(Block(run[1], run[2], run[0], at - run[0]))
                counted.append(run[3])
            run = None

        while position < data_end:
            head = self._head(file, position, data_end)
            if head is None:
                end_run(position)
                operation, length = read_head(file, position)
                # What a chunk has before the file's end is worth reading.
                if operation == CHUNK and position + 9 + length > data_end and self._add_chunk(
                        file, position, data_end - position - 9):
                    return counted, f'ends in the middle of a record at byte {position}'
                found = self._next(file, position + 1, data_end)
                if found is None:
                    if reason:
                        return counted, reason
                    return counted, (f'is damaged at byte {position}' if self._known_end
                                     else f'ends in the middle of a record at byte {position}')
                reason = f'is damaged, first at byte {reason.split()[-1] if reason else position}'
                if self._second == _NO_TIME and MAGIC + bytes([HEADER]) in read_at(
                        file, position, min(found - position, _MOST_SEARCHED_BYTES)):
                    self._second = position
                position = found
                continue
            operation, length = head
            end = position + 9 + length
            if operation == DATA_END:
                end_run(position)
                crc = struct.unpack('<I', read_at(file, position + 9, 4))[0]
                # Chunks with checksums of their own are checked when they are read.
                whole = any(block.size is None or not block.crc for block in self._blocks)
                if crc and whole and not reason and crc not in checksums_until(file, position):
                    reason = 'is damaged: its messages do not fit their checksum'
                break
            if operation == CHUNK:
                end_run(position)
                last_chunk = len(self._blocks) - 1 if self._add_chunk(file, position, length) else -1
            elif operation == INDEX and last_chunk < 0:
                reason = reason or f'is damaged at byte {position}: a list of messages that are not there'
            elif operation == INDEX:
                end_run(position)
                key, size = struct.unpack('<HI', read_at(file, position + 9, 6))
                self._listed[key] = self._listed.get(key, 0) + size // 16
                if 0 <= last_chunk < len(self._blocks) and not self._blocks[last_chunk].index_at:
                    self._blocks[last_chunk] = self._blocks[last_chunk]._replace(index_at=position)
            elif operation in (SCHEMA, CHANNEL):
                self._reading = position
                self._learn(operation, read_at(file, position + 9, min(length, MOST_DEFINITION_BYTES)), noted)
            elif operation in (ATTACHMENT, METADATA):
                if not fits(operation, file, position + 9, length):
                    noted.append(f'the record at byte {position} is damaged')
            elif operation >= 0x80 and self._claimed is None:
                noted.append(f'what the record at byte {position} is (kind {operation:#x}) is not known')
            elif operation == MESSAGE:
                key, _, stamp = struct.unpack('<HIQ', read_at(file, position + 9, 14))
                if run is not None and position - run[0] > RUN_BYTES:
                    end_run(position)
                if run is None:
                    run = (position, stamp, stamp, {})
                run[3][key] = run[3].get(key, 0) + 1
                if stamp < _NO_TIME:
                    run = (run[0], min(run[1], stamp), max(run[2], stamp), run[3])
            position = end
        else:
            end_run(position)
            reason = reason or 'is damaged: the record that ends the messages is missing'
        return counted, reason or '; '.join(dict.fromkeys(noted[:3]))

    def _head(self, file: BinaryIO, position: int, data_end: int) -> Optional[Tuple[int, int]]:
        """Operation and length of the record at ``position``; None if there can be none."""
        operation, length = read_head(file, position)
        if not (operation in IN_DATA or operation >= 0x80) or length < LEAST.get(operation, 0):
            return None
        end = position + 9 + length
        if operation == HEADER and position != len(MAGIC):
            return None
        if end > data_end or operation == DATA_END and (length != 4 or self._known_end and end != data_end):
            return None
        return operation, length

    def _next(self, file: BinaryIO, begin: int, data_end: int) -> Optional[int]:
        """Where the next record begins that has two sound ones after it, or ends where the messages do."""
        for position, window in windows(file, begin, data_end, 8):
            for match in RECORD.finditer(window):
                at, sound = position + match.start(), 0
                while sound < 3:
                    head = self._head(file, at, data_end)
                    if head is None or (head[0] == MESSAGE and self._channels and struct.unpack(
                            '<H', read_at(file, at + 9, 2))[0] not in self._channels):
                        break
                    sound += 1
                    at += 9 + head[1]
                    if head[0] == DATA_END or at == data_end:
                        sound = 3
                if sound >= 3:
                    return position + match.start()
        return None

    def _add_chunk(self, file: BinaryIO, position: int, length: int) -> bool:
        fixed = read_at(file, position + 9, 32)
        if len(fixed) < 32:
            return False
        start, end, size, crc, name_length = struct.unpack('<QQQII', fixed)
        name = read_at(file, position + 41, name_length + 8) if name_length <= 16 else b''
        if len(name) < name_length + 8:
            return False
        at = position + 9 + 40 + name_length
        stored = min(struct.unpack_from('<Q', name, name_length)[0], position + 9 + length - at)
        if stored <= 0:
            return False
        compression = name[:name_length].decode('ascii', 'replace')
        self._blocks.append(Block(start, end, at, stored, compression, size, crc))
        return True

    def _load(self, file: BinaryIO, block: Block, trusted: bool = True) -> Tuple[bytes, 'array[int]']:
        self._reading = block.offset
        return super()._load(file, block, trusted)

    def _entries(self, content: bytes, damage: List[str]) -> Iterator[Entry]:
        position, unknown, odd, lost, other = 0, 0, 0, 0, 0
        while position + 9 <= len(content):
            operation, length = struct.unpack_from('<BQ', content, position)
            body, end = position + 9, position + 9 + length
            if not 1 <= operation <= 0x0F or length < LEAST[operation] or end > len(content):
                following = self._resynchronized(content, position + 1)
                lost += (len(content) if following is None else following) - position
                position = len(content) if following is None else following
                continue
            position = end
            if operation == MESSAGE:
                key, _, stamp = struct.unpack_from('<HIQ', content, body)
                if key not in self._channels:
                    unknown += 1
                elif self._reading > self._second and key in self._redefined:
                    other += 1
                elif stamp >= _NO_TIME:
                    odd += 1
                else:
                    yield Entry(key, stamp, body + 22, end)
            elif operation in (SCHEMA, CHANNEL):
                self._learn(operation, content[body:min(end, body + MOST_DEFINITION_BYTES)], damage)
        lost += max(0, len(content) - position)
        if lost:
            damage.append(f'{lost} bytes of messages cannot be read')
        if unknown:
            damage.append(f'{unknown} messages are left out: nothing says of which topic they are')
        if other:
            damage.append(f'{other} messages are left out: another bag begins before them, whose topics have numbers '
                          'that are in use already; read the bags that were put together one by one')
        if odd:
            damage.append(f'{odd} messages are left out: their time is beyond the year 2262')

    def _resynchronized(self, content: bytes, position: int) -> Optional[int]:
        for match in RECORD.finditer(content, position, min(len(content), position + _MOST_SEARCHED_BYTES)):
            at = match.start()
            for _ in range(3):
                if at == len(content):
                    break
                if at + 9 > len(content):
                    at = -1
                    break
                operation, length = struct.unpack_from('<BQ', content, at)
                if not 3 <= operation <= 5 or length < LEAST[operation] or at + 9 + length > len(content):
                    at = -1
                    break
                at += 9 + length
            if at >= 0:
                return match.start()
        return None

    def _learn(self, operation: int, body: bytes, damage: List[str]) -> None:
        """Keep a schema or channel; the first description of each counts, and others must agree with it."""
        try:
            if operation == SCHEMA:
                key = struct.unpack_from('<H', body)[0]
                name, at = string_at(body, 2)
                encoding, at = string_at(body, at)
                text, _ = string_at(body, at)
                self._places.setdefault((operation, key), self._reading)
                if key not in self._schemas:
                    self._schemas[key] = (name, encoding, text)
                elif self._schemas[key] != (name, encoding, text):
                    if self._reading > self._second or self._places.get((operation, key), 0) > self._second:
                        self._schemas[key] = (name, encoding, text)
                    damage.append(f'there are two descriptions of type number {key}: one is damaged')
                return
            key, schema = struct.unpack_from('<HH', body)
            topic, at = string_at(body, 4)
            encoding, at = string_at(body, at)
        except (struct.error, ValueError):
            damage.append('the description of a topic or type is damaged')
            return
        name, form, text = self._schemas.get(schema, ('', '', ''))
        if schema and schema not in self._schemas:
            damage.append('a topic is of a type that is not described')
        latched = any(sign in body[at:] for sign in _LATCHED)
        channel = Channel(key, topic, name, encoding, form, text, latched, 0)
        self._places.setdefault((operation, key), self._reading)
        known = self._channels.setdefault(key, channel)
        if known[:5] != channel[:5]:
            if self._reading > self._second:
                self._redefined.add(key)
            elif self._places.get((operation, key), 0) > self._second:
                # Chunks of the first file are read after what stands in none in the second.
                self._redefined.add(key)
                self._channels[key] = channel
                self._places[operation, key] = self._reading
            damage.append(f'there are two descriptions of topic number {key}: one is damaged')

    def _indexed(self, file: BinaryIO, block: Block) -> Optional[List[Tuple[int, int]]]:
        found: List[Tuple[int, int]] = []
        position = block.index_at
        while True:
            operation, length = read_head(file, position)
            if operation != INDEX or length > most_index_bytes(block):
                return sorted(found) if found else None
            body = read_at(file, position + 9, length)
            if len(body) < 6:
                return []
            key, size = struct.unpack_from('<HI', body)
            if size % 16 or size + 6 > len(body):
                return []
            found += [(key, stamp) for stamp, _ in struct.iter_unpack('<QQ', body[6:6 + size])]
            position += 9 + length
