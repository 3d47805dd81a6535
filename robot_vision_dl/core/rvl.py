"""RVL, the fast lossless code for depth images that ``compressedDepth`` may use instead of PNG."""
from struct import unpack_from
from typing import Tuple

import numpy as np

from .config import ImageConfig
from .errors import ImageError
from .limits import check_size

_MAX_GROUPS = 10  # 30 bits; the largest number of a depth image, a count of pixels, has fewer
_MAX_BYTES_A_PIXEL = 4
"""A difference has 6 groups at most, and where every other pixel has no reading, 2 more go to each one that has."""


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
    pixels = height * width
    if data.size - 8 > _MAX_BYTES_A_PIXEL * pixels + 8:
        raise ImageError('compressed', f'the RVL stream has {data.size - 8} bytes for {width} x {height} pixels, which '
                                       f'take {_MAX_BYTES_A_PIXEL * pixels} at most')
    numbers = _variable_length_numbers(data[8:])
    starts, zeros, counts = _runs(numbers, pixels)
    is_difference = np.ones(int(starts[-1]) + 2 + int(counts[-1]), bool)
    is_difference[starts] = is_difference[starts + 1] = False
    zigzag = numbers[:is_difference.size][is_difference]
    has_reading = np.repeat(np.arange(2 * starts.size) % 2 == 1, np.stack((zeros, counts), axis=1).ravel())
    out = np.zeros(pixels, np.uint16)
    # Each difference is to the reading before it, across the zeros between them; uint16 wraps as the encoder's does.
    differences = ((zigzag >> 1) ^ (0 - (zigzag & 1))).astype(np.uint16)
    out[has_reading] = np.cumsum(differences, dtype=np.uint16)
    return out.reshape(height, width)


def _runs(numbers: np.ndarray, pixels: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each run of zeros and readings begins among the numbers, and its zeros and readings: int64, shape (R,)."""
    starts = _run_starts(numbers)
    zeros, counts = numbers[starts].astype(np.int64), numbers[starts + 1].astype(np.int64)
    ends = np.cumsum(zeros + counts)
    last = int(np.searchsorted(ends, pixels))
    complete = starts + 2 + counts <= numbers.size
    if last == starts.size or not complete[last]:
        known = int(ends[-1]) if starts.size and complete[-1] else int(ends[-2]) if starts.size > 1 else 0
        raise ImageError('truncated', f'the RVL stream ends after {min(known, pixels)} of {pixels} pixels')
    starts, zeros, counts = starts[:last + 1], zeros[:last + 1], counts[:last + 1]
    if ends[last] != pixels or (zeros + counts == 0).any():
        raise ImageError('compressed', f'the RVL stream has a run that does not fit {pixels} pixels')
    return starts, zeros, counts


def _run_starts(numbers: np.ndarray) -> np.ndarray:
    """Where runs begin if the stream goes on to its end; a run is followed from by its count, so one by one.

    There may be millions, too many to follow in Python. Eight steps are one in a table that numpy makes.
    """
    size = numbers.size
    if size < 2:
        return np.zeros(0, np.int64)
    one = np.full(size + 1, size, np.int32)
    one[:size - 1] = np.minimum(np.arange(2, size + 1, dtype=np.uint32) + numbers[1:], size)
    two = one[one]
    four = two[two]
    eight = memoryview(four[four])
    at, followed = 0, []
    while at < size:
        followed.append(at)
        at = eight[at]
    starts = np.array(followed, np.int32)
    for step in (four, two, one):
        starts = np.stack((starts, step[starts]), axis=1).ravel()
    return starts[starts < size - 1].astype(np.int64)


def _variable_length_numbers(data: np.ndarray) -> np.ndarray:
    """All numbers of the stream, uint32."""
    highest_first = data[:data.size // 4 * 4].view('<u4').byteswap().view(np.uint8)
    groups = np.empty(2 * highest_first.size, np.uint8)
    groups[0::2] = highest_first >> 4
    groups[1::2] = highest_first & 15
    last = np.flatnonzero(groups < 8).astype(np.int32)
    if last.size == 0:
        return np.zeros(0, np.uint32)
    first = np.empty_like(last)
    first[0], first[1:] = 0, last[:-1] + 1
    more = last - first
    if more.max() >= _MAX_GROUPS:
        raise ImageError('compressed', f'the RVL stream has a number of more than {3 * _MAX_GROUPS} bits')
    groups &= 7
    numbers = groups[first].astype(np.uint32)
    longer = np.flatnonzero(more)
    for place in range(1, _MAX_GROUPS):
        if longer.size == 0:
            break
        numbers[longer] |= groups[first[longer] + place].astype(np.uint32) << np.uint32(3 * place)
        longer = longer[more[longer] > place]
    return numbers
