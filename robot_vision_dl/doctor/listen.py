"""Listen to an image topic and measure what comes: the part of ``robot-vision doctor`` that needs rclpy."""
import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple

from .shared_memory import Process, process_of

if TYPE_CHECKING:
    from rclpy.event_handler import QoSMessageLostInfo
    from rclpy.executors import Executor
    from rclpy.node import Node

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
IMAGE_TYPES = (IMAGE, COMPRESSED)
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
_UNKNOWN_NAME = '_NODE_NAME_UNKNOWN_'  # of rmw_dds_common
DISCOVERY_S = 3.0
# Publishers do not appear all at once.
SETTLE_S = 0.5
NODE_NAME = 'robot_vision_doctor'


@dataclass(frozen=True)
class Publisher:
    """A publisher as discovery shows it.

    Attributes:
        node: full name.
        type: of its messages.
        reliability, durability: ``reliable`` or ``best_effort``; ``volatile`` or ``transient_local``.
        depth: of its queue; 0 where discovery does not tell (Fast DDS does not).
        process: behind it, if it is on this machine and that can be told.
        is_local: it is on this machine; None where that cannot be told.
    """

    node: str
    type: str
    reliability: str
    durability: str
    depth: int
    process: Optional[Process]
    is_local: Optional[bool]


@dataclass(frozen=True)
class Message:
    """One message that arrived, by the clocks of this machine."""

    arrived_s: float
    received_ns: int
    sent_ns: int
    sequence: Optional[int]
    publisher: bytes
    size: int
    stamp_ns: Optional[int]


@dataclass(frozen=True)
class Reception:
    """What a subscription got.

    Attributes:
        reliability: that was asked for.
        seconds: how long it was open.
        messages: those that arrived, in order.
        lost: messages known to be lost between the first and the last that arrived; None where that cannot be told.
        last: the newest message, serialized; None without any.
    """

    reliability: str
    seconds: float
    messages: Tuple[Message, ...]
    lost: Optional[int]
    last: Optional[bytes]

    @property
    def rate_hz(self) -> Optional[float]:
        """Messages a second between the first and the last; None for fewer than two."""
        periods = self._periods_s()
        total = sum(periods)
        return len(periods) / total if total > 0 else None

    @property
    def jitter_ms(self) -> Optional[float]:
        """Standard deviation of the time from one message to the next; None for fewer than three."""
        periods = self._periods_s()
        return 1e3 * statistics.stdev(periods) if len(periods) > 1 else None

    @property
    def ages_ms(self) -> List[float]:
        """Arrival minus the header's stamp, of messages that have one."""
        return [(m.received_ns - m.stamp_ns) / 1e6 for m in self.messages if m.stamp_ns]

    @property
    def transport_ms(self) -> Optional[float]:
        """Median from publish to arrival, by DDS's own stamps; None where it has none."""
        delays = [(m.received_ns - m.sent_ns) / 1e6 for m in self.messages if m.sent_ns]
        return statistics.median(delays) if delays else None

    @property
    def size(self) -> Optional[float]:
        """Median size of a message in bytes."""
        return statistics.median(m.size for m in self.messages) if self.messages else None

    @property
    def megabytes_per_s(self) -> float:
        """Serialized data that arrived each second."""
        rate, size = self.rate_hz, self.size
        return rate * size / 1e6 if rate and size else sum(m.size for m in self.messages) / 1e6 / self.seconds

    @property
    def lost_share(self) -> Optional[float]:
        """Lost of all that were sent while we listened, 0..1; None where that cannot be told."""
        if self.lost is None or not self.messages:
            return None
        return self.lost / (self.lost + len(self.messages))

    def _periods_s(self) -> List[float]:
        times = [m.arrived_s for m in self.messages]
        return [later - earlier for earlier, later in zip(times, times[1:])]


@dataclass(frozen=True)
class Findings:
    """Everything found out about a topic.

    Attributes:
        topic: fully resolved name.
        publishers: on the topic.
        topics: every topic that is published by others, with its types.
        reception: best effort, as the classifier subscribes; None if nobody publishes images there.
        reliable: a second try, made if the first lost much and the publisher offers it.
        has_clock: somebody publishes /clock, so there is simulated time.
    """

    topic: str
    publishers: Tuple[Publisher, ...]
    topics: Mapping[str, Tuple[str, ...]]
    reception: Optional[Reception]
    reliable: Optional[Reception]
    has_clock: bool

    @property
    def image_type(self) -> Optional[str]:
        """The type of images on the topic."""
        types = [publisher.type for publisher in self.publishers]
        return next((kind for kind in IMAGE_TYPES if kind in types), None)


