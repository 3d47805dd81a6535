"""Choose the DDS profile before rclpy starts: with the defaults of Fast DDS, best-effort images are lost.

Must be called before the first participant is made, which is why nothing here imports rclpy.
"""
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, Iterable, Mapping, Optional, Tuple

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.resources import share_directory

# Fast DDS 3 (Kilted and later) reads only the first, Fast DDS 2 (Humble to Jazzy) only the second.
PROFILE_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_PROFILE_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
SHARED_MEMORY = Path('/dev/shm')
_SEGMENT_BYTES, _DEFAULT_SEGMENT_BYTES = 65 * 2 ** 20, 2 ** 20  # of the shipped profile, and about that without


def shipped_profile() -> Path:
    """The profile for large images that comes with the package."""
    return share_directory() / 'config' / 'fastdds_large_images.xml'


def variables_read(prefixes: Optional[Iterable[Path]] = None) -> Tuple[str, ...]:
    """Names of the environment variables that the installed Fast DDS reads; both where it is not found.

    With Fast DDS 3, rmw_fastrtps still takes the old name, but warns of it in the log of each node.

    Args:
        prefixes: folders to look for its library in; by default those that libraries of ROS 2 are loaded from.
    """
    if prefixes is None:
        prefixes = [Path(sys.prefix) / 'lib']
        prefixes += [Path(folder) for folder in os.environ.get('LD_LIBRARY_PATH', '').split(os.pathsep) if folder]
        prefixes += [Path(folder) / 'lib' for folder in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
                     if folder]
    for folder in prefixes:
        if any(folder.glob('libfastdds.so*')):
            return (PROFILE_VARIABLE,)
        if any(folder.glob('libfastrtps.so*')):
            return (OLD_PROFILE_VARIABLE,)
    return (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE)


def profile_variables(choice: str = 'auto', environment: Optional[Mapping[str, str]] = None) -> Dict[str, str]:
    """The environment variables to set so that the installed Fast DDS reads a profile.

    Where the user has set only the name that it does not read, the other gets the same file.

    Args:
        choice: ``auto`` for the shipped profile, ``none`` to leave DDS alone, or the path of an XML profile.
        environment: what is set already; by default this process's.

    Raises:
        ConfigError: the file named does not exist.
    """
    environment = os.environ if environment is None else environment
    if choice in ('none', '') or 'fastrtps' not in environment.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'):
        return {}
    names = variables_read()
    users = environment.get(PROFILE_VARIABLE) or environment.get(OLD_PROFILE_VARIABLE)
    if users:
        return {name: users for name in names if not environment.get(name)}
    profile = shipped_profile() if choice == 'auto' else user_path(choice)
    if not profile.is_file():
        raise ConfigError(f'DDS profile {str(profile)!r} does not exist; give the path of an XML file, auto or none')
    return {name: str(profile) for name in names}


def export_command(profile: Path) -> str:
    """The shell command that sets a profile for what is started afterwards."""
    return 'export ' + ' '.join(f'{name}={profile}' for name in variables_read())


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
