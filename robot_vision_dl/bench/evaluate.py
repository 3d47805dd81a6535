"""``robot-vision bench evaluate``: evaluating a bag, beside the bare forward pass of the same frames.

Floor: all frames decoded, preprocessed and batched beforehand, then nothing but the network, in as many lanes beside
each other as the evaluator has (:mod:`..evaluation.parallel_inference`); the same in one lane, as the live node runs;
and, where another backend runs it, the same in torch. All take turns in one process, so that what else the machine
does falls on all; the CPU time of the process is given beside it, which a busy machine does not change as much.
``--dds`` plays the same bag to a node, each frame sent when the one before is decided, and ``--scale`` evaluates bags
of more and more frames, each in a process of its own, for memory and cost.
"""
import argparse
import json
import resource
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np

from ..core.config import BACKENDS, ClassifierConfig, with_values
from ..core.processes import module_command
from ..core.text.number_options import whole
from ..core.text.table import ruled
from .report import conclude

HELP = 'a bag through the evaluator, beside the bare network'
_SCALES = (1_000, 10_000, 100_000)
_MOST_FLOOR_FRAMES = 512
_DDS_TURNS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is evaluated."""
    parser.add_argument('--bag', metavar='BAG', help='default: the demo bag')
    parser.add_argument('--model', default=ClassifierConfig().model, help='bundle (default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: %(default)s)')
    parser.add_argument('--backend', default=ClassifierConfig().backend, choices=BACKENDS,
                        help='what runs the network (default: %(default)s)')
    parser.add_argument('--batch', type=whole(1, 4096), default=8, help='frames in a forward pass (default: 8)')
    parser.add_argument('--threads', type=whole(0, 4096), default=0,
                        help='of the network (default: 0, all cores but one)')
    parser.add_argument('--rounds', type=whole(1, 10**7), default=5, help='turns of each (default: 5)')
    parser.add_argument('--dds', action='store_true', help='play the bag over DDS, frame by frame, as well')
    parser.add_argument('--scale', action='store_true', help='bags of 1 000 to 100 000 frames, for memory and cost')
    parser.add_argument('--one-scale', type=whole(), help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    if args.one_scale:
        print(json.dumps(_one_scale(args.bag, args.model, args.batch)))
        return 0
    figures: Dict[str, Any] = {'model': args.model, 'batch': args.batch}
    if args.scale:
        figures['scale'] = _scale(args.batch)
        print(ruled(('frames', 'seconds', 'ms a frame', 'peak MB', 'over 1 000, MB'), [
            (row['frames'], row['seconds'], row['seconds'] * 1e3 / row['frames'], row['peak_mb'],
             row['peak_mb'] - figures['scale'][0]['peak_mb']) for row in figures['scale']]))
    else:
        figures.update(_throughput(args))
        _print_throughput(figures, args.batch)
    conclude(figures, args.json)
    return 0


def _print_throughput(figures: Dict[str, Any], batch: int) -> None:
    medians = {key: statistics.median(figures[key]) for key in ('evaluate', 'floor', 'one_lane', 'torch', 'dds')
               if figures.get(key)}
    bare, lanes = f'bare forward, {figures["backend"]}, batch {batch}', f'{figures["lanes"]} lane(s)'
    names = {'evaluate': 'evaluate', 'floor': f'floor: {bare}, {lanes}', 'one_lane': f'{bare}, 1 lane',
             'torch': f'bare forward, torch, batch {batch}, {lanes}', 'dds': 'over DDS, frame by frame'}
    print(ruled(('', 'frames/s, median', 'lowest', 'highest', 'of the floor', 'CPU ms a frame'), [
        (names[key], median, min(figures[key]), max(figures[key]), median / medians['floor'],
         statistics.median(figures['cpu_ms'].get(key, [float('nan')]))) for key, median in medians.items()]))
    if 'dds' in medians:
        # What no evaluator of this network on this machine could exceed stands beside it.
        times = {key: medians[key] / medians['dds'] for key in ('evaluate', 'floor', 'one_lane')}
        print(f'evaluating is {times["evaluate"]:.1f} times as quick as DDS frame by frame; the bare network would be '
              f'{times["floor"]:.1f} times, in one lane {times["one_lane"]:.1f} times')
    print(f'evaluating is {medians["evaluate"] / figures["recorded"]:.1f} times as quick as playing the recording at '
          f'its own pace, {figures["recorded"]:.1f} frames a second')


def _throughput(args: argparse.Namespace) -> Dict[str, Any]:
    """Frames a second of each, turn after turn."""
    import torch

    from ..core.resources import share_directory
    from ..core.runtime.pipeline import Pipeline
    from ..evaluation.evaluator import evaluate
    from ..evaluation.feed import Feed
    from ..evaluation.options import EvaluationOptions, RunOptions
    from ..evaluation.parallel_inference import ParallelInference
    from ..evaluation.recordings import open_recordings
    from ..evaluation.runner import Job, load_pipeline, run_job
    bag = args.bag or str(share_directory() / 'config' / 'demo' / 'bottles')
    deployment = with_values(ClassifierConfig(), {
        'device': args.device, 'threads': args.threads, 'backend': args.backend})
    options = EvaluationOptions(deployment, run=RunOptions(batch=args.batch, exact=False))
    recording = open_recordings([bag], options)[0]
    pipeline = load_pipeline(args.model, deployment)
    batches: List[torch.Tensor] = []
    with Feed(recording, [pipeline.preprocess], deployment, args.batch, 2, 10**8) as feed:
        for batch in feed:
            if batch.frames:
                batches.append(batch.tensors[0])
            if len(batches) * args.batch >= _MOST_FLOOR_FRAMES:
                break
    with ParallelInference({'model': pipeline}, deployment) as lanes:
        count = lanes.count
    threads = torch.get_num_threads()
    job = Job(recording, (args.model,), ('model',), options, recording.duration_ns // 14 + 1)

    with_torch = pipeline if pipeline.backend.name == 'torch' else load_pipeline(
        args.model, with_values(deployment, {'backend': 'torch'}))

    def bare(pool: ThreadPoolExecutor, of: Pipeline) -> int:
        def forward(batch: torch.Tensor) -> int:
            with torch.inference_mode():
                of.network(of.network_input(batch))
            return len(batch)
        frames = sum(pool.map(forward, batches))
        if pipeline.device.type == 'cuda':
            torch.cuda.synchronize()
        return frames

    result: Dict[str, Any] = {'lanes': count, 'recorded': recording.frames / max(recording.duration_ns * 1e-9, 1e-9),
                              'backend': pipeline.backend.name, 'evaluate': [], 'floor': [], 'one_lane': [],
                              'torch': [], 'cpu_ms': defaultdict(list)}
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(threads,)) as several, \
            ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,)) as one:
        for turn in range(args.rounds + 1):
            works: Dict[str, Callable[[], int]] = {
                'floor': lambda: bare(several, pipeline), 'one_lane': lambda: bare(one, pipeline),
                'evaluate': lambda: len(run_job(job).tables['model'])}
            if with_torch is not pipeline:
                works['torch'] = lambda: bare(several, with_torch)
            for key, work in works.items():
                started, cpu = time.perf_counter(), time.process_time()
                frames = work()
                seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
                if turn:  # the first is for warming up
                    result[key].append(frames / seconds)
                    result['cpu_ms'][key].append(cpu * 1e3 / frames)
    if args.dds:
        from ..ros.live_evaluation import frames_per_second
        offline = evaluate([bag], [args.model], options)
        result['dds'] = [frames_per_second(offline, args.model) for _ in range(_DDS_TURNS)]
    return result


def _scale(batch: int) -> List[Dict[str, float]]:
    """Seconds and peak memory of bags of tiny pictures through a small network, each in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = _tiny_bundle(Path(folder) / 'tiny')
        for frames in _SCALES:
            bag = Path(folder) / f'frames_{frames}'
            _tiny_bag(bag, frames)
            done = subprocess.run(module_command(
                'robot_vision_dl.cli.main', 'bench', 'evaluate', '--one-scale', str(frames), '--bag', str(bag),
                '--model', str(bundle), '--batch', str(batch)), capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr)
            rows.append(json.loads(done.stdout))
    return rows


