"""A detector to try regions with: images in, boxes of objects out.

Reads ``sensor_msgs/Image`` or ``CompressedImage`` and publishes ``vision_msgs/Detection2DArray`` on ``~/detections``,
one array an image, with the image's header, empty where nothing was found. The network is torchvision's
(:mod:`robot_vision_dl.core.regions.detector`); robots that have a detector use theirs.
"""
import sys
import threading
import time
from typing import Any, List, Optional

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from vision_msgs.msg import Detection2DArray

from ..core.errors import ImageError
from ..core.images.image import decode
from ..core.networks.threads import on_a_thread
from ..core.regions.detection_cdr import encode_detections
from ..core.regions.detections import DetectionArray
from ..core.regions.detector import Detector, DetectorConfig
from ..core.runtime.engine_thread import DECODE_FAILED, INFERENCE_FAILED, PUBLISH_FAILED, TAKE_FAILED, Received
from ..core.runtime.frame_counters import REPLACED, Account, FrameCounters
from . import qos
from .camera import CameraInput, create_output
from .image_wait_set import ImageWaitSet
from .messages import key_values
from .node_main import run_node
from .parameters import ConfigParameters
from .spinning import reason_of
from .start import PrintableLogs
from .topic_watch import watch_images

CAMERA = 'camera'
_PAUSE_S = 0.05  # after an error of the middleware that may come again at once


class DetectorNode(PrintableLogs, Node):
    """See the module's docstring. Parameters are those of :class:`DetectorConfig`.

    As in the classifier, a thread of its own takes the newest image when it is free, and those before it are counted.
    """

    def __init__(self, name: str = 'detector', **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self._config_parameters = ConfigParameters(self, DetectorConfig, lambda: True, lambda _config, _names: None)
        config: DetectorConfig = self._config_parameters.config
        started = time.perf_counter()
        self._detector: Detector = on_a_thread(Detector.load, config)
        self._counters = FrameCounters([CAMERA])
        self._before, self._before_s = Account(), time.monotonic()
        self._heard_s = self._before_s
        self._took_ms = 0.0
        self._output = create_output(self, Detection2DArray, '~/detections', qos.RESULTS_OUT)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.RESULTS_OUT)
        self._input = CameraInput(self, config.image_topic, config.image_transport)
        self._images = ImageWaitSet(self, {CAMERA: self._input})
        self._watch = watch_images(self, config.image_topic, config.image_transport, self._input.topic)
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.get_logger().info(
            f'{config.model} ({len(self._detector.class_names) - 1} classes) is ready on {self._detector.device} after '
            f'{time.perf_counter() - started:.1f} s; listening to {self._input.topic}, objects on '
            f'{self._output.topic_name}'
        )
        self._thread = threading.Thread(target=self._run, name='detection', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the image in work and take no other."""
        self._images.close()
        self._thread.join()

    # On the thread of its own.

    def _run(self) -> None:
        self._detector.claim_thread()
        while True:
            try:
                taken = self._images.take(1)
            except Exception as error:  # noqa: B902 - of the middleware: the thread must not end of it
                self._say(TAKE_FAILED, error)
                time.sleep(_PAUSE_S)
                continue
            if taken is None:
                return
            for _, received in taken:
                self._counters.received(CAMERA, received.replaced)
                self._handle(received)

    def _handle(self, received: Received) -> None:
        config: DetectorConfig = self._config_parameters.config
        reason = DECODE_FAILED
        try:
            message = received.parse(received.buffer)
            picture = decode(message, config.image)
            reason, started = INFERENCE_FAILED, time.perf_counter()
            found = self._detector(picture, config.min_score, config.max_detections)
            self._took_ms = (time.perf_counter() - started) * 1e3
            reason = PUBLISH_FAILED
            self._output.publish(encode_detections(DetectionArray(message.header, found)))
        except Exception as error:  # noqa: B902 - of any library: it is counted and said, and the next is looked at
            self._drop(error.reason if isinstance(error, ImageError) else reason, error)
            return
        self._counters.decided(CAMERA)

    def _drop(self, reason: str, error: Exception) -> None:
        self._counters.dropped(CAMERA, reason)
        self._say(reason, error)

    def _say(self, reason: str, error: Exception) -> None:
        if self.context.ok():
            self.get_logger().warning(f'image dropped, {reason}: {reason_of(error)}', throttle_duration_sec=5.0)

    # On the executor's thread.

    def _report(self) -> None:
        now_s, account = time.monotonic(), self._counters.account(CAMERA)
        arrived, elapsed_s = account.received - self._before.received, max(now_s - self._before_s, 1e-6)
        dropped = account.dropped - self._before.dropped
        if arrived:
            self._heard_s = now_s
            self._watch.heard()
        self._watch.look()
        rate = f'{(account.decided - self._before.decided) / elapsed_s:.1f} of {arrived / elapsed_s:.1f} Hz looked at'
        bad = ', '.join(f'{count} {reason}' for reason, count in sorted(dropped.items()) if reason != REPLACED)
        level, text = DiagnosticStatus.OK, rate
        if now_s - self._heard_s > self._config_parameters.config.stale_after_s:
            level, text = DiagnosticStatus.STALE, f'stale: no image for {now_s - self._heard_s:.1f} s'
        elif bad:
            level, text = DiagnosticStatus.WARN, f'images that cannot be used: {bad}; {rate}'
        values = {'topic': self._input.topic, 'publishers': self._input.publishers(), 'received': account.received,
                  'detected': account.decided, 'lost_in_transport': self._input.lost, 'detect_ms': self._took_ms,
                  'dropped': sum(account.dropped.values()),
                  **{f'dropped_{reason}': count for reason, count in sorted(account.dropped.items())}}
        array = DiagnosticArray(status=[DiagnosticStatus(
            level=level, name=f'{self.get_fully_qualified_name()}: detector', message=text, hardware_id='detector',
            values=key_values(values))])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)
        self._before, self._before_s = account, now_s


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the node until it is told to stop; exit code 2 for parameters or weights that cannot be used."""
    return run_node('detector', DetectorNode, arguments, end=DetectorNode.stop)


if __name__ == '__main__':
    sys.exit(main())
