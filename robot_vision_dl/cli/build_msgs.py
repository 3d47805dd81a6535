"""``robot-vision build-msgs``: compile vision_msgs where no ROS 2 installation brings it."""
import argparse
import sys

from ..ros.interfaces.build import build, probe, wheels_prefix

HELP = 'compile vision_msgs into an environment of ROS 2 wheels; does nothing where it is there already'
EXAMPLES = """examples:
  robot-vision build-msgs            after `pip install '.[ros]'`; about 20 s, needs g++
  robot-vision build-msgs --force    again, after another version of the wheels was installed

On a ROS 2 installation use its own package instead: sudo apt install ros-$ROS_DISTRO-vision-msgs"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command to ``parser``."""
    parser.add_argument('--force', action='store_true', help='build even if vision_msgs is there and works')


def run(args: argparse.Namespace) -> int:
    """Build unless there is nothing to do."""
    if not args.force:
        found = probe()
        if found.usable:
            print('vision_msgs: is there and works')
            return 0
        if found.present:
            wheels_prefix()  # a broken one of an installation is not ours to overwrite: says so
            print(f'vision_msgs: is there, but unusable, so it is built anew: {found.fault}', file=sys.stderr)
    build(lambda line: print(line, flush=True))
    return 0
