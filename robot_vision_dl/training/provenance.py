"""Where a result comes from: enough to make it again."""
import platform
import shlex
from typing import Dict, Sequence

import torch

from ..core.machine import git_revision, version_of

_PACKAGES = ('torchvision', 'lightning', 'numpy', 'opencv-python', 'rosbags')


def software() -> Dict[str, str]:
    """Versions of what a result depends on, beside those that every bundle records, and the hardware."""
    versions = {name: version_of(name) or 'unknown' for name in _PACKAGES}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'CPU, {torch.get_num_threads()} threads'
    return {'versions': ', '.join(f'{name} {value}' for name, value in versions.items()),
            'hardware': f'{platform.machine()}, {device}', 'git_revision': git_revision() or 'none'}


def command(words: Sequence[str]) -> str:
    """A shell command."""
    return shlex.join(words)
