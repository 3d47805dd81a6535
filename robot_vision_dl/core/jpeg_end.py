"""Whether a JPEG's coded pixels end before its blocks do.

Where a part was cut out, the bytes run out before the last block. libjpeg leaves the blocks that are missing at zero,
which is grey 128, and warns, but OpenCV passes no warnings on. So a picture whose last block is of that grey is looked
at again: if bytes that are put in where the coded ones end change it, they were missing.

A progressive file, where a scan that is short leaves blocks less sharp but not grey, is looked at again always, up to
8 megapixels; no camera sends them. What is not noticed: that bytes are left over behind the last block, as after a bit
that was turned; and the block in which the bytes run out, if it is the last.
"""
import io
from typing import List, Optional

import numpy as np
from PIL import Image

from .errors import ImageError
from .jpeg_file import JpegFrame

_MOST_PIXELS = 8_000_000
_GREY = 128
_TOLERANCE = 2  # of the way to colours and back
_BRIGHTNESS = np.array((0.114, 0.587, 0.299), np.float32)  # of BGR: ITU-R BT.601
_BLOCK = 8
# Enough for some blocks, of numbers without an order, so that they are of no one grey; no ff, which begins a marker,
# and 00 first, as behind an ff that is none.
_PUT_IN = b'\0' + np.random.default_rng(0).integers(0, 0xFF, 600, np.uint8).tobytes()


def check_end(frame: JpegFrame, pixels: np.ndarray) -> None:
    """Refuse a picture whose coded bytes end too early.

    Args:
        frame: the file, as :func:`.jpeg_file.check_jpeg` found it.
        pixels: as decoded from it: uint8, shape (H, W) or (H, W, 3) BGR.

    Raises:
        ImageError: ``truncated``.
    """
    # Of four components the missing grey has another value. No camera sends them.
    several_scans = frame.is_progressive or len(frame.scans) > 1 or frame.components == 4
    if frame.height * frame.width > _MOST_PIXELS if several_scans else not _ends_in_grey(frame, pixels):
        return
    as_it_is = _decode(frame.file.tobytes(), small=not several_scans)
    # What Pillow cannot decode is for OpenCV to judge. What it no longer can has used the bytes that were put in.
    if as_it_is is not None and not np.array_equal(as_it_is, _decode(_filled_in(frame), small=not several_scans)):
        raise ImageError('truncated', f'the coded pixels of the JPEG of {frame.file.size} bytes end before its '
                                      f'{frame.width} x {frame.height} pixels do; a part of it is missing')


def _ends_in_grey(frame: JpegFrame, pixels: np.ndarray) -> bool:
    """Whether the last block is grey 128; with restart markers, which are ends too, the last before any of them."""
    units = np.array([-(-frame.height // frame.mcu_height) * -(-frame.width // frame.mcu_width)])
    if frame.restart_interval:
        units = np.append(np.arange(frame.restart_interval, units[0], frame.restart_interval), units)
    row, column = np.divmod(units - 1, -(-frame.width // frame.mcu_width))
    bottom = np.minimum((row + 1) * frame.mcu_height, frame.height) - 1
    right = np.minimum((column + 1) * frame.mcu_width, frame.width) - 1
    corner_is_grey = _is_grey(pixels[bottom, right].reshape(units.size, -1))
    for y, x in zip(bottom[corner_is_grey].tolist(), right[corner_is_grey].tolist()):
        # Whole blocks of a picture whose size is no multiple of theirs reach beyond it: the part within is looked at.
        block = pixels[y - y % _BLOCK:y + 1, x - x % _BLOCK:x + 1]
        if _is_grey(block.reshape(-1, frame.components)).all():
            return True
    return False


def _is_grey(pixels: np.ndarray) -> np.ndarray:
    """Of shape (n, 1) or (n, 3). By brightness alone: colour is smoothed across blocks."""
    brightness = pixels @ _BRIGHTNESS if pixels.shape[1] == 3 else pixels[:, 0].astype(np.float32)
    return np.abs(brightness - _GREY) <= _TOLERANCE


def _filled_in(frame: JpegFrame) -> bytes:
    """The file with bytes put in where the coded ones of its scans, and of each restart interval, end."""
    ends: List[int] = []
    for begin, end in frame.scans:
        if frame.restart_interval:
            coded = frame.file[begin:end]
            at = np.flatnonzero(coded[:-1] == 0xFF)
            ends += (begin + at[(coded[at + 1] & 0xF8) == 0xD0]).tolist()
        ends.append(end)
    parts: List[bytes] = []
    for start, stop in zip([0, *ends], ends):
        parts += [frame.file[start:stop].tobytes(), _PUT_IN]
    return b''.join((*parts, frame.file[ends[-1]:].tobytes()))


def _decode(file: bytes, small: bool) -> Optional[np.ndarray]:
    """By Pillow, whose decoder does not print what it finds; small: in grey and less sharp. None: it cannot be."""
    try:
        with Image.open(io.BytesIO(file), formats=('JPEG',)) as image:
            if small:
                image.draft('L', (max(1, image.width // 8), max(1, image.height // 8)))
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
