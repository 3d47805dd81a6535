"""A camera for measurements: publishes pictures at a steady rate, each stamped at the moment it leaves.

A process of its own: ``python -m robot_vision_dl.bench.publisher --topic /a --topic /b --rate 30 --frames 600``. Prints
one line of JSON at the end: frames sent a topic and the wall-clock span.
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

from ..core import types
from ..core.images.cdr import encode_compressed_image, encode_image
from ..core.networks.allocator import keep_freed_memory
from ..core.text.number_options import real, whole

STAMP_OFFSET = 4  # behind the encapsulation header: int32 seconds, uint32 nanoseconds
PICTURES = 8


def moving_scene(width: int, height: int, index: int) -> np.ndarray:
    """A picture with large and small structure that differs with ``index``; uint8, (height, width, 3), BGR."""
    random = np.random.default_rng(index)
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    scene = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    centre = (width * (index + 1) // (PICTURES + 1), height // 2)
    cv2.circle(scene, centre, height // 5, (40, 200, 240), -1)
    return cv2.add(scene, np.asarray(random.integers(0, 12, scene.shape, dtype=np.uint8)))


def serialized_pictures(width: int, height: int, compressed: bool) -> List[bytearray]:
    """Messages with an empty stamp, ready to be stamped and sent."""
    header = types.Header(0, 'bench_camera')
    messages = []
    for index in range(PICTURES):
        scene = moving_scene(width, height, index)
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
    args = parser.parse_args(arguments)
    keep_freed_memory()  # or the kernel clears the pages of each picture anew, after it was stamped
    width, height = map(int, args.size.split('x'))
    messages = serialized_pictures(width, height, args.compressed)

    rclpy.init()
    node = rclpy.create_node('bench_camera')
    profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                         reliability=ReliabilityPolicy.RELIABLE if args.reliable else ReliabilityPolicy.BEST_EFFORT)
    message_type = CompressedImage if args.compressed else Image
    publishers = [node.create_publisher(message_type, topic, profile) for topic in args.topic]
    while not all(publisher.get_subscription_count() for publisher in publishers):
        time.sleep(0.02)
    time.sleep(0.5)  # both ends know of each other only a little after the count says so

    began = time.perf_counter()
    late = 0
    for index in range(args.frames):
        if args.rate:
            due = began + index / args.rate
            ahead = due - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            elif ahead < -1 / args.rate:
                late += 1
        message = messages[index % PICTURES]
        for publisher in publishers:
            seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
            message[STAMP_OFFSET:STAMP_OFFSET + 4] = seconds.to_bytes(4, 'little')
            message[STAMP_OFFSET + 4:STAMP_OFFSET + 8] = nanoseconds.to_bytes(4, 'little')
            publisher.publish(bytes(message))
    span_s = time.perf_counter() - began
    print(json.dumps({'sent': args.frames, 'span_s': span_s, 'late': late}), flush=True)
    time.sleep(0.5)  # the last frames are still on their way
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
