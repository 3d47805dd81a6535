"""Maps of channels and filters as pictures."""
from math import ceil
from typing import Optional, Sequence

import cv2
import numpy as np


def map_tile(values: np.ndarray, side: int = 96, limit: Optional[float] = None) -> np.ndarray:
    """One map of a channel in grey, black for its least value (0 where it has none below), uint8 (side, side, 3)."""
    low = min(0.0, float(values.min()))
    high = float(values.max()) if limit is None else limit
    grey = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
    large = cv2.resize(grey.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST)
    return np.repeat(large.round().astype(np.uint8)[..., None], 3, axis=2)


def filter_tiles(weights: np.ndarray, side: int = 32, across: int = 8) -> np.ndarray:
    """First-layer filters side by side, each stretched to its own range around grey for 0.

    Args:
        weights: float32 (F, C, h, w); three channels are shown as colours (RGB), one in grey.
        side: of a filter in pixels.
        across: how many in a row.

    Returns:
        uint8 (rows * (side + 2), across * (side + 2), 3), BGR.
    """
    count = len(weights)
    rows = ceil(count / across)
    sheet = np.full((rows * (side + 2), min(across, count) * (side + 2), 3), 255, np.uint8)
    for place, one in enumerate(weights):
        colours = one if one.shape[0] == 3 else np.repeat(one[:1], 3, axis=0)
        shown = np.clip(127.5 + 127.5 * colours / max(float(np.abs(colours).max()), 1e-12), 0, 255).astype(np.uint8)
        tile = cv2.resize(np.ascontiguousarray(shown.transpose(1, 2, 0)[..., ::-1]), (side, side),
                          interpolation=cv2.INTER_NEAREST)
        top, left = place // across * (side + 2) + 1, place % across * (side + 2) + 1
        sheet[top:top + side, left:left + side] = tile
    return sheet


def side_by_side(tiles: Sequence[np.ndarray], gap: int = 4) -> np.ndarray:
    """Pictures of one height in a row, with a white gap between."""
    white = np.full((tiles[0].shape[0], gap, 3), 255, np.uint8)
    parts = [part for tile in tiles for part in (tile, white)][:-1]
    return np.concatenate(parts, axis=1)
