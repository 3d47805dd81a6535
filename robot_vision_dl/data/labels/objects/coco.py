"""COCO JSON (``instances``): pictures, categories, and annotations with ``bbox`` (left, top, width, height in pixels).

``segmentation`` is not needed and not read. Annotations with ``iscrowd`` are around several objects at once and are no
objects. ``track_id`` (also within ``attributes``, where CVAT puts it) and ``score`` are read where they are.
"""
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ....core.errors import ConfigError
from ....core.files.whole_files import write_whole
from ....core.regions.detections import Box
from ....core.text.json_text import parse_json
from ....core.text.printable import printable
from ....core.text.text_file import read_text
from ...folders import shown
from ..labels import check_label
from .labelled_picture import (
    NOT_THERE,
    OTHER_SIZE,
    LabelledObject,
    LabelledPicture,
    Objects,
    place,
)
from .source_files import SourceFiles

MOST_BYTES = 512 << 20
"""Largest file: ``instances_train2017.json``, 118 287 pictures, has 448 MB."""
CROWDS = 'annotations of crowds (iscrowd): nothing is cut out for them'
_Annotation = Tuple[int, Dict[str, Any], Box]  # its number, all of it, its box
_NO_BOX = 'annotations without a bbox'
_NO_PICTURE = 'annotations of a picture that the file does not list'


def is_coco(content: Any) -> bool:
    """Whether a JSON value has what a COCO file has."""
    return isinstance(content, dict) and isinstance(content.get('images'), list) and (
        'annotations' in content or 'categories' in content)


def read_coco(files: SourceFiles, paths: Sequence[Path]) -> List[LabelledPicture]:
    """All pictures that the files list and that are there; what is left out is noted.

    Raises:
        ConfigError: a file is not of this form, a picture is listed twice, or a category has no name.
    """
    found: Dict[str, LabelledPicture] = {}
    listed_in: Dict[str, Path] = {}
    for path in paths:
        for picture in _File(path, files).pictures():
            if picture.name in found:
                raise ConfigError(f'{shown(path)}: {shown(picture.name)} is listed a second time, the first in '
                                  f'{shown(listed_in[picture.name])}; name one of the files with --labels, or merge '
                                  'the two')
            found[picture.name], listed_in[picture.name] = picture, path
    files.note_unlisted()
    return [found[name] for name in files.pictures if name in found]


