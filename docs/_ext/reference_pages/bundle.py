"""``bundle.json``, from the docstring and the dataclasses that it is checked by."""
import inspect
import json
import re
from dataclasses import fields
from typing import Dict, Iterator, List, Tuple

from robot_vision_dl.core.bundles import bundle_format
from robot_vision_dl.core.networks.architectures import Architecture
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.core.uncertainty.conformal import Conformal

from .markdown import definition, escaped, fenced

SECTIONS = {'architecture': Architecture, 'preprocessing': Preprocessing, 'calibration.conformal': Conformal}
EXAMPLE = 'waste_sorter'
_MOST_SHOWN = 6


def keys() -> List[Tuple[str, str]]:
    """(key, what it is) of ``bundle.json`` as the docstring of its module tells them."""
    body = inspect.getdoc(bundle_format).split('\n====', 2)
    rows: List[Tuple[str, str]] = []
    for line in body[1].partition('\n')[2].splitlines():
        name = re.match(r'``(\w+)``\s+(.*)', line)
        if name:
            rows.append((name.group(1), name.group(2)))
        elif line.strip() and not line.startswith('='):
            rows[-1] = (rows[-1][0], f'{rows[-1][1]} {line.strip()}')
    missing = {*bundle_format._KEYS, *bundle_format._OPTIONAL_KEYS} ^ {name for name, _ in rows}
    if missing:
        raise ValueError(f'the docstring of bundle_format does not agree with its _KEYS about {sorted(missing)}')
    return rows


def attributes(kind: type) -> Iterator[Tuple[str, str]]:
    """(names of fields, what they are) of the section ``Attributes`` of a dataclass's docstring."""
    section = inspect.getdoc(kind).partition('Attributes:\n')[2]
    rows: List[List[str]] = []
    for line in section.splitlines():
        begin = re.match(r'    (\w[\w, ]*): (.*)', line)
        if begin:
            rows.append([begin.group(1), begin.group(2)])
        elif rows and line.startswith('     '):
            rows[-1][1] += f' {line.strip()}'
        elif line.strip():
            break
    told = {name for names, _ in rows for name in names.split(', ')}
    missing = {field.name for field in fields(kind)} - told
    if missing:
        raise ValueError(f'the docstring of {kind.__name__} does not explain {sorted(missing)}')
    return ((names, text) for names, text in rows)


def _plain(text: str) -> str:
    """A docstring's markup as Markdown."""
    text = re.sub(r':\w+:`~?[\w.]*?(\w+)`', r'`\1`', text)
    return escaped(text)


def bundle_json() -> str:
    """The keys, one by one."""
    text = [definition(f'`{name}`', _plain(told)) for name, told in keys()]
    for where, kind in SECTIONS.items():
        summary = inspect.getdoc(kind).split('\n\n')
        about = [part for part in summary if not part.startswith('Attributes:')]
        text.append(f'### {where}\n\n' + '\n\n'.join(_plain(' '.join(part.split())) for part in about) + '\n')
        for names, told in attributes(kind):
            term = ', '.join(f'`{name}`' for name in names.split(', '))
            text.append(definition(term, _plain(told)))
    tail = inspect.getdoc(bundle_format).rpartition('====\n')[2].strip()
    text.append('### Files of tensors\n\n' + _plain(' '.join(tail.split())) + '\n')
    return '\n'.join(text)


def example() -> str:
    """The description of a bundle that comes with the package, long parts shortened."""
    path = share_directory() / 'models' / EXAMPLE / bundle_format.DESCRIPTION
    values = json.loads(path.read_text(encoding='utf-8'))
    return fenced(json.dumps(_shortened(values), indent=2), 'json')


def _shortened(value):
    if isinstance(value, Dict):
        items = list(value.items())
        shown = {key: _shortened(item) for key, item in items[:_MOST_SHOWN * 2]}
        return shown if len(items) <= _MOST_SHOWN * 2 else {**shown, '...': f'{len(items) - len(shown)} more'}
    if isinstance(value, list):
        shown = [_shortened(item) for item in value[:_MOST_SHOWN]]
        return shown if len(value) <= _MOST_SHOWN else [*shown, f'... {len(value) - _MOST_SHOWN} more']
    if isinstance(value, str) and len(value) > 80:
        return value[:60] + '...'
    return value
