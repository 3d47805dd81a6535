"""Camera process -> DDS -> node process -> DDS -> here.

The latency of a frame is from its stamp, set as it leaves the camera process, to its decision: to the moment when the
node gives it to DDS, by the source timestamp of the message, and to its arrival in this process. The floor is the bare
forward pass of the same network on a resident tensor, with as many threads, timed in this process before, between and
after, while no node is running: one after another, and at the pace of the camera, where the processor's caches have to
be filled anew for each pass, as they have for the node's.
"""
import gc
import json
import os
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Sequence

from ..core.errors import RobotVisionError
from ..core.metrics.percentiles import percentiles
from ..core.networks.threads import network_threads
from ..core.processes import Children
from .forward import ForwardTimes, bare_forward
from .trend import course

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticArray

START_TIMEOUT_S = 120.0
STAMP_OFFSET = 4  # behind the encapsulation header
SATURATION = 1.5
"""Frames offered for each that the bare network could take, where the throughput is asked for."""
CLOCK_TICKS_PER_S = os.sysconf('SC_CLK_TCK')


@dataclass(frozen=True)
class LiveSettings:
    """What to measure."""

    device: str
    size: str = '640x480'
    rate_hz: float = 30.0
    seconds: float = 20.0
    cameras: int = 1
    compressed: bool = False
    reliable: bool = False
    threads: int = 0


@dataclass
class CameraFigures:
    """One camera: where its frames went and how long they took."""

    sent: int = 0
    received: int = 0
    decided: int = 0
    dropped: Dict[str, int] = field(default_factory=dict)
    latencies_ms: List[float] = field(default_factory=list)  # to the arrival of the decision
    diagnostics: Dict[str, str] = field(default_factory=dict)

    @property
    def lost_in_transport(self) -> int:
        """Frames that never reached the node."""
        return self.sent - self.received

    @property
    def unexplained(self) -> int:
        """Frames that reached the node and were neither decided nor dropped for a reason."""
        return self.received - self.decided - sum(self.dropped.values())

    def summary(self) -> Dict[str, Any]:
        """As written to JSON."""
        figures = {key: value for key, value in asdict(self).items() if key != 'latencies_ms'}
        return {**figures, 'lost_in_transport': self.lost_in_transport, 'unexplained': self.unexplained,
                'latency_ms': percentiles(self.latencies_ms)}


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, in user and kernel mode."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