def _one_scale(bag: str, model: str, batch: int) -> Dict[str, float]:
    from ..evaluation.evaluator import evaluate
    from ..evaluation.options import EvaluationOptions, RunOptions
    started = time.perf_counter()
    found = evaluate([bag], [model], EvaluationOptions(run=RunOptions(batch=batch, exact=False)))
    with tempfile.TemporaryDirectory() as folder:
        found.save(Path(folder) / 'out')
        report_mb = (Path(folder) / 'out' / 'report.html').stat().st_size / 1e6
    return {'frames': found.metrics['recordings'][0]['decided'], 'seconds': time.perf_counter() - started,
            'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 'report_mb': report_mb}


def _tiny_bundle(folder: Path) -> Path:
    from ..core.bundles.bundle_writer import save_bundle
    from ..core.networks.network import build_network
    from ..core.networks.preprocess import Preprocessing
    names = ('zero', 'one', 'two')
    save_bundle(folder, build_network('lenet5', len(names), in_channels=1), names,
                Preprocessing(0, (32, 32), (0.5,), (0.5,)), temperature=1.0)
    return folder


def _tiny_bag(folder: Path, frames: int) -> None:
    from ..data.bags.writer import ImageBagWriter
    from ..data.labels.labels import LabelInterval
    from ..data.labels.sources import write_labels_yaml
    start_ns, step_ns, names = 1_700_000_000_000_000_000, 50_000_000, ('zero', 'one', 'two')
    pictures = np.random.default_rng(0).integers(0, 256, (64, 32, 32), dtype=np.uint8)
    with ImageBagWriter(folder) as writer:
        for index in range(frames):
            writer.write_raw('/camera/image_raw', start_ns + index * step_ns, pictures[index % len(pictures)])
    write_labels_yaml(folder / 'labels.yaml', [
        LabelInterval(start_ns + begin * step_ns, start_ns + min(begin + 100, frames) * step_ns, names[number % 3])
        for number, begin in enumerate(range(0, frames, 100))])
