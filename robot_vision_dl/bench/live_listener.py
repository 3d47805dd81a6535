"""Hears what a node decides and what it says about itself: see :class:`Listener`."""
import gc
import struct
import subprocess
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping

from ..core.errors import RobotVisionError
from ..core.metrics.percentiles import percentiles
from .boxes import STAMP_OFFSET, sent_ns

if TYPE_CHECKING:
    from diagnostic_msgs.msg import DiagnosticArray

LAST_REPORTS = 8
"""So many reports after the last picture the accounts must add up."""


@dataclass
class Account:
    """Where the pictures of a camera, or a detector's arrays about them, went."""

    sent: int = 0
    received: int = 0
    decided: int = 0
    dropped: Dict[str, int] = field(default_factory=dict)

    @property
    def lost_in_transport(self) -> int:
        """What never reached the node."""
        return self.sent - self.received

    @property
    def unexplained(self) -> int:
        """What reached the node and was neither decided nor dropped for a reason."""
        return self.received - self.decided - sum(self.dropped.values())

    def take(self, values: Mapping[str, str]) -> None:
        """Take over what the node reports."""
        self.received, self.decided = int(values['received']), int(values['decided'])
        self.dropped = _counts(values, 'dropped_')

    def summary(self) -> Dict[str, Any]:
        """As written to JSON."""
        return {'sent': self.sent, 'received': self.received, 'decided': self.decided, 'dropped': self.dropped,
                'lost_in_transport': self.lost_in_transport, 'unexplained': self.unexplained}


@dataclass
class CameraFigures:
    """One camera: where its frames went and how long they took.

    Attributes:
        frames: its pictures.
        arrays: what a detector said about them; none of them sent where there is no detector.
        objects: how many of the arrays' objects were ``decided``, or not looked at, by reason.
        latencies_ms: from the stamp to the arrival of the decision.
        diagnostics: what the node says of its stages.
    """

    frames: Account = field(default_factory=Account)
    arrays: Account = field(default_factory=Account)
    objects: Dict[str, int] = field(default_factory=dict)
    latencies_ms: List[float] = field(default_factory=list)
    diagnostics: Dict[str, str] = field(default_factory=dict)

    @property
    def is_explained(self) -> bool:
        """Whether the accounts add up."""
        return not self.frames.unexplained and not self.arrays.unexplained

    def summary(self) -> Dict[str, Any]:
        """As written to JSON."""
        with_objects = {'arrays': self.arrays.summary(), 'objects': self.objects} if self.arrays.sent else {}
        return {**self.frames.summary(), **with_objects, 'diagnostics': self.diagnostics,
                'latency_ms': percentiles(self.latencies_ms)}


class Listener:
    """Collects decisions and diagnostics in this process.

    Args:
        cameras: their names.
        objects: the node answers a detector, instead of deciding whole pictures.

    Attributes:
        latencies_ms: from the stamp to the arrival, of all cameras, in the order of the decisions.
        decided_ms: from the stamp to the decision's own time stamp, set as it leaves the node.
        answered_ms, answer_left_ms: the same two from when the detections were sent.
        delays_ms: from the stamp to when the detections were sent.
        memory_mb: of the node, once a second from the first decision on.
    """

    def __init__(self, cameras: List[str], objects: bool = False) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from vision_msgs.msg import Classification, Detection2DArray

        from ..ros.compat import with_info
        from ..ros.start import init
        self.figures = {camera: CameraFigures() for camera in cameras}
        self._objects = objects
        self.latencies_ms: List[float] = []
        self.decided_ms: List[float] = []
        self.answered_ms: List[float] = []
        self.answer_left_ms: List[float] = []
        self.delays_ms: List[float] = []
        self.memory_mb: List[float] = []
        self.reports = 0
        self.failed = False
        init()
        self.node = rclpy.create_node('bench_listener')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        kind = Detection2DArray if objects else Classification
        self._decisions = [
            self.node.create_subscription(kind, answer_topic(camera, objects),
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
        left_ns = info.get('source_timestamp') or now_ns
        self.decided_ms.append((left_ns - stamp_ns) * 1e-6)
        self.figures[camera].latencies_ms.append(latency_ms)
        self.latencies_ms.append(latency_ms)
        if self._objects:
            from_ns = sent_ns(buffer)
            self.delays_ms.append((from_ns - stamp_ns) * 1e-6)
            self.answer_left_ms.append((left_ns - from_ns) * 1e-6)
            self.answered_ms.append((now_ns - from_ns) * 1e-6)

    def _on_diagnostics(self, message: 'DiagnosticArray') -> None:
        self.reports += 1
        self.failed = any(item.value == 'unconfigured' for status in message.status for item in status.values
                          if item.key == 'state')
        for status in message.status:
            if self.latencies_ms:
                self.memory_mb += [float(item.value) for item in status.values if item.key == 'memory_mb']
            side, _, camera = status.name.rpartition(': ')[2].partition(' ')
            figures = self.figures.get(camera)
            if figures is not None and side in ('camera', 'detections'):
                self._take(figures, side, {item.key: item.value for item in status.values})

    @staticmethod
    def _take(figures: CameraFigures, side: str, values: Dict[str, str]) -> None:
        if side == 'detections':
            figures.arrays.take(values)
            figures.objects = _counts(values, 'objects_')
            return
        if int(values['decided']) > figures.frames.decided:
            figures.diagnostics = values
        figures.frames.take(values)

    def spin_until_explained(self, node: 'subprocess.Popen[bytes]') -> None:
        """Listen until the node has reported twice, and then until its accounts add up, but for some reports only."""
        before = self.reports
        self.spin(lambda: self.reports >= before + LAST_REPORTS or (
            self.reports >= before + 2 and all(figures.is_explained for figures in self.figures.values())),
            'waiting for the last diagnostics', 30.0, node)

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


def answer_topic(camera: str, objects: bool) -> str:
    """Where the node publishes what it decides of a camera."""
    return f'/classifier/{camera}/{"detections" if objects else "decision"}'


def _counts(values: Mapping[str, str], prefix: str) -> Dict[str, int]:
    return {key[len(prefix):]: int(value) for key, value in values.items() if key.startswith(prefix)}
