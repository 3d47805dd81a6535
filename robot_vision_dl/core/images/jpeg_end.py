"""Whether a JPEG's coded pixels end before its blocks do.

Where a part was cut out, the bytes run out before the last block. libjpeg leaves the blocks that are missing at zero,
which is grey 128, and warns, but OpenCV passes no warnings on. So a picture whose last block is of that grey is looked
at again: if bytes that are put in where the coded ones end change it, they were missing.

Files of several scans and of CMYK, where what is missing has other colours, are looked at again always, by the means of
their blocks; progressive ones up to 8 megapixels and 4 MB sharply, for there a scan that is short leaves blocks less
sharp. What is not noticed: a scan that is short in a larger progressive file, if it only sharpens; that bytes are left
over behind the last block, as after a bit that was turned; and the block in which the bytes run out, if it is the last.
"""
import io
from typing import List, Optional

import cv2
import numpy as np

from ..errors import ImageError
from .jpeg_file import JpegFrame

_MOST_PIXELS, _MOST_BYTES = 8_000_000, 4_000_000  # of a progressive file that is decoded three times, sharply
_GREY = 128
_TOLERANCE = 2  # of the way to colours and back
_BLOCK = 8
# Enough for some blocks, of numbers without an order, so that they are of no one grey; no ff, which begins a marker,
# and 00 first, as behind an ff that is none.
_PUT_IN = np.append(np.uint8(0), np.random.default_rng(0).integers(0, 0xFF, 600, np.uint8))
_MOST_PUT_IN = 4_000_000  # where there are very many ends, few bytes each: an interval has few blocks then
_LEAST_PUT_IN = 10


def check_end(frame: JpegFrame, pixels: np.ndarray) -> None:
    """Refuse a picture whose coded bytes end too early.

    Args:
        frame: the file, as :func:`.jpeg_file.check_jpeg` found it.
        pixels: as decoded from it: uint8, shape (H, W) or (H, W, 3) BGR.

    Raises:
        ImageError: ``truncated``.
    """
    one_scan = not frame.is_progressive and len(frame.scans) == 1 and frame.components != 4
    if one_scan and not _ends_in_grey(frame, pixels):
        return
    size = frame.file.size
    is_sharp = frame.is_progressive and frame.height * frame.width <= _MOST_PIXELS and size <= _MOST_BYTES
    if not is_sharp:
        frame = _without_refinements(frame)
    mode = None if is_sharp else 'L' if one_scan else 'as it is'
    as_it_is = _decode(frame.file, mode)
    if as_it_is is None:  # which is for OpenCV to judge
        return
    filled_in = _decode(_filled_in(frame), mode)
    # What can no longer be decoded has used the bytes that were put in.
    if filled_in is None or not np.array_equal(as_it_is, filled_in):
        raise ImageError('truncated', f'the coded pixels of the JPEG of {size} bytes end before its '
                                      f'{frame.width} x {frame.height} pixels do; a part of it is missing')


def _ends_in_grey(frame: JpegFrame, pixels: np.ndarray) -> bool:
    """Whether the last block is grey 128; with restart markers, which are ends too, the last before any of them."""
    columns = -(-frame.width // frame.mcu_width)
    units = np.array([-(-frame.height // frame.mcu_height) * columns])
    top = (units[0] // columns - 1) * frame.mcu_height
    if frame.restart_interval:
        units = np.append(np.arange(frame.restart_interval, units[0], frame.restart_interval), units)
        top = 0
    row, column = np.divmod(units - 1, columns)
    bottom = np.minimum((row + 1) * frame.mcu_height, frame.height) - 1 - top
    right = np.minimum((column + 1) * frame.mcu_width, frame.width) - 1
    return bool(_grey_blocks(pixels[top:])[bottom // _BLOCK, right // _BLOCK].any())


def _grey_blocks(pixels: np.ndarray) -> np.ndarray:
    """Which blocks are grey: bool, shape (blocks high, blocks wide). By brightness alone: colour is smoothed across.

    Whole blocks of a picture whose size is no multiple of theirs reach beyond it: the part within is looked at.
    """
    brightness = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim == 3 else pixels
    is_grey = cv2.inRange(brightness, _GREY - _TOLERANCE, _GREY + _TOLERANCE)
    height, width = is_grey.shape
    is_grey = cv2.copyMakeBorder(is_grey, 0, -height % _BLOCK, 0, -width % _BLOCK, cv2.BORDER_CONSTANT, value=255)
    rows = is_grey.view(np.uint64) == np.uint64(0xFFFF_FFFF_FFFF_FFFF)
    grey: np.ndarray = np.logical_and.reduce([rows[i::_BLOCK] for i in range(_BLOCK)])
    return grey


def _without_refinements(frame: JpegFrame) -> JpegFrame:
    """The frame with those scans alone that give the mean of each block."""
    if not frame.refinements:
        return frame
    kept = [0, *(offset for part in frame.refinements for offset in part), frame.file.size]
    file = np.concatenate([frame.file[start:end] for start, end in zip(kept[0::2], kept[1::2])])
    left_out = {end: end - start for start, end in frame.refinements}
    before, scans = 0, []
    for begin, end in frame.scans:
        if end in left_out:
            before += left_out[end]
        else:
            scans.append((begin - before, end - before))
    return frame._replace(file=file, scans=tuple(scans), refinements=())


def _filled_in(frame: JpegFrame) -> np.ndarray:
    """The file with bytes put in where the coded ones of its scans, and of each restart interval, end."""
    found: List[np.ndarray] = []
    for begin, end in frame.scans:
        if frame.restart_interval:
            coded = frame.file[begin:end]
            at = np.flatnonzero(coded[:-1] == 0xFF)
            found.append(begin + at[(coded[at + 1] & 0xF8) == 0xD0])
        found.append(np.array([end]))
    ends = np.concatenate(found)
    put_in = _PUT_IN[:max(_LEAST_PUT_IN, _MOST_PUT_IN // ends.size)]
    starts = ends + put_in.size * np.arange(ends.size)
    file = np.empty(frame.file.size + put_in.size * ends.size, np.uint8)
    is_old = np.ones(file.size, bool)
    at = (starts[:, None] + np.arange(put_in.size)).ravel()
    file[at], is_old[at] = np.tile(put_in, ends.size), False
    file[is_old] = frame.file
    return file


def _decode(file: np.ndarray, mode: Optional[str]) -> Optional[np.ndarray]:
    """By Pillow, whose decoder does not print what it finds. None: it cannot be.

    Args:
        file: uint8, shape (n,).
        mode: None is as sharp as it is; otherwise an eighth of the size, ``L`` in grey, anything else in colours.
    """
    from PIL import Image  # here, so that a node that never meets such a file starts without it
    try:
        with Image.open(io.BytesIO(file.data), formats=('JPEG',)) as image:
            if mode is not None:
                image.draft('L' if mode == 'L' else image.mode, (max(1, image.width // 8), max(1, image.height // 8)))
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
