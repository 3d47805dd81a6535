"""CVAT: ``annotations.xml`` of "CVAT for images 1.1", a tag for each picture, beside ``images/``.

What goes with a picture stands in attributes of its tag, which CVAT keeps where the labels of its task have them, and
in the name of the file. Published format: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
"""
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

from ...core.errors import ConfigError
from ...core.files.whole_files import whole_file
from ...core.text.printable import printable
from ...core.text.text_file import read_text
from ...core.text.xml_text import TEXT, Element, xml_elements
from ...data.folders import shown
from ...data.labels.objects.cvat import escaped, quoted
from .picture_files import picture_size
from .pictures import FACTS, ExportPicture
from .said import MOST_BYTES, Said, check_count, said_facts, said_label

FILE = 'annotations.xml'


def places(pictures: Sequence[ExportPicture]) -> List[str]:
    """Where each picture's file is in the export, without a suffix."""
    return [f'images/{one.name}' for one in pictures]


def write(folder: Path, pictures: Sequence[ExportPicture], files: Sequence[str], labels: Sequence[str]) -> None:
    """Write ``annotations.xml``."""
    with whole_file(folder / FILE, 'w', encoding='utf-8') as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n'
                   f'    <task>\n      <size>{len(pictures)}</size>\n      <mode>annotation</mode>\n      <labels>\n')
        for label in labels:
            file.write(f'        <label>\n          <name>{escaped(label)}</name>\n          <type>tag</type>\n'
                       '          <attributes>\n')
            for name in FACTS:
                file.write(f'            <attribute>\n              <name>{name}</name>\n'
                           '              <mutable>False</mutable>\n              <input_type>text</input_type>\n'
                           '              <default_value></default_value>\n              <values></values>\n'
                           '            </attribute>\n')
            file.write('          </attributes>\n        </label>\n')
        file.write('      </labels>\n    </task>\n  </meta>\n')
        for number, (one, name) in enumerate(zip(pictures, files)):
            width, height = picture_size(folder / name)
            file.write(f'  <image id="{number}" name={quoted(name[len("images/"):])} width="{width}" '
                       f'height="{height}">\n')
            if one.label:
                file.write(f'    <tag label={quoted(one.label)} source="manual">\n')
                for key, value in one.facts.items():
                    file.write(f'      <attribute name="{key}">{escaped(value)}</attribute>\n')
                file.write('    </tag>\n')
            file.write('  </image>\n')
        file.write('</annotations>\n')


def read(path: Path) -> Iterator[Said]:
    """All pictures that a file lists; of one with several tags each is given.

    Raises:
        ConfigError: it is no such file.
    """
    if path.is_dir():
        path = path / FILE
    name, where, tags, count = '', '', 0, 0
    tag: Optional[Dict[str, str]] = None
    facts: Dict[str, str] = {}

    def finish() -> Iterator[Said]:
        nonlocal tag, facts, tags
        if tag is not None:
            # Without a value it is a tag that was made in CVAT, and what was exported is not known.
            yield Said(name, said_label(tag['label'], where), said_facts({k: v for k, v in facts.items() if v}), where)
            tags += 1
        tag, facts = None, {}

    for element in xml_elements(read_text(path, most_bytes=MOST_BYTES, quote=False), shown(path), with_text=True):
        _check(element, path)
        if element.path == ('annotations',) and element.name == 'image':
            yield from finish()
            if name and not tags:
                yield Said(name, '', {}, where)
            count += 1
            check_count(count, shown(path))
            where, tags = f'{shown(path)}:{element.line}', 0
            name = element.attributes.get('name', '')
            if not name:
                raise ConfigError(f'{where}: <image> has no name')
        elif element.path == ('annotations', 'image') and element.name == 'tag':
            yield from finish()
            if not element.attributes.get('label', '').strip():
                raise ConfigError(f'{shown(path)}:{element.line}: <tag> has no label')
            tag = element.attributes
        elif element.path[:3] == ('annotations', 'image', 'tag') and tag is not None:
            if element.name == 'attribute':
                last = element.attributes.get('name', '')
                facts[last] = ''
            elif element.name == TEXT and element.path[-1] == 'attribute':
                facts[last] += element.attributes[TEXT]
    yield from finish()
    if name and not tags:
        yield Said(name, '', {}, where)


def _check(element: Element, path: Path) -> None:
    where = f'{shown(path)}:{element.line}'
    if not element.path and element.name != 'annotations':
        raise ConfigError(f'{where}: is no file of CVAT: it begins with <{printable(element.name, 40)}>, and '
                          '<annotations> is needed; export "CVAT for images 1.1"')
    if element.path == ('annotations',) and element.name == 'track':
        raise ConfigError(f'{where}: holds tracks of a video, which do not say what pictures they are of; export the '
                          'task as "CVAT for images 1.1"')
