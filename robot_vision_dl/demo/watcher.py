"""Listens to everything that the classifier and the action gate say, and keeps what the demo tells."""
import signal
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Callable, Dict, List, Optional, Tuple

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from vision_msgs.msg import Classification

OUTCOMES = {b'\x00': 'accepted', b'\x01': 'uncertain', b'\x02': 'unknown'}
COLOURS = {'accepted': '\033[32m', 'uncertain': '\033[33m', 'unknown': '\033[35m'}
OVERLAYS_KEPT = 60


@dataclass(frozen=True)
class Seen:
    """One decided frame, as heard over DDS."""

    stamp_ns: int
    outcome: str
    label: str
    confidence: float
    reason: str
    truth: Optional[str] = None


@dataclass
class Watched:
    """What was heard so far."""

    seen: List[Seen] = field(default_factory=list)
    latencies_ms: List[float] = field(default_factory=list)
    camera: Dict[str, str] = field(default_factory=dict)
    model: Dict[str, str] = field(default_factory=dict)
    reports: int = 0
    action: Optional[str] = None


def stamp_ns(message: Any) -> int:
    """A header's stamp in nanoseconds."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def coloured(outcome: str, text: str) -> str:
    """A text in the colour of an outcome, on a terminal."""
    return f'{COLOURS[outcome]}{text}\033[0m' if sys.stdout.isatty() else text


def seen_of(message: DiagnosticArray, status: DiagnosticStatus, truth: Optional[str] = None) -> Seen:
    """The decision that a status in a message of a node's ``uncertainty`` topic tells, and why."""
    values = {item.key: item.value for item in status.values}
    return Seen(stamp_ns(message), OUTCOMES[status.level], values['label'], float(values['confidence']),
                status.message.partition(': ')[2], truth)


class Watcher:
    """Subscribes to one camera's topics.

    Args:
        camera: name of the camera.
        label_topic: where the bag says what is seen; '' for nowhere.
        on_seen: called for each decided frame.
        on_action: called with each new action.
        on_truth: called with each new label of the bag.
    """

    def __init__(self, camera: str, label_topic: str, on_seen: Callable[[Seen], None],
                 on_action: Callable[[str], None], on_truth: Callable[[str], None]) -> None:
        self.heard = Watched()
        self._overlays: 'OrderedDict[int, bytes]' = OrderedDict()
        self._on_seen, self._on_action, self._on_truth = on_seen, on_action, on_truth
        self._truth: Optional[str] = None
        # Ctrl-C is the caller's: it has processes to stop first. Raised between two callbacks only, since an exception
        # within rclpy's C++ code or a destructor is lost.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._interrupted = False
        signal.signal(signal.SIGINT, self._on_interrupt)
        self.node = rclpy.create_node('demo_watcher')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        latched = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                             durability=DurabilityPolicy.TRANSIENT_LOCAL)
        base = f'/classifier/{camera}'
        for message_type, topic, callback, qos in (
                (Classification, f'{base}/decision', self._decision, 50),
                (DiagnosticArray, f'{base}/uncertainty', self._uncertainty, 50),
                (CompressedImage, f'{base}/overlay/compressed', self._overlay, 50),
                (DiagnosticArray, '/diagnostics', self._diagnostics, 10),
                (String, '/action_gate/action', self._action, latched)):
            self.node.create_subscription(message_type, topic, callback, qos)
        if label_topic:
            self.node.create_subscription(String, label_topic, self._label, 10)

    def _decision(self, message: Classification) -> None:
        self.heard.latencies_ms.append((time.time_ns() - stamp_ns(message)) * 1e-6)

    def _uncertainty(self, message: DiagnosticArray) -> None:
        seen = seen_of(message, message.status[0], self._truth)
        self.heard.seen.append(seen)
        self._on_seen(seen)

    def _overlay(self, message: CompressedImage) -> None:
        self._overlays[stamp_ns(message)] = bytes(message.data)
        if len(self._overlays) > OVERLAYS_KEPT:
            self._overlays.popitem(last=False)

    def overlay(self, stamp: int) -> Optional[bytes]:
        """The overlay JPEG of a frame, once it has arrived."""
        return self._overlays.get(stamp)

    def _diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            if ': camera ' in status.name:
                if self.heard.camera and int(values['decided']) == int(self.heard.camera['decided']):
                    # An idle second says nothing about rates and ages.
                    values = {**self.heard.camera, **{key: value for key, value in values.items()
                                                      if key in ('received', 'decided', 'dropped', 'lost_in_transport')
                                                      or key.startswith('dropped_')}}
                self.heard.camera = values
            elif status.name.endswith(': model'):
                self.heard.model = values
        self.heard.reports += 1

    def _label(self, message: String) -> None:
        if message.data != self._truth:
            self._truth = message.data
            self._on_truth(message.data)

    def _action(self, message: String) -> None:
        if message.data != self.heard.action:
            self.heard.action = message.data
            self._on_action(message.data)

    @property
    def failed_to_configure(self) -> bool:
        """The node reports before it configures itself only if that failed: it starts to listen afterwards."""
        return self.heard.model.get('state') == 'unconfigured'

    def _on_interrupt(self, _number: int, _stack: Optional[FrameType]) -> None:
        self._interrupted = True

    def spin_once(self) -> None:
        """Handle what is there, waiting for it at most a little.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        self._executor.spin_once(timeout_sec=0.05)
        if self._interrupted:
            raise KeyboardInterrupt

    def spin(self, until: Callable[[], bool], timeout_s: float) -> bool:
        """Listen until a condition holds; False if it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > deadline:
                return False
            self.spin_once()
        return True

    def subscribed(self, topic: str) -> bool:
        """Whether somebody listens to a topic."""
        return self.node.count_subscribers(topic) > 0

    def close(self) -> None:
        """Leave DDS."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.node.destroy_node()
        rclpy.try_shutdown()


def changes(seen: List[Seen]) -> List[Tuple[int, Seen]]:
    """Index and frame of each that differs from the one before it in label."""
    return [(index, frame) for index, frame in enumerate(seen)
            if index == 0 or frame.label != seen[index - 1].label]
