"""A finished folder takes the place of another one: by one exchange of names, by two renames, or entry by entry."""
import ctypes
import errno
import os
import shutil
from pathlib import Path
from typing import List

UNFINISHED = '.robot-vision-unfinished'
"""A file in a folder that is being filled: its lines are the names that do not count."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # <fcntl.h>, <linux/fs.h>
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.ENOTSUP)


def swap(work: Path, path: Path, replaced: Path) -> None:
    """Put ``work`` in the place of the folder ``path``, which goes to ``replaced``/<name> or to ``work``.

    Atomic where the file system can exchange names (renameat2(2), RENAME_EXCHANGE); else there is a moment in which
    nothing is there, and whoever finds ``replaced`` then moves it back.
    """
    if exchange(work, path):
        return
    replaced.mkdir(exist_ok=True)
    os.rename(path, replaced / path.name)
    try:
        os.rename(work, path)
    except OSError:
        os.rename(replaced / path.name, path)
        raise


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names at once; False where that is not possible."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


def fill(work: Path, path: Path, old: List[str]) -> None:
    """Move the entries of ``work`` into the folder ``path`` after removing ``old``; marked meanwhile."""
    new = os.listdir(work)
    marker = path / UNFINISHED
    with open(marker, 'w', encoding='utf-8', errors='surrogateescape') as file:
        file.write('\n'.join({*new, *old} - {UNFINISHED}))
        file.flush()
        os.fsync(file.fileno())
    for name in old:
        if name == UNFINISHED:
            continue
        if (path / name).is_dir() and not (path / name).is_symlink():
            shutil.rmtree(path / name)
        else:
            (path / name).unlink()
    for name in new:
        os.rename(work / name, path / name)
    marker.unlink()
