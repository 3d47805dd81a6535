"""Whether evidence lies on an object whose box is known."""
from typing import NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from torch.nn.functional import interpolate

CELLS = 14
"""Places along each side of the grid on which maps of any size are compared."""
Box = Tuple[float, float, float, float]
"""(left, top, right, bottom) in shares of the sides of what the network sees; may reach beyond."""
_FINE = 32  # parts along each side of a place of a map, of which each is inside a box or not


class EvidencePlace(NamedTuple):
    """Where a map's positive values lie.

    Attributes:
        inside: share of their sum that is inside the boxes, in [0, 1].
        area: share of the picture that the boxes take, in [0, 1]: what ``inside`` is of evidence that is everywhere.
        points_inside: whether the highest place is in one of the boxes.
    """

    inside: float
    area: float
    points_inside: bool

    @property
    def is_outside(self) -> bool:
        """Less inside than by chance, and the highest place is not."""
        return self.inside < self.area and not self.points_inside


def on_grid(values: np.ndarray) -> np.ndarray:
    """A map on 14 x 14 places."""
    large = interpolate(torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None], (CELLS, CELLS),
                        mode='bilinear')
    return np.asarray(large[0, 0].numpy())


def points_inside(values: np.ndarray, box: Box) -> bool:
    """Whether the highest place of a map lies in a box (left, top, right, bottom), in shares of the sides."""
    grid = on_grid(values)
    row, column = divmod(int(grid.argmax()), CELLS)
    left, top, right, bottom = box
    return left <= (column + .5) / CELLS <= right and top <= (row + .5) / CELLS <= bottom


def place_of_evidence(values: np.ndarray, boxes: Sequence[Box]) -> Optional[EvidencePlace]:
    """How much of what speaks for a class lies in any of some boxes.

    Each value of the map stands for its place, evenly: nothing is interpolated.

    Args:
        values: float32 (h, w).
        boxes: at least one; what of them is in the picture counts, once where they overlap.

    Returns:
        None where nothing speaks for the class, or nothing of the boxes is in the picture.
    """
    positive = np.maximum(values, 0).astype(np.float64)
    covered = _covered(values.shape, boxes)
    total = float(positive.sum())
    if total <= 0 or not covered.any():
        return None
    return EvidencePlace(float((positive * covered).sum()) / total, float(covered.mean()),
                         any(points_inside(values, box) for box in boxes))


def _covered(shape: Tuple[int, ...], boxes: Sequence[Box]) -> np.ndarray:
    """Share of each place that is within a box, float64 (h, w)."""
    height, width = shape[0] * _FINE, shape[1] * _FINE
    fine = np.zeros((height, width), np.uint8)
    for left, top, right, bottom in boxes:
        rows, columns = ([min(max(round(edge * side), 0), side) for edge in edges]
                         for edges, side in (((top, bottom), height), ((left, right), width)))
        fine[rows[0]:rows[1], columns[0]:columns[1]] = 255
    share = cv2.resize(fine.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share, np.float64) / 255
