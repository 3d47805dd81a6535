"""RVL, the fast lossless code for depth images that ``compressedDepth`` may use instead of PNG."""
from struct import unpack_from

import numpy as np

from .config import ImageConfig
from .errors import ImageError
from .limits import check_size


def decode_rvl(data: np.ndarray, config: ImageConfig) -> np.ndarray:
    """Decode Run-length and Variable-length coded depth (Wilson, "Fast Lossless Depth Image Compression", 2017).

    Args:
        data: uint8, shape (n,): width and height as uint32, then little-endian words of eight 4-bit groups, the first
            in the highest bits. A group has three bits of a number, lowest first, and a bit that says "more". The
            numbers are: zeros, count of non-zeros, that many differences (zigzag), and so on.

    Returns:
        uint16, shape (H, W).

    Raises:
        ImageError: ``truncated`` or ``compressed``, and those of :func:`check_size`.
    """
    if data.size < 8:
        raise ImageError('truncated', f'RVL has a header of 8 bytes, got {data.size}')
    width, height = unpack_from('<II', data.data, 0)
    check_size(height, width, config)
    numbers = _variable_length_numbers(data[8:])
    pixels = height * width
    has_reading = np.zeros(pixels, bool)
    runs = []
    at, position = 0, 0
    while position < pixels:
        if at + 2 > numbers.size:
            raise ImageError('truncated', f'the RVL stream ends after {position} of {pixels} pixels')
        zeros, count = int(numbers[at]), int(numbers[at + 1])
        at += 2
        position += zeros
        if position + count > pixels or zeros + count == 0:
            raise ImageError('compressed', f'the RVL stream has a run that does not fit {width} x {height} pixels')
        if at + count > numbers.size:
            raise ImageError('truncated', f'the RVL stream ends after {position} of {pixels} pixels')
        has_reading[position:position + count] = True
        runs.append(numbers[at:at + count])
        at += count
        position += count
    zigzag = np.concatenate(runs)
    out = np.zeros(pixels, np.uint16)
    # Each difference is to the reading before it, across the zeros between them; uint16 wraps as the encoder's does.
    out[has_reading] = np.cumsum((zigzag >> 1) ^ -(zigzag & 1)).astype(np.uint16)
    return out.reshape(height, width)


def _variable_length_numbers(data: np.ndarray) -> np.ndarray:
    """All numbers of the stream, int64."""
    words = data[:data.size // 4 * 4].view('<u4')
    shifts = np.arange(28, -1, -4, dtype=np.uint32)
    groups = ((words[:, None] >> shifts) & 15).ravel()
    last = np.flatnonzero(groups < 8)
    if last.size == 0:
        return np.zeros(0, np.int64)
    groups = groups[:last[-1] + 1]
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(groups.size) - np.repeat(first, last - first + 1)
    if place.max() > 10:
        raise ImageError('compressed', 'the RVL stream has a number of more than 32 bits')
    return np.add.reduceat((groups & 7).astype(np.int64) << (3 * place), first)
