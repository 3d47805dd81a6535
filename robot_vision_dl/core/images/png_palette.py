"""Pixels of a PNG that name no entry of its palette.

libpng shows them in black and tells nobody who calls OpenCV. So the decoder gets a palette of all entries that the bits
of a pixel can name, those that were not there in a colour that none of the others has; where that is seen, a pixel
named one.
"""
from struct import pack, unpack_from
from typing import Optional, Tuple
from zlib import crc32

import cv2
import numpy as np

from ..errors import ImageError

_COLOR_TYPE_AT, _BITS_AT, _FIRST_CHUNK = 25, 24, 8
_PALETTE, _CHUNK_BYTES = 3, 12

Rgb = Tuple[int, int, int]


def complete_palette(file: np.ndarray) -> Tuple[np.ndarray, Optional[Rgb]]:
    """The file as the decoder is to see it, and the colour of the entries that were added, None if there are none.

    Args:
        file: uint8, shape (n,), as :func:`.png_file.check_png` returns it.
    """
    if file[_COLOR_TYPE_AT] != _PALETTE:
        return file, None
    at = _FIRST_CHUNK
    while file[at + 4:at + 8].tobytes() != b'PLTE':
        at += _CHUNK_BYTES + unpack_from('>I', file.data, at)[0]
    end = at + _CHUNK_BYTES + unpack_from('>I', file.data, at)[0]
    entries = file[at + 8:end - 4].tobytes()
    missing = 2 ** int(file[_BITS_AT]) - len(entries) // 3
    if missing <= 0:
        return file, None
    known = {entries[i:i + 3] for i in range(0, len(entries), 3)}
    # Among 256 colours one is none of the 255 at most that are there.
    color = next(each for each in ((255, i, 255) for i in range(256)) if bytes(each) not in known)
    content = b'PLTE' + entries + missing * bytes(color)
    chunk = pack('>I', len(content) - 4) + content + pack('>I', crc32(content))
    return np.concatenate((file[:at], np.frombuffer(chunk, np.uint8), file[end:])), color


def check_entries(pixels: np.ndarray, color: Optional[Rgb]) -> None:
    """Refuse a picture in which the colour of the entries that were added is seen.

    Args:
        pixels: as decoded: uint8, shape (H, W, 3) BGR or (H, W, 4) BGRA.
        color: of :func:`complete_palette`.

    Raises:
        ImageError: ``compressed``.
    """
    if color is None:
        return
    alpha = pixels.shape[2] - 3
    low, high = (*color[::-1], *[0] * alpha), (*color[::-1], *[255] * alpha)
    if cv2.inRange(pixels, low, high).any():
        raise ImageError('compressed', 'the PNG cannot be used: pixels that its palette has no entry for')
