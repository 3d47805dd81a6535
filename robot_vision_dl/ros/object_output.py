"""The topics of one camera whose objects are decided: what goes out about them."""

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from vision_msgs.msg import Detection2DArray

from ..core.config import ClassifierConfig
from ..core.regions.results import ObjectResults
from ..core.runtime.engine_thread import Timing
from ..core.runtime.object_overlay import draw_objects
from . import object_messages, qos
from .camera import OverlayOutput, create_output


class ObjectOutput:
    """Publishes what was found out about the objects of a camera's pictures, with the header of their detections."""

    def __init__(self, node: Node, camera: str) -> None:
        self._node = node
        self._detections = create_output(node, Detection2DArray, f'~/{camera}/detections', qos.RESULTS_OUT)
        self._uncertainty = create_output(node, DiagnosticArray, f'~/{camera}/uncertainty', qos.RESULTS_OUT)
        self._overlay = OverlayOutput(node, camera)

    def publish(self, result: ObjectResults, timing: Timing, config: ClassifierConfig) -> None:
        """Publish detections first: a robot waits for them."""
        self._detections.publish(object_messages.detections(result, config.class_id_as_index))
        if self._uncertainty.get_subscription_count():
            self._uncertainty.publish(
                object_messages.uncertainty(result, self._node.get_fully_qualified_name(), timing))
        if self._overlay.is_wanted():
            self._overlay.publish(draw_objects(result), result.frame.header)

    def is_watched(self) -> bool:
        """Whether anybody subscribes to the overlay."""
        return self._overlay.is_wanted()

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in (self._detections, self._uncertainty):
            self._node.destroy_publisher(publisher)
        self._overlay.destroy()
