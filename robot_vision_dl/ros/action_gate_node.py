"""An example of a consumer: decisions in, actions out.

Reads ``vision_msgs/Classification`` decisions, or those of one object in each ``vision_msgs/Detection2DArray``, and
publishes the action as ``std_msgs/String`` on ``~/action``, its velocity, if the table gives one, on ``cmd_vel``, and
calls its ``std_srvs/Trigger``. When an action without a velocity follows one that moved, and when the node ends, it
commands once to stand still. What it decides is in :mod:`robot_vision_dl.core.decision.action_gate`, which object it
is about in :mod:`robot_vision_dl.core.regions.choice`; this file shows what a node has to do to listen to us.
"""
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from geometry_msgs.msg import Twist
from rclpy.client import Client
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from ..core.decision.action_gate import Action, ActionGate, ActionGateConfig, load_actions
from ..core.errors import ImageError
from ..core.regions.choice import BY_ID, choose, identity
from ..core.regions.detection_cdr import decode_detections
from ..core.resources import share_directory
from ..core.text.printable import printable
from . import qos
from .node_main import run_node
from .parameters import ConfigParameters
from .start import PrintableLogs
from .stop_signals import StopSignals
from .topic_name import resolved

if TYPE_CHECKING:
    from rclpy.task import Future


_CLASSES_S = 5.0
"""So long after the first decision it is said that the classes of the model are not known."""


class ActionGateNode(PrintableLogs, Node):
    """See the module's docstring. Parameters are those of :class:`ActionGateConfig`."""

    def __init__(self, name: str = 'action_gate', **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        parameters = ConfigParameters(self, ActionGateConfig, lambda: True, self._on_change)
        config = parameters.config
        table = load_actions(Path(config.actions_file or share_directory() / 'config' / 'actions.yaml'))
        self._gate = ActionGate(table, config)
        self._current: Optional[Tuple[Action, str]] = None
        self._chosen = ''
        self._triggers: 'Dict[str, Client[Any, Any]]' = {
            action.trigger: self.create_client(Trigger, action.trigger)
            for action in (table.safe, *table.by_label.values()) if action.trigger}
        self._action = self.create_publisher(String, '~/action', qos.LATCHED)
        self._velocity = self.create_publisher(Twist, 'cmd_vel', qos.RESULTS_OUT)
        topic = resolved(self, config.detections_topic or config.decision_topic)
        told = ('detections', 'Detection2DArray') if config.detections_topic else ('decisions', 'Classification')
        events = qos.subscription_events(self, topic, None, told[0], f'what publishes it (vision_msgs/msg/{told[1]})')
        options: Dict[str, Any] = {'event_callbacks': events,
                                   'qos_overriding_options': qos.overridable()}
        if config.detections_topic:  # as bytes: an array of many objects takes rclpy long to make
            self.create_subscription(Detection2DArray, config.detections_topic, self._on_detections, qos.RESULTS_OUT,
                                     raw=True, **options)
        else:
            self.create_subscription(Classification, config.decision_topic, self._on_decision, qos.RESULTS_OUT,
                                     **options)
        decides = topic.rsplit('/', 2)[0]
        self._classes_topic = config.label_info_topic or f'{decides}/label_info'
        self.create_subscription(LabelInfo, self._classes_topic, self._on_label_info, qos.LATCHED)
        self._told = ''
        self._first_s: Optional[float] = None  # when a decision was heard first
        self._moves = False  # by what was commanded last
        self.create_timer(1.0 / config.rate_hz, self._act)

    def _on_change(self, config: ActionGateConfig, _names: List[str]) -> None:
        self._gate.config = config
        self._chosen = ''

    def _on_label_info(self, message: LabelInfo) -> None:
        problem = self._gate.know([each.class_name for each in message.class_map])
        if problem and problem != self._told:
            self.get_logger().warning(problem)
        self._told = problem
        self._act()

    def _on_decision(self, message: Classification) -> None:
        if message.results:
            stamp = message.header.stamp
            self._gate.hear(message.results[0].class_id, message.results[0].score, self._heard(),
                            age_s=self._age_s(stamp.sec * 1_000_000_000 + stamp.nanosec))
            self._act()

    def _on_detections(self, buffer: bytes) -> None:
        try:
            array = decode_detections(buffer)
        except ImageError as error:
            self.get_logger().warning(f'detections that cannot be read: {error}', throttle_duration_sec=5.0)
            self._hear_nothing('the detections cannot be read')
            return
        objects, wanted = array.detections, self._gate.config.object
        place = choose(objects, wanted, self._chosen)
        if place is None:
            named = f'no object is called {printable(wanted[len(BY_ID):], 100)}' if wanted.startswith(BY_ID) else ''
            self._hear_nothing(named or 'no object is there')
            return
        self._chosen = identity(objects, place)
        label, confidence = next(((first.class_id, first.score) for first in objects[place].hypotheses), ('', 0.0))
        self._gate.hear(label, confidence, self._heard(), self._chosen or None, self._age_s(array.header.stamp_ns))
        self._act()

    def _heard(self) -> float:
        now_s = time.monotonic()
        self._first_s = now_s if self._first_s is None else self._first_s
        return now_s

    def _age_s(self, stamp_ns: int) -> Optional[float]:
        return (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9 if stamp_ns else None

    def _hear_nothing(self, reason: str) -> None:
        self._chosen = ''
        self._gate.hear_nothing(reason, time.monotonic())
        self._act()

    def _act(self) -> None:
        now_s = time.monotonic()
        action, reason = self._gate.action(now_s)
        now = action, self._gate.acted_on
        if now != self._current:
            self._current = now
            self.get_logger().info(f'{action.name}: {reason}')
            self._action.publish(String(data=action.name))
            if action.trigger:
                self._call(action.trigger)
        if action.linear_x is not None or action.angular_z is not None:
            self._command(float(action.linear_x or 0.0), float(action.angular_z or 0.0))
        elif self._moves:
            self._command(0.0, 0.0)
        if not self._gate.knows_classes and self._first_s is not None and now_s - self._first_s > _CLASSES_S:
            self._first_s = None
            self.get_logger().warning(
                f'nobody says on {self._classes_topic} which classes the model has, so that the labels of the action '
                f'table are not compared with them; set label_info_topic', once=True)

    def _command(self, linear_x: float, angular_z: float) -> None:
        velocity = Twist()
        velocity.linear.x, velocity.angular.z = linear_x, angular_z
        self._velocity.publish(velocity)
        self._moves = bool(linear_x or angular_z)

    def stand_still(self) -> None:
        """Command no velocity, if the last one was another, and wait for a second that those who listen have it."""
        if self._moves:
            self._command(0.0, 0.0)
            self._velocity.wait_for_all_acked(Duration(seconds=1))

    def _call(self, service: str) -> None:
        client = self._triggers[service]
        if not client.service_is_ready():
            self.get_logger().error(f'{service} is not there, so it was not called; start its node')
            return

        def done(future: 'Future[Any]') -> None:
            response = future.result()
            if response is None or not response.success:
                self.get_logger().error(f'{service} failed: {response.message if response else future.exception()}')

        client.call_async(Trigger.Request()).add_done_callback(done)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the node until it is told to stop; exit code 2 for parameters that cannot be used."""
    # The node's timer sees to it that Python's handlers run soon.
    return run_node('action_gate', ActionGateNode, arguments, end=ActionGateNode.stand_still,
                    stop=StopSignals(insist=False))


if __name__ == '__main__':
    sys.exit(main())
