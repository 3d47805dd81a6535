"""Image messages -> arrays, and pictures for the classifier.

``sensor_msgs/Image`` of every encoding of ``sensor_msgs/image_encodings.hpp``; ``step``, byte order, padding and odd
sizes are honoured. Arrays are views of the message's bytes wherever that is possible. ``CompressedImage`` is for
``core/images/compressed.py``, other colours are for ``core/images/convert.py``, depth is for ``core/images/depth.py``.

| encoding | what the classifier sees |
|---|---|
| rgb8 bgr8 rgba8 bgra8 mono8, 8UC1 (mono) 8UC3 (BGR) 8UC4 (BGRA) | the message's own bytes |
| rgb16 bgr16 rgba16 bgra16 mono16, 16UC3 16UC4 | 0..65535 scaled to 0..255 |
| bayer_*8, bayer_*16 | demosaiced, 16 bit scaled |
| uyvy (yuv422), yuyv (yuv422_yuy2), nv12, nv21, nv24 | ITU-R BT.601, as OpenCV |
| 16UC1 (mm), 32FC1 and 64FC1 (m) | depth (REP 118) as grey, near dark and far white; no reading is black |
| 8SC, 16SC, 32SC of 1, 3 or 4 channels | the whole range of the type scaled to 0..255 |
| 32FC, 64FC of 3 or 4 channels | 0..1 scaled to 0..255, NaN black: OpenCV's convention for floats |
| 2 or more than 4 channels | refused: nothing says what they are |

Colours of typed encodings are taken in OpenCV's order, BGR, as cv_bridge's users do.
"""
from typing import Any, Tuple

import numpy as np

from ..config import ImageConfig
from ..errors import ImageError
from ..types import ColorOrder, CompressedImage, Header, ImageMessage, Picture, RawImage
from .cdr_primitives import stamp_of
from .compressed import decode_compressed
from .convert import convert, to_8bit
from .depth import depth_to_grey
from .encodings import Encoding, Kind, parse_encoding
from .limits import check_size

_NATIVE_IS_BIG = np.dtype('=u2') == np.dtype('>u2')
_LAYOUTS = {'mono': ColorOrder.MONO, 'rgb': ColorOrder.RGB, 'bgr': ColorOrder.BGR, 'rgba': ColorOrder.RGBA,
            'bgra': ColorOrder.BGRA}
_TYPED_ORDERS = {1: ColorOrder.MONO, 3: ColorOrder.BGR, 4: ColorOrder.BGRA}
_DEPTH = {'16UC1', '32FC1', '64FC1', '16U', '32F', '64F'}
DEFAULTS = ImageConfig()


def from_message(message: Any) -> ImageMessage:
    """Read a message object: anything with the fields of ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage``.

    Args:
        message: from rclpy or rosbags, say; ``data`` may be an array of bytes of any kind. It is not copied, unless it
            is a list.

    Raises:
        TypeError: the object has not the fields.
        ImageError: ``stamp``: its time is none.
    """
    try:
        stamp = message.header.stamp
        header = Header(stamp_of(stamp.sec, stamp.nanosec), message.header.frame_id)
        data = _as_bytes(message.data)
        if hasattr(message, 'encoding'):
            return RawImage(header, int(message.height), int(message.width), message.encoding,
                            bool(message.is_bigendian), int(message.step), data)
        return CompressedImage(header, message.format, data)
    except AttributeError as error:
        raise TypeError(f'expected a sensor_msgs Image or CompressedImage, got {type(message).__name__}: {error}'
                        ) from None


def _as_bytes(data: Any) -> np.ndarray:
    if isinstance(data, (list, tuple)):
        data = bytes(data)
    array = np.frombuffer(np.ascontiguousarray(data) if isinstance(data, np.ndarray) else data, np.uint8)
    array.flags.writeable = False
    return array


