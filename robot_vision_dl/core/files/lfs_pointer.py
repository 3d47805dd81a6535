"""Git LFS pointers: small texts that lie in a file's place until ``git lfs pull`` fetches it."""
from pathlib import Path
from typing import Union

_BEGIN = b'version https://git-lfs.github.com/spec/'
_MOST_BYTES = 1024  # https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
REMEDY = 'is a Git LFS pointer and not the file itself; fetch it with `git lfs pull`'


def is_lfs_pointer(path: Union[str, Path]) -> bool:
    """Whether a file is a pointer; False for what cannot be read."""
    path = Path(path)
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return False
        with path.open('rb') as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except (OSError, ValueError):
        return False
