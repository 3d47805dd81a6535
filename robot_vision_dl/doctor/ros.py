"""ROS 2 and DDS: what is installed, how it is set, and whether pictures get through."""
import json
import os
import shutil
import statistics
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional

from ..core.text.number_text import plain_int
from ..ros.dds import OLD_PROFILE_VARIABLE, PROFILE_VARIABLE, export_command, shipped_profile
from . import shared_memory
from .check import Check, fail, ok, run_python, warn
from .python import ended_badly
from .round_trip import RoundTrip

MESSAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage', 'std_msgs/msg/String',
            'geometry_msgs/msg/Twist', 'diagnostic_msgs/msg/DiagnosticArray', 'rosgraph_msgs/msg/Clock',
            'lifecycle_msgs/msg/Transition', 'rcl_interfaces/msg/ParameterDescriptor', 'std_srvs/srv/Trigger')
# A camera driver, the classifier, and something to look at its pictures.
PROCESSES = 3
# What a burst of one full-HD picture needs; distributions set 0.2 MB.
UDP_BUFFER = 4 * 2 ** 20

_PROBE = """
import importlib, json, re, sys
import rclpy
from rclpy.type_support import check_for_type_support
from rclpy.utilities import get_rmw_implementation_identifier
faults = {}
for name in sys.argv[1:]:
    package, kind, message = name.split('/')
    try:
        check_for_type_support(getattr(importlib.import_module(f'{package}.{kind}'), message))
    except Exception as error:
        faults[name] = f'{type(error).__name__}: {error}'
try:
    import importlib.metadata
    version = importlib.metadata.version('rclpy')
except Exception:
    version = ''
rmw = get_rmw_implementation_identifier()
try:
    with open('/proc/self/maps') as maps:  # which library that loaded, of those that may be installed
        fast_dds = {match[1] for match in map(re.compile(r'/libfast(?:dds|rtps)\\.so\\.([0-9.]+)$').search,
                                              map(str.rstrip, maps)) if match}
except OSError:
    fast_dds = {}
print(json.dumps({'file': rclpy.__file__, 'version': version, 'rmw': rmw, 'fast_dds': ''.join(sorted(fast_dds)[:1]),
                  'faults': faults}))
"""


@dataclass(frozen=True)
class Ros:
    """What rclpy says of itself, or why it says nothing.

    Attributes:
        facts: file, version, rmw, version of Fast DDS, and faults of message packages; None if rclpy does not work.
        error: why; empty otherwise.
    """

    facts: Optional[Dict[str, Any]]
    error: str = ''

    @property
    def profile_variable(self) -> str:
        """The environment variable that this Fast DDS reads the name of its profile from."""
        version = self.facts['fast_dds'] if self.facts else ''
        return OLD_PROFILE_VARIABLE if version.startswith('2.') else PROFILE_VARIABLE


def probe() -> Ros:
    """Import rclpy, its middleware and the messages in a process of their own."""
    done = run_python(_PROBE, MESSAGES)
    if done.returncode:
        return Ros(None, ended_badly(done))
    return Ros(json.loads(done.stdout.splitlines()[-1]))


def ros_check(ros: Ros) -> Check:
    """Which ROS 2 it is."""
    distribution = os.environ.get('ROS_DISTRO', '')
    if ros.facts is None:
        if 'rmw' in ros.error.lower() and os.environ.get('RMW_IMPLEMENTATION'):
            return fail('ROS 2', f'rclpy does not work: {ros.error}',
                        f'RMW_IMPLEMENTATION={os.environ["RMW_IMPLEMENTATION"]} is perhaps not installed: `unset '
                        'RMW_IMPLEMENTATION`, or install it')
        if distribution:
            return fail('ROS 2', f'{distribution} is sourced, but rclpy does not work: {ros.error}',
                        'compiled for another Python? Use the one of the distribution (/usr/bin/python3), or a virtual '
                        'environment of it with --system-site-packages')
        return fail('ROS 2', f'rclpy does not work: {ros.error}',
                    "`source /opt/ros/<distribution>/setup.bash`, or `pip install 'robot_vision_dl[ros]'` where no ROS "
                    '2 is installed')
    file = Path(ros.facts['file'])
    wheels = any(path.is_dir() for path in file.parents[1].glob('ros_rclpy-*.dist-info'))
    version = f'rclpy {ros.facts["version"]}'.strip()
    if wheels and distribution:
        return warn('ROS 2', f'{distribution} is sourced, but {version} comes from wheels in {file.parents[1]}',
                    'two ROS 2 in one environment: open a shell without `source`, or uninstall the ros-* wheels')
    if wheels:
        return ok('ROS 2', f'wheels from the package registry, {version}')
    return ok('ROS 2', f'{distribution or "an installation"}, {version}, {file.parents[1]}')


