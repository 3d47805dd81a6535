"""The topics of one camera: what comes in, and what goes out about it."""
from typing import Any, List, Optional

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
from ..core.runtime.engine import Received, Timing
from ..core.runtime.frame_counters import SequenceGaps
from ..core.runtime.overlay import JPEG_QUALITY, draw
from ..core.types import Result
from . import messages, qos
from .image_wait_set import Apart


class CameraInput:
    """Subscribes to a camera; :class:`~.image_wait_set.ImageWaitSet` waits for what comes.

    Serialized bytes rather than message objects: rclpy then copies the picture once instead of building a Python
    object around it.

    Args:
        node: owns the subscription.
        topic: without the suffix of the transport.
        transport: raw, compressed or compressedDepth.
    """

    def __init__(self, node: Node, topic: str, transport: str) -> None:
        self._node = node
        self._gaps = SequenceGaps()
        self.lost = 0
        raw = transport == 'raw'
        message_type = Image if raw else CompressedImage
        self._parse = decode_image if raw else decode_compressed_image
        name = topic if raw else f'{topic}/{transport}'
        self.topic = node.resolve_topic_name(name)
        self.subscription = node.create_subscription(
            message_type, name, lambda _buffer: None, qos.IMAGES_IN, raw=True, callback_group=Apart(),
            event_callbacks=qos.subscription_events(node, self.topic, self._count_lost),
            qos_overriding_options=qos.overridable())

    def take(self) -> Optional[Received]:
        """The newest image that has arrived, with the count of those that it replaced; None: there is none."""
        newest, replaced = None, 0
        while True:
            taken = self.subscription.handle.take_message(self.subscription.msg_type, True)
            if taken is None:
                return newest and Received(self._parse, newest, replaced)
            replaced += newest is not None  # more than one can wait where the depth was overridden
            newest, info = taken
            publisher = info.get('publisher_gid')
            replaced += self._gaps.missed(publisher['data'] if publisher else None,
                                          info.get('publication_sequence_number'))

    def _count_lost(self, count: int) -> None:
        self.lost += count
        self._gaps.lost(count)

    def publishers(self) -> int:
        """How many publishers there are on the topic, compatible or not."""
        return self._node.count_publishers(self.topic)

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self.subscription)


class CameraOutput:
    """Publishes what was found out about a camera's frames, each with the header of its image."""

    def __init__(self, node: Node, camera: str) -> None:
        self._node = node
        self._publishers: 'List[Publisher[Any]]' = []
        self._classification = self._create(Classification, f'~/{camera}/classification', qos.RESULTS_OUT)
        self._decision = self._create(Classification, f'~/{camera}/decision', qos.RESULTS_OUT)
        self._uncertainty = self._create(DiagnosticArray, f'~/{camera}/uncertainty', qos.RESULTS_OUT)
        self._overlay = self._create(Image, f'~/{camera}/overlay', qos.PICTURES_OUT)
        self._overlay_jpeg = self._create(CompressedImage, f'~/{camera}/overlay/compressed', qos.PICTURES_OUT)

    def _create(self, message_type: Any, topic: str, profile: QoSProfile) -> 'Publisher[Any]':
        publisher: 'Publisher[Any]' = self._node.create_publisher(
            message_type, topic, profile, event_callbacks=qos.publisher_events(
                self._node, self._node.resolve_topic_name(topic)), qos_overriding_options=qos.overridable())
        self._publishers.append(publisher)
        return publisher

    def publish(self, result: Result, timing: Timing, config: ClassifierConfig) -> None:
        """Publish decision first: a robot waits for it."""
        self._decision.publish(messages.decision(result, config.class_id_as_index))
        if self._classification.get_subscription_count():
            self._classification.publish(
                messages.classification(result, config.top_k, config.class_id_as_index))
        if self._uncertainty.get_subscription_count():
            self._uncertainty.publish(
                messages.uncertainty(result, self._node.get_fully_qualified_name(), timing))
        as_image = self._overlay.get_subscription_count() > 0
        as_jpeg = self._overlay_jpeg.get_subscription_count() > 0
        if as_image or as_jpeg:
            self._publish_overlay(draw(result), result.frame.header, as_image, as_jpeg)

    def _publish_overlay(self, canvas: np.ndarray, header: types.Header, as_image: bool, as_jpeg: bool) -> None:
        height, width = canvas.shape[:2]
        if as_image:
            self._overlay.publish(encode_image(types.RawImage(
                header, height, width, 'bgr8', False, 3 * width, canvas.reshape(-1))))
        if as_jpeg:
            done, jpeg = cv2.imencode('.jpg', canvas, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
            if done:
                self._overlay_jpeg.publish(encode_compressed_image(types.CompressedImage(
                    header, 'bgr8; jpeg compressed bgr8', jpeg.reshape(-1))))

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
