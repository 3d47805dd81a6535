"""``index.csv`` of a folder of pictures: what ``bag extract`` writes of each picture beside its class."""
from collections import Counter
from pathlib import Path
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from ..core.errors import BagError
from ..core.text.csv_cells import plain_cell
from ..core.text.number_text import plain_int
from ..core.text.printable import printable
from ..core.text.text_file import read_text, table_rows
from .folders import shown
from .labels.labels import check_label

INDEX = 'index.csv'
INDEX_COLUMNS = ('file', 'label', 'recording', 'topic', 'stamp_ns', 'receive_ns', 'track', 'index')
PICTURE = 'picture'
"""A column more where files are parts of pictures: the picture that a file was cut out of."""


class FolderPicture(NamedTuple):
    """A picture and its label; the rest is known only where ``index.csv`` says so (see ``bag extract``, ``crop``)."""

    path: Path
    label: str
    recording: Optional[str] = None
    topic: str = ''
    stamp_ns: Optional[int] = None
    track: Optional[str] = None
    picture: Optional[str] = None


class PictureIndex:
    """What ``index.csv`` knows of the pictures; also of those that were moved to another class since."""

    def __init__(self, path: Path) -> None:
        self._root = path.parent
        self._rows: Dict[str, FolderPicture] = {}
        if path.is_file():
            self._read(path)
        names = Counter(Path(name).name for name in self._rows)
        self._by_name = {Path(name).name: row for name, row in self._rows.items() if names[Path(name).name] == 1}

    def _read(self, path: Path) -> None:
        rows = table_rows(read_text(path, BagError), str(path), BagError)
        head = next(rows, None)
        if head is None:
            return
        for row in rows:
            try:
                item = dict(zip(head.cells, map(plain_cell, row.cells), strict=True))
                self._rows[item['file']] = FolderPicture(
                    self._root / item['file'], check_label(item['label'], str(path)), item['recording'], item['topic'],
                    _stamp_ns(item['stamp_ns']), item['track'] or None, item.get(PICTURE) or None)
            except (KeyError, ValueError) as error:
                raise BagError(f'{path}, line {row.line}: not as `robot-vision bag extract` writes it ({error!r}); '
                               'remove the file to read the folders alone') from error

    def picture(self, path: Path, label: str) -> FolderPicture:
        """What is known of a picture in the folder of ``label``."""
        row = self._rows.get(str(path.relative_to(self._root)))
        if row is not None:
            return row
        row = self._by_name.get(path.name)
        return FolderPicture(path, label) if row is None else row._replace(path=path, label=label)

    def notes(self, found: Sequence[FolderPicture]) -> Tuple[str, ...]:
        """A sentence about rows without a picture."""
        there = {picture.path.name for picture in found}
        missing = [name for name, row in self._rows.items() if Path(name).name not in there
                   and not row.path.exists()]
        more = ', ...' if len(missing) > 3 else ''
        return (f'{self._root / INDEX}: {len(missing)} of {len(self._rows)} pictures that it lists are not there: '
                f'{", ".join(map(shown, missing[:3]))}{more}',) if missing else ()


def _stamp_ns(text: str) -> int:
    value = plain_int(text)
    if value is None:
        raise ValueError(f'{printable(text, 60)!r} is no time in nanoseconds')
    return value
