"""Send pictures from one process of this machine to another, to see whether DDS carries them.

``measure`` starts this file twice, as publisher and as subscriber, with the environment as it is: what DDS profile,
domain and discovery range it names is what is tried.
"""
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, List, Tuple

from ..core.processes import module_command

if TYPE_CHECKING:
    from rclpy.node import Node

WIDTH, HEIGHT = 640, 480
FRAMES = 10
RATE_HZ = 30.0
DISCOVERY_S = 10.0
NOT_FOUND = 3  # exit code: nobody was discovered


@dataclass(frozen=True)
class RoundTrip:
    """What came of it.

    Attributes:
        sent: pictures published.
        latencies_ms: one for each picture that arrived, from before it was serialized until it was there.
        discovered: the two processes found each other.
        error: why nothing could be measured; empty otherwise.
        messages: what the middleware wrote to stderr.
    """

    sent: int
    latencies_ms: Tuple[float, ...]
    discovered: bool
    error: str = ''
    messages: str = ''


def measure(timeout_s: float = 40.0) -> RoundTrip:
    """Publish ten 640x480 bgr8 pictures best effort at 30 Hz and count those that arrive in another process."""
    topic = f'/robot_vision_doctor/round_trip_{os.getpid()}'
    environment = dict(os.environ)
    roles = ('subscribe', 'publish')
    processes = [subprocess.Popen(module_command(__name__, role, topic), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, env=environment) for role in roles]
    until = time.monotonic() + timeout_s
    outputs: List[Tuple[str, str]] = []
    try:
        for process in processes:
            outputs.append(process.communicate(timeout=max(until - time.monotonic(), 0.1)))
    except subprocess.TimeoutExpired:
        return RoundTrip(0, (), False, f'no answer within {timeout_s:.0f} s')
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    messages = ''.join(stderr for _, stderr in outputs)
    codes = [process.returncode for process in processes]
    if NOT_FOUND in codes:
        return RoundTrip(0, (), False, messages=messages)
    for role, code in zip(roles, codes):
        if code:
            lines = messages.strip().splitlines()
            return RoundTrip(0, (), False, f'the process that was to {role} ended with code {code}: '
                             f'{lines[-1].strip() if lines else "it said nothing"}', messages)
    return RoundTrip(FRAMES, tuple(json.loads(outputs[0][0].splitlines()[-1])), True, messages=messages)


def subscribe(topic: str) -> int:
    """Print the latencies in ms as JSON once all pictures are there or the publisher is gone."""
    import rclpy
    from sensor_msgs.msg import Image

    from ..core.images.cdr import decode_image
    from ..ros import qos
    from ..ros.start import init
    init()
    node = rclpy.create_node(f'doctor_subscriber_{os.getpid()}')
    latencies_ms = []

    def on_image(buffer: bytes) -> None:
        latencies_ms.append((time.time_ns() - decode_image(buffer).header.stamp_ns) / 1e6)

    node.create_subscription(Image, topic, on_image, qos.IMAGES_IN, raw=True)
    found = _wait(node, lambda: node.count_publishers(topic) > 0, DISCOVERY_S)
    # The publisher waits a second for the last picture, then leaves.
    _wait(node, lambda: len(latencies_ms) >= FRAMES or node.count_publishers(topic) == 0, DISCOVERY_S)
    print(json.dumps(latencies_ms))
    rclpy.shutdown()
    return 0 if found else NOT_FOUND


def publish(topic: str) -> int:
    """Wait for the subscriber, then send."""
    import numpy as np
    import rclpy
    from sensor_msgs.msg import Image

    from ..core.images.cdr import encode_image
    from ..core.types import Header, RawImage
    from ..ros import qos
    from ..ros.start import init
    init()
    node = rclpy.create_node(f'doctor_publisher_{os.getpid()}')
    publisher = node.create_publisher(Image, topic, qos.IMAGES_IN)
    found = _wait(node, lambda: publisher.get_subscription_count() > 0, DISCOVERY_S)
    if found:
        time.sleep(0.3)  # each side discovers the other for itself; this is for the other one
        pixels = np.random.default_rng(0).integers(0, 256, HEIGHT * WIDTH * 3, dtype=np.uint8)
        for _ in range(FRAMES):
            publisher.publish(encode_image(RawImage(
                Header(time.time_ns(), 'doctor'), HEIGHT, WIDTH, 'bgr8', False, 3 * WIDTH, pixels)))
            time.sleep(1.0 / RATE_HZ)
        _wait(node, lambda: publisher.get_subscription_count() == 0, 1.0)
    rclpy.shutdown()
    return 0 if found else NOT_FOUND


def _wait(node: 'Node', condition: Callable[[], bool], limit_s: float) -> bool:
    """Spin until the condition holds or the time is up; whether it holds."""
    import rclpy
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            return False
        rclpy.spin_once(node, timeout_sec=0.02)
    return True


if __name__ == '__main__':
    sys.exit({'publish': publish, 'subscribe': subscribe}[sys.argv[1]](sys.argv[2]))
