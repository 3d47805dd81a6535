"""``robot-vision bench forward``, the floor of everything: the bare network on a tensor that is there already."""
import argparse
import time
from dataclasses import dataclass
from itertools import product
from typing import Callable, List, Sequence, Union

import numpy as np

from ..core.config import BACKENDS, FLOAT32, ClassifierConfig
from ..core.metrics.percentiles import percentiles
from ..core.networks.allocator import keep_freed_memory
from ..core.text.number_options import real, whole
from ..core.text.table import ruled
from .report import conclude

HELP = 'the bare network on a tensor that is there already'
WARM_UP = 10


@dataclass(frozen=True)
class ForwardTimes:
    """Of passes in a loop.

    Attributes:
        times_ms: of each pass, for a whole batch; or of the passes that were timed together.
        cpu_ms: CPU time of a pass over all threads.
        backend: what ran the network, and at which precision if not float32.
    """

    times_ms: List[float]
    cpu_ms: float
    backend: str


def bare_forward(model: str, device: str, batch: Union[int, Sequence[int]] = 1, seconds: float = 2.0, threads: int = 0,
                 backend: str = 'torch', rate_hz: float = 0.0) -> ForwardTimes:
    """Time forward passes for about ``seconds``, with the threads, memory order and allocator that the node uses.

    Args:
        batch: pictures of a pass; several numbers: of passes one after another, which are timed together.
        rate_hz: passes a second, as a camera asks for them; 0: one right after another, so that weights and code are
            in the processor's caches.
    """
    import torch

    from ..core.runtime.pipeline import Pipeline
    from ..core.types import ColorOrder, Picture
    keep_freed_memory()
    pipeline = Pipeline.load(ClassifierConfig(model=model, device=device, threads=threads, backend=backend))
    height, width = pipeline.bundle.preprocessing.crop
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    times = []
    with torch.inference_mode():
        batches = [batch] if isinstance(batch, int) else batch
        pixels = {size: pipeline.network_input(pipeline.preprocess([Picture(noise, ColorOrder.RGB)] * size)).clone(
            memory_format=torch.preserve_format) for size in set(batches)}

        def run_all() -> None:
            for size in batches:
                pipeline.network(pixels[size])
        synchronize: Callable[[], None] = torch.cuda.synchronize if pipeline.device.type == 'cuda' else lambda: None
        for _ in range(WARM_UP):
            run_all()
        synchronize()
        cpu = time.process_time()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            started = time.perf_counter()
            run_all()
            synchronize()
            times.append((time.perf_counter() - started) * 1e3)
            if rate_hz:
                time.sleep(max(0.0, started + 1 / rate_hz - time.perf_counter()))
        cpu = time.process_time() - cpu
    ran = pipeline.backend.name if pipeline.precision == FLOAT32 else f'{pipeline.backend.name} {pipeline.precision}'
    return ForwardTimes(times, cpu / len(times) * 1e3, ran)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which network, on what."""
    parser.add_argument('--model', default=ClassifierConfig().model, help='bundle (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: %(default)s)')
    parser.add_argument('--backend', nargs='+', default=['torch'], choices=BACKENDS,
                        help='what runs the network (default: torch)')
    parser.add_argument('--batch', type=whole(1, 4096), nargs='+', default=[1, 4], help='default: 1 4')
    parser.add_argument('--threads', type=whole(0, 4096), default=0,
                        help='as the node has it (default: 0, all cores but one)')
    parser.add_argument('--seconds', type=real(0.01, 10**6), default=5.0, help='of each batch size (default: 5)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    rows, figures = [], {}
    for backend, batch in product(args.backend, args.batch):
        measured = bare_forward(args.model, args.device, batch, args.seconds, args.threads, backend)
        times = percentiles(measured.times_ms)
        figures[f'{backend} {batch}'] = {**times, 'cpu_ms': measured.cpu_ms}
        rows.append((backend, batch, *times.values(), measured.cpu_ms, batch * 1e3 / times['p50']))
    print(ruled(('backend', 'batch', 'n', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'CPU ms', 'frames/s'), rows))
    conclude({'model': args.model, 'forward': figures}, args.json)
    return 0
