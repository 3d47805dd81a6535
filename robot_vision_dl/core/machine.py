"""The machine and the versions that a figure or a model was made with."""
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Optional

PACKAGES = ('robot_vision_dl', 'torch', 'torchvision', 'numpy', 'opencv-python', 'ros-rclpy')


def utc_now() -> str:
    """The time in UTC as ISO 8601 has it, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec='seconds')


def version_of(package: str) -> Optional[str]:
    """Of an installed package; None: it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Name of the processor's model; where it is not told, its architecture."""
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.machine()


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
