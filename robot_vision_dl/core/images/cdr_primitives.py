"""The wire format of serialized ROS 2 messages: reading and writing their fields, one after another.

OMG XCDR1 (DDS-XTypes 1.3, 7.4; RTPS 2.5, 10.2): four bytes of encapsulation that tell the byte order, then the fields,
each aligned to its size. A string is its length including the closing NUL, then its UTF-8 bytes.
"""
import sys
from struct import Struct, pack, unpack_from
from typing import Any, Tuple

import numpy as np

from ..errors import ConfigError, ImageError
from ..text.printable import printable
from ..types import Header

_CDR_BE, _CDR_LE = b'\x00\x00', b'\x00\x01'
_NATIVE_ORDER = '<' if sys.byteorder == 'little' else '>'
_ENCAPSULATION_BYTES = 4
_NS_PER_S = 1_000_000_000
_END_OF_TIME_NS = 2 ** 31 * _NS_PER_S
_MAX_STRING = 4096  # frame_id goes into every message about the picture; none that is meant is as long


def stamp_of(seconds: int, nanoseconds: int) -> int:
    """Nanoseconds of a ``builtin_interfaces/Time``; a second's worth of nanoseconds and more is carried over.

    Raises:
        ImageError: ``stamp``: it is negative, or more than the seconds of a message hold after that. What is published
            about the picture could not carry such a time.
    """
    stamp_ns = seconds * _NS_PER_S + nanoseconds
    if not 0 <= stamp_ns < _END_OF_TIME_NS:
        raise ImageError('stamp', f'the stamp is {seconds} s and {nanoseconds} ns, where a message holds 0 to '
                                  f'{_END_OF_TIME_NS // _NS_PER_S - 1} s; does the driver set it?')
    return stamp_ns


class Reader:
    """A cursor over a serialized message. Every read is checked against the end of the buffer.

    Args:
        buffer: bytes-like, or a uint8 array.

    Raises:
        ImageError: as every read: ``truncated``: the buffer ends before what is read does. ``malformed``: the bytes
            cannot be what is read. ``stamp``: the time of a header is none.
    """

    __slots__ = ('buffer', 'size', 'offset', '_uint32', '_stamp', '_order')

    _FORMATS = {_CDR_LE: (Struct('<I'), Struct('<iI'), '<'), _CDR_BE: (Struct('>I'), Struct('>iI'), '>')}

    def __init__(self, buffer: Any) -> None:
        if isinstance(buffer, np.ndarray) and not buffer.flags.c_contiguous:
            buffer = np.ascontiguousarray(buffer)
        view = memoryview(buffer)
        self.buffer = view if view.format == 'B' and view.ndim == 1 else view.cast('B')
        self.size = len(self.buffer)
        if self.size < _ENCAPSULATION_BYTES:
            raise ImageError('truncated', f'a serialized message has at least {_ENCAPSULATION_BYTES} bytes, '
                                          f'got {self.size}; is the publisher or the recording cut off?')
        formats = self._FORMATS.get(bytes(self.buffer[:2]))
        if formats is None:
            raise ImageError('malformed', f'a serialized message begins with 00 00 or 00 01 (plain CDR), got '
                                          f'{bytes(self.buffer[:2]).hex(" ")}; is it a ROS 2 message?')
        self._uint32, self._stamp, self._order = formats
        self.offset = _ENCAPSULATION_BYTES

    def _take(self, count: int, what: str) -> int:
        """Offset of the next ``count`` bytes, which are then behind the cursor."""
        start = self.offset
        if count > self.size - start:
            left = max(self.size - start, 0)
            raise ImageError('truncated', f'{what} needs {count} bytes, but only {left} of the message are left; is it '
                                          'cut off, or of another type than announced?')
        self.offset = start + count
        return start

    def uint8(self, what: str) -> int:
        """A number of one byte; ``what`` names it in errors."""
        return self.buffer[self._take(1, what)]

    def uint32(self, what: str) -> int:
        """A number of four bytes."""
        # The encapsulation has four bytes, so positions in the buffer are aligned as those in the body are.
        self.offset = (self.offset + 3) & ~3
        number: int = self._uint32.unpack_from(self.buffer, self._take(4, what))[0]
        return number

    def float64(self, what: str) -> float:
        """A double."""
        number: float = self.float64s(1, what)[0]
        return number

    def float64s(self, count: int, what: str) -> Tuple[float, ...]:
        """So many doubles, one after another."""
        start = self._take_doubles(count, what)
        return unpack_from(f'{self._order}{count}d', self.buffer, start)

    def float64_bytes(self, count: int, what: str) -> bytes:
        """So many doubles, one after another, as their bytes in this machine's order."""
        start = self._take_doubles(count, what)
        raw = bytes(self.buffer[start:self.offset])
        return raw if self._order == _NATIVE_ORDER else np.frombuffer(raw).byteswap().tobytes()

    def _take_doubles(self, count: int, what: str) -> int:
        # Aligned within the body, which begins after the encapsulation.
        self.offset = (self.offset + 3 & ~7) + _ENCAPSULATION_BYTES
        return self._take(8 * count, what)

    def skip(self, count: int, what: str) -> None:
        """Pass over so many bytes."""
        self._take(count, what)

    def stamp_ns(self) -> int:
        """A ``builtin_interfaces/Time`` in nanoseconds."""
        self.offset = (self.offset + 3) & ~3
        return stamp_of(*self._stamp.unpack_from(self.buffer, self._take(8, 'stamp')))

    def string(self, what: str) -> str:
        """A text of at most 4096 bytes."""
        length = self.uint32(what)
        if length == 0:  # not what the standard says, but some writers leave out the NUL of an empty string
            return ''
        start = self._take(length, what)
        if length > _MAX_STRING:
            raise ImageError('malformed', f'{what} has {length} bytes, more than {_MAX_STRING}; is this a message of '
                                          'another type?')
        raw = bytes(self.buffer[start:start + length])
        if raw.find(b'\0') != length - 1:
            raise ImageError('malformed', f'{what} must end with its only NUL, got {raw[:40]!r}; is this a message of '
                                          'another type?')
        try:
            return raw[:-1].decode('utf-8')
        except UnicodeDecodeError:
            raise ImageError('malformed', f'{what} is not UTF-8: {raw[:40]!r}; is this a message of another type?'
                             ) from None

    def uint8_sequence(self, what: str) -> np.ndarray:
        """A sequence of bytes as a read-only view of the buffer."""
        length = self.uint32(what)
        array = np.frombuffer(self.buffer, np.uint8, length, self._take(length, what)) if length else _NOTHING
        array.flags.writeable = False
        return array

    def header(self) -> Header:
        """A ``std_msgs/Header``."""
        return Header(self.stamp_ns(), self.string('frame_id'))

    def header_of_part(self) -> Header:
        """The header of a part of a message, on whose stamp nothing depends: one that is no time is read as 0."""
        try:
            stamp_ns = self.stamp_ns()
        except ImageError as error:
            if error.reason != 'stamp':
                raise
            stamp_ns = 0
        return Header(stamp_ns, self.string('frame_id'))


