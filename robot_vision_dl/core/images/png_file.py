"""What a PNG file says of itself, read before a decoder sees it (W3C PNG, third edition).

The decoder gets the chunks that make the picture and no others: texts and colour profiles, which may unpack to
gigabytes, never reach it. Animated files are refused; OpenCV 4.11 to 5.0 does not hold their frames against the
picture. Checksums of what is passed on are checked here, but for the pixels', which the decoder checks, as it does the
number of pixels: it refuses too few of them. See :mod:`.png_palette` for pixels without a colour.
"""
from struct import Struct, unpack_from
from typing import List, NamedTuple, Tuple
from zlib import crc32

import numpy as np

from ..config import ImageConfig
from ..errors import ImageError
from ..text.printable import printable
from .jpeg_file import cut_off
from .limits import check_size

SIGNATURE = b'\x89PNG\r\n\x1a\n'
_END = b'IEND\xaeB`\x82'
_CHUNK = Struct('>I4s')
_CHUNK_BYTES = 12  # with its checksum
_ANIMATION = (b'acTL', b'fcTL', b'fdAT')
# Channels and allowed bits of each colour type: table 9.
_COLOR_TYPES = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)), 6: (4, (8, 16))}
_PALETTE = 3
_MOST_EXPANSION = 1032  # of deflate: 258 bytes from two bits (RFC 1951)
_MAX_PIXEL_BYTES = 4
# First row, row step, first column, column step of each pass: 8.1.
_ADAM7 = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
MAX_CHUNKS = 1024
"""And one more for each 256 bytes: writers split pixels in chunks of 8 kB and more."""
_MAX_EXIF = 65536


class _Header(NamedTuple):
    width: int
    height: int
    bits: int
    color_type: int
    compression: int
    filter: int
    interlace: int


def check_png(data: np.ndarray, config: ImageConfig, keep_exif: bool = False) -> np.ndarray:
    """Hold a PNG file against the standard, its size, and its own bytes.

    Args:
        data: uint8, shape (n,), beginning with :data:`SIGNATURE`.
        config: its ``max_megapixels`` bounds the size.
        keep_exif: whether the decoder is to know how the camera was held.

    Returns:
        The file without what a decoder need not see: ``data`` itself, if there is no such thing in it.

    Raises:
        ImageError: ``truncated``, ``compressed``, ``empty``, ``too_large`` or ``aspect_ratio``.
    """
    chunks = _chunks(data)
    header = _header(data, chunks[0], config)
    kept: List[Tuple[int, int]] = []
    seen: List[bytes] = []
    pixel_bytes = 0
    for kind, start, end in chunks:
        if kind in _ANIMATION:
            raise _damaged('it is animated, so no picture of a camera; publish one picture a message')
        is_exif = keep_exif and kind == b'eXIf' and end - start <= _MAX_EXIF and b'IDAT' not in seen
        if kind[0] & 32 and kind != b'tRNS' and not is_exif:
            continue  # ancillary by its lower-case letter
        _check_order(kind, seen, header)
        if kind == b'IDAT':
            pixel_bytes += end - start - _CHUNK_BYTES
        else:
            _check_content(data, kind, start, end, header)
        if not seen or kind != seen[-1]:
            seen.append(kind)
        if kept and kept[-1][1] == start:
            kept[-1] = kept[-1][0], end
        else:
            kept.append((start, end))
    needed = _row_bytes(header)
    if needed > _MOST_EXPANSION * pixel_bytes:
        raise ImageError('truncated', f'the PNG has {pixel_bytes} bytes for {header.width} x {header.height} pixels, '
                                      f'which need {-(-needed // _MOST_EXPANSION)} at least; is it cut off?')
    if len(kept) == 1 and kept[0] == (len(SIGNATURE), data.size):
        return data
    return np.concatenate([data[:len(SIGNATURE)], *(data[start:end] for start, end in kept)])


def _chunks(data: np.ndarray) -> List[Tuple[bytes, int, int]]:
    """Type, offset and end of each chunk up to IEND, all of which are there."""
    found, position, view = [], len(SIGNATURE), data.data
    most = MAX_CHUNKS + data.size // 256
    while True:
        if position + _CHUNK_BYTES > data.size:
            raise cut_off(data.size)
        length, kind = _CHUNK.unpack_from(view, position)
        end = position + _CHUNK_BYTES + length
        if end > data.size or not kind.isalpha():
            if _END not in data[position:].tobytes():
                raise cut_off(data.size)
            raise _damaged(f'a chunk {printable(kind.decode("latin-1"))!r} of {length} bytes at byte {position}')
        found.append((kind, position, end))
        if kind == b'IEND':
            return found
        if len(found) > most:
            raise _damaged(f'more than {most} chunks')
        position = end


