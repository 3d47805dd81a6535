"""Checksums for mcap files of a writer that leaves them out, so that damage to our own bags is always noticed.

mcap has three kinds (https://mcap.dev/spec): of each chunk's content, of all before the summary, and of the summary.
All are CRC-32. sqlite3 and ROS 1 bags have none, which is one reason why we write mcap.
"""
import os
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Iterator

from ...core.errors import BagError
from .mcap_records import CHUNK, DATA_END, FOOTER, MAGIC

_BLOCK_BYTES = 1 << 20


@contextmanager
def with_checksums(folder: Path) -> Iterator[None]:
    """Around a writer of a bag's folder: when it has ended well, its mcap files get their checksums."""
    yield
    for path in sorted(folder.glob('*.mcap')):
        write_checksums(path)


def write_checksums(path: Path) -> None:
    """Fill in the checksums of a whole mcap file whose chunks are not compressed.

    Raises:
        BagError: it is not such a file.
        OSError: it cannot be read or written.
    """
    with path.open('r+b') as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BagError(f'{path}: is no mcap file')
        position, data_crc = len(MAGIC), zlib.crc32(MAGIC)
        while True:
            operation, length = struct.unpack('<BQ', _exactly(file, position, 9, path))
            if operation == DATA_END:
                break
            if operation == CHUNK:
                name_length = struct.unpack('<I', _exactly(file, position + 37, 4, path))[0]
                if name_length:
                    raise BagError(f'{path}: has compressed chunks, whose checksums cannot be filled in')
                # Start, end, size, checksum, name of the compression, stored size.
                _write(file, position + 33, struct.pack('<I', _checksum(file, position + 49, position + 9 + length)))
            data_crc = _checksum(file, position, position + 9 + length, data_crc)
            position += 9 + length
        _write(file, position + 9, struct.pack('<I', data_crc))
        summary, footer = position + 13, file.seek(0, os.SEEK_END) - 37
        if _exactly(file, footer, 9, path) != struct.pack('<BQ', FOOTER, 20):
            raise BagError(f'{path}: is an mcap file without end')
        # All of the footer but the checksum itself belongs to it.
        _write(file, footer + 25, struct.pack('<I', _checksum(file, summary, footer + 25)))


def _exactly(file: BinaryIO, position: int, length: int, path: Path) -> bytes:
    file.seek(position)
    data = file.read(length)
    if len(data) < length:
        raise BagError(f'{path}: is an mcap file without end')
    return data


def _write(file: BinaryIO, position: int, data: bytes) -> None:
    file.seek(position)
    file.write(data)


def _checksum(file: BinaryIO, begin: int, end: int, crc: int = 0) -> int:
    file.seek(begin)
    while begin < end:
        data = file.read(min(_BLOCK_BYTES, end - begin))
        if not data:
            break
        crc, begin = zlib.crc32(data, crc), begin + len(data)
    return crc
