"""Boxes of a picture in which nothing is labelled: things of no class, as a detector's false alarms are."""
from typing import List, Sequence, Tuple

import numpy as np

from ..core.regions.detections import Box

MOST_SHARED = 0.1
"""Intersection over union, and share of either box, that a background box with its margin has with any labelled one."""
_SIZES, _PLACES = 30, 50
Bounds = Tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""


def background_boxes(size: Tuple[int, int], labelled: Sequence[Bounds], sizes: Sequence[Tuple[float, float]],
                     count: int, margin: float, rng: np.random.Generator) -> List[Box]:
    """Draw boxes that overlap neither a labelled one nor each other by more than :data:`MOST_SHARED`.

    Args:
        size: (width, height) of the picture.
        labelled: of everything that is labelled in it.
        sizes: (width, height) that are drawn from.
        count: boxes that are wished for.
        margin: around each, as a share of its longer side; what lies in it counts as seen.
        rng: of all draws; sizes are drawn first, and places, uniform where the box is in the picture, for each.

    Returns:
        As many as were found in so many tries, which may be none.
    """
    found: List[Box] = []
    taken = [*labelled]
    for _ in range(count if sizes else 0):
        for pick in rng.integers(len(sizes), size=_SIZES).tolist():
            width, height = sizes[pick]
            if width > size[0] or height > size[1]:
                continue
            x = rng.uniform(width / 2, size[0] - width / 2, _PLACES)
            y = rng.uniform(height / 2, size[1] - height / 2, _PLACES)
            free = np.flatnonzero(_shared(x, y, width, height, margin, size, taken) <= MOST_SHARED)
            if len(free):
                box = Box(float(x[free[0]]), float(y[free[0]]), width, height)
                found.append(box)
                taken.append(box.corners)
                break
    return found


def _shared(x: np.ndarray, y: np.ndarray, width: float, height: float, margin: float, size: Tuple[int, int],
            taken: Sequence[Bounds]) -> np.ndarray:
    """Of each place (n,), the largest share that the box with its margin has with any of ``taken``, (n,)."""
    if not taken:
        return np.zeros(len(x))
    around = margin * max(width, height)
    across, down = width / 2 + around, height / 2 + around
    own = np.stack([x - across, y - down, x + across, y + down], axis=1)
    limits = np.array([size[0], size[1], size[0], size[1]], np.float64)
    own, others = np.clip(own, 0, limits)[:, None], np.clip(np.array(taken, np.float64), 0, limits)[None]
    sides = np.clip(np.minimum(own[..., 2:], others[..., 2:]) - np.maximum(own[..., :2], others[..., :2]), 0, None)
    both = sides.prod(axis=-1)
    # The smaller of the two areas gives the largest of the three shares.
    smaller = np.minimum(_area(own), _area(others))
    shares: np.ndarray = np.divide(both, smaller, out=np.zeros_like(both), where=smaller > 0)
    return shares.max(axis=1)


def _area(boxes: np.ndarray) -> np.ndarray:
    found: np.ndarray = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    return found
