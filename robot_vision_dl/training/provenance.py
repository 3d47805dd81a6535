"""Where a result comes from: enough to make it again."""
import platform
import shlex
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Dict, Sequence

import torch

_PACKAGES = ('torchvision', 'lightning', 'numpy', 'opencv-python', 'rosbags')


def software() -> Dict[str, str]:
    """Versions of what a result depends on, beside those that every bundle records, and the hardware."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = 'unknown'
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'CPU, {torch.get_num_threads()} threads'
    return {'versions': ', '.join(f'{name} {value}' for name, value in versions.items()),
            'hardware': f'{platform.machine()}, {device}', 'git_revision': git_revision()}


def git_revision() -> str:
    """Commit of the checkout that this package lies in, with ``+changes`` where files differ from it; or ``none``."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / '.git').exists():
        return 'none'
    try:
        commit = _git(folder, 'rev-parse', 'HEAD')
        return commit + ('+changes' if _git(folder, 'status', '--porcelain', '--', 'robot_vision_dl') else '')
    except (OSError, subprocess.SubprocessError):
        return 'none'


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(['git', *arguments], cwd=folder, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def command(words: Sequence[str]) -> str:
    """A shell command."""
    return shlex.join(words)
