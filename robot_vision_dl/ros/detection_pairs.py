"""Takes the images and detections of all cameras as they come, and hands out pairs of them.

A thread of its own takes them: a detector answers later than the image comes, so that images must wait here and not in
the middleware, which keeps the newest only; what happens to each is in :mod:`..core.regions.stamp_pairing`.
"""
import threading
import time
from typing import Any, Callable, List, Mapping, Optional, Tuple

from rclpy.node import Node
from vision_msgs.msg import Detection2DArray

from ..core.errors import ImageError
from ..core.regions.detection_cdr import decode_detections
from ..core.regions.stamp_pairing import Pair, Pairing, PairingConfig
from ..core.runtime.engine_thread import Received
from . import qos
from .camera import CameraInput
from .subscription_wait_set import FOREVER, Apart, SubscriptionWaitSet
from .topic_name import resolved

MOST_DETECTIONS = 1000
"""Of an array. No detector of a robot finds as many, and each costs time that other cameras wait for."""
_PAUSE_S = 0.05  # after an error of the middleware that may come again at once


class DetectionInput:
    """Subscribes to the detections of a camera.

    Args:
        node: owns the subscription.
        topic: of ``vision_msgs/Detection2DArray``.
    """

    def __init__(self, node: Node, topic: str) -> None:
        self._node = node
        self.topic = resolved(node, topic)
        self.lost = 0
        self.subscription = node.create_subscription(
            Detection2DArray, topic, lambda _buffer: None, qos.DETECTIONS_IN, raw=True, callback_group=Apart(),
            event_callbacks=qos.subscription_events(
                node, self.topic, self._count_lost, 'detections',
                'what publishes it (vision_msgs/msg/Detection2DArray)'),
            qos_overriding_options=qos.overridable())

    def take_all(self) -> List[bytes]:
        """All that have arrived, oldest first."""
        found = []
        while (taken := self.subscription.handle.take_message(self.subscription.msg_type, True)) is not None:
            found.append(taken[0])
        return found

    def _count_lost(self, count: int) -> None:
        self.lost += count

    def publishers(self) -> int:
        """How many publishers there are on the topic, compatible or not."""
        return self._node.count_publishers(self.topic)

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self.subscription)


class DetectionPairs:
    """Pairs of an image and its detections, of all cameras; see :class:`~..core.regions.stamp_pairing.Pairing`.

    Args:
        node: owns the subscriptions.
        inputs: of each camera its images and its detections; they must outlive this.
        config: how long and how much may wait.
        on_drop: called on this thread with (camera, reason, sentence) for what cannot be read.
    """

    def __init__(self, node: Node, inputs: Mapping[str, Tuple[CameraInput, DetectionInput]], config: PairingConfig,
                 on_drop: Callable[[str, str, str], None]) -> None:
        self.pairing: Pairing[Received] = Pairing(list(inputs), config)
        self._inputs = dict(inputs)
        self._on_drop = on_drop
        subscriptions: List[Any] = []
        for images, detections in inputs.values():
            subscriptions += [images.subscription, detections.subscription]
        self._wait_set = SubscriptionWaitSet(node, subscriptions)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name='pairing', daemon=True)
        self._thread.start()

    def take(self, limit: int, wait: bool = True) -> Optional[List[Pair[Received]]]:
        """At most ``limit`` pairs, one a camera; None: this is closed."""
        return self.pairing.take(limit, wait)

    def close(self) -> None:
        """End the waiting and the thread; called from another one."""
        self._closed = True
        self._wait_set.wake()
        self._thread.join()
        self.pairing.close()

    def _run(self) -> None:
        while not self._closed:
            try:
                due_s = self.pairing.expire(time.monotonic())
                wait_ns = FOREVER if due_s is None else max(0, round((due_s - time.monotonic()) * 1e9)) + 1_000_000
                self._take(self._wait_set.wait(wait_ns))
            except Exception as error:  # noqa: B902 - of the middleware: the thread must not end of it
                for camera in list(self._inputs)[:1]:
                    self._on_drop(camera, 'take_failed', f'{type(error).__name__}: {error}')
                time.sleep(_PAUSE_S)

    def _take(self, ready: List[int]) -> None:
        # Images first: detections that come at once with their image find it.
        for camera, (images, _) in self._inputs.items():
            if images.subscription.handle.pointer in ready:
                for buffer, missed in images.take_all():
                    self._add_image(camera, images, buffer, missed)
        for camera, (_, detections) in self._inputs.items():
            if detections.subscription.handle.pointer in ready:
                for buffer in detections.take_all():
                    self._add_detections(camera, buffer)

    def _add_image(self, camera: str, images: CameraInput, buffer: bytes, missed: int) -> None:
        now_s = time.monotonic()
        if missed:
            self.pairing.count_image(camera, 'replaced_by_newer', missed)
        try:
            header = images.parse(buffer).header
        except ImageError as error:
            self.pairing.count_image(camera, error.reason)
            self._on_drop(camera, error.reason, str(error))
            return
        self.pairing.add_image(camera, header, Received(images.parse, buffer), len(buffer), now_s)

    def _add_detections(self, camera: str, buffer: bytes) -> None:
        try:
            array = decode_detections(buffer, MOST_DETECTIONS)
        except ImageError as error:
            self.pairing.count_array(camera, error.reason)
            self._on_drop(camera, error.reason, f'detections: {error}')
            return
        self.pairing.add_detections(camera, array, time.monotonic())
