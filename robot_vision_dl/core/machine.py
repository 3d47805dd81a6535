"""The machine and the versions that a figure or a model was made with."""
import os
import platform
import subprocess
from contextlib import suppress
from datetime import datetime, timezone
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

PACKAGES = ('robot_vision_dl', 'torch', 'torchvision', 'numpy', 'opencv-python', 'ros-rclpy')


def utc_now() -> str:
    """The time in UTC as ISO 8601 has it, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec='seconds')


_OTHER_NAMES = {
    'onnxruntime': ('onnxruntime-gpu', 'onnxruntime-openvino', 'onnxruntime-directml'),
    'opencv-python': ('opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless', 'opencv')}
_MODULES = {'onnxruntime': 'onnxruntime', 'opencv-python': 'cv2'}  # asked where no distribution is named so


def version_of(package: str) -> Optional[str]:
    """Of an installed package, under whatever name it is distributed; None: it is not installed."""
    for name in (package, *_OTHER_NAMES.get(package, ())):
        with suppress(metadata.PackageNotFoundError):
            found = metadata.version(name)
            return found if name == package else f'{found} ({name})'
    if package in _MODULES:
        with suppress(Exception):  # of the system's packages, or built here; one that is broken raises anything
            return getattr(import_module(_MODULES[package]), '__version__', None)
    return None


def processor(cpuinfo: Path = Path('/proc/cpuinfo'), board: Path = Path('/proc/device-tree/model')) -> str:
    """Name of the processor's model; where Linux does not tell it, as on ARM, the board and the kinds of cores."""
    lines = _lines(cpuinfo)
    for key, value in lines:
        if key == 'model name':
            return value
    parts = {key: value for key, value in lines if key == 'CPU implementer'}
    kinds = sorted({value for key, value in lines if key == 'CPU part'})
    named = ['/'.join([*parts.values(), *kinds])] if kinds else []
    try:
        named.insert(0, board.read_text(encoding='utf-8').strip('\0 \n'))
    except (OSError, ValueError):
        pass
    return ', '.join([platform.machine(), *filter(None, named)])


def _lines(path: Path) -> List[Tuple[str, str]]:
    """Keys and values of a file with a pair a line; none of one that cannot be read."""
    try:
        text = path.read_text(encoding='utf-8', errors='replace')
    except OSError:
        return []
    pairs = (line.partition(':') for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def git_revision() -> Optional[str]:
    """Commit of the checkout that this package lies in, with ``+changes`` where files differ from it.

    None where there is none: an installed copy has no checkout.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / '.git').exists():
        return None
    try:
        commit = _git(folder, 'rev-parse', 'HEAD')
        return commit + ('+changes' if _git(folder, 'status', '--porcelain', '--', 'robot_vision_dl') else '')
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(['git', *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def environment() -> Dict[str, Any]:
    """The machine and the versions that a figure was measured with."""
    import torch
    result: Dict[str, Any] = {
        'processor': processor(),
        'cores': len(os.sched_getaffinity(0)),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        'python': platform.python_version(),
        'commit': git_revision(),
    }
    versions = {package: version_of(package) for package in PACKAGES}
    return {**result, **{package: version for package, version in versions.items() if version}}


def describe(values: Dict[str, Any]) -> str:
    """The environment in one line."""
    return ', '.join(f'{key} {value}' for key, value in values.items() if value is not None)
