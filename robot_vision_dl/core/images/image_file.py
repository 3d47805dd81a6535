"""JPEG and PNG files in memory -> arrays. What a file says of itself is checked before a decoder sees it.

OpenCV decodes what its build has decoders for, a dozen formats, and its versions differ in what they make of damaged
files: 4.x leaves the memory where pixels are missing as it was, 5.0 reads animated PNG. Checked first, a file is
accepted or refused alike by all of them.
"""
from struct import unpack_from
from typing import Tuple

import cv2
import numpy as np

from ..config import ImageConfig
from ..errors import ImageError
from ..text.printable import printable
from . import jpeg_file, png_file
from .jpeg_end import check_end
from .png_palette import check_entries, complete_palette

_COLOR_CHANNELS = (3, 4)


def decode_file(data: np.ndarray, config: ImageConfig, what: str = '', upright: bool = False) -> np.ndarray:
    """Decode a JPEG or PNG file in memory.

    Args:
        data: uint8, shape (n,).
        config: its ``max_megapixels`` is checked against the file's header, before pixels are decoded.
        what: the ``format`` of the message, for the error's text.
        upright: turn the picture as its EXIF data say, and decode it to 8 bit, grey or BGR.

    Returns:
        uint8 or uint16, shape (H, W), (H, W, 3) BGR or (H, W, 4) BGRA.

    Raises:
        ImageError: ``empty``, ``too_large``, ``aspect_ratio``, ``truncated`` or ``compressed``.
    """
    start = data[:8].tobytes()
    if start.startswith(jpeg_file.SIGNATURE):
        frame = jpeg_file.check_jpeg(data, config, keep_exif=upright)
        # Without orientation first: where the picture ends is known only then.
        pixels = _decode(frame.file, what, cv2.IMREAD_UNCHANGED)
        check_end(frame, pixels)
        return _decode(frame.file, what, cv2.IMREAD_ANYCOLOR) if frame.has_exif else pixels
    if start != png_file.SIGNATURE:
        raise _undecodable(data, what, f'neither JPEG nor PNG, begins with {start.hex(" ")}; publish one of these, or '
                                       'republish with image_transport as raw')
    file = png_file.check_png(data, config, keep_exif=upright)
    # IMREAD_UNCHANGED keeps alpha and 16 bit, and leaves EXIF orientation alone.
    file, added = complete_palette(file)
    pixels = _decode(file, what, cv2.IMREAD_ANYCOLOR if upright else cv2.IMREAD_UNCHANGED)
    check_entries(pixels, added)
    return pixels


def file_size(data: np.ndarray, config: ImageConfig) -> Tuple[int, int]:
    """Height and width of a JPEG or PNG file, which is checked but not decoded.

    Raises:
        ImageError: as :func:`decode_file`, but for what only a decoder sees.
    """
    start = data[:8].tobytes()
    if start.startswith(jpeg_file.SIGNATURE):
        frame = jpeg_file.check_jpeg(data, config)
        return frame.height, frame.width
    if start != png_file.SIGNATURE:
        raise ImageError('compressed', f'neither JPEG nor PNG, begins with {start.hex(" ")}')
    width, height = unpack_from('>II', png_file.check_png(data, config).data, 16)
    return height, width


def _decode(data: np.ndarray, what: str, flags: int) -> np.ndarray:
    try:
        pixels = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise _undecodable(data, what, printable(str(error), 200)) from None
    if pixels is None or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16) or (
            pixels.ndim == 3 and pixels.shape[2] not in _COLOR_CHANNELS):
        raise _undecodable(data, what, 'the decoder refused it')
    return pixels


def _undecodable(data: np.ndarray, what: str, why: str) -> ImageError:
    return ImageError('compressed', f'compressed image of {data.size} bytes, format {printable(what, 60)!r}: {why}')
