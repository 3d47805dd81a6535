"""Pictures that a camera gives when something is wrong with it: an OOD score has to know them, too.

Scores that look at logits alone often take a black frame for a sure case of some class; which score a bundle uses is
chosen with such pictures among the OOD ones, and they cost no data.
"""
from typing import Dict, List, Tuple

import numpy as np

from ...types import ColorOrder, Picture

FAULTS = ('covered lens', 'overexposed', 'blank wall', 'noise')  # the groups


def sensor_fault_pictures(size: Tuple[int, int], channels: int = 3, count: int = 40, seed: int = 0
                        ) -> Dict[str, List[Picture]]:
    """Groups of pictures by what is wrong.

    Args:
        size: (height, width) in pixels.
        channels: 3: RGB, 1: grey.
        count: pictures a group.
    """
    rng = np.random.default_rng(seed)
    shape = (*size, channels)

    def sensor(light: np.ndarray) -> Picture:
        """Light 0..255 and above, with a sensor's noise."""
        noisy = light + rng.normal(0, rng.uniform(1, 5), shape)
        pixels = np.clip(np.broadcast_to(noisy, shape), 0, 255).round().astype(np.uint8)
        return Picture(pixels, ColorOrder.RGB) if channels == 3 else Picture(pixels[..., 0], ColorOrder.MONO)

    def slope() -> np.ndarray:
        """A soft gradient, -1..1."""
        y, x = np.mgrid[-1:1:size[0] * 1j, -1:1:size[1] * 1j]
        angle = rng.uniform(0, 2 * np.pi)
        light: np.ndarray = (np.cos(angle) * x + np.sin(angle) * y)[..., None] / 2 ** 0.5
        return light

    def colour() -> np.ndarray:
        return rng.uniform(30, 220) + rng.normal(0, 12, channels)
    return {
        'covered lens': [sensor(rng.uniform(0, 12) + rng.uniform(0, 8) * slope()) for _ in range(count)],
        'overexposed': [sensor(rng.uniform(245, 290) + rng.uniform(0, 20) * slope()) for _ in range(count)],
        'blank wall': [sensor(colour() + rng.uniform(0, 30) * slope()) for _ in range(count)],
        'noise': [sensor(rng.integers(0, 256, shape).astype(float)) for _ in range(count)],
    }
