"""CVAT XML 1.1 "for images": ``<image name width height>`` with ``<box label xtl ytl xbr ybr rotation>`` in it.

``rotation`` is in degrees, clockwise about the middle of the box. Other shapes than boxes are left out. Of a video CVAT
writes tracks without names of pictures ("CVAT for video"), which are refused: "CVAT for images" of the same task has
them.
"""
import re
from math import degrees, radians
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple
from xml.sax.saxutils import escape, quoteattr

from ....core.errors import ConfigError
from ....core.files.whole_files import write_whole
from ....core.regions.detections import Box
from ....core.text.number_text import plain_float, plain_int
from ....core.text.printable import printable
from ....core.text.text_file import read_text
from ....core.text.xml_text import Element, xml_elements
from ...folders import shown
from ..labels import check_label
from .labelled_picture import (
    MOST_QUOTED,
    NOT_FINITE,
    NOT_THERE,
    OTHER_SIZE,
    LabelledObject,
    LabelledPicture,
    Objects,
    place,
)
from .source_files import SourceFiles

MOST_BYTES = 256 << 20
"""Largest file, a million boxes."""
_SHAPES = ('polygon', 'polyline', 'points', 'ellipse', 'cuboid', 'mask', 'skeleton')
_NOT_FINITE = re.compile('[+-]?(nan|inf(inity)?)', re.IGNORECASE)
_NO_CHARACTER = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')
_ROOT = 'annotations'


def is_cvat(text: str) -> bool:
    """Whether a text begins as a file of CVAT does."""
    return re.match(r'\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<annotations[\s>]', text[:10000], re.DOTALL) is not None


def read_cvat(files: SourceFiles, paths: Sequence[Path]) -> List[LabelledPicture]:
    """All pictures that the files list and that are there; what is left out is noted.

    Raises:
        ConfigError: a file is not of this form, holds tracks of a video, or lists a picture twice.
    """
    found: Dict[str, LabelledPicture] = {}
    for path in paths:
        for picture, line in _read(path, files):
            if picture.name in found:
                raise ConfigError(f'{shown(path)}:{line}: {shown(picture.name)} is listed a second time; remove one, '
                                  'or name one of the files with --labels')
            found[picture.name] = picture
    files.note_unlisted()
    return [found[name] for name in files.pictures if name in found]


def write_cvat(pictures: Sequence[LabelledPicture], path: Path) -> None:
    """Write pictures and objects as one file. Tracks, scores and crowds have no place in this form.

    Raises:
        ConfigError: a name holds what XML cannot.
    """
    names = sorted({item.label for picture in pictures for item in picture.objects})
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f'<{_ROOT}>', '  <version>1.1</version>', '  <meta>',
             '    <task>', f'      <size>{len(pictures)}</size>', '      <mode>annotation</mode>', '      <labels>',
             *(f'        <label><name>{escaped(name)}</name><type>rectangle</type></label>' for name in names),
             '      </labels>', '    </task>', '  </meta>']
    for number, picture in enumerate(pictures):
        lines.append(f'  <image id="{number}" name={quoted(picture.name)} width="{picture.width}" '
                     f'height="{picture.height}">')
        for item in picture.objects:
            left, top, right, bottom = item.box.corners
            turned = f' rotation="{degrees(item.box.theta) % 360:.9g}"' if item.box.theta else ''
            lines.append(f'    <box label={quoted(item.label)} source="manual" occluded="0" xtl="{left:.9g}" '
                         f'ytl="{top:.9g}" xbr="{right:.9g}" ybr="{bottom:.9g}"{turned} z_order="0">')
            lines.append('    </box>')
        lines.append('  </image>')
    write_whole(path, '\n'.join([*lines, f'</{_ROOT}>', '']))


def quoted(text: str) -> str:
    """An attribute's value with quotes; raises :class:`ConfigError` for what XML cannot hold."""
    return quoteattr(_checked(text), {'\n': '&#10;', '\r': '&#13;', '\t': '&#9;'})


