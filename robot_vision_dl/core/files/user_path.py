"""Paths as users give them: ``~`` and ``~name`` stand for home folders."""
import os
from pathlib import Path
from typing import Union

from ..errors import ConfigError


def user_path(path: Union[str, 'os.PathLike[str]']) -> Path:
    """``path`` with a leading ``~`` or ``~name`` replaced.

    Raises:
        ConfigError: there is no such user, or the path is empty or has a null character.
    """
    if not str(path):  # of `robot-vision evaluate "$BAG"` where BAG is not set; pathlib takes it for this folder
        raise ConfigError("'': a path is missing here; for this folder give .")
    if '\0' in str(path):
        raise ConfigError(f'{str(path)!r}: a path has no null character; give another')
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f'{str(path)!r}: there is no such user, or no home folder of it; give the whole path'
                          ) from error
