"""Python packages that this one needs: which are missing or too old, and the command that installs them.

pip installs them all. A package manager that follows ``package.xml`` (``rosdep``, ``apt install ros-...``) cannot bring
those for which rosdep has no key or a distribution no package: they are named at the start of a command or node.
"""
import importlib.metadata
import importlib.util
import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from .errors import RequirementError

PACKAGE = 'robot_vision_dl'
DISTRIBUTIONS = {'jinja2': 'jinja2', 'numpy': 'numpy', 'cv2': 'opencv-python', 'PIL': 'pillow', 'yaml': 'pyyaml',
                 'rosbags': 'rosbags', 'safetensors': 'safetensors', 'torch': 'torch', 'torchvision': 'torchvision',
                 'tqdm': 'tqdm'}
"""Required everywhere: the module that is imported, and what pip calls it."""
_DEBIAN = {'jinja2': 'python3-jinja2', 'numpy': 'python3-numpy', 'cv2': 'python3-opencv', 'PIL': 'python3-pil',
           'yaml': 'python3-yaml', 'tqdm': 'python3-tqdm'}
_ROS = ('rclpy', 'rpyutils', 'rosidl_runtime_py')


def requirements() -> Dict[str, str]:
    """What pip calls a required package -> the requirement as it was declared: ``{'torch': 'torch>=2.1', ...}``.

    From the metadata of the installation; bare names where the package runs without having been installed.
    """
    try:
        declared = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        declared = []
    found = {re.split(r'[\[<>=~!; ]', item)[0]: item for item in declared if 'extra ==' not in item}
    return {name: found.get(name, name) for name in DISTRIBUTIONS.values()}


def missing(modules: Iterable[str] = tuple(DISTRIBUTIONS)) -> List[str]:
    """Those of the modules that Python does not find; nothing is imported."""
    return [module for module in modules if not _is_there(module)]


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def too_old(modules: Iterable[str] = tuple(DISTRIBUTIONS)) -> List[Tuple[str, str, str]]:
    """Those of the modules that are older than declared: (module, version that is there, requirement).

    A package whose version cannot be told (OpenCV of a distribution is not called opencv-python) is believed.
    """
    declared = requirements()
    found = []
    for module in modules:
        requirement = declared[DISTRIBUTIONS[module]]
        oldest = re.search(r'>=\s*([\d.]+)', requirement)
        try:
            version = importlib.metadata.version(DISTRIBUTIONS[module])
        except importlib.metadata.PackageNotFoundError:
            continue
        if oldest and _numbers(version) < _numbers(oldest[1]):
            found.append((module, version, requirement))
    return found


def _numbers(version: str) -> Tuple[int, ...]:
    """``2.1.0a0+nv24`` -> (2, 1, 0): what is compared; marks of a build are not."""
    return tuple(int(number) for number in re.sub(r'[^\d.].*', '', version).split('.') if number)


def pip_install(packages: Sequence[str]) -> str:
    """The command that installs ``packages`` with pip in the environment of this Python."""
    # PEP 668: where the distribution's own Python is marked so, pip refuses without this option.
    marker = Path(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED')
    managed = sys.prefix == sys.base_prefix and marker.is_file()
    quoted = ' '.join(f"'{name}'" if re.search(r'[<>=\[]', name) else name for name in packages)
    return f'python3 -m pip install {"--break-system-packages " if managed else ""}{quoted}'


def check(modules: Sequence[str]) -> None:
    """Make sure of ``modules`` (keys of :data:`DISTRIBUTIONS`) before they are imported.

    Raises:
        RequirementError: some are missing or too old; the message names all of them and one command for all.
    """
    absent, old = missing(modules), too_old(modules)
    if not absent and not old:
        return
    faults = [f'{", ".join(absent)} {"is" if len(absent) == 1 else "are"} not installed'] if absent else []
    faults += [f'{module} {version} is too old' for module, version, _ in old]
    # Beside an installed ROS 2, what apt has comes from there: cv_bridge is compiled for the distribution's NumPy.
    by_apt = [_DEBIAN[module] for module in absent if module in _DEBIAN] if os.environ.get('ROS_DISTRO') else []
    by_pip = [module for module in [*absent, *(module for module, _, _ in old)] if _DEBIAN.get(module) not in by_apt]
    if 'torch' in by_pip and 'torchvision' not in by_pip:
        by_pip.append('torchvision')  # they fit in pairs only, from the same place
    declared = requirements()
    commands = [f'sudo apt install {" ".join(by_apt)}'] if by_apt else []
    commands += [pip_install([declared[DISTRIBUTIONS[module]] for module in by_pip])] if by_pip else []
    raise RequirementError(f'{"; ".join(faults)}: `{" && ".join(commands)}`')


def check_versions() -> None:
    """Make sure that nothing of what is installed is too old; what is missing is told where it is imported.

    Raises:
        RequirementError: as of :func:`check`.
    """
    check([module for module, _, _ in too_old()])


def explained(error: ImportError) -> Optional[RequirementError]:
    """The error to show instead of ``error``; None if that is about no package that this one declares."""
    module = (error.name or '').partition('.')[0]
    if not module or _is_there(module):
        return None  # it is there and broken: the traceback says more than we could
    if module in DISTRIBUTIONS:
        try:
            check(tuple(DISTRIBUTIONS))
        except RequirementError as problem:
            return problem
    distribution = os.environ.get('ROS_DISTRO', '')
    if module == 'vision_msgs':
        remedy = f'sudo apt install ros-{distribution}-vision-msgs' if distribution else 'robot-vision build-msgs'
        return RequirementError(f'vision_msgs is not installed: `{remedy}`')
    if module in _ROS or module.endswith(('_msgs', '_srvs', '_interfaces')):
        if distribution and _is_there('rclpy'):
            return RequirementError(f'{module} is not installed: `sudo apt install '
                                    f'ros-{distribution}-{module.replace("_", "-")}`')
        return RequirementError(f'there is no ROS 2 in this Python environment ({module} is missing): `source '
                                f"/opt/ros/<distribution>/setup.bash`, or `{pip_install([PACKAGE + '[ros]'])}`")
    return None
