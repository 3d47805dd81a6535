"""``robot-vision bench transport``: camera process to a subscriber that does nothing, the floor of the way in.

Serialized bytes and message objects, with the DDS profile for large images and with the defaults, each in a subscriber
process of its own.
"""
import argparse
import json
import subprocess
import sys
import time
from typing import Any, List, Optional

from ..core.images.cdr import decode_image
from ..core.metrics.percentiles import percentiles
from ..core.networks.allocator import keep_freed_memory
from ..core.processes import Children, isolated_environment, module_command
from ..core.text.number_options import real
from ..core.text.table import ruled
from .report import conclude

HELP = 'camera process to a subscriber that does nothing'
TOPIC = '/bench/camera'
QUIET_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is sent."""
    parser.add_argument('--size', default='640x480', metavar='WxH', help='of the pictures (default: %(default)s)')
    parser.add_argument('--rate', type=real(0.01, 10_000), default=30.0, help='Hz (default: 30)')
    parser.add_argument('--seconds', type=real(0.01, 10**6), default=10.0, help='of each variant (default: 10)')
    parser.add_argument('--reliable', action='store_true', help='the camera publishes reliably, not best effort')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from ..ros.dds import profile_variables
    base = isolated_environment()
    profile = profile_variables('auto', base)
    rows, figures = [], {}
    for dds, variables in (('large images', profile), ('default', {})):
        for subscription in ('serialized', 'message'):
            with Children({**base, **variables}) as children:
                subscriber = children.start(
                    module_command('robot_vision_dl.bench.transport', subscription, str(args.reliable)),
                    stdout=subprocess.PIPE, stderr=None)
                frames = max(1, int(args.rate * args.seconds))
                camera = children.start(
                    module_command('robot_vision_dl.bench.publisher', '--topic', TOPIC, '--size', args.size, '--rate',
                                   str(args.rate), '--frames', str(frames), *['--reliable'] * args.reliable),
                    stdout=subprocess.DEVNULL, stderr=None)
                camera.wait()
                assert subscriber.stdout is not None
                result = json.loads(subscriber.stdout.read() or '{"latencies_ms": [], "cpu_ms": 0}')
            times = percentiles(result['latencies_ms'])
            arrived = times.pop('n')
            figures[f'{dds}, {subscription}'] = {'sent': frames, 'arrived': arrived, **times,
                                                 'cpu_ms_per_frame': result['cpu_ms'] / max(arrived, 1)}
            rows.append((dds, subscription, frames, arrived, *times.values(), result['cpu_ms'] / max(arrived, 1)))
    print(ruled(('DDS profile', 'subscription', 'sent', 'arrived', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms',
                 'CPU ms/frame'), rows))
    conclude({'transport': figures}, args.json)
    return 0


def _subscribe(serialized: bool, reliable: bool) -> None:
    """In the subscriber's process: note when each frame arrives, and end when none has for a while."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    from ..ros.start import init
    keep_freed_memory()  # as our node does
    init()
    node = rclpy.create_node('bench_subscriber')
    latencies: List[float] = []
    last: List[Optional[float]] = [None]
    cpu = [0.0]

    def on_frame(message: Any) -> None:
        now_ns = time.time_ns()
        if last[0] is None:
            cpu[0] = time.process_time()
        last[0] = time.monotonic()
        if serialized:
            stamp_ns = decode_image(message).header.stamp_ns
        else:
            stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        latencies.append((now_ns - stamp_ns) * 1e-6)
    profile = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE if reliable
                         else ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, TOPIC, on_frame, profile, raw=serialized)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    seen_publisher = False
    while last[0] is None or time.monotonic() - last[0] < QUIET_S:
        executor.spin_once(timeout_sec=0.2)
        publishers = node.count_publishers(TOPIC)
        if seen_publisher and not publishers:
            break
        seen_publisher = seen_publisher or publishers > 0
    print(json.dumps({'latencies_ms': latencies, 'cpu_ms': (time.process_time() - cpu[0]) * 1e3}), flush=True)


if __name__ == '__main__':
    _subscribe(sys.argv[1] == 'serialized', sys.argv[2] == 'True')
