"""JPEG and PNG files in memory -> arrays. The size and the end of a file are checked before it is decoded."""
from struct import unpack_from
from typing import NamedTuple

import cv2
import numpy as np

from .config import ImageConfig
from .errors import ImageError
from .limits import check_size

_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_END = b'IEND\xaeB`\x82'
_JPEG = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'
# Frame headers SOF0..SOF15; C4, C8 and CC in that range are other segments (ITU-T T.81, table B.1).
_SOF = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS = 0xDA
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_COLOR_CHANNELS = (3, 4)


class FileHeader(NamedTuple):
    """Size of a picture, and the offset from which its pixels are stored."""

    height: int
    width: int
    pixels_at: int


def decode_file(data: np.ndarray, config: ImageConfig, what: str = '') -> np.ndarray:
    """Decode a JPEG or PNG file in memory.

    Args:
        data: uint8, shape (n,).
        config: its ``max_megapixels`` is checked against the file's header, before pixels are decoded.
        what: the ``format`` of the message, for the error's text.

    Returns:
        uint8 or uint16, shape (H, W), (H, W, 3) BGR or (H, W, 4) BGRA.

    Raises:
        ImageError: ``empty``, ``too_large``, ``aspect_ratio``, ``truncated`` or ``compressed``.
    """
    header = read_header(data, what)
    check_size(header.height, header.width, config)
    _check_end(data, header)
    try:
        # IMREAD_UNCHANGED keeps alpha and 16 bit, and leaves EXIF orientation alone.
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _undecodable(data, what, str(error)) from None
    if pixels is None or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16) or (
            pixels.ndim == 3 and pixels.shape[2] not in _COLOR_CHANNELS):
        raise _undecodable(data, what, 'the decoder refused it')
    return pixels


def _undecodable(data: np.ndarray, what: str, why: str) -> ImageError:
    return ImageError('compressed', f'compressed image of {data.size} bytes, format {what[:60]!r}: {why}')


def read_header(data: np.ndarray, what: str = '') -> FileHeader:
    """Size of a JPEG or PNG file, from its first bytes.

    Raises:
        ImageError: ``truncated``: it ends before its pixels begin. ``compressed``: it is neither, or damaged.
    """
    start = data[:8].tobytes()
    if start.startswith(_JPEG):
        return _jpeg_header(data.data, what)
    if start != _PNG:
        raise _undecodable(data, what, f'neither JPEG nor PNG, begins with {start.hex(" ")}; publish one of these, or '
                                       'republish with image_transport as raw')
    if data.size < 24:
        raise _truncated(data)
    width, height = unpack_from('>II', data.data, 16)
    return FileHeader(height, width, 8)


def _truncated(data: np.ndarray) -> ImageError:
    return ImageError('truncated', f'the compressed image is cut off after {data.size} bytes; is the message larger '
                                   'than the transport carries, or the disk full?')


def _jpeg_header(data: memoryview, what: str) -> FileHeader:
    """Walk the segments up to the first scan (ITU-T T.81, annex B)."""
    position, end = 2, len(data)
    size = None
    while position + 4 <= end:
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0:
            break
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        else:
            if marker in _SOF and position + 9 <= end:
                size = unpack_from('>HH', data, position + 5)
            length = unpack_from('>H', data, position + 2)[0]
            if marker == _SOS and size is not None:
                return FileHeader(*size, position)
            if marker in (_SOS, 0xD9) or length < 2:
                break
            position += 2 + length
    array = np.frombuffer(data, np.uint8)
    if position + 4 > end:
        raise _truncated(array)
    raise _undecodable(array, what, f'damaged JPEG header at byte {position}')


def _check_end(data: np.ndarray, header: FileHeader) -> None:
    """A file that is cut off decodes to a picture that is partly grey, without an error: look for its end marker."""
    marker = _PNG_END if data[0] == _PNG[0] else _JPEG_END
    if data[-len(marker):].tobytes() == marker:
        return
    # Bytes after the end are common. Within a scan the end marker cannot occur, so any after its start will do.
    if data[header.pixels_at:].tobytes().rfind(marker) < 0:
        raise _truncated(data)
