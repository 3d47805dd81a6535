"""RVL, the fast lossless code for depth images that ``compressedDepth`` may use instead of PNG."""
from struct import unpack_from
from typing import Iterator, Tuple

import numpy as np

from ..config import ImageConfig
from ..errors import ImageError
from .limits import check_size

_MAX_GROUPS = 10  # 30 bits; the largest number of a depth image, a count of pixels, has fewer
_MAX_BYTES_A_PIXEL = 4
"""A difference has 6 groups at most, and where every other pixel has no reading, 2 more go to each one that has."""
_PIECE = 65536  # bytes; what is made of them stays in the caches
_NOTHING = np.zeros(0, np.uint32)


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
    if data.size - 8 > _MAX_BYTES_A_PIXEL * height * width + 8:
        raise ImageError('compressed', f'the RVL stream has {data.size - 8} bytes for {width} x {height} pixels, which '
                                       f'take {_MAX_BYTES_A_PIXEL * height * width} at most')
    runs = _Runs(height * width)
    for numbers in _variable_length_numbers(data[8:]):
        if runs.follow(numbers):
            return runs.out.reshape(height, width)
    raise ImageError('truncated', f'the RVL stream ends after {runs.position} of {height * width} pixels')


class _Runs:
    """Zeros and readings, put where they belong, from pieces of the stream."""

    def __init__(self, pixels: int) -> None:
        self.out = np.zeros(pixels, np.uint16)
        self.position = 0
        self._missing = 0  # readings of a run that began in a piece before
        self._previous = np.uint16(0)
        self._rest = _NOTHING  # a count of zeros whose count of readings is in the next piece

    def follow(self, numbers: np.ndarray) -> bool:
        """Go on with the next numbers, uint32; whether all pixels are there."""
        numbers = np.concatenate((self._rest, numbers))
        taken = min(self._missing, numbers.size)
        if taken:
            self._put(np.arange(self.position, self.position + taken), numbers[:taken])
            self._missing -= taken
            self.position += taken
        numbers = numbers[taken:]
        if not self._missing and self.position < self.out.size:
            self._whole_runs(numbers)
        return self.position == self.out.size

    def _whole_runs(self, numbers: np.ndarray) -> None:
        starts, following = _run_starts(numbers)
        self._rest = numbers[following:]
        if starts.size == 0:
            return
        zeros, counts = numbers[starts].astype(np.int64), numbers[starts + 1].astype(np.int64)
        ends = self.position + np.cumsum(zeros + counts)
        last = int(np.searchsorted(ends, self.out.size))
        if last < starts.size:  # the picture ends here; what follows fills the last word
            if ends[last] != self.out.size:
                self._refuse()
            starts, zeros, counts, ends = (each[:last + 1] for each in (starts, zeros, counts, ends))
        if (zeros + counts == 0).any():
            self._refuse()
        here = min(int(counts[-1]), numbers.size - int(starts[-1]) - 2)
        self._missing, counts[-1] = int(counts[-1]) - here, here
        is_reading = np.ones(int(starts[-1]) + 2 + here, bool)
        is_reading[starts] = is_reading[starts + 1] = False
        zigzag = numbers[:is_reading.size][is_reading]
        at = np.repeat(self.position + np.cumsum(zeros), counts)
        at += np.arange(at.size)
        self._put(at, zigzag)
        self.position = int(ends[-1]) - self._missing

    def _put(self, at: np.ndarray, zigzag: np.ndarray) -> None:
        # Each difference is to the reading before, across the zeros between them; uint16 wraps as the encoder's does.
        differences = ((zigzag >> 1) ^ (0 - (zigzag & 1))).astype(np.uint16)
        readings = np.cumsum(differences, dtype=np.uint16) + self._previous
        self.out[at] = readings
        if readings.size:
            self._previous = readings[-1]

    def _refuse(self) -> None:
        raise ImageError('compressed', f'the RVL stream has a run that does not fit {self.out.size} pixels')


def _run_starts(numbers: np.ndarray) -> Tuple[np.ndarray, int]:
    """Where runs begin among the numbers, int32, and where the first does that has not both its counts there.

    A run is followed from by its count, so one by one: in Python too slow for millions of them. Eight steps are one in
    a table that numpy makes.
    """
    size = numbers.size
    one = np.full(size + 1, size, np.int32)
    if size > 1:
        # From the last number no step leads on, as from where its run would end.
        one[:size - 1] = np.minimum(np.arange(2, size + 1, dtype=np.uint32) + numbers[1:], size)
        one[size - 1] = size - 1
    else:
        one[:size] = 0
    two = one[one]
    four = two[two]
    eight = four[four].data
    at, followed = 0, []
    while at < size - 1:
        followed.append(at)
        at = eight[at]
    starts = np.array(followed, np.int32)
    for step in (four, two, one):
        starts = np.stack((starts, step[starts]), axis=1).ravel()
    starts = starts[starts < size - 1]
    following = int(one[starts[-1]]) if starts.size else 0
    return starts, following


def _variable_length_numbers(data: np.ndarray) -> Iterator[np.ndarray]:
    """All numbers of the stream, uint32, some thousands at a time."""
    data = data[:data.size // 4 * 4]
    begun = np.zeros(0, np.uint8)  # groups of a number that goes on in the next piece
    for start in range(0, data.size, _PIECE):
        highest_first = data[start:start + _PIECE].view('<u4').byteswap().view(np.uint8)
        groups = np.empty(begun.size + 2 * highest_first.size, np.uint8)
        groups[:begun.size] = begun
        groups[begun.size::2] = highest_first >> 4
        groups[begun.size + 1::2] = highest_first & 15
        last = np.flatnonzero(groups < 8)
        end = int(last[-1]) + 1 if last.size else 0
        begun = groups[end:]
        first = np.empty_like(last)
        first[:1], first[1:] = 0, last[:-1] + 1
        more = last - first
        if begun.size > _MAX_GROUPS or (more >= _MAX_GROUPS).any():
            raise ImageError('compressed', f'the RVL stream has a number of more than {3 * _MAX_GROUPS} bits')
        yield _joined(groups[:end] & 7, first, more)


def _joined(groups: np.ndarray, first: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Numbers of groups of three bits: where each begins, and how many follow."""
    numbers: np.ndarray = groups[first].astype(np.uint32)
    longer = np.flatnonzero(more)
    for place in range(1, _MAX_GROUPS):
        if longer.size == 0:
            break
        numbers[longer] |= groups[first[longer] + place].astype(np.uint32) << np.uint32(3 * place)
        longer = longer[more[longer] > place]
    return numbers
