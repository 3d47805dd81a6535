"""Pictures that a Python program holds already, numpy arrays and PIL images -> :class:`~..types.Picture`."""
from typing import TYPE_CHECKING

import numpy as np

from ..aspect_ratio import strip_of
from ..errors import ImageError
from ..types import ColorOrder, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

_CHANNELS = {ColorOrder.RGB: 3, ColorOrder.BGR: 3, ColorOrder.RGBA: 4, ColorOrder.BGRA: 4, ColorOrder.MONO: 1}
_ORIENTATION = 0x0112  # the EXIF tag
_ORDER_OF_MODE = {'L': ColorOrder.MONO, 'RGB': ColorOrder.RGB, 'RGBA': ColorOrder.RGBA}
_EIGHT_BIT_MODES = {'1', 'P', 'PA', 'LA', 'La', 'RGBa', 'RGBX', 'CMYK', 'YCbCr', 'LAB', 'HSV'}


def picture_of_array(array: np.ndarray, color: str = 'rgb') -> Picture:
    """A picture that shares the array's memory.

    Args:
        array: uint8, shape (H, W, 3 or 4) as ``color`` says; (H, W) is grey whatever it says. Any strides.
        color: a value of :class:`~..types.ColorOrder`: the order of the last axis.

    Raises:
        ImageError: ``encoding``: not uint8, or of another shape. ``empty``. ``aspect_ratio``: a strip.
    """
    order = color_order(color)
    if array.dtype != np.uint8:
        raise ImageError('encoding', f'expected an array of uint8 from 0 to 255, got {array.dtype}{_range(array)}')
    if array.ndim == 2:
        order = ColorOrder.MONO
    elif array.ndim == 3 and array.shape[2] == 1 and order is ColorOrder.MONO:
        array = array[..., 0]
    elif array.ndim != 3 or array.shape[2] != _CHANNELS[order] or order is ColorOrder.MONO:
        raise ImageError('encoding', _shape_fault(array, order))
    height, width = array.shape[:2]
    if height < 1 or width < 1:
        raise ImageError('empty', f'the array has no pixels: its shape is {array.shape}')
    strip = strip_of(height, width)
    if strip:
        raise ImageError('aspect_ratio', f'the picture is {strip}')
    return Picture(array, order)


def picture_of_pil(image: 'Image') -> Picture:
    """A picture from ``PIL.Image.Image``, upright as its EXIF data says, like the same picture read from its file.

    Raises:
        ImageError: ``encoding``: more than 8 bits a channel. Or as of :func:`picture_of_array`. ``compressed``: its
            file is damaged.
    """
    if image.mode not in _ORDER_OF_MODE and image.mode not in _EIGHT_BIT_MODES:
        raise ImageError('encoding', f'a PIL image of mode {image.mode!r} has more than 8 bits a channel, and nothing '
                                     "says what is black and what is white in it; scale it to mode 'L' or 'RGB'")
    try:
        if image.getexif().get(_ORIENTATION, 1) != 1:
            from PIL import ImageOps
            image = ImageOps.exif_transpose(image)
        if image.mode == 'La':  # PIL converts it to LA alone
            image = image.convert('LA')
        if image.mode not in _ORDER_OF_MODE:
            image = image.convert('RGB')
        pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:  # PIL reads a file only when its pixels are wanted
        raise ImageError('compressed', f'the PIL image cannot be decoded: {error}') from error
    return picture_of_array(pixels, _ORDER_OF_MODE[image.mode].value)


def color_order(color: str) -> ColorOrder:
    """The order of a name.

    Raises:
        ImageError: ``encoding``: there is none of that name.
    """
    try:
        return ColorOrder(color)
    except ValueError:
        raise ImageError('encoding', f'color must be one of {", ".join(order.value for order in ColorOrder)}; got '
                                     f'{color!r}') from None


def _range(array: np.ndarray) -> str:
    """What there is in an array of another type, and how to make uint8 of it."""
    if array.dtype.kind not in 'fiub' or array.size == 0:
        return ''
    if array.dtype.kind == 'f' and not np.isfinite(array).all():
        return ' with values that are NaN or infinite'
    low, high = float(array.min()), float(array.max())
    remedy = ''
    if array.dtype.kind in 'fb' and 0 <= low and high <= 1:
        remedy = ': convert it by (array * 255).astype(numpy.uint8)'
    elif 0 <= low and high <= 255:
        remedy = ': convert it by array.astype(numpy.uint8)'
    return f' with values from {low:g} to {high:g}{remedy}'


def _shape_fault(array: np.ndarray, order: ColorOrder) -> str:
    channels = _CHANNELS[order]
    expected = '(H, W)' if channels == 1 else f'(H, W, {channels})'
    fault = f"expected an array of shape {expected} for color='{order.value}', got {array.shape}"
    if array.ndim == 4:
        return f'{fault}; for several pictures give a list: list(array)'
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        return f'{fault}; channels go last: array.transpose(1, 2, 0)'
    fitting = [other.value for other, count in _CHANNELS.items() if array.ndim == 3 and count == array.shape[2]]
    return f'{fault}; say color={" or ".join(map(repr, fitting))}' if fitting else fault
