"""A YAML file -> :class:`TrainConfig`, with one clear line for whatever is wrong with it."""
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ..core.config import Option
from ..core.config_yaml import scalar, wrapped_comment
from ..core.errors import ConfigError
from ..core.suggestions import did_you_mean
from ..core.text.printable import printable
from ..core.text.text_file import read_text
from ..core.text.yaml_text import parse_yaml, read_yaml
from .config import TrainConfig
from .config_paths import resolve

TUNE = 'tune'
"""Name of the group that says what ``robot-vision tune`` tries; it is no setting of a run."""


MOST_BYTES = 16 << 20
"""Largest file; notes of the card may be in it."""


def load_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read and check a file.

    Args:
        changes: settings that take the place of those in the file, e.g. ``run.epochs=3``.

    Raises:
        ConfigError: it is missing, is not YAML, or names a setting or has a value that there cannot be.
    """
    try:
        text = read_text(path, most_bytes=MOST_BYTES)
    except ConfigError as error:
        raise ConfigError(f'{error}; `robot-vision train --defaults` prints a file to start from') from error
    config = parse_config(text, str(path), changes, path)
    return replace(config, output=replace(config.output, notes=_notes(config.output.notes, path)))


def read_tuning(path: Path) -> Tuple[Mapping[str, Any], int]:
    """The group ``tune`` of a file: space and number of trials.

    Raises:
        ConfigError: there is none, or it has other keys.
    """
    values = read_yaml(path, most_bytes=MOST_BYTES)
    group = values.get(TUNE) if isinstance(values, dict) else None
    if not isinstance(group, dict) or 'space' not in group:
        raise ConfigError(f'{path}: says not what to try; add e.g.\n{TUNE}:\n  trials: 20\n  space:\n    '
                          'optimizer.learning_rate: {low: 1e-4, high: 1e-2, log: true}')
    for name in group:
        if name not in ('space', 'trials'):
            raise ConfigError(f'{path}: {TUNE}.{name}: no such setting; {did_you_mean(str(name), ("space", "trials"))}')
    trials = group.get('trials', 20)
    if type(trials) is not int or trials < 1:
        raise ConfigError(f'{path}: {TUNE}.trials: expected a number from 1 on, got {trials!r}')
    return group['space'], trials


def _notes(notes: str, path: Path) -> str:
    """The notes themselves, where the file only names them."""
    if not notes.endswith('.md') or '\n' in notes:
        return notes
    try:
        return read_text(path.parent / notes, most_bytes=MOST_BYTES)
    except ConfigError as error:
        raise ConfigError(f'{path}: output.notes: {error}') from error


def parse_config(text: str, where: str, changes: Sequence[str] = (), path: Optional[Path] = None) -> TrainConfig:
    """As :func:`load_config`, for a text; ``where`` begins the messages.

    Args:
        path: of the file, to which the names of files in it are relative; None: to the working folder.
    """
    values = parse_yaml(text, where, most_bytes=MOST_BYTES)
    values = {} if values is None else values
    if isinstance(values, dict):
        values.pop(TUNE, None)
        if path is not None:
            resolve(values, path, [change.partition('=')[0] for change in changes])
    for change in changes:
        _change(values, change)
    try:
        return build_config(values)
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}') from error


def _change(values: Any, change: str) -> None:
    """Carry out ``group.name=value``, the value as YAML."""
    name, equals, text = change.partition('=')
    if not equals or not name:
        raise ConfigError(f'--set {change}: expected name=value, e.g. run.epochs=3')
    value = parse_yaml(text, f'--set {printable(change)}', most_bytes=MOST_BYTES)
    *groups, last = name.split('.')
    for group in groups:
        values = values.setdefault(group, {}) if isinstance(values, dict) else None
    if not isinstance(values, dict):
        raise ConfigError(f'--set {change}: {name} is not a setting within a group')
    values[last] = value


def build_config(values: Any) -> TrainConfig:
    """A config of nested settings, as YAML has them.

    Raises:
        ConfigError: one is not known or has a value that it cannot have.
    """
    return _build(TrainConfig, values, '')


def _build(kind: type, values: Any, prefix: str) -> Any:
    """An instance of a config class from what YAML gave."""
    if not isinstance(values, Mapping):
        raise ConfigError(f'{prefix.rstrip(".") or "the file"}: expected settings as `name: value`, got '
                          f'{"nothing" if values is None else printable(repr(values), 80)}')
    known = {f.name: f for f in fields(kind)}
    given = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f'{printable(prefix + name)}: no such setting; {did_you_mean(str(name), known)}')
        group = group_of(known[name])
        given[name] = _build(group, value, f'{prefix}{name}.') if group else _scalar_value(known[name], value)
    for name, f in known.items():
        group = group_of(f)
        if group and name not in given:
            given[name] = _build(group, {}, f'{prefix}{name}.')
    return kind(**given)


def group_of(f: 'Field[Any]') -> Any:
    """The config class of a field that is a group of settings; None for a single setting."""
    return f.type if isinstance(f.type, type) and is_dataclass(f.type) and f.default is MISSING else None


def _scalar_value(f: 'Field[Any]', value: Any) -> Any:
    """A value as YAML has it; whole numbers in a list of texts, such as names of classes, are texts as written."""
    if isinstance(f.default, tuple) and isinstance(value, list):
        return [str(item) if type(item) is int else item for item in value]
    return value


def default_file() -> str:
    """All settings with their defaults and a comment each, as a file to start from."""
    return as_file(TrainConfig())


def as_file(config: TrainConfig) -> str:
    """All settings as they are; a file from which the same config is read, whatever the defaults are then."""
    lines: List[str] = []
    _write(config, '', lines)
    return '\n'.join(lines) + '\n'


def _write(config: Any, indent: str, lines: List[str]) -> None:
    for f in fields(config):
        value = getattr(config, f.name)
        if group_of(f):
            lines += ['', f'{indent}# {(type(value).__doc__ or "").splitlines()[0]}', f'{indent}{f.name}:']
            _write(value, indent + '  ', lines)
            continue
        option: Option = f.metadata['option']
        lines += wrapped_comment(option, indent)
        lines.append(f'{indent}{f.name}: {scalar(value)}')
