"""What a bag may be called in a file of labels for several."""
from pathlib import Path
from typing import Tuple

from ...core.errors import ConfigError
from ...core.text.printable import printable


class BagNames:
    """Names of one bag: its file or folder, with or without suffix, and as many folders before it as are wanted.

    Args:
        path: the bag.
        recording: its name among the bags that are read together; where it has folders before it, another one is
            called the same without them.
        is_beside: the file of labels lies with the bag, so that it is about no bag elsewhere.

    Attributes:
        shown: those to tell people, sorted.
    """

    def __init__(self, path: Path, recording: str, is_beside: bool = False) -> None:
        self._recording = recording
        *folders, _ = path.absolute().parts
        self._folders = tuple(folders[1:])
        self._last = {path.name, path.stem}
        self._least = 1 if is_beside else recording.count('/') + 1
        self.shown: Tuple[str, ...] = tuple(sorted({recording, *(self._last if self._least == 1 else ())}))

    def has(self, name: str, where: str) -> bool:
        """Whether a name is of this bag.

        Raises:
            ConfigError: it is of several that are read together.
        """
        if name == self._recording:
            return True
        *folders, last = name.split('/')
        if last not in self._last or tuple(folders) != self._folders[len(self._folders) - len(folders):]:
            return False
        if len(folders) + 1 < self._least:
            raise ConfigError(f'{where}: bag: {printable(name, 60)} is the name of several bags that are read '
                              f'together, {printable(self._recording, 100)} among them; write bag: '
                              f'{printable(self._recording, 100)} if that is meant')
        return True