def message_checks(ros: Ros) -> Iterator[Check]:
    """Message packages, of which vision_msgs is the one that is often missing."""
    from ..ros.interfaces.build import probe as probe_vision_msgs
    if ros.facts is None:
        yield warn('messages', 'cannot be told without rclpy', 'see ROS 2 above')
        return
    distribution = os.environ.get('ROS_DISTRO', '')
    for name, fault in ros.facts['faults'].items():
        package = name.partition('/')[0].replace('_', '-')
        remedy = f'`sudo apt install ros-{distribution}-{package}`' if distribution else f'`pip install ros-{package}`'
        yield fail('messages', f'{name}: {fault}', remedy)
    vision = probe_vision_msgs()
    if not vision.usable:
        yield fail('messages', f'vision_msgs: {vision.fault}', f'`sudo apt install ros-{distribution}-vision-msgs`'
                   if distribution else '`robot-vision build-msgs` (20 s, needs g++)')
    elif not ros.facts['faults']:
        packages = sorted({name.partition('/')[0] for name in MESSAGES} | {'vision_msgs'})
        yield ok('messages', ', '.join(packages))


def profile_checks(ros: Ros, before: Mapping[str, str], choice: str) -> Iterator[Check]:
    """Middleware, and the profile that it reads.

    Args:
        ros: from :func:`probe`.
        before: the environment as the user set it, before our profile was applied.
        choice: --dds-profile.
    """
    rmw = ros.facts['rmw'] if ros.facts else os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp')
    fast_dds = f', Fast DDS {ros.facts["fast_dds"]}' if ros.facts and ros.facts['fast_dds'] else ''
    whose = ', by RMW_IMPLEMENTATION' if before.get('RMW_IMPLEMENTATION') else ', the default'
    yield ok('middleware', f'{rmw}{fast_dds}{whose}')
    if 'fastrtps' not in rmw:
        yield ok('DDS profile', 'none of ours: it is for Fast DDS; the round trip below shows how this one does')
        return
    read = ros.profile_variable
    users = before.get(PROFILE_VARIABLE) or before.get(OLD_PROFILE_VARIABLE)
    file = profile_in_force(ros)
    if not file:
        yield warn('DDS profile', f'none (--dds-profile {choice}): of what a process sends by the defaults of Fast '
                   'DDS, best-effort subscribers lose most frames larger than 0.5 MB',
                   f'leave out --dds-profile, or `{export_command(shipped_profile())}`')
        return
    is_shipped = Path(file) == shipped_profile()
    whose = 'of the environment' if users else 'shipped with the package' if is_shipped else 'chosen'
    problem = profile_problem(Path(file))
    if problem:
        yield fail('DDS profile', f'{file} ({whose}): {problem}', 'Fast DDS ignores such a file and uses its defaults: '
                   f'correct it, or unset {PROFILE_VARIABLE} and {OLD_PROFILE_VARIABLE} for the shipped one')
        return
    if users and read == OLD_PROFILE_VARIABLE and not before.get(read):
        yield warn('DDS profile', f'{PROFILE_VARIABLE} is set, but this Fast DDS reads {read}: robot-vision sets that '
                   'for what it starts, but a camera driver that is started from here goes without',
                   f'`export {read}={file}`')
        return
    size = segment_size(Path(file))
    text = f'{file}, {whose}' + (f', {size / 2 ** 20:.0f} MiB of shared memory a process' if size else '')
    if users and not size:
        yield warn('DDS profile', f'{text}: it sets no shared memory of its own',
                   f'if large images are lost, take the transports from {shipped_profile()}')
    else:
        yield ok('DDS profile', text)


def profile_in_force(ros: Ros) -> Optional[str]:
    """The file that the environment names for the Fast DDS that is installed; None if it names none."""
    return (os.environ.get(ros.profile_variable) or os.environ.get(PROFILE_VARIABLE)
            or os.environ.get(OLD_PROFILE_VARIABLE) or None)


def profile_problem(file: Path) -> str:
    """Why Fast DDS cannot read a profile; empty if it can."""
    try:
        root = xml.parse(file).getroot()
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    except xml.ParseError as error:
        return f'is not XML ({error})'
    tag = root.tag.rpartition('}')[2]
    return '' if tag in ('dds', 'profiles') else f'its root is <{tag}>, not <dds> or <profiles>'


def segment_size(file: Optional[Path]) -> Optional[int]:
    """Bytes of the shared-memory segment that a profile asks for; None if it says nothing about it."""
    if file is None:
        return None
    try:
        sizes = [int(element.text or '') for element in xml.parse(file).iter()
                 if element.tag.endswith('segment_size')]
    except (OSError, TypeError, ValueError, xml.ParseError):
        return None
    return max(sizes, default=None)


