"""What texts name is there: files and rooms in ARCHITECTURE.md, files and names in docstrings."""
import ast
import builtins
import re
from pathlib import Path
from typing import Set

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / 'robot_vision_dl'
ARCHITECTURE = (REPOSITORY / 'ARCHITECTURE.md').read_text(encoding='utf-8')
FILE = re.compile(r'(?<![\w.{}<*-])[\w/]+\.py\b')
ROLE = re.compile(r':(?:mod|class|func|meth|data|attr|exc):`~?([\w.]+)`')
SOURCES = {path: path.read_text(encoding='utf-8') for path in sorted(PACKAGE.rglob('*.py'))}
THERE = {f'/{path.relative_to(REPOSITORY)}' for path in [*SOURCES, *(REPOSITORY / 'test').rglob('*.py'),
                                                         *REPOSITORY.glob('launch/*.py')]}


def names_of(source: str) -> Set[str]:
    """Everything that a module defines: functions, classes, attributes, constants."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            found.update(alias.asname or alias.name for alias in node.names)
    return found


def dotted(path: Path) -> str:
    return '.'.join(path.relative_to(REPOSITORY).with_suffix('').parts).replace('.__init__', '')


NAMES = {dotted(path): names_of(source) for path, source in SOURCES.items()}
ALL = set().union(*NAMES.values(), dir(builtins))


def missing(text: str) -> list:
    """Files that a text names and that are nowhere."""
    named = set(FILE.findall(text)) - {'setup.py'}
    return sorted(name for name in named if not any(path.endswith(f'/{name}') for path in THERE))


def resolves(name: str) -> bool:
    """Whether the target of a role is there: a module, or what one defines."""
    *module, last = name.lstrip('.').split('.')
    if module and module[0] in ('torch', 'numpy', 'cv2', 'rclpy'):
        return True
    while module and module[-1][0].isupper():  # of a class
        last = module.pop()
    place = ''.join(f'.{part}' for part in module)
    return (not module and last in ALL) or any(
        f'.{one}'.endswith(f'{place}.{last}') or (module and f'.{one}'.endswith(place) and last in names)
        for one, names in NAMES.items())


def test_every_file_that_the_architecture_names_is_there():
    assert len(FILE.findall(ARCHITECTURE)) > 40
    assert missing(ARCHITECTURE) == []


def test_every_room_is_named():
    rooms = {str(path.parent.relative_to(PACKAGE)) for path in SOURCES if path.name == '__init__.py'}
    assert sorted(room for room in rooms - {'.', 'ros/interfaces'}
                  if not re.search(rf'(?<!\w)`?({room}|{room.split("/")[-1]})/', ARCHITECTURE)) == []


@pytest.mark.parametrize('path', [str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_a_file_names_only_what_is_there(path):
    text = SOURCES[PACKAGE / path]
    assert missing(text) == []
    assert [name for name in ROLE.findall(text) if not resolves(name)] == []
