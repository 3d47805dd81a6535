"""``robot-vision bench gpu``: from pictures to assessments by way of a GPU, each stage beside its floor."""
import argparse
import time
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..core.config import PRECISIONS, ClassifierConfig
from ..core.text.number_options import real, whole
from ..core.text.table import ruled
from .report import conclude
from .timing import times_ms

if TYPE_CHECKING:
    import torch

    from ..core.bundles.bundle import Bundle
    from ..core.networks.gpu_driver import Driver
    from ..core.runtime.gpu_path import GpuPath
    from ..core.types import Picture

HELP = 'a GPU, stage by stage, beside copies and the bare network: eager and as CUDA graph; first frames, memory'
UNKNOWN_RATE = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which network, on which GPU."""
    parser.add_argument('--model', default=ClassifierConfig().model, help='bundle (default: %(default)s)')
    parser.add_argument('--device', default='cuda', help='cuda or cuda:<n> (default: %(default)s)')
    parser.add_argument('--precision', nargs='+', default=['float32', 'float16'], choices=PRECISIONS,
                        help='default: float32 float16')
    parser.add_argument('--size', default='1280x720', metavar='WxH', help='of the pictures (default: %(default)s)')
    parser.add_argument('--batch', type=whole(1, 256), nargs='+', default=[1, 4, 8], help='default: 1 4 8')
    parser.add_argument('--frames', type=whole(1, 100000), default=120,
                        help='compared with what the CPU says (default: %(default)s)')
    parser.add_argument('--seconds', type=real(0.01, 10**6), default=2.0, help='of each stage (default: 2)')


@dataclass(frozen=True)
class Stage:
    """A stage, and what it cannot be quicker than: the names of stages that are added up; none: it is a floor."""

    name: str
    floors: Tuple[str, ...] = ()


HOST, UP, BARE, DOWN = 'floor: copy of the levels', 'floor: upload', 'floor: network as a graph', 'floor: download'
STAGES = (Stage(HOST), Stage(UP), Stage(BARE), Stage(DOWN), Stage('pictures to levels', (HOST,)),
          Stage('device, as a graph', (UP, BARE, DOWN)), Stage('device, launch by launch', (UP, BARE, DOWN)),
          Stage('array to assessments'), Stage('whole', (HOST, UP, BARE, DOWN)))


def moved(pictures: Sequence['Picture'], size: Tuple[int, int], count: int) -> List['Picture']:
    """So many pictures of (width, height), parts of photographs that move from one to the next."""
    import cv2

    from ..core.types import Picture
    large = [cv2.resize(np.ascontiguousarray(one.pixels), size) for one in pictures]
    return [Picture(np.roll(large[place % len(large)], 3 * place, (0, 1)), pictures[place % len(large)].order)
            for place in range(count)]


def stage_functions(path: 'GpuPath', driver: 'Driver', pictures: Sequence['Picture']
                    ) -> Dict[str, Callable[[], object]]:
    """What is timed for a batch, by the name of its stage."""
    import torch
    count = len(pictures)
    levels = path.levels(pictures)
    source, target = levels.numpy(), np.empty(tuple(levels.shape), np.uint8)
    shape, width = tuple(levels.shape), path.graphs.width
    host, device = driver.host(shape, torch.uint8), driver.memory(shape, torch.uint8)
    host.copy_(levels)
    packed_host, packed = driver.host((count, width), torch.float32), driver.memory((count, width), torch.float32)
    pixels = path.runner.normalised(levels.to(path.runner.scale.device))
    driver.warm(lambda: path.runner.prediction(pixels))
    replay = driver.capture(lambda: path.runner.prediction(pixels))

    def waited(function: Callable[[], object]) -> Callable[[], object]:
        def both() -> None:
            function()
            driver.wait(driver.mark())
        return both
    array = path.run(levels)

    def on_device(graphs: bool) -> Callable[[], object]:
        def run() -> np.ndarray:
            taken = path.graphs.take(count)
            return path.graphs.run(levels if taken is None else taken, graphs)
        return run
    return {
        HOST: lambda: np.copyto(target, source), UP: waited(lambda: driver.copy(device, host)), BARE: waited(replay),
        DOWN: waited(lambda: driver.copy(packed_host, packed)), 'pictures to levels': lambda: path.prepare(pictures),
        'device, as a graph': on_device(True), 'device, launch by launch': on_device(False),
        'array to assessments': lambda: path.assess(array),
        'whole': lambda: path.assess(path.run(path.prepare(pictures)))}


def first_frames_ms(path: 'GpuPath') -> Dict[int, float]:
    """Of each batch size the time of the first batch on a thread that has made itself ready, as the node's does."""
    import torch
    found: Dict[int, float] = {}

    @torch.inference_mode()
    def run() -> None:
        path.warm_up()
        for size in range(1, path.graphs.most + 1):
            levels = torch.zeros((size, *path.runner.shape), dtype=torch.uint8)
            started = time.perf_counter()
            path.assess(path.run(levels))
            found[size] = (time.perf_counter() - started) * 1e3
    thread = Thread(target=run)
    thread.start()
    thread.join()
    return found


