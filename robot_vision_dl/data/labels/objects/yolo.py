"""YOLO text: beside each picture a file of the same name, a line an object, numbers as shares of the picture.

::

    0 0.5 0.4 0.1 0.2              # class, centre x, centre y, width, height; a sixth number is a detector's confidence
    0 .4 .3 .6 .3 .6 .5 .4 .5      # class and four corners: a box that may be turned (YOLO-OBB)
    0 .1 .1 .2 .1 .3 .2 ...        # class and the corners of a polygon: the upright box around it is read

Where folders are called ``images``, the files of labels may be in ``labels`` beside it. Names of the classes are in
``obj.names``, ``classes.txt``, another ``.names`` file or ``data.yaml``, in the folder of the labels or above. A file
without a line says that nothing is in the picture.
"""
import re
from math import atan2, cos, hypot, sin
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

import cv2
import numpy as np

from ....core.errors import ConfigError
from ....core.files.whole_files import write_whole
from ....core.regions.detections import Box
from ....core.text.number_text import plain_float, plain_int
from ....core.text.printable import printable
from ....core.text.text_file import read_text
from ....core.text.yaml_text import read_yaml
from ...folders import shown
from ..labels import check_label
from .labelled_picture import (
    MOST_QUOTED,
    NO_LABELS,
    NOT_FINITE,
    LabelledObject,
    LabelledPicture,
    Objects,
    place,
)
from .source_files import SourceFiles

MOST_BYTES = 16 << 20
"""Largest file of one picture's labels: ten thousand polygons of a hundred corners."""
SUFFIX = '.txt'
NAMES = ('obj.names', 'classes.txt')
_YAML = ('data.yaml', 'data.yml', 'dataset.yaml', 'dataset.yml')
_OTHER_TEXTS = ('train', 'val', 'valid', 'test', 'readme', 'requirements', 'license', 'notes')
_NOT_FINITE = re.compile('[+-]?(nan|inf(inity)?)', re.IGNORECASE)
_MOST_SHARE = 2.0  # boxes may reach beyond the picture, but not so far; corners, twice its longer side in pixels
_NO_PICTURE = 'files of labels without a picture'
_HOW = 'a line is: class x y width height, as shares of the picture'


def label_files(files: SourceFiles) -> Dict[str, Path]:
    """The file of labels of each picture that has one, by the picture's name.

    Raises:
        ConfigError: two pictures would share one.
    """
    texts = {path for path in files.others if path.suffix.lower() == SUFFIX}
    found: Dict[str, Path] = {}
    owner: Dict[Path, str] = {}
    for name, picture in files.pictures.items():
        for path in _beside(picture, files.root):
            if path in texts:
                if path in owner:
                    raise ConfigError(f'{shown(path)}: is the file of labels of {shown(owner[path])} and of '
                                      f'{shown(name)}; keep one of the two, or rename it with its labels')
                owner[path] = name
                found[name] = path
                break
    return found


def is_named_as_names(path: Path) -> bool:
    """Whether a file is called as one with the names of the classes is."""
    return path.name.lower() in (*NAMES, *_YAML) or path.suffix.lower() == '.names'


def read_yolo(files: SourceFiles, names_file: Optional[Path] = None) -> List[LabelledPicture]:
    """All pictures that have a file of labels; what is left out is noted.

    Args:
        names_file: names of the classes, a line each or ``names`` of a YAML file; None: looked for.

    Raises:
        ConfigError: a line is not of this form, or its class has no name.
    """
    names = _Names(files, names_file)
    labels = label_files(files)
    used = set(labels.values())
    for path in files.others:
        if path.suffix.lower() == SUFFIX and path not in used and not names.is_names(path) and (
                path.stem.lower() not in _OTHER_TEXTS):
            files.left_out.add(_NO_PICTURE, path, files.root)
    found = []
    for name, picture in files.pictures.items():
        if name not in labels:
            files.left_out.add(NO_LABELS, picture, files.root)
            continue
        size = files.size(name)
        if size is not None:
            objects = Objects(*size, files.left_out, files.root)
            _read(labels[name], size, names, objects, files)
            found.append(LabelledPicture(picture, name, *size, objects.all()))
    return found


