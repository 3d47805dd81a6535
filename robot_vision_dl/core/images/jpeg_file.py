"""What a JPEG file says of itself, read before a decoder sees it (ITU-T T.81, annex B).

A decoder does what a file asks for: it reserves memory for the size that is claimed, goes over all blocks once for
each scan, and fills with grey what the scans do not hold. So the claims are held against each other and against the
bytes that are there. What remains takes time and memory in proportion to the picture, and every pixel of it comes from
the file.

The decoder gets the segments that make the picture and no others: no comments, colour profiles and thumbnails, and
nothing by which a decoder of another format could take the file for its own.

Noticed are: a file that is cut off, whatever bytes follow; segments that are damaged; a scan, a component or restart
intervals that are missing or doubled; fewer bytes than the blocks need at least. Not noticed is damage within the
coded pixels that leaves all that whole: there is no checksum in a JPEG file (see :mod:`.jpeg_end` for the end of it).
"""
from struct import unpack_from
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..config import ImageConfig
from ..errors import ImageError
from .limits import check_size

SIGNATURE = b'\xff\xd8\xff'
_SOI, _EOI, _SOS, _DRI, _DAC, _TEM = 0xD8, 0xD9, 0xDA, 0xDD, 0xCC, 0x01
_COM, _JFIF, _EXIF, _ADOBE = 0xFE, 0xE0, 0xE1, 0xEE
_APPLICATION = range(0xE0, 0xF0)
_RESTARTS = range(0xD0, 0xD8)
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
# Table B.1. No camera and no program for photographs writes these; OpenCV has some of them, depending on its build.
_REFUSED = {0xC3: 'lossless', 0xC5: 'hierarchical', 0xC6: 'hierarchical', 0xC7: 'hierarchical', 0xC9: 'arithmetic',
            0xCA: 'arithmetic', 0xCB: 'arithmetic', 0xCD: 'hierarchical', 0xCE: 'hierarchical', 0xCF: 'hierarchical',
            _DAC: 'arithmetic', 0xDE: 'hierarchical', 0xDF: 'hierarchical'}
_NO_SIZE = 'height 0, to be told after the first scan (DNL)'
MAX_SEGMENTS = 4096
"""EXIF, colour profiles and thumbnails take some hundreds at most. As many bytes may fill the room between them all."""
MAX_PASSES = 12
"""How often all blocks are gone over. The encoders in use have 5 to 8 passes at most: libjpeg's standard script 5.4."""
_FEW_BLOCKS = 100_000  # some milliseconds, however many scans
# Coded bytes, which cost time each. Noise of the highest quality takes 1.6 a sample, photographs 1.8 a pixel. Where a
# decoder takes longer for them, there are fewer: progressive photographs of high quality have .4 a pixel.
_MAX_BYTES_A_SAMPLE, _FEW_BYTES = 2.0, 100_000
_MAX_BYTES_A_PIXEL, _MAX_SLOW_BYTES_A_PIXEL = 2.0, 0.5  # of those that are allowed


class _Component(NamedTuple):
    horizontal: int
    vertical: int
    blocks_wide: int  # in a scan of its own
    blocks_high: int


class JpegFrame(NamedTuple):
    """What is known of a file that was checked.

    Attributes:
        height, width: in pixels.
        components: 1 grey, 3 colours, 4 CMYK.
        is_progressive: whether its scans refine each other.
        file: what a decoder is to see, uint8: the file itself, if there is nothing else in it.
        has_exif: whether that says how the camera was held.
        mcu_height, mcu_width: pixels of a unit of coding.
        restart_interval: units between restart markers; 0: there are none.
        scans: offsets (from, to) in ``file`` of the coded bytes of each scan.
        refinements: offsets (from, to) in ``file`` of the scans, headers and all, without which it is still a picture,
            of the mean of each block.
    """

    height: int
    width: int
    components: int
    is_progressive: bool
    file: np.ndarray
    has_exif: bool
    mcu_height: int
    mcu_width: int
    restart_interval: int
    scans: Tuple[Tuple[int, int], ...]
    refinements: Tuple[Tuple[int, int], ...]


def check_jpeg(data: np.ndarray, config: ImageConfig, keep_exif: bool = False) -> JpegFrame:
    """Hold a JPEG file against the standard, its size, and its own bytes.

    Args:
        data: uint8, shape (n,), beginning with :data:`SIGNATURE`.
        config: its ``max_megapixels`` bounds the size.
        keep_exif: whether the decoder is to know how the camera was held.

    Raises:
        ImageError: ``truncated``, ``compressed``, ``empty``, ``too_large`` or ``aspect_ratio``.
    """
    return _Walk(data, config, keep_exif).frame()


