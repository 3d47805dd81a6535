"""Choose the DDS profile before rclpy starts: with the defaults of Fast DDS, best-effort images are lost.

Must be called before the first participant is made, which is why nothing here imports rclpy.
"""
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, Mapping, Optional

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.resources import share_directory

PROFILE_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_PROFILE_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
SHARED_MEMORY = Path('/dev/shm')
_SEGMENT_BYTES, _DEFAULT_SEGMENT_BYTES = 65 * 2 ** 20, 2 ** 20  # of the shipped profile, and about that without
# Fast DDS 2, which knows only the old name, came with these.
DISTRIBUTIONS_WITH_OLD_NAME = ('humble', 'iron', 'jazzy')


def shipped_profile() -> Path:
    """The profile for large images that comes with the package."""
    return share_directory() / 'config' / 'fastdds_large_images.xml'


def profile_variables(choice: str = 'auto', environment: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """The environment variables to set so that Fast DDS reads a profile; none where the user has chosen one.

    Args:
        choice: ``auto`` for the shipped profile, ``none`` to leave DDS alone, or the path of an XML profile.
        environment: what is set already; by default this process's.

    Raises:
        ConfigError: the file named does not exist.
    """
    environment = os.environ if environment is None else environment
    if choice in ('none', '') or environment.get(PROFILE_VARIABLE) or environment.get(OLD_PROFILE_VARIABLE):
        return {}
    if 'fastrtps' not in environment.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'):
        return {}
    profile = shipped_profile() if choice == 'auto' else user_path(choice)
    if not profile.is_file():
        raise ConfigError(f'DDS profile {str(profile)!r} does not exist; give the path of an XML file, auto or none')
    old = environment.get('ROS_DISTRO') in DISTRIBUTIONS_WITH_OLD_NAME
    return {OLD_PROFILE_VARIABLE if old else PROFILE_VARIABLE: str(profile)}


def shared_memory_problem(profile: Optional[str], folder: Path = SHARED_MEMORY) -> Optional[str]:
    """Why Fast DDS cannot send through shared memory here, and what to do; None: it can, or another DDS is used.

    Its own words for it are that shared memory is not supported on this platform.
    """
    if 'fastrtps' not in os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'):
        return None
    needed = _SEGMENT_BYTES if profile == str(shipped_profile()) else _DEFAULT_SEGMENT_BYTES
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        why = f'cannot be used ({error.strerror})'
    else:
        if free >= needed:
            return None
        why = f'has {free / 2 ** 20:.0f} MiB free, and each process takes {needed / 2 ** 20:.0f}'
    return (f'{folder} {why}: images go by UDP, in fragments, and some are lost. In Docker start the container with '
            '--shm-size=1g or --ipc=host; `robot-vision doctor` tells more')


def apply_profile(choice: str = 'auto') -> Optional[str]:
    """Set them for this process and its children; returns the profile in force, or None.

    Where shared memory cannot be used, this is said on the standard error output.
    """
    os.environ.update(profile_variables(choice))
    profile = os.environ.get(PROFILE_VARIABLE) or os.environ.get(OLD_PROFILE_VARIABLE)
    problem = shared_memory_problem(profile)
    if problem:
        print(f'robot-vision: {problem}', file=sys.stderr)
    return profile
