"""Depth images -> grey."""
import numpy as np

from ..config import ImageConfig
from ..errors import ImageError
from ..types import ColorOrder, Picture


def depth_to_grey(depth: np.ndarray, config: ImageConfig) -> Picture:
    """Show depth as grey: ``depth_near_m`` and less is 1, ``depth_far_m`` and more is 255, no reading is 0.

    Args:
        depth: shape (H, W), uint16 in millimetres or floating in metres (REP 118). 0, negative, NaN and infinite
            values are no reading.

    Raises:
        ImageError: ``no_valid_depth``: there is no reading at all. A black picture would still get a label.
    """
    unit = 1000.0 if depth.dtype == np.uint16 else 1.0
    near, far = config.depth_near_m * unit, config.depth_far_m * unit
    with np.errstate(over='ignore', invalid='ignore'):
        values = depth.astype(np.float32)
        is_reading = (values > 0) & (values < np.float32(np.inf))
        # In place: temporary arrays cost more than the arithmetic. 1.5 is the darkest grey and half of a rounding.
        values -= np.float32(near)
        values *= np.float32(254 / (far - near))
        np.clip(values, 0, 254, out=values)
        values += np.float32(1.5)
        values[~is_reading] = 0
        grey = values.astype(np.uint8)
    if not grey.any():
        raise ImageError('no_valid_depth', f'none of the {depth.size} depth values is a reading (all are 0, negative, '
                                           'NaN or infinite); is the sensor covered or too close?')
    return Picture(grey, ColorOrder.MONO)
