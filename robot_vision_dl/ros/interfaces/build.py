"""Generate and compile the part of ``vision_msgs`` that we use, into an environment of ROS 2 wheels.

The wheels (``pip install ros-rclpy``) are a whole ROS 2 but for a few packages, of which we need one. The messages in
``vision_msgs/`` beside this file have the names, fields and order of the originals, hence the same type hash
(REP 2011), and so talk to the ``vision_msgs`` of any robot. The build tools go into a temporary folder and leave
nothing behind.
"""
import importlib.util
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional

from ...core.errors import RobotVisionError
from .build_tools import build_tools, installed_ros_wheels

SOURCES = Path(__file__).resolve().parent

# What the nodes use, as rclpy reports it.
FIELDS: Dict[str, Dict[str, str]] = {
    'ObjectHypothesis': {'class_id': 'string', 'score': 'double'},
    'Classification': {'header': 'std_msgs/Header', 'results': 'sequence<vision_msgs/ObjectHypothesis>'},
    'VisionClass': {'class_id': 'uint16', 'class_name': 'string'},
    'LabelInfo': {'header': 'std_msgs/Header', 'class_map': 'sequence<vision_msgs/VisionClass>',
                  'threshold': 'float'},
    'Point2D': {'x': 'double', 'y': 'double'},
    'Pose2D': {'position': 'vision_msgs/Point2D', 'theta': 'double'},
    'BoundingBox2D': {'center': 'vision_msgs/Pose2D', 'size_x': 'double', 'size_y': 'double'},
    'ObjectHypothesisWithPose': {'hypothesis': 'vision_msgs/ObjectHypothesis',
                                 'pose': 'geometry_msgs/PoseWithCovariance'},
    'Detection2D': {'header': 'std_msgs/Header', 'results': 'sequence<vision_msgs/ObjectHypothesisWithPose>',
                    'bbox': 'vision_msgs/BoundingBox2D', 'id': 'string'},
    'Detection2DArray': {'header': 'std_msgs/Header', 'detections': 'sequence<vision_msgs/Detection2D>'},
}

# Loading the type support is what fails when a shared library is missing; importing the Python classes is not.
_PROBE = """
import importlib.util, json, sys
if importlib.util.find_spec('vision_msgs') is None:
    sys.exit(3)
from rclpy.type_support import check_for_type_support
import vision_msgs.msg
fields = {}
for name in sys.argv[1:]:
    message = getattr(vision_msgs.msg, name)
    check_for_type_support(message)
    fields[name] = dict(message.get_fields_and_field_types())
print(json.dumps(fields))
"""


class BuildError(RobotVisionError):
    """``vision_msgs`` is missing and cannot be built here."""


@dataclass(frozen=True)
class Probe:
    """What is known of the ``vision_msgs`` that Python finds.

    Attributes:
        present: there is a package of that name.
        fault: why it cannot be used; None if it can.
    """

    present: bool
    fault: Optional[str]

    @property
    def usable(self) -> bool:
        """The nodes can publish its messages."""
        return self.present and self.fault is None


def probe() -> Probe:
    """Look, in a process of its own, whether ``vision_msgs`` is there with the types and fields that we use."""
    done = subprocess.run([sys.executable, '-c', _PROBE, *FIELDS], capture_output=True, text=True)
    if done.returncode == 3:
        return Probe(False, 'it is not installed')
    if done.returncode:
        return Probe(True, (done.stderr.strip().splitlines() or ['no message'])[-1])
    found = json.loads(done.stdout)
    wrong = [name for name, fields in FIELDS.items() if list(found[name].items()) != list(fields.items())]
    if wrong:
        return Probe(True, f'{", ".join(wrong)} has other fields than in vision_msgs 4: {found[wrong[0]]}')
    return Probe(True, None)


def wheels_prefix() -> Path:
    """The prefix that the ROS 2 wheels are installed in.

    Raises:
        BuildError: there is no ROS 2, or it is an installation with packages of its own.
    """
    spec = importlib.util.find_spec('rclpy')
    if spec is None or spec.origin is None:
        raise BuildError("there is no ROS 2 in this Python environment: `pip install 'robot_vision_dl[ros]'`, "
                         'or source the setup.bash of an installation')
    package = Path(spec.origin).resolve().parent
    prefix = package.parents[3]  # of <prefix>/lib/python3.x/site-packages/rclpy
    ours = {Path(folder).resolve() for folder in (sys.prefix, site.getuserbase())}
    if prefix in ours and any(package.parent.glob('ros_rclpy-*.dist-info')):
        return prefix
    distribution = os.environ.get('ROS_DISTRO', '$ROS_DISTRO')
    raise BuildError(f'rclpy comes from a ROS 2 installation ({package}), and so must vision_msgs: '
                     f'`sudo apt install ros-{distribution}-vision-msgs`, or `rosdep install --from-paths src -y`')


