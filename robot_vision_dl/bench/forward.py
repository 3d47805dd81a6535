"""The floor: the bare network on a tensor that is there already."""
import time
from typing import List

import numpy as np

WARM_UP = 10


def bare_forward_ms(model: str, device: str, batch: int = 1, seconds: float = 2.0) -> List[float]:
    """Times in ms of forward passes in a loop, for about ``seconds``."""
    import torch

    from ..core.config import ClassifierConfig
    from ..core.pipeline import Pipeline
    from ..core.types import ColorOrder, Picture
    pipeline = Pipeline.load(ClassifierConfig(model=model, device=device))
    height, width = pipeline.bundle.preprocessing.crop
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    times = []
    with torch.inference_mode():
        pixels = pipeline.preprocess([Picture(noise, ColorOrder.RGB)] * batch).clone(
            memory_format=torch.preserve_format)
        synchronize = torch.cuda.synchronize if pipeline.device.type == 'cuda' else lambda: None
        for _ in range(WARM_UP):
            pipeline.network(pixels)
        synchronize()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            started = time.perf_counter()
            pipeline.network(pixels)
            synchronize()
            times.append((time.perf_counter() - started) * 1e3)
    return times
