"""A folder of pictures with labels, of whatever format -> its pictures with their objects."""
from pathlib import Path
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Tuple, Union

from ....core.errors import BagError, ConfigError
from ....core.files.user_path import user_path
from ....core.text.json_text import parse_json
from ....core.text.text_file import read_text
from ...folders import Tell, shown
from .coco import MOST_BYTES as MOST_JSON_BYTES
from .coco import is_coco, read_coco
from .cvat import MOST_BYTES as MOST_XML_BYTES
from .cvat import is_cvat, read_cvat
from .labelled_picture import LabelledPicture
from .source_files import SourceFiles
from .yolo import is_named_as_names, label_files, read_yolo

AUTO, YOLO, COCO, CVAT = 'auto', 'yolo', 'coco', 'cvat'
FORMATS = (AUTO, YOLO, COCO, CVAT)


class Found(NamedTuple):
    """What a source holds: its format, its labelled pictures in natural order, and sentences about what is left out."""

    format: str
    pictures: Tuple[LabelledPicture, ...]
    notes: Tuple[str, ...]


def labelled_pictures(source: Union[str, Path], labels: str = AUTO, tell: Optional[Tell] = None) -> Found:
    """Read the labels of a folder of pictures.

    Args:
        source: the folder; pictures at any depth.
        labels: one of :data:`FORMATS`, whose files are looked for in ``source``; or a file: ``.json`` is COCO, ``.xml``
            CVAT, another one has the names of the classes of YOLO text.
        tell: takes a sentence about each kind of thing that is left out.

    Raises:
        BagError: there is no such folder, or no picture in it.
        ConfigError: there are no labels, those of several formats, or they cannot be used.
    """
    files = SourceFiles(Path(source))
    kind, paths = _chosen(files, labels)
    if kind == YOLO:
        pictures = read_yolo(files, paths[0] if paths else None)
    else:
        pictures = (read_coco if kind == COCO else read_cvat)(files, paths)
    notes = files.left_out.notes(files.root)
    if not pictures:
        raise ConfigError(f'{shown(files.root)}: no picture has labels ({kind}): {"; ".join(notes)}')
    for note in notes if tell else ():
        assert tell is not None
        tell(note)
    return Found(kind, tuple(pictures), notes)


def files_of_labels(source: Union[str, Path], labels: str = AUTO) -> FrozenSet[Path]:
    """The files that :func:`labelled_pictures` reads; empty where it would raise an error."""
    try:
        files = SourceFiles(Path(source))
        kind, paths = _chosen(files, labels)
        if kind == YOLO:
            paths = [*paths, *label_files(files).values(), *(path for path in files.others if is_named_as_names(path))]
    except (BagError, ConfigError):
        return frozenset()
    return frozenset(path.resolve() for path in paths)


def _chosen(files: SourceFiles, labels: str) -> Tuple[str, List[Path]]:
    """The format, and its files; of YOLO the file of names, if one was given."""
    if labels not in FORMATS:
        path = user_path(labels)
        if not path.is_file():
            raise ConfigError(f'--labels: {shown(labels)!r} is neither {", ".join(FORMATS)} nor a file')
        return {'.json': COCO, '.xml': CVAT}.get(path.suffix.lower(), YOLO), [path]
    there: Dict[str, List[Path]] = {}
    broken: List[Path] = []
    if labels in (AUTO, COCO):
        there[COCO] = _instances([path for path in files.others
                                  if path.suffix.lower() == '.json' and _is_coco(path, broken)], files)
    if labels in (AUTO, CVAT):
        there[CVAT] = [path for path in files.others if path.suffix.lower() == '.xml' and _is_cvat(path)]
    if labels in (AUTO, YOLO):
        there[YOLO] = list(label_files(files).values())
    kinds = [kind for kind, paths in there.items() if paths]
    if len(kinds) > 1:
        raise ConfigError(f'{shown(files.root)}: holds labels of several formats: '
                          f'{", ".join(f"{kind} ({shown(there[kind][0])})" for kind in kinds)}; choose one with '
                          '--labels')
    if not kinds and broken:
        return COCO, broken  # to be told what is wrong with it
    if not kinds:
        raise ConfigError(f'{shown(files.root)}: no labels {"" if labels == AUTO else f"of the format {labels} "}for '
                          f'its {len(files.pictures)} pictures: neither YOLO text (a .txt beside each picture), nor '
                          'COCO JSON, nor CVAT XML for images lies in it; name a file with --labels')
    return kinds[0], [] if kinds[0] == YOLO else there[kinds[0]]


def _instances(paths: List[Path], files: SourceFiles) -> List[Path]:
    """Of COCO files those of ``instances``: captions and key points beside them are of the same pictures."""
    chosen = [path for path in paths if path.name.lower().startswith('instances')]
    for path in paths if chosen else ():
        if path not in chosen:
            files.left_out.add('COCO files beside those named instances...', path, files.root)
    return chosen or paths


def _is_coco(path: Path, broken: List[Path]) -> bool:
    try:
        return is_coco(parse_json(read_text(path, most_bytes=MOST_JSON_BYTES, quote=False), shown(path)))
    except ConfigError:
        broken.append(path)
        return False


def _is_cvat(path: Path) -> bool:
    try:
        return is_cvat(read_text(path, most_bytes=MOST_XML_BYTES, quote=False))
    except ConfigError:
        return False
