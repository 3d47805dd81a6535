"""Which detections belong to which image of a recording: those of its stamp, else the nearest within a tolerance."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, List, Sequence, Tuple

import numpy as np

from ..core.regions.stamp_pairing import NO_DETECTIONS, NO_IMAGE, NO_STAMP

SAME_STAMP = 'same_stamp'
"""Beside the reasons of the live node, why an image or an array of detections stays alone: another one of its kind has
the same stamp and came first."""


@dataclass(frozen=True)
class Pairing:
    """What belongs together.

    Attributes:
        array_of: of each image, int64 (n,), the place of its array; -1: none.
        alone: of each image without one, by its place, why.
        arrays_alone: arrays without an image, counted by why.
        nearest: pairs whose stamps are not equal.
    """

    array_of: np.ndarray
    alone: Dict[int, str] = field(default_factory=dict)
    arrays_alone: 'Counter[str]' = field(default_factory=Counter)
    nearest: int = 0


def pair_by_stamp(images: Sequence[int], arrays: Sequence[int], tolerance_ns: int) -> Pairing:
    """Pair images and arrays of detections one to one.

    Equal stamps come first, whatever else is near; then, of what is left, the nearest of all pairs, the next, and so
    on.

    Args:
        images, arrays: stamps in nanoseconds; 0 is none.
        tolerance_ns: how far apart stamps of a pair may be.
    """
    array_of = np.full(len(images), -1, np.int64)
    alone: Dict[int, str] = {}
    arrays_alone: 'Counter[str]' = Counter()
    first_images, first_arrays = _firsts(images), _firsts(arrays)
    arrays_alone.update(NO_STAMP if stamp == 0 else SAME_STAMP for place, stamp in enumerate(arrays)
                        if first_arrays.get(stamp) != place)
    for place, stamp in enumerate(images):
        if first_images.get(stamp) != place:
            alone[place] = NO_STAMP if stamp == 0 else SAME_STAMP
        elif stamp in first_arrays:
            array_of[place] = first_arrays.pop(stamp)
    left = sorted(stamp for stamp, place in first_images.items() if array_of[place] < 0)
    nearest = 0
    for image, array in _nearest(left, sorted(first_arrays), tolerance_ns):
        array_of[first_images[image]] = first_arrays.pop(array)
        nearest += 1
    arrays_alone[NO_IMAGE] += len(first_arrays)
    for stamp in left:
        if array_of[first_images[stamp]] < 0:
            alone[first_images[stamp]] = NO_DETECTIONS
    return Pairing(array_of, alone, +arrays_alone, nearest)


def _firsts(stamps: Sequence[int]) -> Dict[int, int]:
    """Place of the first of each stamp, without 0."""
    found: Dict[int, int] = {}
    for place, stamp in enumerate(stamps):
        if stamp:
            found.setdefault(stamp, place)
    return found


def _nearest(images: Sequence[int], arrays: Sequence[int], tolerance_ns: int) -> List[Tuple[int, int]]:
    """Pairs of ascending stamps, each used once, the nearest taken first; of equals, the earlier."""
    candidates: List[Tuple[int, int, int]] = []
    begin = 0
    for image in images:
        while begin < len(arrays) and arrays[begin] < image - tolerance_ns:
            begin += 1
        place = begin
        while place < len(arrays) and arrays[place] <= image + tolerance_ns:
            candidates.append((abs(arrays[place] - image), image, arrays[place]))
            place += 1
    used_images, used_arrays, found = set(), set(), []
    for _, image, array in sorted(candidates):
        if image not in used_images and array not in used_arrays:
            used_images.add(image)
            used_arrays.add(array)
            found.append((image, array))
    return found