def write_coco(pictures: Sequence[LabelledPicture], path: Path) -> None:
    """Write pictures and objects as one file. Crowds are not written.

    Raises:
        ConfigError: a box is turned, for which there is no place in this form.
    """
    names = sorted({item.label for picture in pictures for item in picture.objects})
    images: List[Dict[str, Any]] = []
    annotations: List[Dict[str, Any]] = []
    for number, picture in enumerate(pictures, 1):
        images.append({'id': number, 'file_name': picture.name, 'width': picture.width, 'height': picture.height})
        for item in picture.objects:
            box = item.box
            if box.theta:
                raise ConfigError(f'{shown(picture.name)}: the box {box} is turned, which COCO cannot tell; write CVAT '
                                  'XML or YOLO text')
            left, top, _, _ = box.corners
            annotations.append({
                'id': len(annotations) + 1, 'image_id': number, 'category_id': names.index(item.label) + 1,
                'bbox': [left, top, box.width, box.height], 'area': box.width * box.height, 'iscrowd': 0,
                'segmentation': [],
                **({} if item.score is None else {'score': item.score}),
                **({} if item.track is None else {'attributes': {'track_id': item.track}})})
    categories = [{'id': number, 'name': name, 'supercategory': ''} for number, name in enumerate(names, 1)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    write_whole(path, json.dumps(content) + '\n')


class _File:
    """One file of labels."""

    def __init__(self, path: Path, files: SourceFiles) -> None:
        self._path, self._files, self._name = path, files, shown(path)
        content = parse_json(read_text(path, most_bytes=MOST_BYTES, quote=False), self._name)
        if not is_coco(content):
            raise ConfigError(f'{self._name}: is no COCO file: it must have lists "images", "annotations" and '
                              '"categories"')
        self._images = self._list(content, 'images')
        self._annotations = self._list(content, 'annotations')
        self._categories = self._names(self._list(content, 'categories'))

    def pictures(self) -> List[LabelledPicture]:
        """Those that are there."""
        of_picture, known = self._by_picture()
        found: List[LabelledPicture] = []
        pictures: Dict[Any, Tuple[str, Tuple[int, int]]] = {}
        seen: Dict[str, int] = {}
        for key, (number, image) in known.items():
            where = f'{self._name}, images[{number}]'
            file_name = image.get('file_name')
            if not isinstance(file_name, str):
                raise ConfigError(f'{where}: file_name must be a text, got {printable(repr(file_name), 60)}')
            name = self._files.named(file_name, where)
            if name is None:
                self._leave(NOT_THERE, f', images[{number}] {file_name}')
                continue
            if name in seen:
                raise ConfigError(f'{where}: {shown(name)} is listed a second time, the first as images[{seen[name]}]; '
                                  'remove one, or merge their annotations')
            seen[name] = number
            size = self._files.size(name)
            if size is None:
                continue
            if not _fits(image, size):
                self._leave(OTHER_SIZE, f', images[{number}] {file_name}')
                continue
            pictures[key] = (name, size)
        self._check_pixels(of_picture, pictures)
        for key, (name, size) in pictures.items():
            objects, crowds = Objects(*size, self._files.left_out, self._files.root), []
            for number, annotation, box in of_picture.get(key, ()):
                if annotation.get('iscrowd'):
                    crowds.append(box)
                    self._leave(CROWDS, f', annotations[{number}]')
                    continue
                score = _score(annotation, f'{self._name}, annotations[{number}]')
                objects.add(LabelledObject(box, self._label(annotation, number), _track(annotation), score),
                            place(self._path, f', annotations[{number}]'))
            found.append(LabelledPicture(self._files.pictures[name], name, *size, objects.all(), tuple(crowds)))
        return found

    def _list(self, content: Mapping[str, Any], key: str) -> List[Dict[str, Any]]:
        found = content.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise ConfigError(f'{self._name}: {key} must be a list of objects, got {printable(repr(found), 80)}')
        return found

    def _names(self, categories: List[Dict[str, Any]]) -> Dict[Any, str]:
        found: Dict[Any, str] = {}
        for number, item in enumerate(categories):
            where = f'{self._name}, categories[{number}]'
            key, name = self._id(item, 'id', where), item.get('name')
            if not isinstance(name, str) or not name.strip():
                raise ConfigError(f'{where}: name must be a text, got {printable(repr(name), 60)}')
            if found.get(key, name) != name:
                raise ConfigError(f'{where}: the id {printable(repr(key), 40)} is that of {found[key]!r:.60} already')
            found[key] = check_label(name, where)
        return found

    def _id(self, item: Mapping[str, Any], key: str, where: str) -> Any:
        value = item.get(key)
        if not isinstance(value, (int, str)) or isinstance(value, bool):
            raise ConfigError(f'{where}: {key} must be a whole number, got {printable(repr(value), 60)}')
        return value

    def _by_picture(self) -> Tuple[Dict[Any, List[_Annotation]], Dict[Any, Tuple[int, Dict[str, Any]]]]:
        """Annotations with their boxes, and pictures, both by the picture's id."""
        known: Dict[Any, Tuple[int, Dict[str, Any]]] = {}
        for number, image in enumerate(self._images):
            key = self._id(image, 'id', f'{self._name}, images[{number}]')
            if key in known:
                raise ConfigError(f'{self._name}, images[{number}]: the id {printable(repr(key), 40)} is that of '
                                  f'images[{known[key][0]}] already; each picture needs one of its own')
            known[key] = (number, image)
        found: Dict[Any, List[_Annotation]] = {}
        for number, annotation in enumerate(self._annotations):
            where = f'{self._name}, annotations[{number}]'
            key = self._id(annotation, 'image_id', where)
            if key not in known:
                self._leave(_NO_PICTURE, f', annotations[{number}]')
                continue
            if annotation.get('bbox') in (None, []):
                self._leave(_NO_BOX, f', annotations[{number}]')
                continue
            found.setdefault(key, []).append((number, annotation, _box(annotation['bbox'], where)))
        return found, known

    def _label(self, annotation: Mapping[str, Any], number: int) -> str:
        where = f'{self._name}, annotations[{number}]'
        key = self._id(annotation, 'category_id', where)
        if key not in self._categories:
            raise ConfigError(f'{where}: category {printable(repr(key), 40)} has no name; add it to "categories", '
                              f'which has {printable(", ".join(map(str, self._categories)), 80) or "none"}')
        return self._categories[key]

    def _check_pixels(self, of_picture: Mapping[Any, List[_Annotation]],
                      pictures: Mapping[Any, Tuple[str, Tuple[int, int]]]) -> None:
        boxes = [box for key in pictures for _, _, box in of_picture.get(key, ())]
        if boxes and all(0 <= left and 0 <= top and right <= 1 and bottom <= 1
                         for left, top, right, bottom in (box.corners for box in boxes)):
            raise ConfigError(f'{self._name}: all {len(boxes)} boxes lie within one pixel, the first {boxes[0]}; are '
                              'they shares of the picture? bbox is left, top, width, height in pixels')

    def _leave(self, reason: str, where: str) -> None:
        self._files.left_out.add(reason, place(self._path, where.replace('/', '\u2215')), self._files.root)


def _fits(image: Mapping[str, Any], size: Tuple[int, int]) -> bool:
    """Whether the size that is stated, if any, is that of the picture."""
    stated = image.get('width'), image.get('height')
    return any(value in (None, 0) for value in stated) or stated == size


def _box(bbox: Any, where: str) -> Box:
    if not isinstance(bbox, list) or len(bbox) != 4 or any(
            isinstance(value, bool) or not isinstance(value, (int, float)) for value in bbox):
        raise ConfigError(f'{where}: bbox must be four numbers, left, top, width and height in pixels, got '
                          f'{printable(repr(bbox), 80)}')
    try:
        left, top, width, height = map(float, bbox)
    except OverflowError:
        raise ConfigError(f'{where}: bbox has a number that is too large, {printable(repr(bbox), 80)}') from None
    return Box(left + width / 2, top + height / 2, width, height)


def _track(annotation: Mapping[str, Any]) -> Optional[str]:
    attributes = annotation.get('attributes')
    value = annotation.get('track_id', attributes.get('track_id') if isinstance(attributes, dict) else None)
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) and value != '' else None


def _score(annotation: Mapping[str, Any], where: str) -> Optional[float]:
    value = annotation.get('score')
    try:
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    except OverflowError:
        raise ConfigError(f'{where}: score is a number that is too large, {printable(value, 40)}; it is a share, 0 to 1'
                          ) from None
