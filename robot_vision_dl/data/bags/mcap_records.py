"""The records of mcap files (https://mcap.dev/spec) one by one: their kinds, their shortest forms, what is in them."""
import re
import struct
import zlib
from typing import BinaryIO, Dict, List, Optional, Tuple

from .blocks import RUN_BYTES, Block, read_at

MAGIC = b'\x89MCAP0\r\n'
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, INDEX = 1, 2, 3, 4, 5, 6, 7
CHUNK_INDEX, ATTACHMENT, STATISTICS, METADATA, DATA_END = 8, 9, 0x0B, 0x0C, 0x0F
IN_DATA = frozenset((1, 3, 4, 5, 6, 7, 9, 12, 15))
# Shortest body of each record.
LEAST = {1: 8, 2: 20, 3: 14, 4: 16, 5: 22, 6: 40, 7: 6, 8: 64, 9: 40, 10: 48, 11: 46, 12: 8, 13: 20, 14: 17, 15: 4}
# What the beginning of a record looks like: an operation of the data section, and a length below a terabyte.
# The operation stands before the look ahead, so that a search skips bytes quickly.
RECORD = re.compile(rb'[\x03-\x07\x09\x0c\x0f](?=.{5}\x00{3})', re.DOTALL)


def most_index_bytes(block: Block) -> int:
    """No index has more than 16 bytes for each message, which takes 31 at least."""
    return (block.size or 0) + 1024


def records(content: bytes) -> List[Tuple[int, bytes]]:
    """(operation, body) of each; types before what uses them."""
    found, position = [], 0
    while position < len(content):
        operation, length = struct.unpack_from('<BQ', content, position)
        found.append((operation, content[position + 9:position + 9 + length]))
        position += 9 + length
        if position > len(content) or length < LEAST.get(operation, 0):
            raise ValueError('a record of it is damaged')
    return sorted(found, key=lambda item: item[0] != SCHEMA)


def chunk_index(body: bytes) -> Tuple[int, Tuple[int, int, int, str, int, int]]:
    """(offset of the content, (start, end, stored bytes, compression, bytes unpacked, offset of the record))."""
    start, end, at, _, offsets = struct.unpack_from('<QQQQI', body)
    compression, after = string_at(body, 36 + offsets + 8)
    stored, size = struct.unpack_from('<QQ', body, after)
    return at + 9 + 40 + len(compression.encode()), (start, end, stored, compression, size, at)


def statistics(body: bytes) -> Tuple[Optional[Dict[int, int]], int]:
    """(messages by channel, number of chunks)."""
    total, _, _, _, _, chunks, _, _, size = struct.unpack_from('<QHIIIIQQI', body)
    if size % 10 or 46 + size > len(body):
        raise ValueError('its statistics are damaged')
    counts = dict(struct.iter_unpack('<HQ', body[46:46 + size]))
    if counts and sum(counts.values()) != total:
        raise ValueError('its statistics are damaged')
    return counts if counts or not total else None, chunks


def fits(operation: int, file: BinaryIO, position: int, length: int) -> bool:
    """Whether the lengths within an attachment or metadata add up to the record's."""
    try:
        at = 16 if operation == ATTACHMENT else 0
        for _ in range(2 if operation == ATTACHMENT else 1):
            at += 4 + struct.unpack('<I', read_at(file, position + at, 4))[0]
        if operation == METADATA:
            return at + 4 + struct.unpack('<I', read_at(file, position + at, 4))[0] == length
        return at + 8 + struct.unpack('<Q', read_at(file, position + at, 8))[0] + 4 == length
    except (struct.error, OverflowError):
        return False


def string_at(content: bytes, at: int) -> Tuple[str, int]:
    """A text with its length before it, and where it ends; raises ValueError where it is cut off."""
    length = struct.unpack_from('<I', content, at)[0]
    if at + 4 + length > len(content):
        raise ValueError('a text in it is cut off')
    return content[at + 4:at + 4 + length].decode('utf-8', 'replace'), at + 4 + length


def read_head(file: BinaryIO, position: int) -> Tuple[int, int]:
    """(operation, length of the body) of the record there; (0, 0) at the end of the file."""
    head = read_at(file, position, 9)
    return struct.unpack('<BQ', head) if len(head) == 9 else (0, 0)


def checksums_until(file: BinaryIO, end: int) -> List[int]:
    """Checksums of all before ``end``: from the file's beginning, and without what stands before the data section.

    The specification does not say whether these first bytes belong to it, and writers differ.
    """
    starts = [0, 8, 17 + read_head(file, 8)[1]]
    crcs = [0] * len(starts)
    position = 0
    while position < end:
        data = read_at(file, position, min(RUN_BYTES, end - position))
        if not data:
            break
        for number, start in enumerate(starts):
            crcs[number] = zlib.crc32(memoryview(data)[max(0, start - position):], crcs[number])
        position += len(data)
    return crcs
