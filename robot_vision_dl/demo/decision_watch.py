"""What a running node decides, followed from outside over DDS: a line for each decision that differs from the last."""
import json
import sys
import time
from typing import Any, Callable, Dict, List, Optional

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_full_topic_name import validate_full_topic_name

from ..core.errors import ConfigError, first_line
from ..core.text.printable import printable
from ..ros import qos
from .watcher import Seen, coloured, seen_of

_TYPE = 'diagnostic_msgs/msg/DiagnosticArray'
_SUFFIX = '/uncertainty'
_LOOK_S = 0.5
_MOST_REMEMBERED = 10_000
_SILENT_S = 5.0


class DecisionWatch:
    """Subscribes to the ``uncertainty`` topics of a node's cameras, which say the decision and why.

    Args:
        node_name: full name of the node, ``/classifier``.
        camera: name of one of its cameras; '' for all that there are, also those that appear later.
        every: show each decision, not only those whose label differs from the camera's last.
        as_json: one JSON object a line.
        show: where a line goes.

    Raises:
        ConfigError: no node, or no camera of one, can have such a name.
    """

    def __init__(self, node_name: str, camera: str = '', every: bool = False, as_json: bool = False,
                 show: Callable[[str], None] = lambda line: print(line, flush=True)) -> None:
        self._base = '/' + node_name.strip('/')
        try:
            validate_full_topic_name(f'{self._base}/{camera or "camera"}{_SUFFIX}')
        except InvalidTopicNameException as error:
            of_camera = f' --camera {printable(camera)}' if camera else ''
            raise ConfigError(f'--node-name {printable(node_name)}{of_camera}: there can be no such topic '
                              f'({printable(first_line(error))})') from error
        self._camera, self._every, self._as_json, self._show = camera, every, as_json, show
        self._last: Dict[str, str] = {}
        self._subscribed: Dict[str, Any] = {}
        self._first_ns: Optional[int] = None
        self.shown = 0
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node('robot_vision_watch', enable_rosout=False, start_parameter_services=False,
                                       use_global_arguments=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def watch(self, stopped: Callable[[], bool], once: bool = False, timeout_s: Optional[float] = None) -> None:
        """Show decisions until stopped.

        Args:
            stopped: asked often.
            once: end after the first.
            timeout_s: end after so long without a first one.
        """
        began_s, told, next_look_s = time.monotonic(), '', 0.0
        while not stopped():
            now_s = time.monotonic()
            if now_s >= next_look_s:
                next_look_s = now_s + _LOOK_S
                self._subscribe()
                if not self.shown and now_s - began_s > min(_SILENT_S, timeout_s or _SILENT_S):
                    why = self.why_silent()
                    if why != told:
                        told = why
                        print(f'robot-vision watch: {why}', file=sys.stderr, flush=True)
            self._executor.spin_once(timeout_sec=0.05)
            if once and self.shown:
                return
            if not self.shown and timeout_s is not None and now_s - began_s > timeout_s + _LOOK_S:
                return  # a look after the time was up has said why

    def cameras(self) -> List[str]:
        """Topics of the node's cameras that somebody publishes on."""
        return [topic for topic in _decided_topics(self._node)
                if topic == f'{self._base}/{self._camera}{_SUFFIX}'
                or not self._camera and topic.rpartition('/')[0].rpartition('/')[0] == self._base]

    def why_silent(self) -> str:
        """Why there is no decision."""
        if self.cameras():
            return f'{self._base} runs, and has decided nothing yet: do images arrive? Its log says more'
        others = sorted(topic[:-len(_SUFFIX)] for topic in _decided_topics(self._node))
        wanted = f'{self._base}/{self._camera}' if self._camera else self._base
        if others:
            return (f'nobody decides as {wanted}; there is {", ".join(printable(name) for name in others[:5])}: '
                    '--node-name and --camera choose')
        return f'nobody decides as {wanted} yet; is `robot-vision run` running, with the same ROS_DOMAIN_ID?'

    def close(self) -> None:
        """Leave DDS."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def _subscribe(self) -> None:
        for topic in self.cameras():
            if topic not in self._subscribed:
                camera = topic.split('/')[-2]
                self._subscribed[topic] = self._node.create_subscription(
                    DiagnosticArray, topic, lambda message, camera=camera: self._heard(camera, message),
                    qos.RESULTS_OUT)

    def _heard(self, camera: str, message: DiagnosticArray) -> None:
        try:
            found = [(object_of(camera, status), seen_of(message, status)) for status in message.status]
        except (IndexError, KeyError, ValueError):
            return  # of another program
        for name, seen in found:
            self._take(name, seen)
        if len(self._last) > _MOST_REMEMBERED:  # of objects that came and went
            self._last.clear()

    def _take(self, camera: str, seen: Seen) -> None:
        if not self._every and self._last.get(camera) == seen.label:
            return
        self._last[camera] = seen.label
        if self._first_ns is None:
            self._first_ns = seen.stamp_ns
            if not self._as_json:
                self._show(f'{"time":>9}  {"camera":<18} {"decision":<22} confidence  why')
        self.shown += 1
        self._show(self._json(camera, seen) if self._as_json else self._line(camera, seen))

    def _line(self, camera: str, seen: Seen) -> str:
        seconds = (seen.stamp_ns - (self._first_ns or 0)) * 1e-9
        label = coloured(seen.outcome, f'{printable(seen.label, 60):<22}')
        return f'{seconds:7.1f} s  {camera:<18} {label} {seen.confidence:10.2f}  {printable(seen.reason)}'

    @staticmethod
    def _json(camera: str, seen: Seen) -> str:
        return json.dumps({'stamp_ns': seen.stamp_ns, 'camera': camera, 'outcome': seen.outcome, 'label': seen.label,
                           'confidence': seen.confidence, 'reason': seen.reason})


def object_of(camera: str, status: DiagnosticStatus) -> str:
    """``camera/track`` of a status about an object; the camera alone for one about a whole picture."""
    tracks = [item.value for item in status.values if item.key == 'track']
    return f'{camera}/{printable(tracks[0], 60)}' if tracks else camera


def _decided_topics(node: Any) -> List[str]:
    """``/<node>/<camera>/uncertainty`` of all classifiers of the domain that are publishing."""
    return [name for name, types in node.get_topic_names_and_types()
            if name.endswith(_SUFFIX) and _TYPE in types and node.count_publishers(name)]
