"""Folders of pictures, one a label, with ``index.csv``: what every program for images reads, and ``train`` as well.

``unlabelled/`` has the pictures without a label, and ``unlabelled/unsure/`` those of ``unsure``, so that no training
takes either for a class.
"""
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Sequence, Tuple

from ...core.errors import ConfigError
from ...core.text.csv_cells import csv_writer, plain_cell, safe_cell
from ...core.text.printable import printable
from ...core.text.text_file import read_text, table_rows
from ...data.class_folders import class_folder
from ...data.folders import is_of_the_system, shown
from ...data.labels.labels import UNLABELLED
from ...data.picture_folder import SUFFIXES
from ...data.picture_index import INDEX
from ..events import UNSURE
from .pictures import FACTS, ExportPicture
from .said import MOST_BYTES, Said, check_count, said_label

_COLUMNS = ('file', 'label', 'recording', 'topic', 'stamp_ns', 'track', 'start_ns', 'end_ns')


def places(pictures: Sequence[ExportPicture]) -> List[str]:
    """Where each picture's file is in the export, without a suffix."""
    labels = sorted({one.label for one in pictures})
    folders: Dict[str, str] = {'': UNLABELLED, UNSURE: f'{UNLABELLED}/{UNSURE}'}
    for label in labels:
        if label not in folders:
            name, number = _file_name(label), 1
            unique = name
            while unique.casefold() in {one.casefold() for one in folders.values()}:
                number, unique = number + 1, f'{name}-{number + 1}'
            folders[label] = class_folder(unique, label)
    return [f'{folders[one.label]}/{one.name}' for one in pictures]


def write(folder: Path, pictures: Sequence[ExportPicture], files: Sequence[str], labels: Sequence[str]) -> None:
    """Write ``index.csv`` beside the folders of classes."""
    with open(folder / INDEX, 'w', encoding='utf-8', newline='') as file:
        index = csv_writer(file)
        index.writerow(_COLUMNS)
        for one, name in zip(pictures, files):
            place = one.place
            texts = (name, one.label, place.recording, place.topic)
            index.writerow((*map(safe_cell, texts), place.stamp_ns, '', place.start_ns, place.end_ns))


def read(path: Path) -> Iterator[Said]:
    """All pictures in the folders of labels, which may have been moved since.

    Raises:
        ConfigError: a folder's name cannot be a label, or ``index.csv`` is another file.
    """
    if not path.is_dir():
        raise ConfigError(f'{shown(path)}: no such folder; give the one that was exported, with a folder a label')
    facts, labels = _index(path / INDEX)
    count = 0
    for place, folders, names in os.walk(path):  # links are not followed
        folders[:] = sorted(name for name in folders if not is_of_the_system(name))
        parts = Path(place).relative_to(path).parts
        for name in sorted(names):
            if not parts or Path(name).suffix.lower() not in SUFFIXES or is_of_the_system(name):
                continue
            count += 1
            check_count(count, shown(path))
            label = parts[1] if parts[0] == UNLABELLED and parts[1:] == (UNSURE,) else parts[0]
            yield Said(name, said_label(labels.get(label, label), shown(Path(place))), facts.get(name, {}),
                       shown(Path(place) / name), '' if label in labels or parts[0] == UNLABELLED else label)


def with_classes(said: Iterable[Said], classes: Sequence[str]) -> Iterator[Said]:
    """What is said, where the name of a folder is not a class but the form that one has as a file's name.

    Args:
        classes: all that there are, each once.

    Raises:
        ConfigError: a folder can be that of several.
    """
    for one in said:
        fitting = _fitting(one.folder, classes) if one.folder else []
        if len(fitting) > 1:
            raise ConfigError(f'{one.where}: its folder can be that of the classes '
                              f'{printable(", ".join(fitting))}, and no {INDEX} beside it says which; put the '
                              f'{INDEX} of the export back, or export again')
        yield replace(one, label=fitting[0]) if fitting else one


def _fitting(folder: str, classes: Sequence[str]) -> List[str]:
    """Classes whose pictures :func:`places` can have put there."""
    found = [name for name in classes if _file_name(name) == folder]
    numbered = re.fullmatch(r'(.+)-[0-9]+', folder)
    alike = [name for name in classes if numbered and _file_name(name).casefold() == numbered[1].casefold()]
    return list(dict.fromkeys([*found, *alike])) if len(alike) > 1 else found


def _file_name(label: str) -> str:
    return re.sub(r'[^\w.+-]+', '_', label).lstrip('.') or '_'


def _index(path: Path) -> Tuple[Dict[str, Dict[str, str]], Dict[str, str]]:
    """What goes with each picture, by the name of its file, and the label that each folder stands for."""
    if not path.is_file():
        return {}, {}
    rows = table_rows(read_text(path, most_bytes=MOST_BYTES), shown(path))
    head = next(rows, None)
    facts: Dict[str, Dict[str, str]] = {}
    labels: Dict[str, str] = {}
    if head is None or not {'file', 'label'} <= set(head.cells):
        raise ConfigError(f'{shown(path)}: is not as `robot-vision labels export` writes it: columns file and label '
                          'are missing; remove it to go by the names of the pictures alone')
    for row in rows:
        item = dict(zip(head.cells, map(plain_cell, row.cells)))
        folder, _, name = item.get('file', '').partition('/')
        label = item.get('label', '')
        if label and label != UNSURE:
            labels.setdefault(folder, label)
        facts[name.rsplit('/', 1)[-1]] = {'exported': label, **{key: item[key] for key in FACTS if key in item}}
    return facts, labels
