"""Names of files in a training file: relative to that file, wherever the command is started."""
import os
from dataclasses import replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any, Callable, Dict, Sequence

from ..core.errors import ConfigError
from ..core.networks.state_file import SUFFIXES
from ..core.text.printable import printable
from .config import TrainConfig

_LABELS = ('.yaml', '.yml', '.csv')


def _is_any(name: str) -> bool:
    return True


def _is_weights_file(name: str) -> bool:
    """Whether it is a path, and not the name of a bundle or of torchvision's weights."""
    return '/' in name or name.lower().endswith(SUFFIXES)


def _is_label_file(name: str) -> bool:
    return not name.startswith('topic:') and name.lower().endswith(_LABELS)


NAMED_PARTS = ('data.early_stop', 'data.calibration', 'data.test')
"""Settings whose values are paths, or else names of recordings: what is not there as a path stays as it is."""
PATHS: Dict[str, Callable[[str], bool]] = {
    'data.bags': _is_any, 'data.outliers': _is_any, 'data.frozen': _is_any, **dict.fromkeys(NAMED_PARTS, _is_any),
    'data.labels.sources': _is_label_file, 'network.pretrained': _is_weights_file}
"""Settings that name what is read, and which of their values are paths. What is written goes to the working folder."""


def resolve(values: Any, path: Path, changed: Sequence[str] = ()) -> None:
    """Put what the names in the settings of the file ``path`` mean from the working folder in their place.

    Args:
        values: settings as YAML has them; what is not as it should be is left alone, to be told by who reads it.
        changed: settings that are given otherwise, so that what the file says does not count.

    Raises:
        ConfigError: nothing is there.
    """
    for name, is_path in PATHS.items():
        if name in changed:
            continue
        *groups, last = name.split('.')
        group = values
        for part in groups:
            group = group.get(part) if isinstance(group, dict) else None
        if not isinstance(group, dict) or last not in group:
            continue
        value = group[last]
        if isinstance(value, list):
            group[last] = [_found(item, name, path) if isinstance(item, str) and item and is_path(item) else item
                           for item in value]
        elif isinstance(value, str) and value and is_path(value):
            group[last] = _found(value, name, path)


def anywhere(config: TrainConfig) -> TrainConfig:
    """The config with paths that mean the same from every folder, for a file that is written elsewhere."""
    def absolute(name: str, text: str) -> str:
        is_plain = not PATHS[name](text) or text.startswith('~')
        return text if is_plain else os.path.abspath(text)
    data, network = config.data, config.network
    named: Dict[str, Any] = {name: tuple(os.path.abspath(text) if _is_there(text) and not text.startswith('~') else text
                         for text in getattr(data, name)) for name in (one.split('.')[1] for one in NAMED_PARTS)}
    labels = replace(data.labels, sources=tuple(absolute('data.labels.sources', text) for text in data.labels.sources))
    bags, outliers, frozen = (tuple(absolute(f'data.{name}', text) for text in texts) for name, texts in (
        ('bags', data.bags), ('outliers', data.outliers), ('frozen', data.frozen)))
    return replace(
        config, data=replace(data, **named, bags=bags, outliers=outliers, frozen=frozen, labels=labels),
        network=replace(network, pretrained=absolute('network.pretrained', network.pretrained)))


def _found(text: str, name: str, path: Path) -> str:
    """A name in the file ``path`` as seen from the working folder."""
    if os.path.isabs(text) or text.startswith('~'):
        return text
    if '\0' in text:
        raise ConfigError(f'{path}: {name}: {printable(text)!r} cannot be the name of a file')
    beside, here = os.path.normpath(path.parent / text), os.path.normpath(text)
    if _is_there(beside):
        relative = os.path.relpath(beside)
        return os.path.abspath(beside) if relative.startswith(os.pardir) else relative
    places = f'{printable(os.path.abspath(beside))} is not there'
    if name in NAMED_PARTS:
        return text
    if os.path.abspath(beside) == os.path.abspath(here):
        raise ConfigError(f'{path}: {name}: {printable(text)}: {places}')
    if _is_there(here):
        raise ConfigError(f'{path}: {name}: {printable(text)}: {places}, since names in a file are relative to the '
                          f'file; {printable(os.path.abspath(here))} is: write {os.path.relpath(here, path.parent)}')
    raise ConfigError(f'{path}: {name}: {printable(text)}: {places} (names in a file are relative to the file), and '
                      f'neither is {printable(os.path.abspath(here))}')


def _is_there(name: str) -> bool:
    try:
        return os.path.exists(name) or (has_magic(name) and bool(glob(name, recursive=True)))
    except (OSError, ValueError):
        return False