def view(image: RawImage) -> np.ndarray:
    """The pixels as an array in this machine's byte order, as cv_bridge's ``passthrough`` gives them.

    Returns:
        Read-only view of shape (height, width) or (height, width, channels), a copy only where bytes have to be
        swapped, or rows do not begin at a multiple of a number's bytes. yuv422 has two channels: brightness and one
        colour difference, in the order of the encoding. nv12 and nv21 have 1.5 times the height, nv24 three times:
        brightness above interleaved colour differences; odd widths and heights of nv12 and nv21 are rounded up for the
        colour differences.

    Raises:
        ImageError: ``empty``, ``encoding``, ``step`` or ``truncated``.
    """
    if image.height < 1 or image.width < 1:
        raise ImageError('empty', f'the image is {image.width} x {image.height} pixels; does the camera driver run?')
    encoding = parse_encoding(image.encoding)
    if encoding.kind is Kind.PLANAR:
        return _planar_view(image, encoding)
    row_bytes = image.width * encoding.pixel_bytes
    if image.step < row_bytes:
        raise ImageError('step', f'step is {image.step} bytes, but {image.width} pixels of {image.encoding} need '
                                 f'{row_bytes}; the driver must set step to the bytes of a row')
    # The padding of the last row may be missing.
    _check_length(image, image.step * (image.height - 1) + row_bytes)
    dtype = encoding.dtype
    swapped = dtype.itemsize > 1 and bool(image.is_bigendian) != _NATIVE_IS_BIG
    if swapped:
        dtype = dtype.newbyteorder()
    shape: Tuple[int, ...] = (image.height, image.width)
    strides: Tuple[int, ...] = (image.step, encoding.pixel_bytes)
    if encoding.channels > 1:
        shape, strides = (*shape, encoding.channels), (*strides, dtype.itemsize)
    array = np.ndarray(shape, dtype, image.data, 0, strides)
    if swapped or image.step % dtype.itemsize:  # which OpenCV 4 does not take
        array = array.astype(encoding.dtype)
    array.flags.writeable = False
    return array


def _check_length(image: RawImage, needed: int) -> None:
    if image.data.size < needed:
        raise ImageError('truncated', f'data has {image.data.size} bytes, but {image.width} x {image.height} pixels of '
                                      f'{image.encoding} with a step of {image.step} need {needed}')


def _planar_view(image: RawImage, encoding: Encoding) -> np.ndarray:
    """Planes one below the other, each with the row length (step) of the brightness plane, as V4L2 defines them."""
    height, width, step = image.height, image.width, image.step
    if encoding.layout == 'nv24':
        rows = 3 * height
    else:
        rows, width = height + (height + 1) // 2, width + width % 2
    if image.data.size == rows * width:
        step = width  # no padding, whatever step says: some drivers count the bytes of all planes in it
    if step < width:
        raise ImageError('step', f'step is {step} bytes, but a row of {image.width} pixels of {image.encoding} needs '
                                 f'{width}; the driver must set step to the bytes of a row of the first plane')
    if encoding.layout == 'nv24' and step > width:
        _check_length(image, step * height + 2 * step * (height - 1) + 2 * width)
        brightness = np.ndarray((height, width), np.uint8, image.data, 0, (step, 1))
        differences = np.ndarray((height, 2 * width), np.uint8, image.data, step * height, (2 * step, 1))
        array = np.concatenate((brightness, differences.reshape(2 * height, width)))
    else:
        _check_length(image, step * (rows - 1) + width)
        array = np.ndarray((rows, width), np.uint8, image.data, 0, (step, 1))
    array.flags.writeable = False
    return array


def decode(image: ImageMessage, config: ImageConfig = DEFAULTS) -> Picture:
    """Turn a message into a picture for the classifier; the table above says how.

    Raises:
        ImageError: with one of :data:`robot_vision_dl.core.errors.IMAGE_REASONS` as its reason.
    """
    if isinstance(image, CompressedImage):
        return decode_compressed(image, config)
    check_size(image.height, image.width, config)
    array = view(image)
    encoding = parse_encoding(image.encoding)
    if encoding.kind is Kind.COLOR:
        return Picture(array if encoding.bits == 8 else to_8bit(array), _LAYOUTS[encoding.layout])
    if encoding.kind is Kind.TYPED:
        return _typed_picture(array, encoding, config)
    colors = convert(array, encoding.name, 'bgr8')
    return Picture(colors[:, :image.width], ColorOrder.BGR)


def _typed_picture(array: np.ndarray, encoding: Encoding, config: ImageConfig) -> Picture:
    if encoding.name in _DEPTH:
        return depth_to_grey(array, config)
    if encoding.channels not in _TYPED_ORDERS:
        raise ImageError('encoding', f'nothing says what the {encoding.channels} channels of {encoding.name} are; '
                                     'publish one of the named encodings, such as rgb8')
    order = _TYPED_ORDERS[encoding.channels]
    if encoding.dtype == np.uint8:
        return Picture(array, order)
    if encoding.dtype == np.uint16:
        return Picture(to_8bit(array), order)
    if encoding.dtype.kind == 'f':
        ones = np.clip(np.nan_to_num(array, nan=0.0), 0.0, 1.0)
        return Picture(np.rint(ones * 255).astype(np.uint8), order)
    lowest = np.iinfo(encoding.dtype).min
    return Picture(((array.astype(np.int64) - lowest) >> (encoding.bits - 8)).astype(np.uint8), order)
