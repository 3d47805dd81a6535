"""Whether evidence lies on an object whose box is known."""
from typing import Tuple

import numpy as np
import torch
from torch.nn.functional import interpolate

CELLS = 14
"""Places along each side of the grid on which maps of any size are compared."""


def on_grid(values: np.ndarray) -> np.ndarray:
    """A map on 14 x 14 places."""
    large = interpolate(torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None], (CELLS, CELLS),
                        mode='bilinear')
    return np.asarray(large[0, 0].numpy())


def points_inside(values: np.ndarray, box: Tuple[float, float, float, float]) -> bool:
    """Whether the highest place of a map lies in a box (left, top, right, bottom), in shares of the sides."""
    grid = on_grid(values)
    row, column = divmod(int(grid.argmax()), CELLS)
    left, top, right, bottom = box
    return left <= (column + .5) / CELLS <= right and top <= (row + .5) / CELLS <= bottom