def _header(data: np.ndarray, first: Tuple[bytes, int, int], config: ImageConfig) -> _Header:
    kind, start, end = first
    if kind != b'IHDR' or end - start != 13 + _CHUNK_BYTES:
        raise _damaged('it does not begin with its header')
    header = _Header(*unpack_from('>IIBBBBB', data.data, start + 8))
    check_size(header.height, header.width, config)
    channels, bits = _COLOR_TYPES.get(header.color_type, (0, ()))
    if header.bits not in bits or header.compression or header.filter or header.interlace > 1:
        raise _damaged(f'its header names colour type {header.color_type}, {header.bits} bit, compression '
                       f'{header.compression}, filter {header.filter}, interlace {header.interlace}')
    pixel_bytes = channels * max(1, header.bits // 8)
    if header.height * header.width * pixel_bytes > config.max_megapixels * 1e6 * _MAX_PIXEL_BYTES:
        raise ImageError('too_large', f'the image claims {header.width} x {header.height} pixels of {pixel_bytes} '
                                      f'bytes, more memory than {config.max_megapixels:g} megapixels of '
                                      f'{_MAX_PIXEL_BYTES} bytes; raise image.max_megapixels if that is meant')
    return header


def _check_order(kind: bytes, seen: List[bytes], header: _Header) -> None:
    """Table 8: what may come how often, and in which order."""
    if kind == b'IDAT':
        if b'IDAT' in seen and seen[-1] != b'IDAT':
            raise _damaged('other chunks between those of its pixels')
        if header.color_type == _PALETTE and b'PLTE' not in seen:
            raise _damaged('no palette before its pixels')
    elif kind in seen:
        raise _damaged(f'two chunks {kind.decode()}')
    elif kind in (b'PLTE', b'tRNS') and b'IDAT' in seen:
        raise _damaged(f'{kind.decode()} behind its pixels')
    elif kind == b'PLTE' and (b'tRNS' in seen or header.color_type in (0, 4)):
        raise _damaged('a palette in the wrong place')
    elif kind == b'tRNS' and (header.color_type in (4, 6) or (header.color_type == _PALETTE and b'PLTE' not in seen)):
        raise _damaged('a transparent colour in the wrong place')
    elif kind == b'IEND' and b'IDAT' not in seen:
        raise ImageError('truncated', 'the PNG has no pixels; is it cut off?')
    elif kind not in (b'IHDR', b'PLTE', b'tRNS', b'eXIf', b'IEND'):
        raise _damaged(f'a chunk {kind.decode()}, which the standard does not know')


def _check_content(data: np.ndarray, kind: bytes, start: int, end: int, header: _Header) -> None:
    length = end - start - _CHUNK_BYTES
    palette = 2 ** header.bits if header.color_type == _PALETTE else 256
    fits = {b'PLTE': length % 3 == 0 and 0 < length <= 3 * palette, b'IEND': length == 0,
            b'tRNS': (0 < length <= palette if header.color_type == _PALETTE
                      else length == (2 if header.color_type == 0 else 6))}
    if not fits.get(kind, True):
        raise _damaged(f'a chunk {kind.decode()} of {length} bytes')
    if crc32(data[start + 4:end - 4].data) != unpack_from('>I', data.data, end - 4)[0]:
        raise _damaged(f'the checksum of its chunk {kind.decode()} is wrong')


def _row_bytes(header: _Header) -> int:
    """Bytes of all rows, unpacked, each with its filter's number."""
    bits = _COLOR_TYPES[header.color_type][0] * header.bits
    passes = _ADAM7 if header.interlace else ((0, 1, 0, 1),)
    total = 0
    for top, down, left, right in passes:
        rows, columns = -(-(header.height - top) // down), -(-(header.width - left) // right)
        if rows > 0 and columns > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _damaged(why: str) -> ImageError:
    return ImageError('compressed', f'the PNG cannot be used: {why}')
