"""Why nothing comes on a topic: the graph tells before the user has to ask."""
import time
from typing import Callable, List, Set

from rclpy.node import Node

from ..core.printable import printable
from ..core.spelling import did_you_mean

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
SILENT_S = 3.0
_MOST_NAMED = 5


class TopicWatch:
    """Warns once of each reason why a topic is silent: another type, or no publisher.

    Args:
        node: whose logger and view of the graph are used.
        topic: fully resolved name.
        expected: its type as ``ros2 topic info`` shows it.
        remedy: what to do about publishers of a type.
        likely: topics that may be meant instead, of all that there are (name, types).
    """

    def __init__(self, node: Node, topic: str, expected: str, remedy: Callable[[str], str],
                 likely: Callable[[List[tuple]], str]):
        self._node, self._topic, self._expected = node, topic, expected
        self._remedy, self._likely = remedy, likely
        self._told: Set[str] = set()
        self._heard_s = time.monotonic()
        self._yet = 'yet'

    def heard(self) -> None:
        """Something came: the next silence is another one."""
        self._heard_s, self._yet = time.monotonic(), 'any more'
        self._told.discard('')

    def look(self) -> None:
        """Called once in a while; says what is new."""
        if time.monotonic() - self._heard_s < SILENT_S:
            return
        types = {info.topic_type for info in self._node.get_publishers_info_by_topic(self._topic)}
        for found in sorted(types - {self._expected} - self._told):
            self._told.add(found)
            self._node.get_logger().warning(
                f'{self._topic} is published as {printable(found, 80)}, and this node takes {self._expected}: nothing '
                f'comes through. Fix: {self._remedy(found)}')
        if not types and '' not in self._told:
            self._told.add('')
            hint = self._likely(self._node.get_topic_names_and_types())
            self._node.get_logger().warning(f'nobody publishes on {self._topic} {self._yet}{hint}')


def watch_images(node: Node, topic: str, transport: str, resolved: str) -> TopicWatch:
    """A watch of a camera's topic.

    Args:
        topic: as the deployment named it, without the suffix of its transport.
        transport: raw, compressed or compressedDepth.
        resolved: fully resolved name of what is subscribed to.
    """
    def remedy(found: str) -> str:
        if found == COMPRESSED and transport == 'raw':
            base, _, suffix = resolved.rpartition('/')
            if suffix in ('compressed', 'compressedDepth'):
                return f'set image_topics to {base} and image_transport:={suffix}'
            return f'image_transport:=compressed, with the publisher on {resolved}/compressed'
        if found == IMAGE:
            return f'set image_topics to {resolved} and image_transport:=raw'
        return (f'choose a topic of images, {IMAGE} or {COMPRESSED}; `ros2 topic list -t` shows all')

    def likely(topics: List[tuple]) -> str:
        published = {name: kinds for name, kinds in topics
                     if name != resolved and set(kinds) & {IMAGE, COMPRESSED} and node.count_publishers(name)}
        base = node.resolve_topic_name(topic)
        for suffix, setting in (('', 'raw'), ('/compressed', 'compressed'), ('/compressedDepth', 'compressedDepth')):
            if base + suffix in published:
                return f', but somebody does on {base + suffix}: set image_transport:={setting}'
        others = [printable(name, 80) for name in sorted(published) if '/overlay' not in name]
        if not others:
            return ', and on no other topic of images either; is the camera running, and ROS_DOMAIN_ID the same?'
        near = did_you_mean(resolved, others)
        shown = near if near.startswith('did') else f'images are on {", ".join(others[:_MOST_NAMED])}'
        return f'; {shown}'
    return TopicWatch(node, resolved, IMAGE if transport == 'raw' else COMPRESSED, remedy, likely)
