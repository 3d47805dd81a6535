"""``robot-vision watch``: what a running node decides, without ros2."""
import argparse
import signal

from ..core.text.number_options import SOME_SECONDS
from .stop import Stop

HELP = 'Show what a running classifier node decides, and why: a line whenever a decision changes.'
EXAMPLES = """examples:
  robot-vision watch                                   all cameras of the node /classifier
  robot-vision watch --camera front --every            each frame of one camera
  robot-vision watch --node-name /eyes/scene           a node with another name, in a namespace
  robot-vision watch --once --timeout 10               the first decision that comes, within ten seconds
  robot-vision watch --json | my_program               {"stamp_ns": ..., "camera": ..., "outcome": ..., "label": ...}

The time is that of the pictures, since the first. Ctrl-C ends it. Exit codes: 0 ended (or SIGTERM), 1 no decision
within --timeout, 130 Ctrl-C."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose decisions, and how."""
    parser.add_argument('--node-name', default='classifier', metavar='NAME',
                        help='name of the node, with its namespace if it has one (default: %(default)s)')
    parser.add_argument('--camera', default='', metavar='NAME', help='this camera only (default: all of the node)')
    parser.add_argument('--every', action='store_true', help='each decision, not only changes')
    parser.add_argument('--once', action='store_true', help='end after one decision')
    parser.add_argument('--timeout', type=SOME_SECONDS, metavar='S',
                        help='end after so many seconds without a first decision')
    parser.add_argument('--json', action='store_true', help='one JSON object a line')


def run(args: argparse.Namespace) -> int:
    """Watch until stopped."""
    from ..demo.decision_watch import DecisionWatch
    with Stop() as stop:
        watch = DecisionWatch(args.node_name, args.camera, args.every, args.json)
        try:
            watch.watch(stop, args.once, args.timeout)
        finally:
            watch.close()
    if stop.signal == signal.SIGINT:
        return 130
    return 0 if watch.shown or stop() else 1