class _Listener:
    """Collects decisions and diagnostics in this process."""

    def __init__(self, cameras: List[str]) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from vision_msgs.msg import Classification

        from ..ros.compat import with_info
        self.figures = {camera: CameraFigures() for camera in cameras}
        self.latencies_ms: List[float] = []  # to the arrival, of all cameras, in the order of the decisions
        self.decided_ms: List[float] = []  # to the decision's own time stamp, set as it leaves the node
        self.memory_mb: List[float] = []  # of the node, once a second from the first decision on
        self.reports = 0
        self.failed = False
        rclpy.init()
        self.node = rclpy.create_node('bench_listener')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._decisions = [
            self.node.create_subscription(Classification, f'/classifier/{camera}/decision',
                                          with_info(partial(self._on_decision, camera)), 100, raw=True)
            for camera in cameras]
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        gc.collect()
        gc.freeze()  # or this process stands still in the middle, for a full collection over all that torch has made

    def _on_decision(self, camera: str, buffer: bytes, info: Mapping[str, Any]) -> None:
        now_ns = time.time_ns()
        # Of the serialized message, so that building a Python object around it is not part of the latency.
        seconds, nanoseconds = struct.unpack_from('<iI', buffer, STAMP_OFFSET)
        stamp_ns = seconds * 1_000_000_000 + nanoseconds
        latency_ms = (now_ns - stamp_ns) * 1e-6
        self.decided_ms.append(((info.get('source_timestamp') or now_ns) - stamp_ns) * 1e-6)
        self.figures[camera].latencies_ms.append(latency_ms)
        self.latencies_ms.append(latency_ms)

    def _on_diagnostics(self, message: 'DiagnosticArray') -> None:
        self.reports += 1
        self.failed = any(item.value == 'unconfigured' for status in message.status for item in status.values
                          if item.key == 'state')
        for status in message.status:
            if self.latencies_ms:
                self.memory_mb += [float(item.value) for item in status.values if item.key == 'memory_mb']
            camera = status.name.rpartition('camera ')[2]
            if ': camera ' in status.name and camera in self.figures:
                values = {item.key: item.value for item in status.values}
                figures = self.figures[camera]
                if int(values['decided']) > figures.decided:
                    figures.diagnostics = values
                figures.received, figures.decided = int(values['received']), int(values['decided'])
                figures.dropped = {key[len('dropped_'):]: int(value) for key, value in values.items()
                                   if key.startswith('dropped_')}

    def spin(self, until: Callable[[], bool], what: str, timeout_s: float, alive: 'subprocess.Popen[bytes]') -> None:
        """Listen until a condition holds."""
        deadline = time.monotonic() + timeout_s
        while not until():
            if alive.poll() not in (None, 0):
                raise RobotVisionError(f'a process of the benchmark ended with exit code {alive.returncode} while '
                                       f'{what}; its output is above')
            if self.failed:
                raise RobotVisionError('the classifier could not be configured; why is above')
            if time.monotonic() > deadline:
                raise RobotVisionError(f'gave up after {timeout_s:.0f} s while {what}')
            self._executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        """Listen for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """Leave DDS."""
        import rclpy
        gc.unfreeze()
        self.node.destroy_node()
        rclpy.try_shutdown()


@dataclass(frozen=True)
class Contender:
    """A node to be measured.

    Attributes:
        name: in the tables.
        naive: the node that people write, instead of ours.
        environment: of it and of the camera process; says which DDS profile they have.
        model: its bundle.
        backend: what runs the network; ``naive`` has torch.
    """

    name: str
    naive: bool
    environment: Mapping[str, str]
    model: str
    backend: str = 'torch'


def measure_all(settings: LiveSettings, contenders: Sequence[Contender]) -> Dict[str, Any]:
    """Measure the contenders in turn, and the bare network before, between and after; figures ready for JSON."""
    floors = _Floors(settings)
    floors.measure(contenders)
    results = {}
    for contender in contenders:
        wanted = settings if settings.rate_hz else replace(settings, rate_hz=SATURATION * floors.rate_hz(contender))
        results[contender.name] = _measure(wanted, contender)
        floors.measure(contenders)
    for contender in contenders:
        results[contender.name].update(floors.of(contender))
    return {'settings': asdict(settings), 'contenders': results}


class _Floor(NamedTuple):
    """How a contender runs its network."""

    model: str
    backend: str
    threads: int


class _Floors:
    """The bare networks that the contenders run, timed in this process while no node is running."""

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._times: Dict[_Floor, List[ForwardTimes]] = {}
        self._paced: Dict[_Floor, List[ForwardTimes]] = {}

    def _floor(self, contender: Contender) -> _Floor:
        if contender.naive:  # torch takes all cores unless it is told otherwise
            return _Floor(contender.model, 'torch', len(os.sched_getaffinity(0)))
        return _Floor(contender.model, contender.backend, network_threads(self._settings.threads))

    def measure(self, contenders: Sequence[Contender]) -> None:
        """Once more, each network once."""
        for floor in sorted({self._floor(contender) for contender in contenders}):
            self._times.setdefault(floor, []).append(self._time(floor, 0.0))
            if self._settings.rate_hz:
                self._paced.setdefault(floor, []).append(self._time(floor, self._settings.rate_hz))

    def _time(self, floor: _Floor, rate_hz: float) -> ForwardTimes:
        settings = self._settings
        return bare_forward(floor.model, settings.device, settings.cameras, threads=floor.threads,
                            backend=floor.backend, rate_hz=rate_hz)

    def rate_hz(self, contender: Contender) -> float:
        """Batches a second, one frame of each camera in each."""
        floors = self._times[self._floor(contender)]
        return 1e3 / percentiles(ms for floor in floors for ms in floor.times_ms)['p50']

    def of(self, contender: Contender) -> Dict[str, Any]:
        """Times of a pass of one frame of each camera, and the CPU time of it a frame."""
        kind = self._floor(contender)
        floors = self._times[kind]
        return {'model': kind.model, 'backend': floors[0].backend, 'threads': kind.threads,
                'bare_forward_ms': percentiles(ms for floor in floors for ms in floor.times_ms),
                'bare_forward_at_rate_ms': percentiles(ms for floor in self._paced.get(kind, ())
                                                       for ms in floor.times_ms),
                'bare_per_s': self.rate_hz(contender) * self._settings.cameras,
                'bare_forward_cpu_ms': sum(floor.cpu_ms for floor in floors) / len(floors) / self._settings.cameras}


def _command_line(settings: LiveSettings, contender: Contender, cameras: Sequence[str], topics: Sequence[str]
                  ) -> List[str]:
    arguments = ['--model', contender.model, '--device', settings.device]
    for camera, topic in zip(cameras, topics):
        arguments += ['--camera', f'{camera}:={topic}']
    if settings.compressed:
        arguments += ['--transport', 'compressed']
    if contender.naive:
        arguments += ['--reliable'] * settings.reliable
    else:
        arguments += ['--backend', contender.backend, '--ros-args', '-p', f'threads:={settings.threads}']
    module = 'robot_vision_dl.bench.naive_node' if contender.naive else 'robot_vision_dl.cli.main'
    return [sys.executable, '-m', module, *([] if contender.naive else ['run']), *arguments]


def _measure(settings: LiveSettings, contender: Contender) -> Dict[str, Any]:
    """Run camera process and node, and listen."""
    cameras = [f'camera{index + 1}' for index in range(settings.cameras)]
    topics = [f'/bench/{camera}' for camera in cameras]
    inputs = [topic + ('/compressed' if settings.compressed else '') for topic in topics]
    os.environ.update({key: contender.environment[key] for key in ('ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE')})
    listener = _Listener(cameras)
    try:
        with Children(contender.environment) as children:
            node = children.start(_command_line(settings, contender, cameras, topics), stdout=subprocess.DEVNULL,
                                  stderr=None)
            listener.spin(lambda: all(listener.node.count_subscribers(topic) for topic in inputs),
                          'waiting for the node to subscribe', START_TIMEOUT_S, node)
            listener.spin(lambda: all(listener.node.count_publishers(f'/classifier/{camera}/decision')
                                      for camera in cameras),
                          'waiting for its decision topics', START_TIMEOUT_S, node)
            command = [sys.executable, '-m', 'robot_vision_dl.bench.publisher', '--size', settings.size, '--rate',
                       str(settings.rate_hz), '--frames', str(max(1, int(settings.rate_hz * settings.seconds)))]
            for topic in inputs:
                command += ['--topic', topic]
            command += ['--compressed'] * settings.compressed + ['--reliable'] * settings.reliable
            cpu_before = cpu_seconds(node.pid)
            camera = children.start(command, stdout=subprocess.PIPE, stderr=None)
            listener.spin(lambda: camera.poll() is not None, 'frames were sent',
                          settings.seconds * 3 + START_TIMEOUT_S, node)
            assert camera.stdout is not None
            sent = json.loads(camera.stdout.read())
            if contender.naive:
                listener.spin_for(1.0)
            else:
                reports = listener.reports
                listener.spin(lambda: listener.reports >= reports + 2, 'waiting for the last diagnostics', 30.0, node)
            cpu = cpu_seconds(node.pid) - cpu_before
    finally:
        listener.close()
    for figures in listener.figures.values():
        figures.sent = sent['sent']
        if contender.naive:  # it keeps no account: what was not decided is taken as lost
            figures.received = figures.decided = len(figures.latencies_ms)
    decided = sum(figures.decided for figures in listener.figures.values())
    return {
        'camera_process': sent,
        'cameras': {camera: figures.summary() for camera, figures in listener.figures.items()},
        'latency_ms': percentiles(listener.latencies_ms),
        'decided_ms': percentiles(listener.decided_ms),
        'course': course(listener.latencies_ms, listener.memory_mb),
        'offered_hz': settings.rate_hz,
        'decided_per_s': decided / sent['span_s'],
        'node_cpu_ms_per_frame': cpu / decided * 1e3 if decided else float('nan'),
    }
