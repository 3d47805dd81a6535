"""A long run under everything that happens to a robot: is memory flat, is latency flat, is every frame accounted for?

Two nodes, one for raw and one for compressed images, over real DDS. Their cameras are processes that come and go;
meanwhile parameters and models change, priors come, subscribers connect and leave, and messages that cannot be used are
mixed in. What is asked for, and when, follows from the seed.
"""
import argparse
import gc
import json
import os
import random
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core.errors import RobotVisionError
from ..core.metrics.percentiles import percentiles
from ..core.processes import Children, isolated_environment, module_command
from ..core.text.number_options import SEED, real
from ..ros.dds import profile_variables
from .report import conclude
from .soak_events import Disturber

HELP = 'two nodes for minutes or hours, while cameras, parameters and models change; memory, latency, accounts'
PARTS = 10
START_TIMEOUT_S = 180.0
_PAGE_MB = os.sysconf('SC_PAGE_SIZE') / 1e6
_SAMPLE_S = 1.0
# The floor of a part: what is in use between two swaps, when the second model is gone.
_FIRST, _LAST = slice(2, 4), slice(8, 10)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``robot-vision bench soak``."""
    parser.add_argument('--minutes', type=real(0.01, 10**6), default=60.0, help='how long (default %(default)s)')
    parser.add_argument('--seed', type=SEED, default=1, help='of what happens, and when (default %(default)s)')
    parser.add_argument('--model', default='waste_sorter', help='bundle that the nodes begin with')
    parser.add_argument('--other', default='squeezenet1_1_imagenet', help='bundle that it is exchanged for, and back')
    parser.add_argument('--rate', type=real(0.01, 10_000), default=5.0, metavar='HZ',
                        help='of each camera (default %(default)s)')
    parser.add_argument('--size', default='320x240', help='of pictures (default %(default)s)')
    parser.add_argument('--most-growth-mb', type=real(0, 10**6), default=40.0, metavar='MB',
                        help='how much more memory a node may hold in its last fifth than in its third and fourth '
                             'tenth (default %(default)s)')
    parser.add_argument('--most-slower', type=real(0, 10**6), default=3.0, metavar='FACTOR',
                        help='how many times the median latency may be in the last fifth what it was in the third and '
                             'fourth tenth, where it is above 50 ms (default %(default)s)')


@dataclass
class _Node:
    """One of the two nodes, and what was measured of it."""

    name: str
    transport: str
    cameras: Sequence[str]
    process: 'Optional[subprocess.Popen[bytes]]' = None
    memory: List[Tuple[float, float]] = field(default_factory=list)  # (seconds, MB)
    latencies: List[Tuple[float, float]] = field(default_factory=list)  # (seconds, ms)
    accounts: Dict[str, Dict[str, int]] = field(default_factory=dict)
    heard: int = 0

    def topic(self, camera: str) -> str:
        suffix = '/compressed' if self.transport == 'compressed' else ''
        return f'/soak/{camera}{suffix}'

    def total(self, key: str) -> int:
        return sum(account.get(key, 0) for account in self.accounts.values())

    def dropped(self) -> Dict[str, int]:
        found: Dict[str, int] = {}
        for account in self.accounts.values():
            for key, count in account.items():
                if key.startswith('dropped_'):
                    found[key[len('dropped_'):]] = found.get(key[len('dropped_'):], 0) + count
        return found

    @property
    def unexplained(self) -> int:
        """Frames that came and were neither decided nor dropped for a reason."""
        return self.total('received') - self.total('decided') - sum(self.dropped().values())


class _Camera:
    """A driver that starts, publishes for a while, ends, and is started again."""

    def __init__(self, children: Children, node: _Node, camera: str, args: argparse.Namespace,
                 rng: random.Random) -> None:
        self._children, self._node, self._name, self._args, self._rng = children, node, camera, args, rng
        self._process: 'Optional[subprocess.Popen[bytes]]' = None
        self._start_at_s = 0.0
        self.starts, self.sent = 0, 0

    def tend(self, now_s: float, may_start: bool) -> None:
        """Start it or take note of its end."""
        if self._process is not None and self._process.poll() is not None:
            assert self._process.stdout is not None
            text = self._process.stdout.read()
            self.sent += json.loads(text)['sent'] if text.strip() else 0
            self._process = None
            self._start_at_s = now_s + self._rng.uniform(0.0, 5.0)
        if self._process is None and may_start and now_s >= self._start_at_s:
            frames = max(1, round(self._args.rate * self._rng.uniform(3.0, 40.0)))
            command = module_command('robot_vision_dl.bench.publisher', '--size', self._args.size, '--rate',
                                     str(self._args.rate), '--frames', str(frames), '--topic',
                                     self._node.topic(self._name))
            command += ['--compressed'] * (self._node.transport == 'compressed')
            self._process = self._children.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.starts += 1

    @property
    def running(self) -> bool:
        return self._process is not None


def run(args: argparse.Namespace) -> int:
    """Run it and print how it went; 1 if memory or latency grew, a frame is unexplained, or a node ended."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.executors import SingleThreadedExecutor
    from vision_msgs.msg import Classification

    from ..ros.start import init

    environment = isolated_environment()
    environment.update(profile_variables('auto', environment))
    os.environ.update({key: value for key, value in environment.items()
                       if key.startswith('ROS_') or 'PROFILES_FILE' in key})
    nodes = [_Node('soak_raw', 'raw', ('camera1', 'camera2')), _Node('soak_compressed', 'compressed', ('camera3',))]
    rng = random.Random(args.seed)
    init([])
    listener = rclpy.create_node('soak_listener')
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    began_s = time.monotonic()
    problems: List[str] = []

    def on_decision(node: _Node, buffer: bytes) -> None:
        now_ns = time.time_ns()
        seconds, nanoseconds = struct.unpack_from('<iI', buffer, 4)
        latency_ms = (now_ns - seconds * 1_000_000_000 - nanoseconds) * 1e-6
        node.heard += 1
        if 0 < latency_ms < 60_000:  # a message that was made up may have any stamp
            node.latencies.append((time.monotonic() - began_s, latency_ms))

    def on_diagnostics(message: Any) -> None:
        for status in message.status:
            for node in nodes:
                camera = status.name.rpartition('camera ')[2]
                if status.name.startswith(f'/{node.name}: camera ') and camera in node.cameras:
                    values = {item.key: item.value for item in status.values}
                    node.accounts[camera] = {
                        key: int(value) for key, value in values.items()
                        if key in ('received', 'decided', 'lost_in_transport') or key.startswith('dropped_')}

    listener.create_subscription(DiagnosticArray, '/diagnostics', on_diagnostics, 100)
    for node in nodes:
        for camera in node.cameras:
            listener.create_subscription(Classification, f'/{node.name}/{camera}/decision',
                                         lambda buffer, node=node: on_decision(node, buffer), 1000, raw=True)
    gc.freeze()

    def spin_until(until: Callable[[], Any], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > deadline:
                return False
            executor.spin_once(timeout_sec=0.05)
        return True

    try:
        with Children(environment) as children:
            for node in nodes:
                node.process = children.start(_command(node, args.model), stdout=subprocess.DEVNULL,
                                              stderr=subprocess.DEVNULL)
            if not spin_until(lambda: all(listener.count_subscribers(node.topic(camera))
                                          for node in nodes for camera in node.cameras), START_TIMEOUT_S):
                raise RobotVisionError('the nodes did not subscribe to their cameras; `robot-vision run --model '
                                       f'{args.model}` says why')
            disturber = Disturber(listener, {node.name: {camera: node.topic(camera) for camera in node.cameras}
                                             for node in nodes}, (args.model, args.other), rng)
            cameras = [_Camera(children, node, camera, args, rng) for node in nodes for camera in node.cameras]
            began_s, sampled_s, end_s = time.monotonic(), 0.0, args.minutes * 60
            for node in nodes:
                node.latencies.clear()
            while (now_s := time.monotonic() - began_s) < end_s:
                executor.spin_once(timeout_sec=0.02)
                for one in cameras:
                    one.tend(now_s, True)
                disturber.tend(now_s)
                if now_s - sampled_s >= _SAMPLE_S:
                    sampled_s = now_s
                    for node in nodes:
                        assert node.process is not None
                        if node.process.poll() is not None:
                            raise RobotVisionError(f'{node.name} ended with exit code {node.process.returncode} after '
                                                   f'{now_s:.0f} s (seed {args.seed}); last done to it: '
                                                   f'{"; ".join(disturber.last)}')
                        node.memory.append((now_s, _memory_mb(node.process.pid)))
            while any(camera.running for camera in cameras):
                executor.spin_once(timeout_sec=0.05)
                for one in cameras:
                    one.tend(time.monotonic() - began_s, False)
            spin_until(lambda: False, 4.0)  # the last reports
            problems += disturber.problems
            figures = _figures(nodes, cameras, disturber.counts, args)
    finally:
        gc.unfreeze()
        listener.destroy_node()
        rclpy.try_shutdown()
    problems += _judge(figures, args)
    _print(figures, problems)
    conclude({**figures, 'problems': problems}, args.json)
    return 1 if problems else 0


def _command(node: _Node, model: str) -> List[str]:
    command = module_command('robot_vision_dl.cli.main', 'run', '--model', model)
    for camera in node.cameras:
        command += ['--camera', f'{camera}:=/soak/{camera}']
    if node.transport != 'raw':
        command += ['--transport', node.transport]
    return command + ['--ros-args', '-r', f'__node:={node.name}']


def _memory_mb(pid: int) -> float:
    try:
        return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * _PAGE_MB
    except (OSError, IndexError):
        return float('nan')


def _figures(nodes: Sequence[_Node], cameras: Sequence[_Camera], counts: Mapping[str, int], args: argparse.Namespace
             ) -> Dict[str, Any]:
    def part_of(values: Sequence[Tuple[float, float]], part: int) -> List[float]:
        length = args.minutes * 60 / PARTS
        return [value for seconds, value in values if part * length <= seconds < (part + 1) * length]
    found: Dict[str, Any] = {
        'minutes': args.minutes, 'seed': args.seed, 'models': [args.model, args.other], 'done': dict(counts),
        'camera_starts': sum(camera.starts for camera in cameras), 'sent': sum(camera.sent for camera in cameras),
        'nodes': {}}
    for node in nodes:
        parts = []
        for part in range(PARTS):
            memory, latencies = part_of(node.memory, part), part_of(node.latencies, part)
            times = percentiles(latencies)
            parts.append({'memory_mb': min(memory, default=float('nan')),
                          'memory_most_mb': max(memory, default=float('nan')),
                          'decisions': len(latencies), 'p50_ms': times['p50'], 'p99_ms': times['p99']})
        found['nodes'][node.name] = {
            'parts': parts, 'received': node.total('received'), 'decided': node.total('decided'), 'heard': node.heard,
            'dropped': node.dropped(), 'lost_in_transport': node.total('lost_in_transport'),
            'unexplained': node.unexplained}
    return found


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float('nan')


def _judge(figures: Mapping[str, Any], args: argparse.Namespace) -> List[str]:
    problems = []
    for name, node in figures['nodes'].items():
        memory = [part['memory_mb'] for part in node['parts']]
        latency = [part['p50_ms'] for part in node['parts']]
        growth = _mean(memory[_LAST]) - _mean(memory[_FIRST])
        if not growth <= args.most_growth_mb:
            problems.append(f'{name}: memory grew by {growth:.0f} MB, more than {args.most_growth_mb:g}')
        first, last = _mean(latency[_FIRST]), _mean(latency[_LAST])
        if last > 50 and last > args.most_slower * first:
            problems.append(f'{name}: the median latency grew from {first:.0f} to {last:.0f} ms')
        if node['unexplained']:
            problems.append(f'{name}: {node["unexplained"]} of {node["received"]} frames are unexplained')
        if not node['decided']:
            problems.append(f'{name}: decided nothing')
    return problems


def _print(figures: Mapping[str, Any], problems: Sequence[str]) -> None:
    print(f'{figures["minutes"]:g} minutes, seed {figures["seed"]}, {" and ".join(figures["models"])}; cameras started '
          f'{figures["camera_starts"]} times, {figures["sent"]} frames sent')
    print('done meanwhile: ' + ', '.join(f'{count} {name}' for name, count in sorted(figures['done'].items())))
    for name, node in figures['nodes'].items():
        print(f'\n{name}\n  tenth  memory MB (most)  decisions   p50 ms   p99 ms')
        for index, part in enumerate(node['parts'], 1):
            print(f'  {index:>5}  {part["memory_mb"]:>9.0f} ({part["memory_most_mb"]:.0f}) {part["decisions"]:>12} '
                  f'{part["p50_ms"]:>8.1f} {part["p99_ms"]:>8.1f}')
        dropped = ', '.join(f'{count} {reason}' for reason, count in sorted(node['dropped'].items())) or 'none'
        print(f'  received {node["received"]} = decided {node["decided"]} + dropped {sum(node["dropped"].values())} '
              f'({dropped}); unexplained {node["unexplained"]}; decisions heard {node["heard"]}')
    print('\n' + ('\n'.join(f'FAILED: {problem}' for problem in problems) if problems else 'flat, and all explained'))