def write_yolo(pictures: Sequence[LabelledPicture], folder: Path) -> None:
    """Write ``<folder>/<name of the picture>.txt`` for each, and ``<folder>/obj.names``.

    Where any box is turned, all are written as four corners. Tracks and crowds have no place in this form.

    Raises:
        ConfigError: a box is so much larger than its picture that a reader would take it for pixels.
    """
    names = sorted({item.label for picture in pictures for item in picture.objects})
    turned = any(item.box.theta for picture in pictures for item in picture.objects)
    write_whole(folder / NAMES[0], ''.join(f'{name}\n' for name in names))
    for picture in pictures:
        lines = []
        for item in picture.objects:
            shares = _corner_shares(item.box, picture) if turned else _shares(item.box, picture)
            _check_shares(shares, (picture.width, picture.height), f'{shown(picture.path)}, {shown(item.label)}')
            if item.score is not None:
                shares.append(item.score)
            lines.append(' '.join([str(names.index(item.label)), *(f'{share:.10g}' for share in shares)]) + '\n')
        path = folder / picture.name
        write_whole(path.with_suffix(SUFFIX), ''.join(lines))


def _beside(picture: Path, root: Path) -> List[Path]:
    """Where the labels of a picture may be."""
    beside = picture.with_suffix(SUFFIX)
    parts = list(beside.relative_to(root).parts)
    folders = [number for number, part in enumerate(parts[:-1]) if part.lower() == 'images']
    if not folders:
        return [beside]
    parts[folders[-1]] = 'labels'
    return [beside, root.joinpath(*parts)]


