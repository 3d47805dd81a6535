"""Which frames are worth keeping: neither too close in time nor nearly the same picture.

Pictures are compared by a 64 bit perceptual hash: signs of the 8x8 lowest frequencies of the cosine transform of the
grey picture at 32x32, about their median (C. Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010). Among 2 162 pictures of single objects before a white board (TrashNet), 36 pairs are within a Hamming
distance of 6, and 11 of 12 looked at show the same object in nearly the same place; the gradient hash (dHash) joins
1 175 pairs, most of them of different classes. Half resolution and JPEG quality 50 move a picture by up to 4; that
large ones (720 lines and more) are averaged in two steps by 2, one of 600 by 4.
"""
from collections import Counter, deque
from dataclasses import dataclass
from typing import Deque, Dict, Iterator, List, Mapping, Optional, Tuple

import cv2
import numpy as np

from ..core.config import check_values, option
from ..core.types import ColorOrder, Picture

SAME_PICTURE = 6
"""Hamming distance up to which two pictures count as near-duplicates."""

_GREY = {ColorOrder.RGB: cv2.COLOR_RGB2GRAY, ColorOrder.BGR: cv2.COLOR_BGR2GRAY,
         ColorOrder.RGBA: cv2.COLOR_RGBA2GRAY, ColorOrder.BGRA: cv2.COLOR_BGRA2GRAY}
_BITS_OF_BYTE = np.array([bin(byte).count('1') for byte in range(256)], np.uint8)
_BLOCK = 256
_SHRUNK_SIDE = 360  # pixels; pictures of twice that and more are averaged to once to twice that first


@dataclass(frozen=True)
class SelectionConfig:
    """How frames are thinned."""

    every_s: float = option(
        0.2, 'take a frame of a camera no sooner than this after the one before; 0: every frame', minimum=0.0,
        maximum=1e6)
    duplicate_distance: int = option(
        4, 'leave out a frame whose 64 bit perceptual hash is within this Hamming distance of a recent one with the '
        'same label; -1: keep all', minimum=-1, maximum=32)
    duplicate_window: int = option(
        32, 'so many frames of a camera that were kept before are looked at for duplicates', minimum=1, maximum=10000)
    least: int = option(
        50, 'frames of each class that are aimed at: where every_s and duplicates would leave fewer, frames follow '
        'sooner and near-duplicates are kept, spread over the recordings, and it is said; 0: every_s and '
        'duplicate_distance always hold', minimum=0, maximum=1000000)

    def __post_init__(self) -> None:
        check_values(self, 'selection.')


def perceptual_hash(picture: Picture) -> int:
    """64 bit hash of a picture; see the module's docstring."""
    return int.from_bytes(perceptual_bits(picture, 8).tobytes(), 'big')