def listen(topic: str, seconds: float) -> Findings:
    """Find the publishers of a topic and listen.

    Args:
        topic: name; without a leading slash it is taken in the root namespace.
        seconds: how long to listen.

    Raises:
        ConfigError: it cannot be the name of a topic.
    """
    import rclpy
    from rclpy.exceptions import InvalidTopicNameException
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.validate_full_topic_name import validate_full_topic_name

    from ..core.errors import ConfigError
    topic = topic if topic.startswith('/') else f'/{topic}'
    try:
        validate_full_topic_name(topic)
    except InvalidTopicNameException as error:
        why = str(error).splitlines()[0].partition(': ')[2].rstrip(':')
        raise ConfigError(f'{topic!r} cannot be the name of a topic: {why}') from None
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    try:
        node = rclpy.create_node(NODE_NAME, context=context, start_parameter_services=False)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        _spin(executor, DISCOVERY_S, lambda: node.count_publishers(topic) > 0)
        _spin(executor, SETTLE_S)
        found = Findings(topic, tuple(_publishers(node, topic)), _topics(node), None, None,
                         node.count_publishers('/clock') > 0)
        if found.image_type is None:
            return found
        reception = _receive(node, executor, topic, found.image_type, seconds, 'best_effort')
        reliable = None
        offered = any(p.reliability == 'reliable' and p.type == found.image_type for p in found.publishers)
        if offered and (not reception.messages or (reception.lost_share or 0.0) > 0.1):
            reliable = _receive(node, executor, topic, found.image_type, min(seconds, 3.0), 'reliable')
        # Once more: by now names and processes are known that were not at first, or will be.
        _spin(executor, DISCOVERY_S, lambda: _are_named(node, topic))
        return Findings(topic, tuple(_publishers(node, topic)) or found.publishers, _topics(node), reception, reliable,
                        node.count_publishers('/clock') > 0)
    finally:
        context.try_shutdown()


def _spin(executor: 'Executor', seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        executor.spin_once(timeout_sec=min(0.05, max(end - time.monotonic(), 0.0)))


def _topics(node: 'Node') -> Dict[str, Tuple[str, ...]]:
    return {name: tuple(types) for name, types in node.get_topic_names_and_types() if node.count_publishers(name)}


def _are_named(node: 'Node', topic: str) -> bool:
    """Whether the nodes of all publishers are known; DDS tells of a writer before ROS tells whose it is."""
    return all(info.node_name != _UNKNOWN_NAME for info in node.get_publishers_info_by_topic(topic))


def _publishers(node: 'Node', topic: str) -> List[Publisher]:
    own = next((bytes(info.endpoint_gid) for info in node.get_publishers_info_by_topic('/rosout')
                if info.node_name == NODE_NAME), b'')
    found = []
    for info in node.get_publishers_info_by_topic(topic):
        gid = bytes(info.endpoint_gid)
        namespace = info.node_namespace.rstrip('/')
        is_local = gid[:4] == own[:4] if own and gid[:2] == b'\x01\x0f' else None
        found.append(Publisher(
            f'{namespace}/{info.node_name}', info.topic_type, info.qos_profile.reliability.name.lower(),
            info.qos_profile.durability.name.lower(), info.qos_profile.depth,
            process_of(gid, own) if own else None, is_local))
    return found


def _receive(node: 'Node', executor: 'Executor', topic: str, kind: str, seconds: float, reliability: str
             ) -> Reception:
    """Subscribe for some seconds; the queue is deeper than the classifier's, so what is missing was lost on the way."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import CompressedImage, Image

    from ..ros.compat import SubscriptionEventCallbacks, with_info

    messages: List[Message] = []
    last: List[bytes] = []
    lost = [0]

    def on_message(buffer: bytes, info: Mapping[str, Any]) -> None:
        now_s, now_ns = time.monotonic(), time.time_ns()
        gid = info.get('publisher_gid') or {}
        messages.append(Message(now_s, info.get('received_timestamp') or now_ns, info.get('source_timestamp') or 0,
                                info.get('publication_sequence_number'), bytes(gid.get('data', b'')), len(buffer),
                                _stamp_ns(buffer, kind)))
        last[:] = [buffer]

    def on_lost(event: 'QoSMessageLostInfo') -> None:
        lost[0] += event.total_count_change

    profile = QoSProfile(depth=20, reliability=ReliabilityPolicy[reliability.upper()],
                         durability=DurabilityPolicy.VOLATILE)
    # rclpy would otherwise announce every incompatible publisher on stderr; the report does.
    events = SubscriptionEventCallbacks(message_lost=on_lost, use_default_callbacks=False)
    subscription = node.create_subscription(Image if kind == IMAGE else CompressedImage, topic, with_info(on_message),
                                            profile, raw=True, event_callbacks=events)
    start = time.monotonic()
    _spin(executor, seconds)
    node.destroy_subscription(subscription)
    by_sequence = _missing(messages)
    known = max(lost[0], by_sequence or 0) if by_sequence is not None or lost[0] else None
    return Reception(reliability, time.monotonic() - start, tuple(messages), known, last[0] if last else None)


def _missing(messages: List[Message]) -> Optional[int]:
    """Gaps in the publishers' own counting; None where the middleware does not hand it on, or too few came."""
    by_publisher: Dict[bytes, List[int]] = {}
    for message in messages:
        if message.sequence is None:
            return None
        by_publisher.setdefault(message.publisher, []).append(message.sequence)
    spans = [max(numbers) - min(numbers) + 1 - len(numbers) for numbers in by_publisher.values() if len(numbers) > 1]
    return sum(spans) if spans else None


def _stamp_ns(buffer: bytes, kind: str) -> Optional[int]:
    """Stamp of the header; None for a message that cannot be read."""
    from ..core.errors import ImageError
    from ..core.images.cdr import decode_compressed_image, decode_image
    try:
        return (decode_image if kind == IMAGE else decode_compressed_image)(buffer).header.stamp_ns
    except ImageError:
        return None


def percentile(values: List[float], share: float) -> float:
    """Nearest-rank percentile of a list that is not empty."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]
