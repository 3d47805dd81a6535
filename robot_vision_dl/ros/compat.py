"""What differs between the versions of rclpy that are supported: Humble (3.3), Jazzy (7.1), Kilted (9.1) and later.

Everything that is private in rclpy, or that one of them lacks, is taken from here, each with what stands in for it, but
for the log's name of its caller (``start.py``); see ``test/ros/test_compat.py``, which holds the list.
"""
from typing import Any, Callable, List, Mapping

from rclpy.node import Node
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble has them where Iron and later say that they are deprecated
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

try:
    from rclpy.impl.implementation_singleton import rclpy_implementation as _implementation
    WaitSet = _implementation.WaitSet
    RCLError = _implementation.RCLError
except (ImportError, AttributeError) as error:  # private in all versions
    raise ImportError(f'this rclpy has no wait set where Humble to Kilted have one ({error}); use one of them'
                      ) from error

__all__ = ['PublisherEventCallbacks', 'RCLError', 'SubscriptionEventCallbacks', 'WaitSet', 'after_set',
           'given_parameters', 'state_label', 'with_info']


# Humble hands callbacks the message alone.
_HAS_INFO = hasattr(Subscription, 'CallbackType')


def with_info(callback: Callable[[Any, Mapping[str, Any]], None]) -> Callable[..., None]:
    """A subscription's callback of (message, what the middleware knows of it); in Humble it is told nothing."""
    return callback if _HAS_INFO else lambda message: callback(message, {})


def after_set(node: Node, apply: Callable[[], None]) -> Callable[[], None]:
    """Have ``apply`` called after parameters were set.

    Returns:
        What the callback that checks them has to call once it has accepted them: nothing where rclpy has callbacks for
        afterwards (Iron and later). Humble has none; there the executor is asked to call ``apply`` next, when they are
        set, or, where none runs, nobody waits for it.
    """
    register = getattr(node, 'add_post_set_parameters_callback', None)
    if register is not None:
        def on_set(_parameters: List[Any]) -> None:
            apply()
        register(on_set)
        return lambda: None

    def soon() -> None:
        if node.executor is not None:
            node.executor.create_task(apply)
    return soon


def given_parameters(node: Node) -> List[str]:
    """Names of the parameters that a node was given by files and arguments, declared or not.

    Private in all versions, and nothing public tells of undeclared ones; none where it is not there.
    """
    return sorted(getattr(node, '_parameter_overrides', {}))


def state_label(node: Any) -> str:
    """The state of a lifecycle node, e.g. ``active``; private in all versions, ``unknown`` where it is not there."""
    try:
        return node._state_machine.current_state[1]
    except (AttributeError, IndexError, TypeError):
        return 'unknown'
