"""A recording through a real node over DDS: frames go out, decisions come back, and both ends are in this process."""
import time
from collections import defaultdict, deque
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification

from ..core.errors import ImageError, RobotVisionError
from ..core.images import cdr
from ..data.bags.message_types import COMPRESSED_IMAGE
from ..data.bags.reader import BagImage, BagReader
from ..evaluation.live import Heard, Replay
from ..evaluation.recordings import Recording

RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1000, reliability=ReliabilityPolicy.RELIABLE)
IMAGES_OUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
START_TIMEOUT_S = 120.0
LOCKSTEP_TIMEOUT_S = 10.0
_LAST_FRAMES_S = 3.0


class CameraTopic(NamedTuple):
    """A camera of the node, the topic that it listens to, and the image topic of the recording that goes there."""

    name: str
    recorded: str
    published: str
    compressed: bool


def camera_topics(recording: Recording, names: Dict[str, str], types: Dict[str, str]) -> List[CameraTopic]:
    """Where the pictures of a recording are published: ``/evaluate/<camera>/image``, compressed ones one below.

    Raises:
        RobotVisionError: raw and compressed topics together, which one node does not listen to.
    """
    topics = []
    for recorded in recording.topics:
        compressed = types[recorded] == COMPRESSED_IMAGE
        base = f'/evaluate/{names[recorded]}/image'
        topics.append(CameraTopic(names[recorded], recorded, f'{base}/compressed' if compressed else base, compressed))
    if len({topic.compressed for topic in topics}) > 1:
        raise RobotVisionError(f'{recording.path}: --live takes either raw or compressed topics, not both at once; '
                               f'choose with --topics: {", ".join(recording.topics)}')
    return topics


def _is_past(due_s: float) -> Callable[[], bool]:
    return lambda: time.monotonic() >= due_s


def _is_answered(heard: Heard, alive: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: heard.complete or not alive()


class LiveReplay:
    """Publishes recordings to a classifier node and listens to it.

    Args:
        cameras: see :func:`camera_topics`.
    """

    def __init__(self, cameras: List[CameraTopic]) -> None:
        self._cameras = {camera.recorded: camera for camera in cameras}
        self._by_stamp: Dict[str, Dict[int, Deque[Heard]]] = {c.recorded: defaultdict(deque) for c in cameras}
        self._replay = Replay({c.recorded: 0 for c in cameras}, {c.recorded: [] for c in cameras})
        self._accounts: Dict[str, Dict[str, int]] = {}
        self._reports = 0
        self.failed = False
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node('robot_vision_evaluate')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._publishers = {c.recorded: self.node.create_publisher(CompressedImage if c.compressed else Image,
                                                                   c.published, IMAGES_OUT) for c in cameras}
        for camera in cameras:
            base = f'/classifier/{camera.name}'
            for kind, name, listener in ((Classification, 'decision', self._on_decision),
                                         (Classification, 'classification', self._on_classification),
                                         (DiagnosticArray, 'uncertainty', self._on_uncertainty)):
                self.node.create_subscription(
                    kind, f'{base}/{name}',
                    lambda message, listener=listener, topic=camera.recorded: listener(topic, message), RELIABLE)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def close(self) -> None:
        """Leave DDS."""
        self.node.destroy_node()
        rclpy.try_shutdown()

    def wait_for_node(self, alive: Callable[[], bool]) -> None:
        """Until the node listens to every topic and is heard.

        Raises:
            RobotVisionError: it does not in time, or ended.
        """
        def ready() -> bool:
            return all(publisher.get_subscription_count() for publisher in self._publishers.values()) and all(
                self.node.count_publishers(f'/classifier/{c.name}/{name}') for c in self._cameras.values()
                for name in ('decision', 'classification', 'uncertainty')) and self._reports > 0

        self._spin(lambda: ready() or self.failed or not alive(), START_TIMEOUT_S)
        if not ready() or self.failed:
            raise RobotVisionError('the classifier node did not start or does not listen; what it said is above')
        # Discovery is one-sided for some ms more.
        self._spin(lambda: False, 0.3)

    def run(self, recording: Recording, rate: float, lockstep: Optional[Callable[[str, int], bool]],
            progress: Callable[[int], None], alive: Callable[[], bool]) -> Replay:
        """Play a recording.

        Args:
            rate: times the recorded speed.
            lockstep: None: at the recorded pace. Else every frame waits for the decision about the one before, if this
                says of (topic, index) that there will be one.
            progress: called with the frames sent.
            alive: whether the node still runs.
        """
        done, origin, first_ns = 0, time.monotonic(), None
        with BagReader(recording.files) as reader:
            for message in reader.image_messages(recording.topics):
                first_ns = message.receive_ns if first_ns is None else first_ns
                if lockstep is None:
                    due = origin + (message.receive_ns - first_ns) * 1e-9 / rate
                    self._spin(_is_past(due), 3600.0)
                heard = self._publish(message)
                if lockstep is not None and lockstep(message.topic, heard.index):
                    self._spin(_is_answered(heard, alive), LOCKSTEP_TIMEOUT_S)
                if not alive():
                    raise RobotVisionError('the classifier node ended while frames were sent; what it said is above')
                done += 1
                progress(done)
        reports = self._reports
        self._spin(lambda: self._reports >= reports + 2, _LAST_FRAMES_S)
        for camera in self._cameras.values():
            self._replay.node[camera.recorded] = self._accounts.get(camera.name, {})
        return self._replay

    def _publish(self, message: BagImage) -> Heard:
        topic = message.topic
        parse = cdr.decode_compressed_image if message.msgtype == COMPRESSED_IMAGE else cdr.decode_image
        try:
            stamp_ns = parse(message.cdr).header.stamp_ns
        except ImageError:
            stamp_ns = -1  # the node cannot read it either
        heard = Heard(self._replay.sent[topic], message.receive_ns, stamp_ns, time.time_ns())
        self._replay.sent[topic] += 1
        self._replay.heard[topic].append(heard)
        self._by_stamp[topic][stamp_ns].append(heard)
        self._publishers[topic].publish(message.cdr)
        return heard

    def _spin(self, until: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not until() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.005)

    def _find(self, topic: str, message: Any, missing: str) -> Optional[Heard]:
        """The oldest frame of this stamp that lacks something; frames may share a stamp."""
        stamp = message.header.stamp
        for heard in self._by_stamp[topic].get(stamp.sec * 1_000_000_000 + stamp.nanosec, ()):
            if getattr(heard, missing) is None:
                return heard
        return None

    def _on_decision(self, topic: str, message: Classification) -> None:
        now_ns = time.time_ns()
        heard = self._find(topic, message, 'decision')
        if heard is not None:
            heard.decided_ns = now_ns
            heard.decision = (message.results[0].class_id, message.results[0].score)

    def _on_classification(self, topic: str, message: Classification) -> None:
        heard = self._find(topic, message, 'probabilities')
        if heard is not None:
            heard.probabilities = {result.class_id: result.score for result in message.results}

    def _on_uncertainty(self, topic: str, message: DiagnosticArray) -> None:
        heard = self._find(topic, message, 'values')
        if heard is not None:
            status = message.status[0]
            heard.values = {item.key: item.value for item in status.values}
            heard.outcome = status.level[0] if isinstance(status.level, bytes) else int(status.level)
            heard.reason = status.message.partition(': ')[2]

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._reports += 1
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            self.failed |= values.get('state') == 'unconfigured'
            if ': camera ' in status.name:
                self._accounts[status.name.rpartition('camera ')[2]] = {
                    key: int(value) for key, value in values.items()
                    if key in ('received', 'decided') or key.startswith('dropped_')}
