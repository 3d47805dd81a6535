"""How much memory and disk a bag may take where something in it is unpacked, and what raises it."""
import os
import zlib
from io import BytesIO
from types import ModuleType
from typing import BinaryIO, Callable, Generator, Iterator, Optional, Protocol, Tuple, Union

from ...core.config import BagConfig
from ...core.errors import BagError, ConfigError

UNPACKED_VARIABLE = 'ROBOT_VISION_MAX_UNPACKED_MB'
TEMPORARY_VARIABLE = 'ROBOT_VISION_MAX_TEMPORARY_MB'
_MB = 1 << 20
_STEP = 1 << 20
# What is fed at a time: where the data turns bad, all before it is kept.
_FEED = 4096
# No encoder asks for more without being told to, and the decoder sets it aside at once.
_WINDOW_LOG = 27


def most_unpacked_bytes() -> int:
    """Bytes that the unpacked content of a chunk or message may have, and chunks that are needed at once together."""
    return _from_environment(UNPACKED_VARIABLE, BagConfig().max_unpacked_mb) * _MB


def most_stored_bytes() -> int:
    """Bytes of a record that is no smaller in the file than in memory; such a file had to be brought here."""
    return 8 * most_unpacked_bytes()


def most_temporary_bytes(packed: int) -> int:
    """Bytes that a compressed file of ``packed`` bytes may take on disk; pictures seldom shrink to a fiftieth."""
    if os.environ.get(TEMPORARY_VARIABLE):
        return _from_environment(TEMPORARY_VARIABLE, 0) * _MB
    return max(BagConfig().max_temporary_mb * _MB, 50 * packed)


def too_large(what: str, size: int, limit: int, variable: str = UNPACKED_VARIABLE) -> str:
    """What is said of something beyond a limit."""
    return (f'{what} takes {size / _MB:.0f} MB unpacked, more than the {limit / _MB:.0f} MB that are allowed; if that '
            f'is meant, set {variable} to more megabytes')


def unpacked(data: bytes, compression: str, size: Optional[int], what: str) -> Tuple[bytes, str]:
    """As much of ``data`` as can be unpacked, and what is wrong with it (empty where nothing is).

    Args:
        data: as stored.
        compression: ``bz2``, ``lz4``, ``zstd``, or empty for none.
        size: bytes that it claims to have unpacked; None where it does not say.
        what: for the text, e.g. ``the chunk at byte 17``.
    """
    limit = most_unpacked_bytes()
    if size is not None and size > (limit if compression else most_stored_bytes()):
        return b'', too_large(what, size, limit if compression else most_stored_bytes())
    if compression == '':
        return data, '' if size in (None, len(data)) else f'{what} has {len(data)} bytes of {size}'
    make = _decompressor(compression)
    if make is None:
        return b'', f'{what} is compressed by {compression[:20]!r}, which is not known; known are bz2, lz4, zstd'
    result, complaint = BytesIO(), ''
    most = limit if size is None else size
    try:
        for part in _parts(data, make, most + 1):
            result.write(part)
    # Each library has its own error for damaged data.
    except (OSError, RuntimeError, ValueError, EOFError, zstd_module().ZstdError) as error:
        complaint = f'{what} cannot be unpacked after {result.tell()} bytes ({" ".join(str(error).split())[:100]})'
    found = result.getvalue()
    if len(found) > most:
        return found[:most], (f'{what} unpacks to more than the {size} bytes that it claims' if size is not None
                              else too_large(what, len(found), limit))
    if not complaint and size is not None and len(found) < size:
        complaint = f'{what} unpacks to {len(found)} bytes of {size}'
    return found, complaint


def checksum(data: bytes) -> int:
    """CRC-32 as mcap has it."""
    return zlib.crc32(data)


class _Decompressor(Protocol):
    """What bz2, lz4 and zstd have in common."""

    @property
    def needs_input(self) -> bool: ...  # noqa: D102
    @property
    def eof(self) -> bool: ...  # noqa: D102
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102

    def decompress(self, data: Union[bytes, memoryview], max_length: int) -> bytes: ...  # noqa: D102


_Make = Callable[[], _Decompressor]


def zstd_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """The unpacked content of an open file, up to 1 MiB at a time.

    Raises:
        BagError: the compression is damaged or ends early; what came before it is sound.
    """
    def feed() -> Iterator[bytes]:
        while True:
            data = stream.read(1 << 16)
            if not data:
                return
            yield data
    make = _decompressor('zstd')
    assert make is not None
    try:
        ended = yield from _frames(feed(), make, 1 << 62)
    except zstd_module().ZstdError as error:
        raise BagError(' '.join(str(error).split())) from error
    if not ended:
        raise BagError('it ends too early')


def _parts(data: bytes, make: _Make, most: int) -> Iterator[bytes]:
    """Unpacked pieces, no more than ``most`` bytes together."""
    view = memoryview(data)
    ended = yield from _frames((view[at:at + _FEED] for at in range(0, len(data), _FEED)), make, most)
    if not ended:
        raise EOFError('it ends too early')


def _frames(feed: Iterator[Union[bytes, memoryview]], make: _Make, most: int) -> Generator[bytes, None, bool]:
    """Unpack one frame after another; returns whether the last one came to its end, or ``most`` was reached."""
    step, ended = make(), False
    for data in feed:
        while len(data) or not step.needs_input:
            if ended:
                step, ended = make(), False
            part = step.decompress(data, min(_STEP, most))
            most -= len(part)
            if part:
                yield part
            if most <= 0:
                return True
            ended = step.eof
            data = step.unused_data or b'' if ended else b''
            if ended and not data:
                break
    return ended


def _decompressor(compression: str) -> Optional[_Make]:
    if compression == 'bz2':
        import bz2
        return bz2.BZ2Decompressor
    if compression == 'lz4':
        from lz4.frame import LZ4FrameDecompressor
        return lambda: LZ4FrameDecompressor()
    if compression == 'zstd':
        zstd = zstd_module()
        return lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    return None


def zstd_module() -> ModuleType:
    """``compression.zstd`` of Python 3.14, or its backport, which rosbags needs as well."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd


def _from_environment(name: str, default: int) -> int:
    text = os.environ.get(name, '')
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise ConfigError(f'{name}: must be a whole number of megabytes, at least 1, got {text[:20]!r}')
    return int(text)
