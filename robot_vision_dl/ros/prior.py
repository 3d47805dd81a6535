"""What a map or another sensor says a camera should see."""
from typing import Callable, Dict, Sequence

from rclpy.node import Node
from vision_msgs.msg import Classification

from . import qos
from ..core.errors import ConfigError
from ..core.fusion import expected_from


class PriorInput:
    """Subscribes to ``~/<camera>/prior`` and hands on what is expected, by class name.

    A message holds until the next one. It names some classes or all, with probabilities; those it does not name share
    what is left. One without results takes everything back.

    Args:
        node: owns the subscription.
        camera: whose prior it is.
        class_names: of the model that runs.
        receive: called with the names and probabilities of a valid message.
        as_index: ids are the classes' indices as text.
    """

    def __init__(self, node: Node, camera: str, class_names: Callable[[], Sequence[str]],
                 receive: Callable[[Dict[str, float]], None], as_index: bool):
        self._node, self._class_names, self._receive, self._as_index = node, class_names, receive, as_index
        self.topic = node.resolve_topic_name(f'~/{camera}/prior')
        self._subscription = node.create_subscription(
            Classification, self.topic, self._take, qos.PRIOR_IN, qos_overriding_options=qos.overridable())

    def _take(self, message: Classification) -> None:
        names = self._class_names()
        try:
            named = {self._name(result.class_id, names): result.score for result in message.results}
            if named:
                expected_from(named, names)
        except ConfigError as error:
            self._node.get_logger().warning(f'{self.topic}: message ignored: {error}', throttle_duration_sec=5.0)
            return
        self._receive(named)

    def _name(self, class_id: str, names: Sequence[str]) -> str:
        if not self._as_index or class_id in names:
            return class_id
        if not class_id.isdigit() or int(class_id) >= len(names):
            raise ConfigError(f'prior: {class_id!r} is not the index of a class; there are 0..{len(names) - 1}')
        return names[int(class_id)]

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)
