"""Waits for the images of all cameras, and takes them when the engine is free for them.

The engine's own thread waits in the middleware and takes what is there, so that no second thread wakes for each image,
takes Python's lock from a network that is running, and copies pictures that will be replaced. What nobody has taken yet
is replaced there by a newer picture, as the quality of service (keep the last 1) says; the numbers that publishers give
their messages tell how many. It needs what executors are made of: a wait set and a callback group.
"""
from typing import TYPE_CHECKING, List, Mapping, Optional, Tuple

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node

from ..core.runtime.engine import Received
from .compat import WaitSet

if TYPE_CHECKING:
    from .camera import CameraInput

_FOREVER = -1


class Apart(ReentrantCallbackGroup):
    """Of what the node's executor leaves alone, since another thread waits for it."""

    def can_execute(self, _entity: object) -> bool:  # type: ignore[override]  # annotated as one that always may
        """Never by the executor."""
        return False


class ImageWaitSet:
    """The images of some cameras, for one thread that takes them.

    Args:
        node: owns the subscriptions.
        inputs: by camera, :class:`~.camera.CameraInput`; they must outlive the thread that takes.
    """

    def __init__(self, node: Node, inputs: Mapping[str, 'CameraInput']) -> None:
        self._inputs = dict(inputs)
        self._turns = list(inputs)
        self._events = [event for source in self._inputs.values() for event in source.subscription.event_handlers]
        # Not the node's, whose executor would take the trigger away.
        self._guard = GuardCondition(None, None, context=node.context)
        assert node.context.handle is not None
        self._wait_set = WaitSet(len(self._inputs), 1, 0, 0, 0, len(self._events), node.context.handle)
        self._closed = False

    def take(self, limit: int, wait: bool = True) -> Optional[List[Tuple[str, Received]]]:
        """Take what is there: at most ``limit`` images, the newest of each camera.

        Cameras are served in turn: who was taken goes to the end of the line, so none is starved.

        Args:
            limit: at least 1.
            wait: until there is one; else nothing is taken where there is none.

        Returns:
            (camera, image) pairs, or None once this is closed.
        """
        while not self._closed:
            ready = self._wait(_FOREVER if wait else 0)
            taken: List[Tuple[str, Received]] = []
            for camera in self._turns:
                source = self._inputs[camera]
                if len(taken) < limit and source.subscription.handle.pointer in ready:
                    received = source.take()
                    if received is not None:
                        taken.append((camera, received))
            if taken or not wait:
                served = [camera for camera, _ in taken]
                self._turns = [camera for camera in self._turns if camera not in served] + served
                return taken
        return None

    def close(self) -> None:
        """Make whoever takes get None, now and later; may be called from any thread."""
        self._closed = True
        self._guard.trigger()

    def _wait(self, timeout_ns: int) -> List[int]:
        """Sleep until there is something, handle events, and tell the subscriptions that have images."""
        wait_set = self._wait_set
        wait_set.clear_entities()
        for source in self._inputs.values():
            wait_set.add_subscription(source.subscription.handle)
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