def shared_memory_checks(segment: Optional[int], shm: Path = shared_memory.SHM) -> Iterator[Check]:
    """Room in /dev/shm, and what dead processes left there.

    Fast DDS reserves a segment whole when it starts. If there is no room it goes on without shared memory and says only
    ``Failed to create segment``.
    """
    try:
        usage = shutil.disk_usage(shm)
    except OSError as error:
        yield fail('shared memory', f'{shm}: {error.strerror}', 'mount it: `mount -t tmpfs tmpfs /dev/shm`')
        return
    text = f'{usage.free / 2 ** 20:.0f} of {usage.total / 2 ** 20:.0f} MiB free in {shm}'
    remedy = ('in Docker start the container with `--shm-size=1g` or `--ipc=host`; else `sudo mount -o remount,size=1g '
              f'{shm}`')
    if segment and usage.free < 1.05 * segment:
        yield fail('shared memory', f'{text}; a process needs {segment / 2 ** 20:.0f}, and goes on over UDP, where '
                   'frames are lost', remedy)
    elif segment and usage.free < 1.05 * segment * PROCESSES:
        yield warn('shared memory', f'{text}; {PROCESSES} processes need {PROCESSES * segment / 2 ** 20:.0f}', remedy)
    else:
        yield ok('shared memory', text)
    dead = shared_memory.leftovers(shm)
    if dead:
        yield warn('shared memory', f'{len(dead)} segments of processes that were killed take '
                   f'{sum(segment.size for segment in dead) / 2 ** 20:.0f} MiB', '`fastdds shm clean`, or',
                   'rm ' + ' '.join(f'{segment.path}*' for segment in dead))


def udp_check(file: Path = Path('/proc/sys/net/core/rmem_max')) -> Check:
    """How much may wait in a socket; matters for images from other machines alone."""
    try:
        size = int(file.read_text())
    except (OSError, ValueError):
        return ok('UDP buffer', 'cannot be read here; matters for images from other machines alone')
    text = f'net.core.rmem_max is {size / 1e6:.1f} MB'
    if size < UDP_BUFFER:
        return warn('UDP buffer', f'{text}: enough on this machine, but large images from other machines will be lost',
                    '`sudo sysctl -w net.core.rmem_max=33554432`, or take compressed images over the network')
    return ok('UDP buffer', text)


def discovery_check(environment: Mapping[str, str]) -> Check:
    """The settings that decide which processes see each other."""
    domain = environment.get('ROS_DOMAIN_ID', '')
    parts = [f'ROS_DOMAIN_ID={domain or "0 (not set)"}']
    parts += [f'{name}={environment[name]}' for name in (
        'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_LOCALHOST_ONLY', 'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER',
        'FASTDDS_BUILTIN_TRANSPORTS') if environment.get(name)]
    text = ', '.join(parts)
    number = plain_int(domain)
    if domain and (number is None or not 0 <= number <= 232):
        return fail('discovery', text, 'ROS_DOMAIN_ID must be a number from 0 to 232')
    discovery_range = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '').upper()
    if discovery_range == 'OFF':
        return warn('discovery', text, 'OFF: only the peers in ROS_STATIC_PEERS are seen, not even other processes of '
                    'this machine; `unset ROS_AUTOMATIC_DISCOVERY_RANGE`')
    if discovery_range == 'LOCALHOST' or environment.get('ROS_LOCALHOST_ONLY') == '1':
        return ok('discovery', f'{text}: cameras of other machines are not seen')
    return ok('discovery', f'{text}; a camera must have the same')


def round_trip_check(result: RoundTrip) -> Check:
    """Whether ten pictures went from one process to another."""
    name = 'round trip'
    if result.error:
        return fail(name, result.error, 'see what is said above about ROS 2 and the middleware')
    if not result.discovered:
        return fail(name, 'two processes of this machine do not find each other',
                    'check ROS_AUTOMATIC_DISCOVERY_RANGE and ROS_DISCOVERY_SERVER, and a firewall; without a network: '
                    '`sudo ip link set lo multicast on`')
    count = len(result.latencies_ms)
    text = f'{count} of {result.sent} images (640x480 bgr8, best effort) arrived in another process'
    if count:
        text += f', {statistics.median(result.latencies_ms):.1f} ms (median), {max(result.latencies_ms):.1f} ms (max)'
    remedy = 'see DDS profile and shared memory above'
    if 'Failed to create segment' in result.messages:
        remedy = 'Fast DDS could not make its shared memory; see shared memory above'
    if count == result.sent:
        return ok(name, text)
    if count >= 0.8 * result.sent:
        return warn(name, text, f'{remedy}; a machine that is very busy loses some as well')
    return fail(name, text, remedy)