def _require_compiler() -> None:
    for names, package in ((('c++', 'g++', 'clang++'), 'g++'), (('cc', 'gcc', 'clang'), 'gcc')):
        if not any(shutil.which(name) for name in names):
            raise BuildError(f'vision_msgs must be compiled, and there is no {package}: `sudo apt install g++`')
    header = Path(sysconfig.get_path('include')) / 'Python.h'
    if not header.is_file():
        version = f'{sys.version_info.major}.{sys.version_info.minor}'
        raise BuildError(f'vision_msgs must be compiled, and Python.h is not there (looked for {header}): '
                         f'`sudo apt install python{version}-dev`')


def _run(command: List[str], environment: Mapping[str, str], log: Path, failure: str) -> None:
    with log.open('a') as file:
        file.write(f'\n$ {" ".join(command)}\n')
        file.flush()
        done = subprocess.run(command, env=dict(environment), stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        kept = Path(tempfile.mkstemp(prefix='robot-vision-build-msgs-', suffix='.log')[1])
        shutil.copyfile(log, kept)
        tail = '\n  '.join(log.read_text(errors='replace').splitlines()[-15:])
        raise BuildError(f'{failure} (exit code {done.returncode}); the end of {kept}:\n  {tail}')


def _prepend(path: Path, old: Optional[str]) -> str:
    return f'{path}{os.pathsep}{old}' if old else str(path)


def build(say: Callable[[str], None]) -> Path:
    """Build and install ``vision_msgs``; about 20 s, 30 MB of downloads.

    Args:
        say: called with one line of text as each step begins.

    Returns:
        The prefix that it was installed in.

    Raises:
        BuildError: no wheels to build for, no compiler, or a step failed; the message has the end of its log.
    """
    start = time.monotonic()
    prefix = wheels_prefix()
    _require_compiler()
    with tempfile.TemporaryDirectory(prefix='robot-vision-build-msgs-') as folder:
        work = Path(folder)
        tools, log = work / 'tools', work / 'log'
        tool_packages = Path(sysconfig.get_path('purelib', vars={'base': str(tools), 'platbase': str(tools)}))

        say('vision_msgs 1/2: fetching the build tools (cmake, ninja and the ROS 2 generators; removed afterwards)')
        # Into a prefix of its own, pip adds only what this environment lacks.
        _run([sys.executable, '-m', 'pip', 'install', '--disable-pip-version-check', '--no-warn-script-location',
              '--prefix', str(tools), *build_tools(installed_ros_wheels())],
             os.environ, log, 'the build tools could not be fetched')

        say(f'vision_msgs 2/2: generating and compiling {len(FIELDS)} messages')
        environment = dict(os.environ)
        environment['PYTHONPATH'] = _prepend(tool_packages, os.environ.get('PYTHONPATH'))
        environment['AMENT_PREFIX_PATH'] = f'{prefix}{os.pathsep}{tools}'
        environment['LD_LIBRARY_PATH'] = _prepend(prefix / 'lib', os.environ.get('LD_LIBRARY_PATH'))
        cmake = str(tools / 'bin' / 'cmake')
        _run([cmake, '-S', str(SOURCES / 'vision_msgs'), '-B', str(work / 'build'), '-G', 'Ninja',
              f'-DCMAKE_MAKE_PROGRAM={tools / "bin" / "ninja"}', f'-DCMAKE_INSTALL_PREFIX={prefix}',
              f'-DCMAKE_PREFIX_PATH={prefix};{tools}', f'-DPython3_EXECUTABLE={sys.executable}',
              f'-DCMAKE_PROJECT_INCLUDE={SOURCES / "drop_missing_includes.cmake"}',
              '-DCMAKE_BUILD_TYPE=Release', '-DBUILD_TESTING=OFF'],
             environment, log, 'vision_msgs could not be configured')
        _run([cmake, '--build', str(work / 'build')], environment, log, 'vision_msgs could not be compiled')
        _run([cmake, '--install', str(work / 'build')], environment, log,
             f'vision_msgs could not be installed into {prefix}')
        result = probe()
        if not result.usable:
            raise BuildError(f'vision_msgs was built into {prefix}, but cannot be used: {result.fault}')
    say(f'vision_msgs: installed in {prefix} ({time.monotonic() - start:.0f} s)')
    return prefix
