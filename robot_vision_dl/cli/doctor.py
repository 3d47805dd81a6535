"""``robot-vision doctor``: is all there, does it work, and do the images of a topic arrive."""
import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Iterator, List

from ..core.text.number_options import real
from ..doctor.check import Check, Level, print_check, worst

HELP = 'check the installation, or listen to a topic and say whether its images arrive'
EXAMPLES = """examples:
  robot-vision doctor                           Python, GPU, models, ROS 2, DDS; ten images sent for a try
  robot-vision doctor /camera/image_raw         who publishes, rate, age, QoS, and how to run the classifier on it
  robot-vision doctor /camera/image_raw/compressed --seconds 10
  robot-vision doctor --dds-profile none        the same as the defaults of Fast DDS would do

Exit code: 0 all is well or tolerable, 1 something fails or no usable image came."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('topic', nargs='?', metavar='TOPIC', help='listen to this topic instead of the installation')
    parser.add_argument('--seconds', type=real(0.2, 3600), default=5.0, metavar='S',
                        help='how long to listen; default: %(default)g')
    parser.add_argument('--dds-profile', metavar='auto|none|FILE', default='auto',
                        help='Fast DDS profile; auto is the one for large images that comes with the package, unless '
                        'the environment names one')
    parser.add_argument('--json', action='store_true', help='print the findings as JSON')


def installation(profile: str) -> Iterator[Check]:
    """Every check of the installation, as it is done."""
    from ..doctor import gpu, python, ros
    from ..doctor.round_trip import measure
    from ..ros.dds import apply_profile
    before = dict(os.environ)
    apply_profile(profile)
    yield python.python_check()
    found = python.probe()
    yield from python.package_checks(found)
    yield gpu.gpu_check(gpu.look_at_machine(), found)
    yield python.cpu_check()
    yield python.cv_bridge_check()
    if {'torch', 'safetensors', 'numpy'} <= {name for name, facts in found.items() if 'version' in facts}:
        yield from python.model_checks()
    ros_found = ros.probe()
    yield ros.ros_check(ros_found)
    yield from ros.message_checks(ros_found)
    yield from ros.profile_checks(ros_found, before, profile)
    file = ros.profile_in_force(ros_found)
    yield from ros.shared_memory_checks(ros.segment_size(Path(file)) if file else None)
    yield ros.udp_check()
    yield ros.discovery_check(os.environ)
    if ros_found.facts is not None:
        yield ros.round_trip_check(measure())


def run(args: argparse.Namespace) -> int:
    """Check and print; the exit code says whether something failed."""
    if args.topic:
        from ..doctor.topic import examine
        return examine(args.topic, args.seconds, args.dds_profile, args.json)
    checks: List[Check] = []
    for check in installation(args.dds_profile):
        checks.append(check)
        if not args.json:
            print_check(check)
    failed = worst(checks) is Level.FAIL
    if args.json:
        print(json.dumps({'ok': not failed, 'checks': [asdict(check) for check in checks]}, indent=2))
    else:
        counts = {level: sum(check.level is level for check in checks) for level in Level}
        print(f'\n{counts[Level.OK]} OK, {counts[Level.WARN]} WARN, {counts[Level.FAIL]} FAIL' +
              ('' if failed else '; now listen to a camera: robot-vision doctor /camera/image_raw'))
    return int(failed)
