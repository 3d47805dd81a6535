"""What lies in a folder, as data: links followed but no circles, nothing that computers put there by themselves.

What is left out is never left out silently: :class:`LeftOut` counts it by reason and names it.
"""
import os
import re
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from ..core.errors import raise_about_machine
from ..core.files.whole_files import check_finished
from ..core.text.printable import printable

Tell = Callable[[str], None]
"""What takes a sentence for the user."""
_SYSTEM = re.compile(r'__MACOSX|__pycache__|@eaDir|@Recycle|@Recently-Snapshot|#recycle|#snapshot|\$RECYCLE\.BIN'
                     r'|RECYCLER|System Volume Information|lost\+found|Thumbs\.db|ehthumbs\.db|desktop\.ini|Icon\r',
                     re.IGNORECASE)
SYSTEM = 'hidden, or of the operating system or another program'
_NAMED = 3


class LeftOut:
    """What was found and is not used, by reason."""

    def __init__(self) -> None:
        self._names: Dict[str, List[str]] = {}
        self._counts: Dict[str, int] = {}

    def add(self, reason: str, path: Path, root: Path, count: int = 1) -> None:
        """``count`` things in or at ``path``, which is told relative to ``root``."""
        self._counts[reason] = self._counts.get(reason, 0) + count
        names = self._names.setdefault(reason, [])
        if len(names) < _NAMED:
            names.append(shown(path.relative_to(root) if root in path.parents else path))

    def __contains__(self, reason: str) -> bool:
        return reason in self._counts

    def notes(self, root: Path) -> Tuple[str, ...]:
        """A sentence a reason."""
        found = []
        for reason, count in self._counts.items():
            names = self._names[reason]
            more = ', ...' if count > len(names) else ''
            found.append(f'{shown(root)}: left out {count}, {reason}: {", ".join(names)}{more}')
        return tuple(found)


class Folder(NamedTuple):
    """A folder that was visited, with its files in natural order."""

    path: Path
    files: Tuple[Path, ...]


def shown(path: Union[str, Path]) -> str:
    """A name that may hold anything, for a message."""
    return printable(str(path))


def natural(path: Union[str, Path]) -> List[Tuple[int, str]]:
    """Sort key under which ``cup10.jpg`` comes after ``cup9.jpg``."""
    # ASCII digits: others, such as superscripts, are no numbers to int().
    return [(int(piece), '') if re.fullmatch('[0-9]{1,18}', piece) else (-1, piece)
            for piece in re.split('([0-9]+)', str(path))]


def is_of_the_system(name: str) -> bool:
    """Whether nobody put this file or folder there on purpose, as data."""
    return name.startswith('.') or _SYSTEM.fullmatch(name) is not None


def walk(root: Path, left_out: LeftOut, seen: Optional[Dict[Tuple[int, int], Path]] = None,
         told_from: Optional[Path] = None) -> Iterator[Folder]:
    """``root`` and all folders below it, each once however many links lead to it, in natural order.

    Args:
        seen: identity of folders that have been visited; is added to.
        told_from: what names in ``left_out`` are relative to; None: ``root``.

    Raises:
        OutputError: a folder is half-written.
    """
    check_finished(root)
    seen = {} if seen is None else seen
    base = told_from or root
    try:
        status = os.stat(root)
        before = seen.setdefault((status.st_dev, status.st_ino), root)
        if before != root:
            left_out.add(f'reached a second time by a link (the first time as {shown(before)})', root, base)
            return
        with os.scandir(root) as entries:
            paths = sorted((Path(entry.path) for entry in entries), key=natural)
    except OSError as error:
        raise_about_machine(error, root)
        left_out.add(f'folders that cannot be read ({error.strerror})', root, base)
        return
    files, folders = [], []
    for path in paths:
        if is_of_the_system(path.name):
            left_out.add(SYSTEM, path, base)
        elif path.is_dir():
            folders.append(path)
        elif path.is_file():
            files.append(path)
        elif path.is_symlink():
            left_out.add('links to what is not there', path, base)
        else:
            left_out.add('neither files nor folders', path, base)
    yield Folder(root, tuple(files))
    for folder in folders:
        yield from walk(folder, left_out, seen, base)
