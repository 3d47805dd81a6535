"""Where the package's launch files, configuration and model bundles lie."""
import sys
from functools import lru_cache
from pathlib import Path

from .errors import RobotVisionError

PACKAGE = 'robot_vision_dl'


@lru_cache(maxsize=None)
def share_directory() -> Path:
    """The folder with ``config/``, ``launch/`` and ``models/``.

    In a checkout it is the checkout; installed by pip or colcon it is ``<prefix>/share/robot_vision_dl``.

    Raises:
        RobotVisionError: there is none, so the installation is not whole.
    """
    package_folder = Path(__file__).resolve().parents[1]
    tried = [package_folder.parent]
    # <prefix>/lib/python3.x/site-packages/robot_vision_dl -> <prefix>; Debian's local/lib too.
    tried += [parent / 'share' / PACKAGE for parent in package_folder.parents]
    tried.append(Path(sys.prefix) / 'share' / PACKAGE)
    for folder in tried:
        if (folder / 'package.xml').is_file() and (folder / 'models').is_dir():
            return folder
    raise RobotVisionError(f'{PACKAGE} is installed without its models and configuration; '
                           'install it with `pip install .` or `colcon build`')