def _read(path: Path, size: Tuple[int, int], names: '_Names', objects: Objects, files: SourceFiles) -> None:
    for number, line in enumerate(read_text(path, most_bytes=MOST_BYTES, quote=False).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = f'{shown(path)}:{number}'
        values = [_number(word, where) for word in words[1:]]
        label = names.of(words[0], path.parent, where)
        if None in values:
            files.left_out.add(NOT_FINITE, place(path, f':{number}'), files.root)
            continue
        shares = [value for value in values if value is not None]
        box, score = _box(shares, size, where)
        objects.add(LabelledObject(box, label, score=score), place(path, f':{number}'))


def _number(word: str, where: str) -> Optional[float]:
    """None for a number that is not finite."""
    value = plain_float(word)
    if value is None and not _NOT_FINITE.fullmatch(word):
        raise ConfigError(f'{where}: {printable(word, MOST_QUOTED)!r} is no number; {_HOW}')
    return value


def _box(values: List[float], size: Tuple[int, int], where: str) -> Tuple[Box, Optional[float]]:
    count = len(values)
    if count < 4:
        raise ConfigError(f'{where}: has {count + 1} numbers and names, 5 are needed; {_HOW}')
    score = values.pop() if count == 5 or (count > 5 and count % 2) else None
    _check_shares(values, size, where)
    if len(values) == 4:
        x, y, width, height = values
        return Box(x * size[0], y * size[1], width * size[0], height * size[1]), score
    corners = np.array(values, np.float64).reshape(-1, 2) * size
    if len(corners) == 4:
        return _turned(corners), score
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return Box.of_corners(left, top, right, bottom), score


def _check_shares(values: Sequence[float], size: Tuple[int, int], where: str) -> None:
    """Raise :class:`ConfigError` where numbers must be pixels: x and y by turns, of a box (4 numbers) or of corners."""
    # A box that is turned reaches as far up as it is wide, which of a flat picture is many of its heights.
    longest = max(size) if len(values) > 4 else 0
    for axis, value in enumerate(values):
        side = size[axis % 2]
        if abs(value) * side > _MOST_SHARE * max(side, longest):
            raise ConfigError(f'{where}: {value:g} is no share of a picture; are these pixels? Divide x and width by '
                              f"the picture's width, y and height by its height (here {size[0]}x{size[1]})")


def _turned(corners: np.ndarray) -> Box:
    """The box with four corners, in pixels and in order around it; of no rectangle the smallest one around it."""
    x, y = corners.mean(axis=0).tolist()
    across = (corners[1] - corners[0] + corners[2] - corners[3]) / 2
    down = (corners[3] - corners[0] + corners[2] - corners[1]) / 2
    width, height = hypot(*across), hypot(*down)
    slack = 0.02 * max(width, height, 1.0)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if max(abs((right - left) * (bottom - top) - width * height), min(abs(across[0]), abs(across[1]))) < 1e-6:
        return Box.of_corners(left, top, right, bottom)  # upright, whichever corner is the first
    is_rectangle = np.abs(corners[0] + corners[2] - corners[1] - corners[3]).max() <= 2 * slack and (
        abs(float(across @ down)) <= slack * max(width, height))
    if not is_rectangle:
        (x, y), (width, height), degrees = cv2.minAreaRect(corners.astype(np.float32))
        return Box(x, y, width, height, float(np.radians(degrees)))
    return Box(x, y, width, height, atan2(across[1], across[0]))


def _shares(box: Box, picture: LabelledPicture) -> List[float]:
    return [box.x / picture.width, box.y / picture.height, box.width / picture.width, box.height / picture.height]


def _corner_shares(box: Box, picture: LabelledPicture) -> List[float]:
    c, s = cos(box.theta), sin(box.theta)
    found: List[float] = []
    for right, down in ((-.5, -.5), (.5, -.5), (.5, .5), (-.5, .5)):
        across, below = right * box.width, down * box.height
        found += [(box.x + across * c - below * s) / picture.width, (box.y + across * s + below * c) / picture.height]
    return found


class _Names:
    """Names of the classes, for each folder the nearest ones."""

    def __init__(self, files: SourceFiles, names_file: Optional[Path]) -> None:
        self._root = files.root
        self._given = None if names_file is None else _names_of(names_file)
        self._named_by = names_file
        self._by_folder: Dict[Path, List[Path]] = {}
        self._read: Dict[Path, Tuple[List[str], Path]] = {}
        self._paths: Set[Path] = set()
        if names_file is not None:
            self._paths.add(names_file)
            return
        for path in files.others:
            if is_named_as_names(path):
                self._by_folder.setdefault(path.parent, []).append(path)
                self._paths.add(path)

    def is_names(self, path: Path) -> bool:
        """Whether a file holds names, and not the labels of a picture."""
        return path in self._paths or path.name.lower() in NAMES

    def of(self, word: str, folder: Path, where: str) -> str:
        """The name of a class in a file of labels in ``folder``."""
        number = plain_int(word)
        if number is None or number < 0:
            raise ConfigError(f'{where}: {printable(word, MOST_QUOTED)!r} is no number of a class (0, 1, ...); {_HOW}')
        if self._given is not None and self._named_by is not None:
            names, source = self._given, self._named_by
        else:
            names, source = self._nearest(folder, number, where)
        if number >= len(names) or not names[number]:
            raise ConfigError(f'{where}: class {number} has no name; {shown(source)} names {len(names)}, from 0 to '
                              f'{len(names) - 1}. Add it there, a name a line')
        return names[number]

    def _nearest(self, folder: Path, number: int, where: str) -> Tuple[List[str], Path]:
        if folder in self._read:
            return self._read[folder]
        for above in (folder, *folder.parents):
            found = [(names, path) for path in self._by_folder.get(above, ()) for names in [_names_of(path)] if names]
            for names, path in found[1:]:
                if names != found[0][0]:
                    raise ConfigError(f'{shown(path)} and {shown(found[0][1])} name the classes differently; name the '
                                      'one that is right with --labels')
            if found:
                self._read[folder] = found[0]
                return found[0]
            if above == self._root:
                break
        raise ConfigError(f'{where}: class {number} has no name: neither obj.names nor classes.txt nor data.yaml is in '
                          f'{shown(folder)} or above it up to {shown(self._root)}. Put one there, a name a line, or '
                          'name a file with --labels')


def _names_of(path: Path) -> List[str]:
    """Names of the classes in a file, in order; empty for a YAML file that has none."""
    if path.suffix.lower() in ('.yaml', '.yml'):
        return _yaml_names(read_yaml(path), path)
    lines = read_text(path, most_bytes=MOST_BYTES, quote=False).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return [check_label(line, f'{shown(path)}:{number}') for number, line in enumerate(lines, 1)]


def _yaml_names(content: Any, path: Path) -> List[str]:
    names = content.get('names') if isinstance(content, dict) else None
    if names is None:
        return []
    if isinstance(names, dict):
        numbers = [plain_int(key) for key in names]
        if None in numbers or any(not 0 <= (number or 0) < 100_000 for number in numbers):
            raise ConfigError(f'{shown(path)}: names: keys must be numbers of classes, got '
                              f'{printable(list(names)[:5], 40)}')
        pairs = {number: name for number, name in zip(numbers, names.values()) if number is not None}
        names = [pairs.get(number, '') for number in range(max(pairs, default=-1) + 1)]
    if not isinstance(names, list) or any(isinstance(name, (list, dict)) for name in names):
        raise ConfigError(f'{shown(path)}: names: must be a list of names, or number: name, got '
                          f'{printable(names, 40)!r}')
    return [check_label('' if name is None else str(name), f'{shown(path)}, names') for name in names]
