"""Waits for the images of all cameras, and takes them when the engine is free for them.

The engine's own thread waits in the middleware and takes what is there, so that no second thread wakes for each image,
takes Python's lock from a network that is running, and copies pictures that will be replaced. What nobody has taken yet
is replaced there by a newer picture, as the quality of service (keep the last 1) says; the numbers that publishers give
their messages tell how many.
"""
from typing import TYPE_CHECKING, List, Mapping, Optional, Tuple

from rclpy.node import Node

from ..core.runtime.engine_thread import Received
from .subscription_wait_set import FOREVER, SubscriptionWaitSet

if TYPE_CHECKING:
    from .camera import CameraInput


class ImageWaitSet:
    """The images of some cameras, for one thread that takes them.

    Args:
        node: owns the subscriptions.
        inputs: by camera, :class:`~.camera.CameraInput`; they must outlive the thread that takes.
    """

    def __init__(self, node: Node, inputs: Mapping[str, 'CameraInput']) -> None:
        self._inputs = dict(inputs)
        self._turns = list(inputs)
        self._wait_set = SubscriptionWaitSet(node, [source.subscription for source in inputs.values()])
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
            ready = self._wait_set.wait(FOREVER if wait else 0)
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
        self._wait_set.wake()
