"""What a map or another sensor says a camera should see."""
from typing import Callable, Dict, Sequence

from rclpy.node import Node
from vision_msgs.msg import Classification

from ..core.decision.fusion import expected_from
from ..core.errors import ConfigError
from ..core.images.cdr import decode_results
from ..core.text.printable import printable
from . import qos
from .spinning import reason_of


class PriorInput:
    """Subscribes to ``~/<camera>/prior`` and hands on what is expected, by class name.

    A message holds until the next one. It names some classes or all, with probabilities; those it does not name share
    what is left. One without results takes everything back.

    Args:
        node: owns the subscription.
        camera: whose prior it is.
        class_names: of the model that runs.
        receive: called with the names and probabilities of a valid message.
        as_index: whether ids are the classes' indices as text.

    Attributes:
        accepted, refused: messages so far.
    """

    def __init__(self, node: Node, camera: str, class_names: Callable[[], Sequence[str]],
                 receive: Callable[[Dict[str, float]], None], as_index: Callable[[], bool]) -> None:
        self._node, self._class_names, self._receive, self._as_index = node, class_names, receive, as_index
        self.accepted = self.refused = 0
        self.topic = node.resolve_topic_name(f'~/{camera}/prior')
        # Serialized: what cannot be deserialized, or has a million results, is refused here and not by rclpy.
        self._subscription = node.create_subscription(
            Classification, self.topic, self._take, qos.PRIOR_IN, raw=True,
            qos_overriding_options=qos.overridable())

    def _take(self, data: bytes) -> None:
        try:
            self._receive(prior_of(data, self._class_names(), self._as_index()))
        except Exception as error:  # noqa: B902 - anyone may send anything; it is counted, and the node keeps running
            self.refused += 1
            self._node.get_logger().warning(
                f'{self.topic}: message ignored ({self.refused} so far): {reason_of(error)}', throttle_duration_sec=5.0)
            return
        self.accepted += 1

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)


def prior_of(data: bytes, names: Sequence[str], as_index: bool) -> Dict[str, float]:
    """Classes and their probabilities, of a serialized ``vision_msgs/Classification``; empty: nothing is expected.

    Args:
        names: of the model's classes.
        as_index: ids are the classes' indices as text.

    Raises:
        ConfigError: it is no such message, or its results make no prior.
    """
    named: Dict[str, float] = {}
    for class_id, score in decode_results(data, len(names)):
        name = _name(class_id, names, as_index)
        if name in named:
            raise ConfigError(f'prior: {printable(repr(name), 80)} is named more than once')
        named[name] = score
    if named:
        expected_from(named, names)
    return named


def _name(class_id: str, names: Sequence[str], as_index: bool) -> str:
    if class_id in names or not as_index:
        return class_id
    # Not str.isdigit: that is true of superscripts. No index has more digits than the number of classes.
    digits = class_id.isascii() and class_id.isdecimal() and len(class_id) <= len(str(len(names)))
    if not digits or int(class_id) >= len(names):
        raise ConfigError(f'prior: {printable(repr(class_id), 80)} is not the index of a class; there are '
                          f'0..{len(names) - 1}')
    return names[int(class_id)]
