"""Choose the DDS profile before rclpy starts: with the defaults of Fast DDS, best-effort images are lost.

Must be called before the first participant is made, which is why nothing here imports rclpy.
"""
import os
from pathlib import Path
from typing import Dict, Mapping, Optional

from ..core.errors import ConfigError
from ..core.share import share_directory

PROFILE_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_PROFILE_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
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
    profile = shipped_profile() if choice == 'auto' else Path(choice).expanduser()
    if not profile.is_file():
        raise ConfigError(f'DDS profile {str(profile)!r} does not exist; give the path of an XML file, auto or none')
    old = environment.get('ROS_DISTRO') in DISTRIBUTIONS_WITH_OLD_NAME
    return {OLD_PROFILE_VARIABLE if old else PROFILE_VARIABLE: str(profile)}


def apply_profile(choice: str = 'auto') -> Optional[str]:
    """Set them for this process and its children; returns the profile in force, or None."""
    os.environ.update(profile_variables(choice))
    return os.environ.get(PROFILE_VARIABLE) or os.environ.get(OLD_PROFILE_VARIABLE)
