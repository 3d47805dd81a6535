"""What a bag may be called in a file of labels for several."""
from pathlib import Path
from typing import Tuple

from ...core.errors import ConfigError
from ...core.text.printable import printable
from ..bags.files import METADATA, STORAGE_SUFFIXES, storage_suffix


def exact_name(path: Path, name: str) -> str:
    """The name of a bag to write, with the suffix of its file where a bag beside it is called the same without."""
    if path.is_dir() or name.endswith(path.name):
        return name
    beside = (path.with_name(path.stem + end) for end in ('', *STORAGE_SUFFIXES))
    return name[:len(name) - len(path.stem)] + path.name if any(one.name != path.name and _is_bag(one)
                                                                for one in beside) else name


def _is_bag(path: Path) -> bool:
    """Whether a file, or a folder by what lies in it, is one recording."""
    try:
        if path.is_dir():
            return (path / METADATA).is_file() or sum(bool(storage_suffix(file)) for file in path.iterdir()) == 1
        return bool(storage_suffix(path)) and path.is_file()
    except OSError:
        return False  # not to be read by us


class BagNames:
    """Names of one bag: its file or folder, with or without suffix, and as many folders before it as are wanted.

    Args:
        path: the bag.
        recording: its name among the bags that are read together; where it has folders before it, another one is
            called the same without them, and where it has the suffix of its file, without that.
        folder: of the file of labels. Where that lies with the bag it is about no bag elsewhere.

    Attributes:
        shown: those to tell people, sorted.
    """

    def __init__(self, path: Path, recording: str, folder: Path) -> None:
        self._path, self._recording, self._folder = path.absolute(), recording, folder.absolute()
        *folders, _ = path.absolute().parts
        self._folders = tuple(folders[1:])
        self._last = {path.name, path.stem}
        without = path.stem if path.stem != path.name and not path.is_dir() else None
        # A folder beside it may have exactly that name, and be read another time.
        self._other = without if without and _is_bag(path.with_name(without)) else None
        self._shared = without if recording == path.name else None
        self._least = 1 if self._folder in (self._path, self._path.parent) else recording.count('/') + 1
        self.shown: Tuple[str, ...] = tuple(sorted({
            path.name if recording.split('/')[-1] == self._other else recording,
            *(self._last - {self._shared, self._other} if self._least == 1 else ())}))

    def has(self, name: str, where: str) -> bool:
        """Whether a name is of this bag.

        Raises:
            ConfigError: it is of several that are read together.
        """
        *folders, last = name.split('/')
        if last == self._other:
            return False
        if name == self._recording:
            return True
        if last not in self._last or tuple(folders) != self._folders[len(self._folders) - len(folders):]:
            return False
        place = self._folder / name
        if place == self._path:
            return True
        is_short = len(folders) + 1 < self._least
        if is_short and any(map(_is_bag, (place, *(place.with_name(last + end) for end in STORAGE_SUFFIXES)))):
            return False  # the file lies beside that one
        if is_short or last == self._shared:
            raise ConfigError(f'{where}: bag: {printable(name, 60)} is the name of several bags that are read '
                              f'together, {printable(self._recording, 100)} among them; write bag: '
                              f'{printable(self._recording, 100)} if that is meant')
        return True