class _Walk:
    """From segment to segment; coded bytes between them are looked through all at once."""

    def __init__(self, data: np.ndarray, config: ImageConfig, keep_exif: bool) -> None:
        self.data, self.bytes, self.config = data, data.data, config
        self.keep_exif, self.has_exif = keep_exif, False
        self.position = 2
        self.left_out: List[Tuple[int, int]] = []  # offsets (from, to)
        self.bytes_left_out = 0
        self.fill_bytes = 0
        self.components: Dict[int, _Component] = {}
        self.size = (0, 0)
        self.mcu = (8, 8)
        self.is_progressive = False
        self.restart_interval = 0
        self.blocks_gone_over = 0
        self.scans: List[Tuple[int, int]] = []
        self.refinements: List[Tuple[int, int]] = []
        self.precision: Dict[int, List[int]] = {}  # of each coefficient of each component: lowest bit known, -1 none
        self._markers: Optional[Tuple[np.ndarray, np.ndarray, np.ndarray]] = None

    def frame(self) -> JpegFrame:
        for _ in range(MAX_SEGMENTS):
            marker, length = self._segment()
            if marker == _EOI:
                return self._whole()
            start = self.position + 4
            if marker == _SOS:
                self._scan(start, length - 2)
                continue
            if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
                self._frame_header(marker, start, length - 2)
            elif marker == _DRI:
                self._expect(length == 4, 'a restart interval of another length')
                self.restart_interval = unpack_from('>H', self.bytes, start)[0]
            elif marker == _COM or marker in _APPLICATION:
                if not self._is_needed(marker, start, length - 2):
                    self.left_out.append((self.position, self.position + 2 + length))
                    self.bytes_left_out += 2 + length
            elif marker in _REFUSED:
                raise _damaged(f'{_REFUSED[marker]} JPEG (marker ff {marker:02x}) is for other purposes than cameras; '
                               'publish baseline or progressive JPEG, or PNG')
            self.position += 2 + length
        raise _damaged(f'more than {MAX_SEGMENTS} segments')

    def _segment(self) -> Tuple[int, int]:
        """The marker at the position and the length of its segment, all of which is there."""
        while True:
            if self.position + 2 > self.data.size:
                raise cut_off(self.data.size)
            first, marker = self.bytes[self.position], self.bytes[self.position + 1]
            if first != 0xFF or marker == 0:
                raise _damaged(f'no marker at byte {self.position}')
            # Fill bytes may precede a marker, and some markers have no segment.
            skipped = 1 if marker == 0xFF else 2 if marker == _TEM or marker in _RESTARTS else 0
            if not skipped:
                break
            self.position += skipped
            self.fill_bytes += skipped
            if self.fill_bytes > MAX_SEGMENTS:
                raise _damaged(f'more than {MAX_SEGMENTS} fill bytes up to byte {self.position}')
        if marker == _EOI:
            return marker, 0
        if marker == _SOI:
            raise _damaged(f'another picture begins at byte {self.position}, before the end of this one')
        if self.position + 4 > self.data.size:
            raise cut_off(self.data.size)
        length = unpack_from('>H', self.bytes, self.position + 2)[0]
        if length < 2:
            raise _damaged(f'a segment of length {length} at byte {self.position}')
        if self.position + 2 + length > self.data.size:
            raise cut_off(self.data.size)
        return marker, length

    def _is_needed(self, marker: int, start: int, length: int) -> bool:
        """Which colours the components are is in JFIF and Adobe's segment; the latter tells the former from RGB."""
        name = self.data[start:start + min(length, 6)].tobytes()
        if (marker, name[:5]) in ((_JFIF, b'JFIF\0'), (_ADOBE, b'Adobe')):
            return True
        if marker != _EXIF or name[:5] != b'Exif\0' or not self.keep_exif:
            return False
        self.has_exif = True
        return True

    def _expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            raise _damaged(otherwise)

    def _frame_header(self, marker: int, start: int, length: int) -> None:
        self._expect(not self.components, 'a second frame header')
        self._expect(length >= 6, 'a frame header that is too short')
        bits, height, width, count = unpack_from('>BHHB', self.bytes, start)
        if bits != 8:
            raise _damaged(f'{bits} bit a sample; JPEG of 8 bit is read')
        if count not in (1, 3, 4):
            raise _damaged(f'{count} components; 1, 3 or 4 are read')
        self._expect(height > 0, _NO_SIZE)
        self._expect(length == 6 + 3 * count, 'a frame header of another length than its components')
        check_size(height, width, self.config)
        found = [unpack_from('BBB', self.bytes, start + 6 + 3 * i)[:2] for i in range(count)]
        factors = [(each >> 4, each & 15) for _, each in found]
        self._expect(all(1 <= factor <= 4 for pair in factors for factor in pair), 'a sampling factor beyond 1 to 4')
        most = max(h for h, _ in factors), max(v for _, v in factors)
        for (name, _), (h, v) in zip(found, factors):
            self.components[name] = _Component(h, v, -(-width * h // (8 * most[0])), -(-height * v // (8 * most[1])))
        self._expect(len(self.components) == count, 'two components of one name')
        if count == 1:
            most = 1, 1  # T.81, A.2.2: then the factors mean nothing
            name, _ = found[0]
            self.components[name] = _Component(1, 1, -(-width // 8), -(-height // 8))
        self.size, self.mcu = (height, width), (8 * most[1], 8 * most[0])
        self.is_progressive = marker == _PROGRESSIVE
        self.precision = {name: [-1] * 64 for name in self.components}

    def _scan(self, start: int, length: int) -> None:
        self._expect(bool(self.components), 'a scan before the frame header')
        count = self.bytes[start] if length else 0
        self._expect(1 <= count <= len(self.components) and length == 4 + 2 * count, 'a damaged scan header')
        names = [self.bytes[start + 1 + 2 * i] for i in range(count)]
        self._expect(len(set(names)) == count and all(name in self.components for name in names),
                     'a scan of components that are not there')
        first, last, bits = unpack_from('BBB', self.bytes, start + 1 + 2 * count)
        self._refine(names, first, last, bits >> 4, bits & 15)
        units, blocks = self._units([self.components[name] for name in names])
        self._spend(blocks)
        # A block has two codes at least, of one bit each; in the first scan of a progressive file it has one, then one
        # bit, and in those for single coefficients a code may stand for many blocks.
        bits_a_block = 2 if not self.is_progressive else 1 if first == 0 else 0
        begin, end = start + length, self._end_of_scan(start + length, units, bits_a_block * blocks // units)
        if 8 * (end - begin) < bits_a_block * blocks:
            raise ImageError('truncated', f'the JPEG has {end - begin} bytes for {blocks} blocks of pixels, which need '
                                          f'{-(-bits_a_block * blocks // 8)} at least; is it cut off?')
        self.scans.append((begin - self.bytes_left_out, end - self.bytes_left_out))
        if first > 0 or bits >> 4:
            self.refinements.append((self.position - self.bytes_left_out, end - self.bytes_left_out))
        self.position = end

    def _refine(self, names: List[int], first: int, last: int, before: int, after: int) -> None:
        """Each bit of each coefficient comes once, highest first (T.81, G.1.1.1): then scans cannot repeat."""
        if not self.is_progressive:
            first, last, before, after = 0, 63, 0, 0  # what cameras write there is not always that
        else:
            self._expect(first <= last <= 63 and after <= 13 and (first > 0 or last == 0)
                         and (first == 0 or len(names) == 1) and before in (0, after + 1), 'a damaged scan header')
        known = before if before else -1
        for name in names:
            precision = self.precision[name]
            self._expect(precision[first:last + 1] == [known] * (last + 1 - first),
                         'scans that repeat each other, or one that is missing')
            self._expect(first == 0 or precision[0] >= 0, 'a scan that is missing')
            precision[first:last + 1] = [after] * (last + 1 - first)

    def _units(self, components: List[_Component]) -> Tuple[int, int]:
        """Units of coding, which restart intervals count, and blocks of a scan (T.81, A.2)."""
        if len(components) == 1:
            blocks = components[0].blocks_wide * components[0].blocks_high
            return blocks, blocks
        (height, width), (mcu_height, mcu_width) = self.size, self.mcu
        units = -(-height // mcu_height) * -(-width // mcu_width)
        in_a_unit = sum(each.horizontal * each.vertical for each in components)
        self._expect(in_a_unit <= 10, 'more than 10 blocks in a unit')
        return units, units * in_a_unit

    def _spend(self, blocks: int) -> None:
        self.blocks_gone_over += blocks
        everything = sum(each.blocks_wide * each.blocks_high for each in self.components.values())
        if self.blocks_gone_over > max(_FEW_BLOCKS, MAX_PASSES * everything):
            raise _damaged(f'so many scans that they go over the picture more than {MAX_PASSES} times')

    def _end_of_scan(self, begin: int, units: int, bits_a_unit: int) -> int:
        """Offset of the first marker behind the coded bytes, after the restart markers were counted."""
        if self._markers is None:
            # Within coded bytes, a byte of ff is followed by 00, which is neither marker nor ff.
            at = np.flatnonzero(self.data[begin:-1] == 0xFF) + begin
            kinds = self.data[at + 1]
            is_marker = (kinds != 0) & (kinds != 0xFF)
            at, kinds = at[is_marker], kinds[is_marker]
            is_restart = (kinds & 0xF8) == _RESTARTS.start
            self._markers = at[~is_restart], at[is_restart], kinds[is_restart] - _RESTARTS.start
        ends, restarts, numbers = self._markers
        found = ends.searchsorted(begin)
        if found == ends.size:
            raise cut_off(self.data.size)
        end = int(ends[found])
        expected = (units - 1) // self.restart_interval if self.restart_interval else 0
        if expected or restarts.size:
            within = slice(*restarts.searchsorted((begin, end)))
            self._check_restarts(numbers[within], expected)
            if expected:
                self._check_intervals(np.diff(restarts[within], prepend=begin - 2, append=end) - 2, units, bits_a_unit)
        return end

    def _check_intervals(self, sizes: np.ndarray, units: int, bits_a_unit: int) -> None:
        """Of how many bytes each is, against those that its units need at least; none has none."""
        needed = np.full(sizes.size, self.restart_interval, np.int64)
        needed[-1] = units - self.restart_interval * (sizes.size - 1)
        short = np.flatnonzero(8 * sizes < np.maximum(1, bits_a_unit * needed))
        if short.size:
            raise ImageError('truncated', f'the JPEG has {sizes[short[0]]} bytes between two restart markers, for '
                                          f'{needed[short[0]]} units of pixels; a part is missing')

    def _check_restarts(self, numbers: np.ndarray, expected: int) -> None:
        if numbers.size != expected or (numbers != np.arange(expected) % 8).any():
            reason = 'truncated' if numbers.size < expected else 'compressed'
            raise ImageError(reason, f'the JPEG has {numbers.size} restart markers in a scan that has {expected} of '
                                     'them in order, if it is whole; a part is missing or doubled')

    def _whole(self) -> JpegFrame:
        self._expect(bool(self.components), 'no frame header')
        missing = [name for name, precision in self.precision.items() if precision[0] < 0]
        if missing:
            raise ImageError('truncated', f'the JPEG has no scan for {len(missing)} of its {len(self.components)} '
                                          'components; is it cut off?')
        # The standard lets an encoder leave bits out, but none in use does; where some are missing, a part was cut out.
        if self.is_progressive and any(any(precision) for precision in self.precision.values()):
            raise ImageError('truncated', 'the progressive JPEG lacks a scan that refines its pixels; is a part '
                                          'missing?')
        self._check_bytes()
        ends = [0, *(offset for part in self.left_out for offset in part), self.position + 2]
        parts = [self.data[start:end] for start, end in zip(ends[0::2], ends[1::2]) if start < end]
        file = parts[0] if len(parts) == 1 else np.concatenate(parts)
        # The decoder of AVIF, which OpenCV 5 asks before that of JPEG, looks for its name there.
        self._expect(file[4:8].tobytes() != b'ftyp', 'it is of two formats at once')
        return JpegFrame(*self.size, len(self.components), self.is_progressive, file, self.has_exif, *self.mcu,
                         self.restart_interval, tuple(self.scans), tuple(self.refinements))

    def _check_bytes(self) -> None:
        coded, (height, width) = sum(end - begin for begin, end in self.scans), self.size
        most = _MAX_BYTES_A_SAMPLE * height * width * len(self.components)
        if coded > max(_FEW_BYTES, most):
            raise _damaged(f'{coded} coded bytes for {width} x {height} pixels, which take {most:.0f} at most')
        is_slow = self.is_progressive or len(self.components) == 4 or len(self.scans) > 1
        most = (_MAX_SLOW_BYTES_A_PIXEL if is_slow else _MAX_BYTES_A_PIXEL) * self.config.max_megapixels * 1e6
        if coded > max(_FEW_BYTES, most):
            kind = 'progressive ones, and those of several scans or of CMYK,' if is_slow else 'baseline ones'
            raise ImageError('too_large', f'the JPEG has {coded} coded bytes, and {kind} may have {most:.0f}; lower '
                                          'its quality, or raise image.max_megapixels if that is meant')


def _damaged(why: str) -> ImageError:
    return ImageError('compressed', f'the JPEG cannot be used: {why}')


def cut_off(size: int) -> ImageError:
    """The error for a file that ends too early."""
    return ImageError('truncated', f'the compressed image is cut off after {size} bytes; is the message larger than '
                                   'the transport carries, or the disk full?')
