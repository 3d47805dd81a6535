"""Lists of labelled pictures: CSV files with the columns file,label, and where it is known its origin."""
import os
import re
from pathlib import Path
from typing import List, Optional, Sequence

from ..core.errors import ConfigError
from ..core.suggestions import did_you_mean
from ..core.text.csv_cells import csv_writer, plain_cell, safe_cell
from ..core.text.text_file import read_text, table_rows
from ..core.types import UNKNOWN
from .folders import shown
from .labels.labels import IGNORE, check_label
from .picture_index import PICTURE, FolderPicture

SUFFIX = '.csv'
COLUMNS = ('file', 'label')
ORIGIN = ('recording', 'topic', 'track', PICTURE)
"""Columns that a list may have: what recording a picture belongs to, or what picture it is cut out of, so that it stays
in the same part as that one."""


def listed_pictures(path: Path, class_names: Sequence[str] = (), root: Optional[Path] = None) -> List[FolderPicture]:
    """The pictures of a list, in its order.

    Args:
        path: CSV whose first line names the columns file and label; of others, those of :data:`ORIGIN` are read.
        class_names: of a model; a label may then be the index of a class, too. Empty: labels are what they say.
        root: what the files are relative to; None: the folder of the list.

    Raises:
        ConfigError: the list is not of this form, is empty, names a file that is not there, or a label is not among
            the classes.
    """
    rows = table_rows(read_text(path), shown(path))
    head = next(rows, None)
    columns = [] if head is None else [name.strip().lower() for name in head.cells]
    if not set(COLUMNS) <= set(columns):
        raise ConfigError(f'{shown(path)}: the first line must be file,label, got {head and head.cells!r:.80}')
    found = []
    for row in rows:
        where = f'{shown(path)}:{row.line}'
        if len(row.cells) != len(columns):
            raise ConfigError(f'{where}: {len(row.cells)} cell(s) where {len(columns)} are needed '
                              f'({",".join(columns)}), got {row.cells!r:.80}')
        item = dict(zip(columns, map(plain_cell, row.cells)))
        if not item['file'] or not item['label']:
            raise ConfigError(f'{where}: file or label is empty, got {row.cells!r:.80}')
        picture = (root or path.parent) / item['file']
        if not _is_there(picture):
            raise ConfigError(f'{where}: {shown(picture)}: cannot be read (there is no such file); files are relative '
                              'to the folder of the list, or to --pictures')
        recording, topic, track, whole = (item.get(name, '') for name in ORIGIN)
        found.append(FolderPicture(picture, _label(check_label(item['label'], where), class_names, where),
                                   recording or None, topic, track=track or None, picture=whole or None))
    if not found:
        raise ConfigError(f'{shown(path)}: lists no picture')
    return found


def write_list(path: Path, pictures: Sequence[FolderPicture], folder: Path) -> None:
    """Write a list that gives these pictures where it lies in ``folder``, to which its files are relative."""
    origin = ORIGIN if any(picture.picture for picture in pictures) else ORIGIN[:-1]
    with open(path, 'w', encoding='utf-8', errors='surrogateescape', newline='') as file:
        rows = csv_writer(file)
        rows.writerow((*COLUMNS, *origin))
        for picture in pictures:
            name = os.path.relpath(picture.path.resolve(), folder.resolve())
            known = (picture.recording, picture.topic, picture.track, picture.picture)
            rows.writerow([safe_cell(text or '') for text in (name, picture.label, *known[:len(origin)])])


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _label(label: str, class_names: Sequence[str], where: str) -> str:
    if not class_names or label in class_names or label in (UNKNOWN, IGNORE):
        return label
    if re.fullmatch('[0-9]{1,9}', label) and int(label) < len(class_names):
        return class_names[int(label)]
    raise ConfigError(f'{where}: the label {label!r:.80} is not among the classes; '
                      f'{did_you_mean(label, list(class_names))}')
