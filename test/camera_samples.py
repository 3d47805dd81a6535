"""Bounds for pictures that no camera gives: of one colour, of noise, always the same."""
from robot_vision_dl.core.uncertainty.camera.bounds import TWO_SIDED, CameraBounds, default_bounds, is_high
from robot_vision_dl.core.uncertainty.camera.statistics import NAMES


def any_picture() -> CameraBounds:
    """To these no picture shows a fault, as if the calibration had seen all there are."""
    return CameraBounds(default_bounds().usual, {
        name: None if name in TWO_SIDED else float('inf' if is_high(name) else '-inf') for name in NAMES},
        pictures=1, repeats_s=10_000.0)
