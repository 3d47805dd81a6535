"""Why nothing comes on a topic: the graph tells before the user has to ask."""
import time
from typing import Callable, Dict, List, Sequence, Tuple

from rclpy.node import Node

from ..core.suggestions import did_you_mean
from ..core.text.printable import printable

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_TYPES = {'raw': IMAGE, 'compressed': COMPRESSED, 'compressedDepth': COMPRESSED}
_SUFFIXES = {'raw': '', 'compressed': '/compressed', 'compressedDepth': '/compressedDepth'}
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
SILENT_S = 3.0
AGAIN_S = 10.0
_MOST_NAMED = 5


class TopicWatch:
    """Warns of each reason why a topic is silent, another type or no publisher, as long as it is.

    The graph is looked at after 3 s of silence, then every 10 s: a publisher may start later on another topic. What
    was said is said again only when it has changed.

    Args:
        node: whose logger and view of the graph are used.
        topic: fully resolved name.
        expected: its type as ``ros2 topic info`` shows it.
        remedy: what to do about publishers of a type.
        likely: topics that may be meant instead, of all that there are (name, types).
    """

    def __init__(self, node: Node, topic: str, expected: str, remedy: Callable[[str], str],
                 likely: Callable[[List[Tuple[str, List[str]]]], str]) -> None:
        self._node, self._topic, self._expected = node, topic, expected
        self._remedy, self._likely = remedy, likely
        self._told: Dict[str, str] = {}
        self._heard_s = time.monotonic()
        self._next_s = self._heard_s + SILENT_S
        self._yet = 'yet'

    def heard(self) -> None:
        """Something came: the next silence is another one."""
        self._heard_s, self._yet = time.monotonic(), 'any more'
        self._next_s = self._heard_s + SILENT_S
        self._told.pop('', None)

    def look(self) -> None:
        """Called once in a while; says what is new."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + AGAIN_S
        types = {info.topic_type for info in self._node.get_publishers_info_by_topic(self._topic)}
        for found in sorted(types - {self._expected}):
            self._tell(found, f'{self._topic} is published as {printable(found, 80)}, and this node takes '
                              f'{self._expected}: nothing comes through. Fix: {self._remedy(found)}')
        if types:
            self._told.pop('', None)
        else:
            hint = self._likely(self._node.get_topic_names_and_types())
            self._tell('', f'nobody publishes on {self._topic} {self._yet}{hint}')

    def _tell(self, what: str, sentence: str) -> None:
        if self._told.get(what) != sentence:
            self._told[what] = sentence
            self._node.get_logger().warning(sentence)


def watch_images(node: Node, topic: str, transport: str, resolved: str, others: Sequence[str] = ()) -> TopicWatch:
    """A watch of a camera's topic.

    Args:
        topic: as the deployment named it, without the suffix of its transport.
        transport: raw, compressed or compressedDepth; all cameras of a node share it.
        resolved: fully resolved name of what is subscribed to.
        others: topics of the node's other cameras, as the deployment named them.
    """
    def change(wanted: str, name: str = '', more: str = '') -> str:
        """Another transport, unless it would cost another camera what is there."""
        for other in others:
            offered = _offered(node, node.resolve_topic_name(other))
            if offered and wanted not in offered:
                return (f'run a second node for this camera, or republish it: all cameras of a node share '
                        f'image_transport, and {printable(node.resolve_topic_name(other), 80)} is there as '
                        f'{" and ".join(offered)}, not as {wanted}')
        return (f'{f"name the topic {name} and " if name else ""}take --transport {wanted} (robot-vision run) or '
                f'image_transport:={wanted} (launch file, parameter){more}')

    def remedy(found: str) -> str:
        if found == COMPRESSED and transport == 'raw':
            base, _, suffix = resolved.rpartition('/')
            if suffix in ('compressed', 'compressedDepth'):
                return change(suffix, base)
            return change('compressed', more=f'; the publisher must be on {resolved}/compressed')
        if found == IMAGE:
            return change('raw', resolved)
        return (f'choose a topic of images, {IMAGE} or {COMPRESSED}; `ros2 topic list -t` shows all')

    def likely(topics: List[Tuple[str, List[str]]]) -> str:
        base = node.resolve_topic_name(topic)
        for found in _offered(node, base):
            if base + _SUFFIXES[found] != resolved:
                return f', but somebody does on {base + _SUFFIXES[found]}: {change(found)}'
        others_published = sorted(name for name, kinds in topics if name != resolved and '/overlay' not in name and
                                  set(kinds) & {IMAGE, COMPRESSED} and node.count_publishers(name))
        published = [printable(name, 80) for name in others_published]
        if not published:
            return ', and on no other topic of images either; is the camera running, and ROS_DOMAIN_ID the same?'
        near = did_you_mean(resolved, published)
        shown = near if near.startswith('did') else f'images are on {", ".join(published[:_MOST_NAMED])}'
        return f'; {shown}'
    return TopicWatch(node, resolved, _TYPES[transport], remedy, likely)


def watch_detections(node: Node, resolved: str) -> TopicWatch:
    """A watch of a topic of detections, by its fully resolved name."""
    def remedy(_found: str) -> str:
        return ('detections:= (detection_topics) names a topic of what a detector found, one array an image; convert '
                'other types to it in the node that publishes them')

    def likely(topics: List[Tuple[str, List[str]]]) -> str:
        published = sorted(printable(name, 80) for name, kinds in topics
                           if name != resolved and DETECTIONS in kinds and node.count_publishers(name))
        if not published:
            return ', and on no other topic of detections either; is the detector running, and ROS_DOMAIN_ID the same?'
        near = did_you_mean(resolved, published)
        return f'; {near if near.startswith("did") else "detections are on " + ", ".join(published[:_MOST_NAMED])}'
    return TopicWatch(node, resolved, DETECTIONS, remedy, likely)


def _offered(node: Node, base: str) -> List[str]:
    """The transports that somebody publishes a camera's topic in."""
    return [transport for transport, suffix in _SUFFIXES.items()
            if any(info.topic_type == _TYPES[transport] for info in node.get_publishers_info_by_topic(base + suffix))]
