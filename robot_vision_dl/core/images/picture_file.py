"""Pictures on a disk -> arrays: of more formats than messages have, each with its size known before it is decoded."""
import io
import re
from typing import Tuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ..config import ImageConfig
from ..errors import ImageError
from ..text.printable import printable
from . import jpeg_file, png_file
from .image_file import decode_file, file_size
from .limits import check_size

MAX_MEGAPIXELS = 100.0
"""More than that is no camera's picture of one object; decoding it takes seconds and gigabytes."""
_LIMITS = ImageConfig(max_megapixels=MAX_MEGAPIXELS)
_NO_LIMITS = ImageConfig(max_megapixels=10000.0)
_TIFF = (b'II*\0', b'MM\0*')
# Checks are shared with those of messages; what they advise for a camera's driver is of no use for a file.
_OF_FILES = (
    ('raise image.max_megapixels if that is meant', 'make it smaller'),
    ('is the message larger than the transport carries, or the disk full?', 'was it copied whole?'),
    ('the compressed image is', 'the file is'), ('compressed image of', 'a file of'), (", format ''", ''),
    ('so no picture of a camera; publish one picture a message', 'a film; save the picture that is meant'),
    ('publish baseline or progressive JPEG, or PNG', 'save it as baseline or progressive JPEG, or as PNG'),
    ('; does the camera driver run?', ''),
)


def decode_picture(data: np.ndarray, name: str) -> np.ndarray:
    """Decode the bytes of a picture file.

    JPEG and PNG are held against their standards as those in messages are. Of other formats Pillow reads the size, and
    OpenCV, where it was built with a decoder, the pixels: BMP, PBM, PGM, PPM, TIFF and WebP always, others not
    everywhere.

    Args:
        data: uint8, shape (n,).
        name: of the file, fit to be shown.

    Returns:
        uint8, shape (H, W) or (H, W, 3) BGR, upright as the EXIF data say.

    Raises:
        ImageError: ``empty``, ``truncated``, ``compressed``, ``aspect_ratio``, or ``too_large``: more than
            :data:`MAX_MEGAPIXELS`.
    """
    if data.size == 0:
        raise ImageError('empty', f'{name}: cannot be decoded, for the file is empty')
    start = data[:8].tobytes()
    try:
        if start.startswith(jpeg_file.SIGNATURE) or start == png_file.SIGNATURE:
            return decode_file(data, _LIMITS, upright=True)
        return _decode_other(data)
    except ImageError as error:
        text = str(error)
        for of_messages, of_files in _OF_FILES:
            text = text.replace(of_messages, of_files)
        raise ImageError(error.reason, f'{name}: {text}') from None


def picture_size(data: np.ndarray, name: str) -> Tuple[int, int]:
    """(width, height) of what :func:`decode_picture` gives, which is asked only where the head may not say it.

    Raises:
        ImageError: as there, but for what only a decoder sees.
    """
    try:
        start = data[:8].tobytes()
        if start.startswith(jpeg_file.SIGNATURE):
            frame = jpeg_file.check_jpeg(data, _LIMITS, keep_exif=True)
            if not frame.has_exif:
                return frame.width, frame.height
        elif start == png_file.SIGNATURE and b'eXIf' not in data.tobytes():
            height, width = file_size(data, _LIMITS)
            return width, height
    except ImageError:
        pass  # told in the words of the decoder
    height, width = decode_picture(data, name).shape[:2]
    return width, height


def is_jpeg_as_seen(data: bytes) -> bool:
    """Whether it is a JPEG file that all show alike: none that says, anywhere in it, how the camera was held."""
    if not data.startswith(jpeg_file.SIGNATURE):
        return False
    try:
        return not jpeg_file.check_jpeg(np.frombuffer(data, np.uint8), _NO_LIMITS, keep_exif=True).has_exif
    except ImageError:
        return False


def _decode_other(data: np.ndarray) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data.data)) as image:
            width, height = image.size
            frames = getattr(image, 'n_frames', 1) if image.format in ('GIF', 'WEBP', 'AVIF') else 1
    except Image.DecompressionBombError as error:
        raise ImageError('too_large', f'{error}; make it smaller') from None
    except UnidentifiedImageError:
        raise _not_read(data, 'cannot be decoded; it does not begin as a picture of any kind that is read. Is it one, '
                              'and whole? Convert it to JPEG or PNG') from None
    except Exception as error:  # readers of thirty formats raise what they like
        why = printable(re.sub('<[^>]*>', 'the file', str(error)), 100)
        raise ImageError('compressed', f'cannot be decoded; is it a picture, and whole? ({why}); convert it to JPEG or '
                                       'PNG') from None
    check_size(height, width, _LIMITS)
    if frames != 1:
        raise ImageError('compressed', f'a film of {frames} pictures; save the one that is meant')
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR)
    except cv2.error as error:
        raise ImageError('compressed', f'cannot be decoded: {printable(error, 200)}') from None
    if pixels is None or pixels.size == 0 or pixels.dtype != np.uint8:
        raise _not_read(data, 'cannot be decoded by this OpenCV; convert it to JPEG or PNG')
    return pixels


def _not_read(data: np.ndarray, otherwise: str) -> ImageError:
    """For what neither Pillow nor OpenCV knows: of one format, which kinds of it are read."""
    if data[:4].tobytes() in _TIFF:
        return ImageError('compressed', 'cannot be decoded; of TIFF files those of 8 or 16 bit whole numbers are read, '
                                        'not those of floating point numbers: convert it to 8 bit, or to PNG')
    return ImageError('compressed', otherwise)