def perceptual_bits(picture: Picture, frequencies: int) -> np.ndarray:
    """The hash of so many frequencies a side, of the picture at four times as many pixels; uint8 (frequencies^2 / 8,).

    Large pictures are averaged in two steps, first by a whole number, which takes a third of the time.
    """
    pixels = np.ascontiguousarray(picture.pixels)
    height, width = pixels.shape[:2]
    factor = min(height, width) // _SHRUNK_SIDE
    if factor > 1:
        pixels = cv2.resize(pixels[:height // factor * factor, :width // factor * factor],
                            (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    # Shrunk first: the conversion to grey then costs nothing, and averaging commutes with it up to rounding.
    small = cv2.resize(pixels, (4 * frequencies, 4 * frequencies), interpolation=cv2.INTER_AREA)
    if picture.order is not ColorOrder.MONO:
        small = cv2.cvtColor(small, _GREY[picture.order])
    low = cv2.dct(small.astype(np.float32))[:frequencies, :frequencies].ravel()
    return np.packbits(low > np.median(low[1:]))  # the first is the mean brightness


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differing bits of uint64 arrays that broadcast against each other; uint8."""
    different = np.bitwise_xor(np.asarray(a, np.uint64), np.asarray(b, np.uint64))
    if hasattr(np, 'bitwise_count'):  # numpy 2
        return np.bitwise_count(different)
    as_bytes = np.ascontiguousarray(different)[..., None].view(np.uint8)
    return _BITS_OF_BYTE[as_bytes].sum(-1, dtype=np.uint8)


def near_pairs(a: np.ndarray, b: np.ndarray, distance: int) -> Iterator[Tuple[np.ndarray, np.ndarray]]:
    """Indices (i, j) with ``hamming(a[i], b[j]) <= distance``, block by block; needs memory for a block only."""
    for begin in range(0, len(a), _BLOCK):
        i, j = np.nonzero(hamming(a[begin:begin + _BLOCK, None], b[None]) <= distance)
        if len(i):
            yield i + begin, j


def duplicate_groups(hashes: np.ndarray, distance: int = SAME_PICTURE) -> np.ndarray:
    """Number of the group of each picture: near-duplicates, and their near-duplicates, are in one; int64, from 0."""
    parent = np.arange(len(hashes))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for first, second in near_pairs(hashes, hashes, distance):
        for i, j in zip(first.tolist(), second.tolist()):
            if i < j:
                low, high = sorted((root(i), root(j)))
                parent[high] = low
    roots = np.array([root(i) for i in range(len(hashes))], np.int64)
    return np.unique(roots, return_inverse=True)[1].reshape(-1)


class Pace:
    """Sees to it that scarce classes get their frames, spread evenly over all that there are of them.

    Args:
        least: frames of each label that are aimed at; 0: none are.
        expected: labelled frames of each label in all recordings; estimates will do.
    """

    def __init__(self, least: int, expected: Mapping[str, float]) -> None:
        self._least, self._expected = least, expected
        self._seen: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()

    def see(self, label: str) -> None:
        """Count a labelled frame that comes by."""
        self._seen[label] += 1

    def keep(self, label: str) -> None:
        """Count a frame that is kept."""
        self._kept[label] += 1

    def is_behind(self, label: str) -> bool:
        """Whether fewer frames were kept than the share of the label's frames that have come by asks for."""
        expected = max(self._expected.get(label, 0.0), 1.0)
        return self._kept[label] < self._least * min(1.0, self._seen[label] / expected)


NO_PACE = Pace(0, {})


class Selector:
    """Decides about one frame after another; keeps ``duplicate_window`` hashes a camera and no pictures.

    Attributes:
        closer, alike: labels of frames that were taken only since too few would be left: sooner than ``every_s``, and
            although they are near-duplicates.
    """

    def __init__(self, config: SelectionConfig, pace: Pace = NO_PACE) -> None:
        self.config, self._pace = config, pace
        self.closer: Counter[str] = Counter()
        self.alike: Counter[str] = Counter()
        self._every_ns = round(config.every_s * 1e9)
        self._last: Dict[Tuple[str, str, Optional[str]], Tuple[int, str]] = {}
        self._recent: Dict[Tuple[str, str], Deque[Tuple[str, int]]] = {}
        self._is_close = False

    def is_due(self, recording: str, topic: str, stamp_ns: int, label: str, track: Optional[str]) -> bool:
        """Whether enough time has passed; asked before the picture is decoded. A new label or track is always due.

        Tracks that are in view together each have a time of their own.
        """
        self._pace.see(label)
        last = self._last.get((recording, topic, track))
        # A stamp before the last one means that the clock was set back.
        due = last is None or last[1] != label or not 0 <= stamp_ns - last[0] < self._every_ns
        self._is_close = not due and self._pace.is_behind(label)
        if due or self._is_close:
            self._last[(recording, topic, track)] = (stamp_ns, label)
        return due or self._is_close

    def is_new(self, recording: str, topic: str, label: str, picture_hash: int) -> bool:
        """Whether no recent frame of the camera with this label looks nearly the same; of the last one that was due."""
        recent = self._recent.setdefault((recording, topic), deque(maxlen=self.config.duplicate_window))
        is_alike = self.config.duplicate_distance >= 0 and any(
            name == label and bin(other ^ picture_hash).count('1') <= self.config.duplicate_distance
            for name, other in recent)
        if is_alike and not self._pace.is_behind(label):
            return False
        recent.append((label, picture_hash))
        self._pace.keep(label)
        self.alike[label] += is_alike
        self.closer[label] += self._is_close and not is_alike
        return True


@dataclass(frozen=True)
class SelectionReport:
    """What became of the labelled frames.

    Attributes:
        kept: frames in use.
        too_soon: left out, too close in time to the one before.
        duplicates: left out, nearly the same picture.
        unreadable: frames whose picture cannot be decoded.
        problems: sentences, the first about each kind of unreadable frame.
        closer, alike: of those kept, how many were taken only since a class would have fewer than ``least``: sooner
            after another than ``every_s``, and near-duplicates.
        scarce: the classes that this was done for.
        least: as in the settings.
        repeats_s: for how long a camera gave one picture, the same to the last bit, at frames that were looked at.
    """

    kept: int
    too_soon: int
    duplicates: int
    unreadable: int
    problems: Tuple[str, ...] = ()
    closer: int = 0
    alike: int = 0
    scarce: Tuple[str, ...] = ()
    least: int = 0
    repeats_s: float = 0.0

    def __str__(self) -> str:
        lines: List[str] = [f'{self.kept} frames kept; {self.too_soon} left out as too soon after another, '
                            f'{self.duplicates} as near-duplicates, {self.unreadable} unreadable']
        if self.scarce:
            lines.append(f'  of them {self.closer} sooner after another than selection.every_s and {self.alike} '
                         f'near-duplicates, since there would be fewer than {self.least} frames (selection.least) of '
                         f'{", ".join(self.scarce)}: they add little that is new, more recordings would')
        return '\n'.join([*lines, *(f'problem: {problem}' for problem in self.problems)])
