"""A config dataclass as a ROS parameter file with a comment a line."""
import json
import textwrap
from typing import Any, List

from .config import Option, flat_options

WIDTH = 110


def scalar(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return '[' + ', '.join(scalar(item) for item in value) + ']'
    if isinstance(value, str) and not value.isprintable():
        return _double_quoted(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def _double_quoted(text: str) -> str:
    characters = json.dumps(text, ensure_ascii=False)  # JSON is YAML, but for characters that YAML has no place for
    return ''.join(c if c.isprintable() else f'\\U{ord(c):08x}' for c in characters)


def parameter_file(config_class: type, node_name: str) -> str:
    """The defaults of ``config_class`` in the layout that ``--params-file`` and ``ros2 launch`` read."""
    lines: List[str] = [f'{node_name}:', '  ros__parameters:']
    group = ''
    for option in flat_options(config_class):
        prefix, _, name = option.name.rpartition('.')
        if prefix != group:
            group = prefix
            lines.append(f'    {prefix}:')
        indent = '      ' if prefix else '    '
        lines += wrapped_comment(option.option, indent)
        lines.append(f'{indent}{name}: {scalar(option.default)}')
    return '\n'.join(lines) + '\n'


def wrapped_comment(option: Option, indent: str) -> List[str]:
    """Description, choices and range of a setting as lines of comment."""
    text = option.description
    if option.choices:
        text += f' ({", ".join(option.choices)})'
    if option.minimum is not None and option.maximum is not None:
        text += f' [{option.minimum:g} .. {option.maximum:g}]'
    if option.at_configure:
        text += '; fixed while configured'
    return textwrap.wrap(text, WIDTH, initial_indent=f'{indent}# ', subsequent_indent=f'{indent}# ')
