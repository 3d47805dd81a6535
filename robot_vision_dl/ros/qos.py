"""Quality of service: profiles, and what to tell a user whose QoS does not fit."""
from typing import TYPE_CHECKING, Callable, Optional, Set, Tuple

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

from .compat import PublisherEventCallbacks, SubscriptionEventCallbacks

if TYPE_CHECKING:
    from rclpy.event_handler import QoSMessageLostInfo, QoSOfferedIncompatibleQoSInfo, QoSRequestedIncompatibleQoSInfo

IMAGES_IN = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT,
                       durability=DurabilityPolicy.VOLATILE)
RESULTS_OUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.VOLATILE)
# Images that wait for their detections must not be replaced while others are taken.
IMAGES_TO_PAIR = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.BEST_EFFORT,
                            durability=DurabilityPolicy.VOLATILE)
DETECTIONS_IN = IMAGES_TO_PAIR
PICTURES_OUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE,
                          durability=DurabilityPolicy.VOLATILE)
LATCHED = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE,
                     durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Hears every publisher; one that latches its prior is heard from the start with the durability overridden.
PRIOR_IN = IMAGES_IN

WEAKEST = {'RELIABILITY': 'best_effort', 'DURABILITY': 'volatile'}
STRONGEST = {'RELIABILITY': 'reliable', 'DURABILITY': 'transient_local'}


def overridable() -> QoSOverridingOptions:
    """The standard ``qos_overrides.<topic>.<publisher|subscription>.<policy>`` parameters."""
    return QoSOverridingOptions([QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY,
                                 QoSPolicyKind.DURABILITY])


class _ToldOnce:
    """Logs each (topic, policy) once: the event comes again for every new peer."""

    def __init__(self, node: Node) -> None:
        self._log = node.get_logger()
        self._told: Set[Tuple[str, str]] = set()

    def __call__(self, topic: str, policy: str, sentence: str) -> None:
        if (topic, policy) not in self._told:
            self._told.add((topic, policy))
            self._log.error(sentence)


IMAGE_TYPES = ('the parameter image_transport (raw: sensor_msgs/msg/Image, compressed: '
               'sensor_msgs/msg/CompressedImage)')


def subscription_events(node: Node, topic: str, on_lost: Optional[Callable[[int], None]] = None,
                        what: str = 'images', types: str = IMAGE_TYPES) -> SubscriptionEventCallbacks:
    """Events of a subscription: an incompatible publisher is logged with the fix, lost messages are counted.

    Args:
        node: whose logger is used.
        topic: fully resolved name.
        on_lost: called with the number of messages that the middleware lost since the last call.
        what: comes on it.
        types: what else to look at where the type is another.
    """
    tell = _ToldOnce(node)

    def incompatible_qos(event: 'QoSRequestedIncompatibleQoSInfo') -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        weak = WEAKEST.get(policy)
        fix = (f'ask for less: set the parameter qos_overrides.{topic}.subscription.{policy.lower()}:={weak}, or make '
               f'the publisher {STRONGEST[policy]}' if weak else f'make {policy.lower()} agree on both sides')
        tell(topic, policy, f'No {what} from a publisher on {topic}: it offers a weaker {policy.lower()} than this '
             f'node asks for. Fix: {fix}.')

    def incompatible_type(_event: object) -> None:
        tell(topic, 'TYPE', f'No {what} from a publisher on {topic}: it publishes another message type. Fix: check '
             f'`ros2 topic info -v {topic}` and {types}.')

    def message_lost(event: 'QoSMessageLostInfo') -> None:
        if on_lost is not None:
            on_lost(event.total_count_change)

    try:
        return SubscriptionEventCallbacks(incompatible_qos=incompatible_qos, incompatible_type=incompatible_type,
                                          message_lost=message_lost)
    except TypeError:  # Humble has no incompatible_type
        return SubscriptionEventCallbacks(incompatible_qos=incompatible_qos, message_lost=message_lost)


def publisher_events(node: Node, topic: str) -> PublisherEventCallbacks:
    """Events of a publisher: an incompatible subscriber is logged with the fix."""
    tell = _ToldOnce(node)

    def incompatible_qos(event: 'QoSOfferedIncompatibleQoSInfo') -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        strong = STRONGEST.get(policy)
        fix = (f'set the parameter qos_overrides.{topic}.publisher.{policy.lower()}:={strong}, or make the subscriber '
               f'{WEAKEST[policy]}' if strong else f'make {policy.lower()} agree on both sides')
        tell(topic, policy, f'A subscriber on {topic} gets nothing: it asks for a stronger {policy.lower()} than this '
             f'node offers. Fix: {fix}.')

    return PublisherEventCallbacks(incompatible_qos=incompatible_qos)