def escaped(text: str) -> str:
    """Text of an element; raises :class:`ConfigError` for what XML cannot hold."""
    return escape(_checked(text))


def _checked(text: str) -> str:
    if _NO_CHARACTER.search(text):
        raise ConfigError(f'{shown(text)!r}: XML has no such character; rename it')
    return text


def _read(path: Path, files: SourceFiles) -> List[Tuple[LabelledPicture, int]]:
    found: List[Tuple[LabelledPicture, int]] = []
    now: Optional[Tuple[Element, str, Tuple[int, int], Objects]] = None

    def finish() -> None:
        if now is not None:
            element, name, size, objects = now
            found.append((LabelledPicture(files.pictures[name], name, *size, objects.all()), element.line))
    has_root = False
    for element in xml_elements(read_text(path, most_bytes=MOST_BYTES, quote=False), shown(path)):
        where = f'{shown(path)}:{element.line}'
        if not element.path:
            has_root = element.name == _ROOT
        if not has_root:
            raise ConfigError(f'{where}: is no file of CVAT: it begins with <{printable(element.name, 40)}>, and '
                              f'<{_ROOT}> is needed; export "CVAT for images 1.1"')
        if element.path == (_ROOT,) and element.name == 'track':
            raise ConfigError(f'{where}: holds tracks of a video, which do not say what pictures they are of; export '
                              'the task as "CVAT for images 1.1" with its pictures')
        if element.path == (_ROOT,) and element.name == 'image':
            finish()
            now = _picture(element, path, where, files)
        elif element.path == (_ROOT, 'image') and now is not None:
            if element.name == 'box':
                _add(element, path, where, now[3], files)
            elif element.name in _SHAPES:
                files.left_out.add(f'shapes that are no boxes ({element.name})', place(path, f':{element.line}'),
                                   files.root)
    finish()
    return found


def _picture(element: Element, path: Path, where: str, files: SourceFiles
             ) -> Optional[Tuple[Element, str, Tuple[int, int], Objects]]:
    """What an ``<image>`` means; None for a picture that is not used."""
    stated = _needed(element, 'name', where)
    name = files.named(stated, where)
    if name is None:
        files.left_out.add(NOT_THERE, place(path, f':{element.line}'), files.root)
        return None
    size = files.size(name)
    if size is None:
        return None
    told = tuple(plain_int(element.attributes.get(key, '')) for key in ('width', 'height'))
    if None not in told and told != size:
        files.left_out.add(OTHER_SIZE, place(path, f':{element.line}'), files.root)
        return None
    return element, name, size, Objects(*size, files.left_out, files.root)


def _add(element: Element, path: Path, where: str, objects: Objects, files: SourceFiles) -> None:
    label = check_label(_needed(element, 'label', where), where)
    numbers = [_number(element, key, where) for key in ('xtl', 'ytl', 'xbr', 'ybr')]
    numbers.append(_number(element, 'rotation', where) if 'rotation' in element.attributes else 0.0)
    values = [number for number in numbers if number is not None]
    if len(values) < len(numbers):
        files.left_out.add(NOT_FINITE, place(path, f':{element.line}'), files.root)
        return
    left, top, right, bottom, turned = values
    box = Box((left + right) / 2, (top + bottom) / 2, right - left, bottom - top,
              radians((turned + 180) % 360 - 180) if turned else 0.0)
    objects.add(LabelledObject(box, label), place(path, f':{element.line}'))


def _needed(element: Element, key: str, where: str) -> str:
    if not element.attributes.get(key, '').strip():
        raise ConfigError(f'{where}: <{element.name}> has no {key}')
    return element.attributes[key]


def _number(element: Element, key: str, where: str) -> Optional[float]:
    """None for a number that is not finite."""
    text = _needed(element, key, where).strip()
    value = plain_float(text)
    if value is None and not _NOT_FINITE.fullmatch(text):
        raise ConfigError(f'{where}: {key} must be a number of pixels (degrees for rotation), got '
                          f'{printable(text, MOST_QUOTED)!r}')
    return value
