"""How many frames of one part of a split have a near-duplicate in another."""
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np

from ..core.text.table import aligned
from .division import Part
from .labels.labels import LabelledFrame
from .selection import SAME_PICTURE, near_pairs
from .split import Split

_COMPARED = ((Part.EARLY_STOP, Part.TRAIN), (Part.CALIBRATION, Part.TRAIN), (Part.TEST, Part.TRAIN),
             (Part.TEST, Part.EARLY_STOP), (Part.TEST, Part.CALIBRATION))


@dataclass(frozen=True)
class PartLeakage:
    """Frames of ``part`` that look nearly the same as one of ``other``.

    Attributes:
        part, other: of the split.
        leaked, frames: how many, of how many in ``part``.
        same_label: those of them that have the label of one they look like. Others are objects of two classes that
            happen to look alike to the hash, or wrong labels.
        examples: a few pairs of indices of frames, (of part, of other).
    """

    part: Part
    other: Part
    leaked: int
    frames: int
    same_label: int
    examples: Tuple[Tuple[int, int], ...]


@dataclass(frozen=True)
class Leakage:
    """Near-duplicates across a split; ``str()`` gives a table with examples."""

    distance: int
    parts: Tuple[PartLeakage, ...]
    frames: Tuple[LabelledFrame, ...]

    @property
    def test_in_train(self) -> float:
        """Share of the test frames with a near-duplicate in the training frames."""
        for item in self.parts:
            if (item.part, item.other) == (Part.TEST, Part.TRAIN):
                return item.leaked / item.frames
        return 0.0

    def __str__(self) -> str:
        rows: List[List[object]] = [['part', 'other', 'frames', 'with a near-duplicate', 'of its label', 'share']]
        rows += [[item.part.value, item.other.value, item.frames, item.leaked, item.same_label,
                  f'{item.leaked / item.frames:.4f}']
                 for item in self.parts]
        lines = [f'near-duplicates (64 bit perceptual hash within {self.distance} bits) across parts', *aligned(rows)]
        for item in self.parts:
            for mine, theirs in item.examples:
                lines.append(f'  {item.part.value}: {_name(self.frames[mine])}  ~  {item.other.value}: '
                             f'{_name(self.frames[theirs])}')
        return '\n'.join(lines)


def _name(frame: LabelledFrame) -> str:
    return f'{frame.recording} {frame.topic} {frame.stamp_ns / 1e9:.3f} s {frame.label}'


def leakage(frames: Sequence[LabelledFrame], hashes: np.ndarray, split: Split, distance: int = SAME_PICTURE,
            examples: int = 3) -> Leakage:
    """Compare the pictures of all parts.

    Args:
        hashes: uint64, shape (n,): perceptual hashes of the frames.
        examples: pairs to name for each two parts.
    """
    found = []
    for part, other in _COMPARED:
        mine, theirs = split.indices(part), split.indices(other)
        if not len(mine) or not len(theirs):
            continue
        leaked, same = set(), set()
        pairs: List[Tuple[int, int]] = []
        for i, j in near_pairs(hashes[mine], hashes[theirs], distance):
            for first, second in zip(i.tolist(), j.tolist()):
                if first not in leaked and len(pairs) < examples:
                    pairs.append((int(mine[first]), int(theirs[second])))
                leaked.add(first)
                if frames[mine[first]].label == frames[theirs[second]].label:
                    same.add(first)
        found.append(PartLeakage(part, other, len(leaked), len(mine), len(same), tuple(pairs)))
    return Leakage(distance, tuple(found), tuple(frames))
