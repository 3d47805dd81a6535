"""Serialized ROS 2 messages: images without copying their pixels, and decisions.

The same decoder reads what a raw subscription delivers and what a bag stores. The wire format is OMG XCDR1 (DDS-XTypes
1.3, 7.4; RTPS 2.5, 10.2): four bytes of encapsulation that tell the byte order, then the fields, each aligned to its
size. A string is its length including the closing NUL, then its UTF-8 bytes.
"""
import sys
from struct import Struct, unpack_from
from typing import Any, Iterable, List, Tuple

import numpy as np

from ..errors import ImageError
from ..types import CompressedImage, Header, RawImage

_CDR_BE, _CDR_LE = b'\x00\x00', b'\x00\x01'
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


class _Reader:
    """A cursor over a serialized message. Every read is checked against the end of the buffer."""

    __slots__ = ('buffer', 'size', 'offset', '_uint32', '_stamp')

    _FORMATS = {_CDR_LE: (Struct('<I'), Struct('<iI')), _CDR_BE: (Struct('>I'), Struct('>iI'))}

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
        self._uint32, self._stamp = formats
        self.offset = _ENCAPSULATION_BYTES

    def _take(self, count: int, what: str) -> int:
        """Offset of the next ``count`` bytes, which are then behind the cursor."""
        start = self.offset
        if count > self.size - start:
            raise ImageError('truncated', f'{what} needs {count} bytes, but only {self.size - start} of the message '
                                          f'are left; is it cut off, or of another type than announced?')
        self.offset = start + count
        return start

    def uint8(self, what: str) -> int:
        return self.buffer[self._take(1, what)]

    def uint32(self, what: str) -> int:
        # The encapsulation has four bytes, so positions in the buffer are aligned as those in the body are.
        self.offset = (self.offset + 3) & ~3
        number: int = self._uint32.unpack_from(self.buffer, self._take(4, what))[0]
        return number

    def float64(self, what: str) -> float:
        # Aligned within the body, which begins after the encapsulation.
        self.offset = (self.offset + 3 & ~7) + _ENCAPSULATION_BYTES
        order = '<' if self._uint32.format[0] == '<' else '>'
        number: float = unpack_from(order + 'd', self.buffer, self._take(8, what))[0]
        return number

    def skip(self, count: int, what: str) -> None:
        self._take(count, what)

    def stamp_ns(self) -> int:
        return stamp_of(*self._stamp.unpack_from(self.buffer, self._take(8, 'stamp')))

    def string(self, what: str) -> str:
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
        length = self.uint32(what)
        array = np.frombuffer(self.buffer, np.uint8, length, self._take(length, what)) if length else _NOTHING
        array.flags.writeable = False
        return array

    def header(self) -> Header:
        return Header(self.stamp_ns(), self.string('frame_id'))


_NOTHING = np.zeros(0, np.uint8)


def decode_image(buffer: Any) -> RawImage:
    """Read a serialized ``sensor_msgs/msg/Image``.

    Args:
        buffer: bytes-like, or a uint8 array. Bytes after the message are ignored. It must not change while the result
            is in use, for ``data`` is a read-only view into it.

    Raises:
        ImageError: ``truncated``: the buffer ends before the message does. ``malformed``: the bytes cannot be such a
            message. Whether the fields make sense together is for
            :func:`robot_vision_dl.core.images.image.view` to say.
    """
    reader = _Reader(buffer)
    header = reader.header()
    height = reader.uint32('height')
    width = reader.uint32('width')
    encoding = reader.string('encoding')
    is_bigendian = reader.uint8('is_bigendian') != 0
    step = reader.uint32('step')
    return RawImage(header, height, width, encoding, is_bigendian, step, reader.uint8_sequence('data'))


def decode_compressed_image(buffer: Any) -> CompressedImage:
    """Read a serialized ``sensor_msgs/msg/CompressedImage``; arguments and errors as of :func:`decode_image`."""
    reader = _Reader(buffer)
    return CompressedImage(reader.header(), reader.string('format'), reader.uint8_sequence('data'))


def decode_results(buffer: Any, most: int) -> List[Tuple[str, float]]:
    """Classes and scores, as they stand, of a serialized ``vision_msgs/msg/Classification``.

    Args:
        most: results that may be; the message is not read further where it states more.

    Raises:
        ImageError: as of :func:`decode_image`.
    """
    reader = _Reader(buffer)
    reader.skip(8, 'stamp')  # of which nothing depends
    reader.string('frame_id')
    count = reader.uint32('results')
    if count > most:
        raise ImageError('malformed', f'the message has {count} results, and there are {most} classes')
    return [(reader.string('class_id'), reader.float64('score')) for _ in range(count)]


_PREFIX = b'\x00\x01\x00\x00' if sys.byteorder == 'little' else b'\x00\x00\x00\x00'
_NATIVE_UINT32 = Struct('=I')
_NATIVE_STAMP = Struct('=iI')
_NATIVE_DOUBLE = Struct('=d')


def _aligned(parts: bytearray) -> bytearray:
    parts.extend(bytes(-len(parts) % 4))
    return parts


def _append_uint32(parts: bytearray, value: int) -> None:
    _aligned(parts).extend(_NATIVE_UINT32.pack(value))


def _append_string(parts: bytearray, text: str) -> None:
    raw = text.encode('utf-8')
    _append_uint32(parts, len(raw) + 1)
    parts.extend(raw + b'\0')


def _begin(header: Header) -> bytearray:
    parts = bytearray(_PREFIX)
    parts.extend(_NATIVE_STAMP.pack(*_seconds_and_nanoseconds(header.stamp_ns)))
    _append_string(parts, header.frame_id)
    return parts


def _seconds_and_nanoseconds(stamp_ns: int) -> Tuple[int, int]:
    return divmod(stamp_ns, _NS_PER_S)


def _end(parts: bytearray, data: np.ndarray) -> bytes:
    _append_uint32(parts, data.size)
    return b''.join((parts, np.ascontiguousarray(data).data))


def encode_image(image: RawImage) -> bytes:
    """Serialize a ``sensor_msgs/msg/Image`` in this machine's byte order; :func:`decode_image` reads it back."""
    parts = _begin(image.header)
    _append_uint32(parts, image.height)
    _append_uint32(parts, image.width)
    _append_string(parts, image.encoding)
    parts.append(int(image.is_bigendian))
    _append_uint32(parts, image.step)
    return _end(parts, image.data)


def encode_compressed_image(image: CompressedImage) -> bytes:
    """Serialize a ``sensor_msgs/msg/CompressedImage`` in this machine's byte order."""
    parts = _begin(image.header)
    _append_string(parts, image.format)
    return _end(parts, image.data)


def encode_classification(header: Header, hypotheses: Iterable[Tuple[str, float]]) -> bytes:
    """Serialize a ``vision_msgs/msg/Classification`` of (class id, score) in this machine's byte order."""
    parts = _begin(header)
    hypotheses = tuple(hypotheses)
    _append_uint32(parts, len(hypotheses))
    for class_id, score in hypotheses:
        _append_string(parts, class_id)
        parts.extend(bytes((_ENCAPSULATION_BYTES - len(parts)) % 8))  # alignment counts from behind the encapsulation
        parts.extend(_NATIVE_DOUBLE.pack(score))
    return bytes(parts)
