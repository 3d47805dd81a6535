"""A camera for measurements: publishes pictures at a steady rate, each stamped at the moment it leaves.

A process of its own: ``python -m robot_vision_dl.bench.publisher --topic /a --topic /b --rate 30 --frames 600``. Prints
one line of JSON at the end: frames sent a topic and the wall-clock span. With ``--objects`` a detector answers each
picture, on the picture's topic with :data:`.boxes.BOXES` behind.
"""
import argparse
import json
import sys
import time
from typing import List, Optional

import cv2
import numpy as np
import rclpy
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

from ..core import types
from ..core.images.cdr import encode_compressed_image, encode_image
from ..core.networks.allocator import keep_freed_memory
from ..core.text.number_options import real, whole
from ..ros.start import init
from .boxes import BOXES, STAMP_OFFSET, LateDetector, draw_objects, serialized_boxes, stamp_bytes

PICTURES = 8
DETECTIONS_OUT = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""As detectors have it."""
_FRAME_ID = 'bench_camera'


def moving_scene(width: int, height: int, index: int) -> np.ndarray:
    """A picture with large and small structure that differs with ``index``; uint8, (height, width, 3), BGR."""
    random = np.random.default_rng(index)
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    scene = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    centre = (width * (index + 1) // (PICTURES + 1), height // 2)
    cv2.circle(scene, centre, height // 5, (40, 200, 240), -1)
    return cv2.add(scene, np.asarray(random.integers(0, 12, scene.shape, dtype=np.uint8)))


def serialized_pictures(width: int, height: int, compressed: bool, objects: int = 0) -> List[bytearray]:
    """Messages with an empty stamp, ready to be stamped and sent, with ``objects`` drawn where :mod:`.boxes` are."""
    header = types.Header(0, _FRAME_ID)
    messages = []
    for index in range(PICTURES):
        scene = moving_scene(width, height, index)
        draw_objects(scene, objects)
        if compressed:
            jpeg = cv2.imencode('.jpg', scene, (cv2.IMWRITE_JPEG_QUALITY, 90))[1]
            message = encode_compressed_image(types.CompressedImage(header, 'bgr8; jpeg compressed bgr8',
                                                                    jpeg.reshape(-1)))
        else:
            message = encode_image(types.RawImage(header, height, width, 'bgr8', False, 3 * width, scene.reshape(-1)))
        messages.append(bytearray(message))
    return messages


def main(arguments: Optional[List[str]] = None) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--topic', action='append', required=True)
    parser.add_argument('--size', default='640x480')
    parser.add_argument('--rate', type=real(0, 10_000), default=30.0, help='Hz; 0: as fast as it goes')
    parser.add_argument('--frames', type=whole(1, 10**11), default=300)
    parser.add_argument('--compressed', action='store_true')
    parser.add_argument('--reliable', action='store_true')
    parser.add_argument('--objects', type=whole(0, 10_000), default=0, help='boxes a picture; 0: there is no detector')
    parser.add_argument('--detector-delay', type=real(0, 60_000), default=0.0, help='ms from a picture to its boxes')
    args = parser.parse_args(arguments)
    keep_freed_memory()  # or the kernel clears the pages of each picture anew, after it was stamped
    width, height = map(int, args.size.split('x'))
    messages = serialized_pictures(width, height, args.compressed, args.objects)

    init()
    node = rclpy.create_node('bench_camera')
    profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                         reliability=ReliabilityPolicy.RELIABLE if args.reliable else ReliabilityPolicy.BEST_EFFORT)
    message_type = CompressedImage if args.compressed else Image
    publishers = [node.create_publisher(message_type, topic, profile) for topic in args.topic]
    detectors = [node.create_publisher(Detection2DArray, topic + BOXES, DETECTIONS_OUT)
                 for topic in args.topic if args.objects]
    answers = [serialized_boxes(args.objects, width, height, _FRAME_ID) for _ in detectors]
    detector = LateDetector(detectors, answers, args.detector_delay * 1e-3)
    while not all(publisher.get_subscription_count() for publisher in [*publishers, *detectors]):
        time.sleep(0.02)
    time.sleep(0.5)  # both ends know of each other only a little after the count says so

    began = time.perf_counter()
    late = 0
    for index in range(args.frames):
        if args.rate:
            due = began + index / args.rate
            detector.send_until(due)
            ahead = due - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            elif ahead < -1 / args.rate:
                late += 1
        else:
            detector.send_until(time.perf_counter())
        message = messages[index % PICTURES]
        for camera, publisher in enumerate(publishers):
            stamp = stamp_bytes(time.time_ns())
            message[STAMP_OFFSET:STAMP_OFFSET + 8] = stamp
            publisher.publish(bytes(message))
            if detectors:
                detector.saw(camera, index, stamp)
    span_s = time.perf_counter() - began
    detector.finish()
    print(json.dumps({'sent': args.frames, 'span_s': span_s, 'late': late,
                      'arrays_sent': detector.sent // max(1, len(detectors))}), flush=True)
    time.sleep(0.5)  # the last frames are still on their way
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
