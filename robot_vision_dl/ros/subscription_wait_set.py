"""Waits for messages of some subscriptions on a thread of the caller's, beside the node's executor.

It needs what executors are made of: a wait set and a callback group.
"""
from typing import Any, List, Sequence

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node
from rclpy.subscription import Subscription

from .compat import WaitSet

FOREVER = -1


class Apart(ReentrantCallbackGroup):
    """Of what the node's executor leaves alone, since another thread waits for it."""

    def can_execute(self, _entity: object) -> bool:  # type: ignore[override]  # annotated as one that always may
        """Never by the executor."""
        return False


class SubscriptionWaitSet:
    """Some subscriptions of a node, for one thread that waits for them.

    Args:
        node: owns the subscriptions.
        subscriptions: made with :class:`Apart` as callback group; they must outlive the thread that waits.
    """

    def __init__(self, node: Node, subscriptions: 'Sequence[Subscription[Any]]') -> None:
        self._subscriptions = list(subscriptions)
        self._events = [event for one in self._subscriptions for event in one.event_handlers]
        # Not the node's, whose executor would take the trigger away.
        self._guard = GuardCondition(None, None, context=node.context)
        assert node.context.handle is not None
        self._wait_set = WaitSet(len(self._subscriptions), 1, 0, 0, 0, len(self._events), node.context.handle)

    def wait(self, timeout_ns: int) -> List[int]:
        """Sleep until there is something, handle events, and tell the subscriptions that have messages.

        Args:
            timeout_ns: at most so long; :data:`FOREVER`, or 0 to look only.

        Returns:
            ``handle.pointer`` of each subscription that has messages.
        """
        wait_set = self._wait_set
        wait_set.clear_entities()
        for one in self._subscriptions:
            wait_set.add_subscription(one.handle)
        wait_set.add_guard_condition(self._guard.handle)
        for event in self._events:
            event.add_to_wait_set(wait_set)
        wait_set.wait(timeout_ns)
        for event in self._events:  # of lost messages first: they explain gaps in the numbers of those that came
            if event.is_ready(wait_set):
                data = event.take_data()
                if data is not None:
                    event.callback(data)
        return wait_set.get_ready_entities('subscription')

    def wake(self) -> None:
        """End a wait that is going on; may be called from any thread."""
        self._guard.trigger()
