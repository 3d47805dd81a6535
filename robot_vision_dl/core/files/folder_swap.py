"""A finished folder takes the place of another one: by one exchange of names, by two renames, or entry by entry."""
import ctypes
import errno
import os
from pathlib import Path
from typing import List

from .unfinished import UNFINISHED, write_mark

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
    """Move the entries of ``work`` into the folder ``path`` after moving out ``old``; marked meanwhile.

    What is moved out lies beside ``work`` then, and goes with it.
    """
    new, removed = os.listdir(work), work.parent / f'{work.name}.old'
    removed.mkdir()
    write_mark(work.parent / f'{work.name}.mark', path,
               [*(path / name for name in old), *(work / name for name in new)])
    for name in old:
        os.rename(path / name, removed / name)
    for name in new:
        os.rename(work / name, path / name)
    (path / UNFINISHED).unlink()
