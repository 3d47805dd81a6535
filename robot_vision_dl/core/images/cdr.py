"""Serialized ROS 2 messages: images without copying their pixels, and decisions.

The same decoder reads what a raw subscription delivers and what a bag stores. The wire format itself is in
``cdr_primitives.py``.
"""
from typing import Any, Iterable, List, Tuple

import numpy as np

from ..errors import ImageError
from ..types import CompressedImage, Header, RawImage
from .cdr_primitives import Reader, append_float64s, append_string, append_uint32, begin


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
    reader = Reader(buffer)
    header = reader.header()
    height = reader.uint32('height')
    width = reader.uint32('width')
    encoding = reader.string('encoding')
    is_bigendian = reader.uint8('is_bigendian') != 0
    step = reader.uint32('step')
    return RawImage(header, height, width, encoding, is_bigendian, step, reader.uint8_sequence('data'))


def decode_compressed_image(buffer: Any) -> CompressedImage:
    """Read a serialized ``sensor_msgs/msg/CompressedImage``; arguments and errors as of :func:`decode_image`."""
    reader = Reader(buffer)
    return CompressedImage(reader.header(), reader.string('format'), reader.uint8_sequence('data'))


def decode_results(buffer: Any, most: int) -> List[Tuple[str, float]]:
    """Classes and scores, as they stand, of a serialized ``vision_msgs/msg/Classification``.

    Args:
        most: results that may be; the message is not read further where it states more.

    Raises:
        ImageError: as of :func:`decode_image`.
    """
    reader = Reader(buffer)
    reader.skip(8, 'stamp')  # of which nothing depends
    reader.string('frame_id')
    count = reader.uint32('results')
    if count > most:
        raise ImageError('malformed', f'the message has {count} results, and there are {most} classes')
    return [(reader.string('class_id'), reader.float64('score')) for _ in range(count)]


def _end(parts: bytearray, data: np.ndarray) -> bytes:
    append_uint32(parts, data.size)
    return b''.join((parts, np.ascontiguousarray(data).data))


def encode_image(image: RawImage) -> bytes:
    """Serialize a ``sensor_msgs/msg/Image`` in this machine's byte order; :func:`decode_image` reads it back."""
    parts = begin(image.header)
    append_uint32(parts, image.height)
    append_uint32(parts, image.width)
    append_string(parts, image.encoding)
    parts.append(int(image.is_bigendian))
    append_uint32(parts, image.step)
    return _end(parts, image.data)


def encode_compressed_image(image: CompressedImage) -> bytes:
    """Serialize a ``sensor_msgs/msg/CompressedImage`` in this machine's byte order."""
    parts = begin(image.header)
    append_string(parts, image.format)
    return _end(parts, image.data)


def encode_classification(header: Header, hypotheses: Iterable[Tuple[str, float]]) -> bytes:
    """Serialize a ``vision_msgs/msg/Classification`` of (class id, score) in this machine's byte order."""
    parts = begin(header)
    hypotheses = tuple(hypotheses)
    append_uint32(parts, len(hypotheses))
    for class_id, score in hypotheses:
        append_string(parts, class_id)
        append_float64s(parts, score)
    return bytes(parts)
