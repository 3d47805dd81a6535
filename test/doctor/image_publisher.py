"""A process that publishes for the doctor's tests: ``image_publisher.py PROFILE TOPIC=KIND,RELIABILITY ...``.

Prints ``ready`` once it publishes; ends when its stdin is closed. 20 Hz, 640x480.
"""
import sys
import threading
import time

import cv2
import numpy as np

from robot_vision_dl.core.images.cdr import encode_compressed_image, encode_image
from robot_vision_dl.core.types import CompressedImage, Header, RawImage
from robot_vision_dl.ros.dds import apply_profile

WIDTH, HEIGHT = 640, 480
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
JPEG = cv2.imencode('.jpg', cv2.resize(PIXELS, (64, 48)))[1].reshape(-1)
YEAR_NS = 365 * 86_400 * 1_000_000_000


def message(kind):
    """What is published now, serialized."""
    now = time.time_ns()
    if kind == 'jpeg':
        return encode_compressed_image(CompressedImage(Header(now, 'lens'), 'jpeg', JPEG))
    stamps = {'old': now - YEAR_NS, 'unstamped': 0, 'ahead': now + 500_000_000, 'late': now - 3_000_000_000}
    stamp = stamps.get(kind, now)
    step = 100 if kind == 'bad_step' else 3 * WIDTH
    return encode_image(RawImage(Header(stamp, 'lens'), HEIGHT, WIDTH, 'bgr8', False, step, PIXELS.reshape(-1)))


def main(profile, specifications):
    """Publish until stdin ends."""
    apply_profile(profile)
    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs import msg
    from std_msgs.msg import String
    rclpy.init(args=[])
    node = rclpy.create_node('camera_driver', namespace='robot')
    publishers = []
    for specification in specifications:
        topic, _, rest = specification.partition('=')
        kind, reliability = rest.split(',')
        types = {'jpeg': msg.CompressedImage, 'text': String}
        qos = QoSProfile(depth=2, reliability=ReliabilityPolicy[reliability.upper()])
        publishers.append((node.create_publisher(types.get(kind, msg.Image), topic, qos), kind))
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    said = False
    while not over.wait(0.05):
        for publisher, kind in publishers:
            if kind != 'silent':
                publisher.publish(String(data='hello') if kind == 'text' else message(kind))
        if not said:
            print('ready', flush=True)
            said = True
    rclpy.shutdown()


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
