"""Maps as pictures: evidence laid over what the network saw, maps of channels, filters."""
from math import ceil
from typing import Optional, Sequence

import cv2
import numpy as np

_FOR = np.array((0, 94, 213), np.float32)  # BGR: vermilion speaks for it, blue against (Okabe and Ito 2008)
_AGAINST = np.array((178, 114, 0), np.float32)
_STRONGEST = 0.75  # how much of the picture the colour hides where the map is at its limit
_GREY = 0.75  # how far the picture under a map loses its colours, which would be taken for evidence


def laid_over(picture: np.ndarray, values: np.ndarray, limit: float) -> np.ndarray:
    """A map over a picture: vermilion where it is positive, blue where it is negative.

    Args:
        picture: uint8 (H, W, 3), BGR.
        values: float32 (h, w), enlarged to the picture.
        limit: that gets the strongest colour; maps that are to be compared share it. 0: all is empty.

    Returns:
        uint8 (H, W, 3), BGR.
    """
    height, width = picture.shape[:2]
    large = cv2.resize(np.ascontiguousarray(values, np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(large / limit, -1, 1) if limit > 0 else np.zeros_like(large)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)
    under = picture * (1 - _GREY) + grey * _GREY
    strength = _STRONGEST * np.abs(share)[..., None] ** 0.7
    colour = np.where(share[..., None] > 0, _FOR, _AGAINST)
    return np.clip(under * (1 - strength) + colour * strength, 0, 255).astype(np.uint8)


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
