"""Colours of one encoding -> another, as cv_bridge converts them.

cv_bridge's conversions are a table from pairs of encodings to OpenCV's ``cvtColor`` codes, and a scaling between 8
and 16 bit; so are these, with the same OpenCV. That they are equal is held by
``test/core/images/test_cv_bridge_parity.py``. The distribution's cv_bridge is therefore not called, even where it is
installed: the result would be the same, and a robot without it would run other code than the one that was tested.
Beyond cv_bridge there are the planar encodings (nv12, nv21, nv24), BGRA and RGBA from Bayer patterns, and odd widths
of yuv422.
"""
import cv2
import numpy as np

from ..errors import ImageError
from .encodings import Encoding, Kind, parse_encoding

# OpenCV names a Bayer pattern by the second row's second and third pixel, the encodings by the first row's first two.
_OPENCV_BAYER = {'rggb': 'BG', 'bggr': 'RG', 'gbrg': 'GR', 'grbg': 'GB'}
_OPENCV_NAMES = {'mono': 'GRAY', 'uyvy': 'UYVY', 'yuyv': 'YUY2', 'nv12': 'NV12', 'nv21': 'NV21', 'nv24': 'NV12'}


def convert(array: np.ndarray, source_encoding: str, target_encoding: str) -> np.ndarray:
    """Convert an image, as ``cv_bridge.cvtColor`` does.

    Args:
        array: as :func:`robot_vision_dl.core.images.image.view` makes it of ``source_encoding``.
        source_encoding, target_encoding: names of ``sensor_msgs/image_encodings.hpp``. A typed encoding such as
            ``8UC3`` is a target for every encoding of as many channels, whose numbers it takes as they are but for
            the scaling between 8 and 16 bit, and a source for typed ones only.

    Returns:
        Array of the target's type, shape (H, W) or (H, W, channels): the array itself where nothing changes.

    Raises:
        ImageError: ``encoding``: an encoding is not known, or there is no conversion between the two.
    """
    source, target = parse_encoding(source_encoding), parse_encoding(target_encoding)
    if source == target:
        return array
    if not target.is_colored:
        if source.channels != target.channels or source.kind is Kind.PLANAR:
            raise _no_conversion(source_encoding, target_encoding, 'they have not the same channels')
        return scale(array, source, target)
    if not source.is_colored:
        raise _no_conversion(source_encoding, target_encoding, f'nothing says what colours {source_encoding} has')
    if source.layout == target.layout and source.kind is Kind.COLOR:
        return scale(array, source, target)
    return scale(_in_colors(array, source, target), source, target)


def _no_conversion(source: str, target: str, why: str) -> ImageError:
    return ImageError('encoding', f'there is no conversion from {source} to {target}: {why}')


def _in_colors(array: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    """The colours of ``target``, still in the type of ``source``."""
    if target.kind is not Kind.COLOR:
        raise _no_conversion(source.name, target.name, f'{target.name} is read, never made')
    to = _OPENCV_NAMES.get(target.layout, target.layout.upper())
    if source.kind is Kind.COLOR:
        name = _OPENCV_NAMES.get(source.layout, source.layout.upper())
        return cv2.cvtColor(array, getattr(cv2, f'COLOR_{name}2{to}'))
    if source.kind is Kind.BAYER:
        pattern = f'COLOR_Bayer{_OPENCV_BAYER[source.layout]}2'
        if target.channels < 4:
            return cv2.cvtColor(array, getattr(cv2, pattern + to))
        opaque = cv2.cvtColor(array, getattr(cv2, pattern + to[:3]))
        colors = cv2.cvtColor(opaque, cv2.COLOR_BGR2BGRA)
        colors[..., 3] = np.iinfo(array.dtype).max
        return colors
    code = getattr(cv2, f'COLOR_YUV2{to}_{_OPENCV_NAMES[source.layout]}')
    if source.kind is Kind.YUV422:
        return _from_yuv422(array, code)
    return _from_planar(array, source, code)


def _from_yuv422(array: np.ndarray, code: int) -> np.ndarray:
    width = array.shape[1]
    if width % 2 == 0:
        return cv2.cvtColor(array, code)
    # The last pixel's pair is missing, and with it one colour difference: take its neighbour's.
    neighbour = array[:, -2:-1] if width > 1 else array
    return np.ascontiguousarray(cv2.cvtColor(np.concatenate((array, neighbour), axis=1), code)[:, :width])


def _from_planar(array: np.ndarray, source: Encoding, code: int) -> np.ndarray:
    rows, width = array.shape
    if source.layout == 'nv24':
        # Colour differences for every pixel are what nv12 has for a picture of twice the size.
        height = rows // 3
        doubled = array[:height].repeat(2, axis=0).repeat(2, axis=1)
        array = np.concatenate((doubled, array[height:].reshape(height, 2 * width)))
        return np.ascontiguousarray(cv2.cvtColor(array, code)[::2, ::2])
    height = 2 * rows // 3
    if height % 2:
        array = np.concatenate((array[:height], array[height - 1:height], array[height:]))
    return np.ascontiguousarray(cv2.cvtColor(array, code)[:height])


def scale(array: np.ndarray, source: Encoding, target: Encoding) -> np.ndarray:
    """Numbers of ``source`` in the type of ``target``: 8 and 16 bit scaled to each other, all else saturated."""
    if array.dtype == target.dtype:
        return array
    if source.dtype == np.uint16 and target.dtype == np.uint8:
        return to_8bit(array)
    if source.dtype == np.uint8 and target.dtype == np.uint16:
        widened: np.ndarray = array * np.uint16(257)
        return widened
    if target.dtype.kind == 'f':
        return array.astype(target.dtype)
    factor = {(8, 16): 257.0, (16, 8): 1 / 257.0}.get((source.bits, target.bits), 1.0)
    limits = np.iinfo(target.dtype)
    numbers = np.rint(array * np.float64(factor))
    numbers = np.nan_to_num(np.clip(numbers, limits.min, limits.max), copy=False, nan=limits.min)
    converted: np.ndarray = numbers.astype(target.dtype)
    return converted


def to_8bit(array: np.ndarray) -> np.ndarray:
    """uint16 0..65535 -> uint8 0..255, rounded."""
    pixels = cv2.convertScaleAbs(array, alpha=255 / 65535)
    return pixels.reshape(array.shape)
