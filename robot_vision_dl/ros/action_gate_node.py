"""An example of a consumer: decisions in, actions out.

Reads ``vision_msgs/Classification`` decisions and publishes the action as ``std_msgs/String`` on ``~/action``, its
velocity, if the table gives one, on ``cmd_vel``, and calls its ``std_srvs/Trigger``. What it decides is in
:mod:`robot_vision_dl.core.decision.action_gate`; this file shows what a node has to do to listen to us.
"""
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import rclpy
from geometry_msgs.msg import Twist
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
from vision_msgs.msg import Classification, LabelInfo

from ..core.decision.action_gate import Action, ActionGate, ActionGateConfig, load_actions
from ..core.resources import share_directory
from . import qos
from .parameters import ConfigParameters
from .spinning import spin, start_failed
from .start import PrintableLogs, init
from .unused import warn_of_unused

if TYPE_CHECKING:
    from rclpy.task import Future


class ActionGateNode(PrintableLogs, Node):
    """See the module's docstring. Parameters are those of :class:`ActionGateConfig`."""

    def __init__(self, name: str = 'action_gate', **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        parameters = ConfigParameters(self, ActionGateConfig, lambda: True, self._on_change)
        config = parameters.config
        table = load_actions(Path(config.actions_file or share_directory() / 'config' / 'actions.yaml'))
        self._gate = ActionGate(table, config)
        self._current: Optional[Action] = None
        self._triggers: 'Dict[str, Client[Any, Any]]' = {
            action.trigger: self.create_client(Trigger, action.trigger)
            for action in (table.safe, *table.by_label.values()) if action.trigger}
        self._action = self.create_publisher(String, '~/action', qos.LATCHED)
        self._velocity = self.create_publisher(Twist, 'cmd_vel', qos.RESULTS_OUT)
        self.create_subscription(
            Classification, config.decision_topic, self._on_decision, qos.RESULTS_OUT,
            event_callbacks=qos.subscription_events(self, self.resolve_topic_name(config.decision_topic)),
            qos_overriding_options=qos.overridable())
        decides = self.resolve_topic_name(config.decision_topic).rsplit('/', 2)[0]
        self.create_subscription(LabelInfo, config.label_info_topic or f'{decides}/label_info', self._on_label_info,
                                 qos.LATCHED)
        self._told = ''
        self.create_timer(1.0 / config.rate_hz, self._act)

    def _on_change(self, config: ActionGateConfig, _names: List[str]) -> None:
        self._gate.config = config

    def _on_label_info(self, message: LabelInfo) -> None:
        problem = self._gate.know([each.class_name for each in message.class_map])
        if problem and problem != self._told:
            self.get_logger().warning(problem)
        self._told = problem
        self._act()

    def _on_decision(self, message: Classification) -> None:
        if message.results:
            self._gate.hear(message.results[0].class_id, message.results[0].score, time.monotonic())
            self._act()

    def _act(self) -> None:
        action, reason = self._gate.action(time.monotonic())
        if action != self._current:
            self._current = action
            self.get_logger().info(f'{action.name}: {reason}')
            self._action.publish(String(data=action.name))
            if action.trigger:
                self._call(action.trigger)
        if action.linear_x is not None or action.angular_z is not None:
            velocity = Twist()
            velocity.linear.x = float(action.linear_x or 0.0)
            velocity.angular.z = float(action.angular_z or 0.0)
            self._velocity.publish(velocity)

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
    try:
        init(arguments)
        node = ActionGateNode()
        warn_of_unused(node, arguments)
        spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception as error:  # noqa: B902 - of rcl, too: a parameter file that it cannot read
        return start_failed('action_gate', error)
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
