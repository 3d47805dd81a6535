"""Somebody who watches overlays: subscribes to them, raw, and lets them go.

A process of its own, as a view is: ``python -m robot_vision_dl.bench.watcher --topic /a/overlay``. Prints one line of
JSON when it is interrupted: how many came.
"""
import argparse
import json
import signal
import sys
from typing import List, Optional

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from ..ros.qos import PICTURES_OUT


def main(arguments: Optional[List[str]] = None) -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--topic', action='append', required=True)
    args = parser.parse_args(arguments)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    node = rclpy.create_node('bench_watcher')
    count = 0

    def saw(_picture: bytes) -> None:
        nonlocal count
        count += 1
    for topic in args.topic:
        node.create_subscription(Image, topic, saw, PICTURES_OUT, raw=True)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while True:  # who waits without end does not hear of an interrupt
            executor.spin_once(timeout_sec=0.2)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    print(json.dumps({'overlays': count}), flush=True)
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
