"""Which file it is, whatever its name: what was opened may have been removed, moved or replaced since."""
import os
from pathlib import Path
from typing import Optional, Tuple, Union


def file_identity(file: Union[Path, int]) -> Optional[Tuple[int, int]]:
    """Device and number of a file, by its name or its descriptor; None: there is none of this name."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino
