"""Choose the DDS profile before rclpy starts: with the defaults of Fast DDS, best-effort images are lost.

Must be called before the first participant is made, which is why nothing here imports rclpy.
"""
import os
from pathlib import Path
from typing import MutableMapping, Optional

from ..core.errors import ConfigError
from ..core.share import share_directory

PROFILE_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_PROFILE_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
# Fast DDS 2, which knows only the old name, came with these.
DISTRIBUTIONS_WITH_OLD_NAME = ('humble', 'iron', 'jazzy')


def shipped_profile() -> Path:
    """The profile for large images that comes with the package."""
    return share_directory() / 'config' / 'fastdds_large_images.xml'


def apply_profile(choice: str = 'auto', environment: Optional[MutableMapping[str, str]] = None) -> Optional[str]:
    """Point Fast DDS to a profile, unless the user has done so.

    Args:
        choice: ``auto`` for the shipped profile, ``none`` to leave DDS alone, or the path of an XML profile.
        environment: what to change; by default this process's.

    Returns:
        the profile in force, or None.

    Raises:
        ConfigError: the file named does not exist.
    """
    environment = os.environ if environment is None else environment
    already = environment.get(PROFILE_VARIABLE) or environment.get(OLD_PROFILE_VARIABLE)
    if already or choice in ('none', ''):
        return already
    if 'fastrtps' not in environment.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'):
        return None
    profile = shipped_profile() if choice == 'auto' else Path(choice).expanduser()
    if not profile.is_file():
        raise ConfigError(f'DDS profile {str(profile)!r} does not exist; give the path of an XML file, auto or none')
    old = environment.get('ROS_DISTRO') in DISTRIBUTIONS_WITH_OLD_NAME
    environment[OLD_PROFILE_VARIABLE if old else PROFILE_VARIABLE] = str(profile)
    return str(profile)