_NOTHING = np.zeros(0, np.uint8)


_PREFIX = (_CDR_LE if _NATIVE_ORDER == '<' else _CDR_BE) + b'\x00\x00'
_NATIVE_UINT32 = Struct('=I')
_NATIVE_STAMP = Struct('=iI')


def aligned(parts: bytearray) -> bytearray:
    """The same bytes, filled up to a multiple of four."""
    parts.extend(bytes(-len(parts) % 4))
    return parts


def append_uint32(parts: bytearray, value: int) -> None:
    """Append a number of four bytes, aligned."""
    aligned(parts).extend(_NATIVE_UINT32.pack(value))


def append_string(parts: bytearray, text: str) -> None:
    """Append a text, aligned.

    Raises:
        ConfigError: :meth:`Reader.string` would refuse it: it is too long, holds a NUL, or a lone surrogate.
    """
    try:
        raw = text.encode('utf-8')
    except UnicodeEncodeError:
        raise _no_string(text, 'is not UTF-8; rename it') from None
    if len(raw) >= _MAX_STRING:
        raise _no_string(text, f'has {len(raw)} bytes, and {_MAX_STRING - 1} are allowed; shorten it')
    if b'\0' in raw:
        raise _no_string(text, 'holds a NUL character; remove it')
    append_uint32(parts, len(raw) + 1)
    parts.extend(raw + b'\0')


def _no_string(text: str, problem: str) -> ConfigError:
    return ConfigError(f'{printable(repr(text), 60)} cannot be a name in a message: it {problem}')


def append_float64_bytes(parts: bytearray, raw: bytes) -> None:
    """Append doubles that are bytes in this machine's order already."""
    parts.extend(bytes((_ENCAPSULATION_BYTES - len(parts)) % 8))  # alignment counts from behind the encapsulation
    parts.extend(raw)


def append_float64s(parts: bytearray, *numbers: float) -> None:
    """Append doubles, aligned."""
    append_float64_bytes(parts, pack(f'={len(numbers)}d', *numbers))


def append_header(parts: bytearray, header: Header) -> None:
    """Append a ``std_msgs/Header``, aligned.

    Raises:
        ConfigError: its stamp is none, or :func:`append_string`.
    """
    if not 0 <= header.stamp_ns < _END_OF_TIME_NS:
        raise ConfigError(f'the stamp of a header must be 0 to {_END_OF_TIME_NS - 1} ns, got {header.stamp_ns}; set it '
                          'to the time of the picture')
    aligned(parts).extend(_NATIVE_STAMP.pack(*divmod(header.stamp_ns, _NS_PER_S)))
    append_string(parts, header.frame_id)


def begin(header: Header) -> bytearray:
    """The first bytes of a message that begins with a header, in this machine's byte order."""
    parts = bytearray(_PREFIX)
    append_header(parts, header)
    return parts