def differing(path: 'GpuPath', pictures: Sequence['Picture']) -> int:
    """Of how many pictures class, set or unknown are not what the CPU says at float32."""
    def said(array: np.ndarray) -> List[Tuple[object, ...]]:
        return [(int(one.probabilities.argmax()), one.conformal_set,
                 one.ood is not None and one.ood.p_value is not None and one.ood.p_value < UNKNOWN_RATE)
                for one in path.assess(array)]
    count = 0
    for picture in pictures:
        levels = path.levels([picture])
        count += said(path.run(levels)) != said(path.cpu(levels).numpy())
    return count


def measure(bundle: 'Bundle', network: Any, driver: 'Driver', precision: str, batches: Sequence[int],
            size: Tuple[int, int], frames: int, seconds: float,
            memory_mb: Callable[['torch.device'], Sequence[float]]) -> Dict[str, Any]:
    """All figures of a network at one precision; ``network`` is on the device."""
    import torch

    from ..core.runtime.gpu_path import GpuPath
    from ..core.runtime.self_check import photographs
    started = time.perf_counter()
    with torch.inference_mode():
        path = GpuPath(bundle, network, precision, max(batches), driver=driver)
        ready_s = time.perf_counter() - started
        stages = {str(count): {name: times_ms(function, seconds) for name, function in stage_functions(
            path, driver, moved(photographs(), size, count)).items()} for count in batches}
        firsts = first_frames_ms(path)
        differ = differing(path, moved(photographs(), size, frames))
    return {'ready_s': ready_s, 'self_check': path.difference, 'notes': list(path.notes), 'stages': stages,
            'first_frame_ms': {str(count): ms for count, ms in firsts.items()}, 'frames': frames, 'differ': differ,
            'memory_mb': dict(zip(('allocated', 'reserved', 'free'), memory_mb(driver.device)))}


def floor_of(stage: Stage, times: Dict[str, Dict[str, float]]) -> Optional[float]:
    """What a stage cannot be quicker than, in ms; None: it has no floor."""
    return sum(times[name]['p50'] for name in stage.floors) if stage.floors else None


def shown(precision: str, found: Dict[str, Any]) -> str:
    """For people."""
    rows = []
    for batch, times in found['stages'].items():
        for stage in STAGES:
            own, floor = times[stage.name], floor_of(stage, times)
            rows.append((precision, int(batch), stage.name, own['n'], own['p50'], own['p99'],
                         '' if floor is None else f'{floor:.2f}', '' if not floor else f'{own["p50"] / floor:.2f}'))
    memory, firsts = found['memory_mb'], found['first_frame_ms']
    lines = [ruled(('precision', 'batch', 'stage', 'n', 'p50 ms', 'p99 ms', 'floor ms', 'times'), rows),
             f'ready after {found["ready_s"]:.1f} s; largest difference of a logit from the CPU\'s '
             f'{found["self_check"]:.1e} of the largest; class, set or unknown differ from the CPU\'s in '
             f'{found["differ"]} of {found["frames"]} frames',
             'first frame of each batch size, on a thread that made itself ready: '
             + ', '.join(f'{batch}: {ms:.2f} ms' for batch, ms in firsts.items()),
             f'memory: {memory["allocated"]:.0f} MB of tensors, {memory["reserved"]:.0f} MB kept by torch, '
             f'{memory["free"]:.0f} MB free']
    return '\n'.join([*lines, *(f'note: {note}' for note in found['notes'])])


def run(args: argparse.Namespace) -> int:
    """Measure and print; without a GPU that works, an error says why."""
    import torch

    from ..core.bundles.bundle import load_bundle
    from ..core.errors import DeviceError
    from ..core.networks.cuda import CudaDriver, memory_mb, name_of
    from ..core.networks.device import resolve_device
    from ..core.networks.precision import dtype_of
    device = resolve_device(args.device)
    if device.type != 'cuda':
        raise DeviceError(f'device {args.device!r}: this measures a GPU; for a CPU there is `robot-vision bench '
                          'forward`')
    width, height = map(int, args.size.split('x'))
    bundle, figures = load_bundle(args.model), {}
    for precision in args.precision:
        network = bundle.load_network(device, dtype_of(precision)).to(memory_format=torch.channels_last)
        found = measure(bundle, network, CudaDriver(device), precision, args.batch, (width, height), args.frames,
                        args.seconds, memory_mb)
        figures[precision] = found
        print(shown(precision, found))
    conclude({'model': args.model, 'size': args.size, 'gpu': name_of(device), 'figures': figures}, args.json,
             f'{args.model}, {args.size}, on {name_of(device)}; ')
    return 0
