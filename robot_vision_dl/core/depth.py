"""Depth images -> grey."""
from functools import lru_cache

import numpy as np

from .config import ImageConfig
from .errors import ImageError
from .types import ColorOrder, Picture


def depth_to_grey(depth: np.ndarray, config: ImageConfig) -> Picture:
    """Show depth as grey: ``depth_near_m`` and less is 1, ``depth_far_m`` and more is 255, no reading is 0.

    Args:
        depth: shape (H, W), uint16 in millimetres or floating in metres (REP 118). 0, negative, NaN and infinite
            values are no reading.

    Raises:
        ImageError: ``no_valid_depth``: there is no reading at all. A black picture would still get a label.
    """
    near, far = config.depth_near_m, config.depth_far_m
    if depth.dtype == np.uint16:
        grey = _table_of_mm(near, far)[depth]
    else:
        with np.errstate(over='ignore'):
            grey = _grey(depth.astype(np.float32), near, far)
    if not grey.any():
        raise ImageError('no_valid_depth', f'none of the {depth.size} depth values is a reading (all are 0, negative, '
                                           'NaN or infinite); is the sensor covered or too close?')
    return Picture(grey, ColorOrder.MONO)


@lru_cache(maxsize=4)
def _table_of_mm(near_m: float, far_m: float) -> np.ndarray:
    """Grey of every uint16."""
    return _grey(np.arange(65536, dtype=np.float32), near_m * 1000, far_m * 1000)


def _grey(values: np.ndarray, near: float, far: float) -> np.ndarray:
    valid = (values > 0) & (values < np.float32(np.inf))
    shown = np.clip(np.where(valid, values, near), near, far)
    return np.where(valid, np.rint((shown - near) * (254 / (far - near))) + 1, 0).astype(np.uint8)
