"""FiftyOne: ``labels.json`` beside ``data/``, the type ``FiftyOneImageClassificationDataset``.

What goes with a picture are attributes of its classification. Export it again with ``include_attributes=True``, so that
they come back. Published format:
https://docs.voxel51.com/user_guide/import_datasets.html#fiftyone-image-classification-dataset
"""
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from ...core.errors import ConfigError
from ...core.files.whole_files import write_whole
from ...core.text.json_text import parse_json
from ...core.text.printable import printable
from ...core.text.text_file import read_text
from ...data.folders import shown
from .pictures import FACTS, ExportPicture
from .said import MOST_BYTES, Said, check_count, said_facts, said_label

FILE = 'labels.json'


def places(pictures: Sequence[ExportPicture]) -> List[str]:
    """Where each picture's file is in the export, without a suffix."""
    return [f'data/{one.name}' for one in pictures]


def write(folder: Path, pictures: Sequence[ExportPicture], files: Sequence[str], labels: Sequence[str]) -> None:
    """Write ``labels.json``."""
    found = {one.name: {'label': one.label, 'attributes': one.facts} if one.label else None for one in pictures}
    write_whole(folder / FILE, json.dumps({'classes': list(labels), 'labels': found}, ensure_ascii=False,
                                          indent=1) + '\n')


def read(path: Path) -> Iterator[Said]:
    """All pictures that a file lists; labels may be numbers of classes, as FiftyOne writes them.

    Raises:
        ConfigError: it is no such file.
    """
    if path.is_dir():
        path = path / FILE
    content = parse_json(read_text(path, most_bytes=MOST_BYTES, quote=False), shown(path))
    labels = content.get('labels') if isinstance(content, dict) else None
    classes = content.get('classes') if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not isinstance(classes, (list, type(None))):
        raise ConfigError(f'{shown(path)}: is no FiftyOneImageClassificationDataset: "labels" is missing; export the '
                          'dataset as that type, with include_attributes=True')
    check_count(len(labels), shown(path))
    for name, target in labels.items():
        where = f'{shown(path)}, {printable(name, 120)}'
        for label, facts in _targets(target, classes or [], where):
            yield Said(name, label, facts, where)


def _targets(target: Any, classes: Sequence[Any], where: str) -> Iterator[Tuple[str, Dict[str, str]]]:
    if isinstance(target, list) and len(target) != 1:
        raise ConfigError(f'{where}: has {len(target)} classifications, and a picture has one label')
    one = target[0] if isinstance(target, list) else target
    label, attributes = one, {}
    if isinstance(one, dict):
        label = one.get('label')
        # Older versions write them beside the label.
        attributes = {**{key: one[key] for key in FACTS if key in one}, **(one.get('attributes') or {})}
    if isinstance(label, int) and not isinstance(label, bool):
        if not 0 <= label < len(classes):
            raise ConfigError(f'{where}: is of class {label}, and the file has {len(classes)} classes')
        label = classes[label]
    yield said_label(label, where), said_facts(attributes)
