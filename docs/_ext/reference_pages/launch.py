"""Arguments of the launch files, read from their text: launch itself need not be installed."""
import ast
import re
from pathlib import Path
from typing import Any, List, Tuple

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.resources import share_directory

from .markdown import code, definition, escaped, fenced


def launch_folder() -> Path:
    """``launch/`` of the checkout or of the installed package."""
    return share_directory() / 'launch'


def declared(path: Path) -> Tuple[str, List[Tuple[str, Any, str]]]:
    """The docstring of a launch file and its arguments: (name, default or None, description).

    They stand in a list ``ARGUMENTS`` of such tuples, or in calls of ``DeclareLaunchArgument``.
    """
    tree = ast.parse(path.read_text(encoding='utf-8'))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'ARGUMENTS':
            found += [tuple(map(_value, item.elts)) for item in node.value.elts]
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'DeclareLaunchArgument' \
                and isinstance(node.args[0], ast.Constant):
            given = {word.arg: _value(word.value) for word in node.keywords}
            found.append((node.args[0].value, given.get('default_value'), given['description']))
    return ast.get_docstring(tree), found


def _value(node: ast.expr) -> Any:
    """What an expression is; its text where that is not known before the launch."""
    try:
        return eval(compile(ast.Expression(node), 'launch', 'eval'),
                    {'ClassifierConfig': ClassifierConfig, '__builtins__': {}})
    except Exception:  # names of the launch file
        return ast.unparse(node)


def launch_files() -> str:
    """A section a launch file."""
    text = []
    for path in sorted(launch_folder().glob('*.launch.py')):
        about, arguments = declared(path)
        text.append(f'## {path.name}\n')
        for part in re.split(r'\n\n', about):
            shown = part.strip('\n')
            text.append(fenced('\n'.join(line[2:] for line in shown.splitlines())) if shown.startswith('  ')
                        else escaped(' '.join(shown.split())) + '\n')
        for name, default, description in arguments:
            fact = '*required*' if default is None else f'default {code(default)}' if default else 'empty by default'
            text.append(definition(code(f'{name}:='), f'{escaped(description)} ({fact})'))
    return '\n'.join(text)
