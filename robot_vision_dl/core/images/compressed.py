"""``sensor_msgs/CompressedImage`` -> pictures: JPEG, PNG, and image_transport's ``compressedDepth``.

What the data are is read from the data; ``format`` is written too differently by different drivers (``jpeg``, ``jpg``,
``rgb8; jpeg compressed bgr8``, nothing at all) and is used for what a file cannot say: that its grey is depth, or the
mosaic of a colour sensor (``bayer_rggb8; png compressed``), which image_transport stores as it is and names again
behind the decoder. The colour order it may tell never matters: JPEG and PNG files say themselves which channel is red,
and the transport's publisher puts them in order.
"""
from struct import unpack_from
from typing import Tuple

import numpy as np

from ..config import ImageConfig
from ..errors import ImageError
from ..text.printable import printable
from ..types import ColorOrder, CompressedImage, Picture
from .convert import convert, to_8bit
from .depth import depth_to_grey
from .encodings import parse_encoding
from .image_file import decode_file, file_size
from .limits import check_size
from .rvl import decode_rvl

_CONFIG_HEADER_BYTES = 12  # int32 format, float32 depthParam[2]: compressed_depth_image_transport/compression_common.h
_PNG = b'\x89PNG'
_ORDERS = {3: ColorOrder.BGR, 4: ColorOrder.BGRA}


def decode_compressed(image: CompressedImage, config: ImageConfig) -> Picture:
    """Turn a message into a picture: 8 bit, grey, BGR or BGRA; EXIF orientation is ignored, as image_transport does.

    Raises:
        ImageError: ``empty``, ``too_large``, ``aspect_ratio``, ``truncated``, ``compressed``, ``no_valid_depth``, or
            ``encoding`` for depth of an unknown type or a mosaic of an unknown pattern.
    """
    if image.data.size == 0:
        raise ImageError('empty', 'the compressed image has no data; does the camera driver run?')
    encoding, _, transport = image.format.partition(';')
    encoding = encoding.strip()
    if _is_depth(image.data, transport):
        return depth_to_grey(decode_compressed_depth(image.data, encoding, transport, config), config)
    pixels = decode_file(image.data, config, image.format)
    if encoding.startswith('bayer_') and pixels.ndim == 2:
        # A JPEG of a mosaic of 16 bit has 8; files of 3 channels had their colours made before.
        mosaic = parse_encoding(f'{encoding.rstrip("0123456789")}{8 * pixels.itemsize}')
        pixels = convert(pixels, mosaic.name, f'bgr{mosaic.bits}')
    if pixels.dtype == np.uint16:
        if encoding == '16UC1' and pixels.ndim == 2:
            return depth_to_grey(pixels, config)
        pixels = to_8bit(pixels)
    return Picture(pixels, ColorOrder.MONO if pixels.ndim == 2 else _ORDERS[pixels.shape[2]])


def _is_depth(data: np.ndarray, transport: str) -> bool:
    """Whether it is of ``compressedDepth``, whose older publishers say no more than the encoding."""
    return 'compressedDepth' in transport or data[_CONFIG_HEADER_BYTES:][:4].tobytes() == _PNG


def compressed_size(image: CompressedImage, config: ImageConfig) -> Tuple[int, int]:
    """Height and width, as the message says and without decoding it.

    Raises:
        ImageError: as :func:`decode_compressed`, but for what only a decoder sees.
    """
    data, transport = image.data, image.format.partition(';')[2]
    if _is_depth(data, transport):
        if data[:4].tobytes() != _PNG:
            data = data[_CONFIG_HEADER_BYTES:]
        if 'rvl' in transport and data.size >= 8:
            width, height = unpack_from('<II', data.data, 0)
            check_size(height, width, config)
            return height, width
    return file_size(data, config)


def decode_compressed_depth(data: np.ndarray, encoding: str, transport: str, config: ImageConfig) -> np.ndarray:
    """Decode a message of image_transport's ``compressedDepth``.

    Args:
        data: uint8, shape (n,): the transport's header, then a 16 bit PNG or an RVL stream.
        encoding: 16UC1, mono16 or 32FC1, what ``format`` has before its semicolon.
        transport: what ``format`` has after it: ``compressedDepth``, alone or followed by ``png`` or ``rvl``.

    Returns:
        uint16 millimetres, or float32 metres with NaN for no reading, shape (H, W).

    Raises:
        ImageError: ``encoding``, ``too_large``, ``aspect_ratio``, ``truncated`` or ``compressed``.
    """
    if encoding not in ('16UC1', 'mono16', '32FC1'):
        raise ImageError('encoding', f'compressedDepth carries 16UC1, mono16 or 32FC1, got '
                                     f'{printable(encoding, 60)!r}')
    if data.size < _CONFIG_HEADER_BYTES:
        raise ImageError('truncated', f'compressedDepth has a header of {_CONFIG_HEADER_BYTES} bytes, got {data.size}')
    a, b = unpack_from('<ff', data.data, 4)
    has_header = data[:4].tobytes() != _PNG  # some drivers leave it out
    content = data[_CONFIG_HEADER_BYTES:] if has_header else data
    if 'rvl' in transport:
        numbers = decode_rvl(content, config)
    else:
        numbers = decode_file(content, config, f'{encoding};{transport}')
    if numbers.ndim != 2 or numbers.dtype != np.uint16:
        raise ImageError('compressed', f'compressedDepth must hold one channel of 16 bit, got {numbers.dtype} of shape '
                                       f'{numbers.shape}')
    if encoding != '32FC1':
        return numbers
    # Stored is the inverse depth, a / depth + b; 0 stands for no reading.
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        return np.where(numbers > 0, np.float32(a) / (numbers.astype(np.float32) - np.float32(b)), np.float32(np.nan))
