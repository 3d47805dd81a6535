"""How long a forward pass takes here."""
import time
from typing import List

import numpy as np

from ..bundles.bundle import Bundle
from ..networks import torch_use
from .backend import Forward

MEASURED_S = 0.25
"""For each backend; what is loaded first costs more."""


def random_pixels(bundle: Bundle, batch: int) -> np.ndarray:
    """As the preprocessing would give them: float32 (batch, channels, H, W), the channels last in memory."""
    height, width = bundle.preprocessing.crop
    shape = (batch, height, width, bundle.architecture.in_channels)
    return np.random.default_rng(batch).standard_normal(shape, np.float32).transpose(0, 3, 1, 2)


def pass_ms(forward: Forward, bundle: Bundle, batch: int) -> float:
    """Median time of some passes over random pixels on the CPU, in ms."""
    pixels = random_pixels(bundle, batch)
    given = pixels if getattr(forward, 'takes_arrays', False) else torch_use.tensor_of(pixels)
    times: List[float] = []
    with torch_use.without_gradients():
        forward(given)
        end = time.perf_counter() + MEASURED_S
        while len(times) < 3 or (len(times) < 20 and time.perf_counter() < end):
            started = time.perf_counter()
            forward(given)
            times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1e3
