"""The topics of one camera: what comes in, and what goes out about it."""
from typing import Any, Iterator, Mapping, Optional, Tuple

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Classification

from ..core import types
from ..core.config import ClassifierConfig
from ..core.images.cdr import decode_compressed_image, decode_image, encode_compressed_image, encode_image
from ..core.runtime.engine_thread import Received, Timing
from ..core.runtime.frame_counters import SequenceGaps
from ..core.runtime.overlay import JPEG_QUALITY, draw
from ..core.types import Result
from . import messages, qos
from .subscription_wait_set import Apart
from .topic_name import resolved


class CameraInput:
    """Subscribes to a camera; :class:`~.image_wait_set.ImageWaitSet` waits for what comes.

    Serialized bytes rather than message objects: rclpy then copies the picture once instead of building a Python
    object around it.

    Args:
        node: owns the subscription.
        topic: without the suffix of the transport.
        transport: raw, compressed or compressedDepth.
        profile: quality of service.
    """

    def __init__(self, node: Node, topic: str, transport: str, profile: QoSProfile = qos.IMAGES_IN) -> None:
        self._node = node
        self._gaps = SequenceGaps()
        self.lost = 0
        raw = transport == 'raw'
        message_type = Image if raw else CompressedImage
        self.parse = decode_image if raw else decode_compressed_image
        name = topic if raw else f'{topic}/{transport}'
        self.topic = resolved(node, name)
        self.subscription = node.create_subscription(
            message_type, name, lambda _buffer: None, profile, raw=True, callback_group=Apart(),
            event_callbacks=qos.subscription_events(node, self.topic, self._count_lost),
            qos_overriding_options=qos.overridable())

    def take_all(self) -> Iterator[Tuple[bytes, int]]:
        """All images that have arrived, oldest first, each with the number of those before it that nobody took."""
        while (taken := self.subscription.handle.take_message(self.subscription.msg_type, True)) is not None:
            buffer, info = taken
            yield buffer, self._missed(info)

    def take(self) -> Optional[Received]:
        """The newest image that has arrived, with the count of those that it replaced; None: there is none."""
        newest, replaced = None, 0
        while True:
            taken = self.subscription.handle.take_message(self.subscription.msg_type, True)
            if taken is None:
                return newest and Received(self.parse, newest, replaced)
            replaced += newest is not None  # more than one can wait where the depth was overridden
            newest, info = taken
            replaced += self._missed(info)

    def _missed(self, info: Mapping[str, Any]) -> int:
        publisher = info.get('publisher_gid')
        return self._gaps.missed(publisher['data'] if publisher else None, info.get('publication_sequence_number'))

    def _count_lost(self, count: int) -> None:
        self.lost += count
        self._gaps.lost(count)

    def publishers(self) -> int:
        """How many publishers there are on the topic, compatible or not."""
        return self._node.count_publishers(self.topic)

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self.subscription)


def create_output(node: Node, message_type: Any, topic: str, profile: QoSProfile) -> 'Publisher[Any]':
    """A publisher that says which subscribers its quality of service does not fit."""
    return node.create_publisher(
        message_type, topic, profile, event_callbacks=qos.publisher_events(node, node.resolve_topic_name(topic)),
        qos_overriding_options=qos.overridable())


class OverlayOutput:
    """Publishes pictures with decisions drawn in, raw and as JPEG, to whoever wants them."""

    def __init__(self, node: Node, camera: str) -> None:
        self._node = node
        self._image = create_output(node, Image, f'~/{camera}/overlay', qos.PICTURES_OUT)
        self._jpeg = create_output(node, CompressedImage, f'~/{camera}/overlay/compressed', qos.PICTURES_OUT)

    def is_wanted(self) -> bool:
        """Whether anybody subscribes."""
        return bool(self._image.get_subscription_count() or self._jpeg.get_subscription_count())

    def publish(self, canvas: np.ndarray, header: types.Header) -> None:
        """Publish a picture, uint8 (H, W, 3), BGR."""
        height, width = canvas.shape[:2]
        if self._image.get_subscription_count():
            self._image.publish(encode_image(types.RawImage(
                header, height, width, 'bgr8', False, 3 * width, canvas.reshape(-1))))
        if self._jpeg.get_subscription_count():
            done, jpeg = cv2.imencode('.jpg', canvas, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
            if done:
                self._jpeg.publish(encode_compressed_image(types.CompressedImage(
                    header, 'bgr8; jpeg compressed bgr8', jpeg.reshape(-1))))

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (self._image, self._jpeg):
            self._node.destroy_publisher(publisher)


class CameraOutput:
    """Publishes what was found out about a camera's frames, each with the header of its image."""

    def __init__(self, node: Node, camera: str) -> None:
        self._node = node
        self._classification = create_output(node, Classification, f'~/{camera}/classification', qos.RESULTS_OUT)
        self._decision = create_output(node, Classification, f'~/{camera}/decision', qos.RESULTS_OUT)
        self._uncertainty = create_output(node, DiagnosticArray, f'~/{camera}/uncertainty', qos.RESULTS_OUT)
        self._overlay = OverlayOutput(node, camera)

    def publish(self, result: Result, timing: Timing, config: ClassifierConfig) -> None:
        """Publish decision first: a robot waits for it."""
        self._decision.publish(messages.decision(result, config.class_id_as_index))
        if self._classification.get_subscription_count():
            self._classification.publish(
                messages.classification(result, config.top_k, config.class_id_as_index))
        if self._uncertainty.get_subscription_count():
            self._uncertainty.publish(
                messages.uncertainty(result, self._node.get_fully_qualified_name(), timing))
        if self._overlay.is_wanted():
            self._overlay.publish(draw(result), result.frame.header)

    def is_watched(self) -> bool:
        """Whether anybody subscribes to the overlay."""
        return self._overlay.is_wanted()

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (self._classification, self._decision, self._uncertainty):
            self._node.destroy_publisher(publisher)
        self._overlay.destroy()
