"""The deployment's settings from a ROS parameter file of the node and from ``NAME=VALUE`` texts."""
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from ..core.config import ClassifierConfig, flat_options, with_values
from ..core.errors import ConfigError
from ..core.spelling import did_you_mean
from ..core.yaml_text import parse_yaml, read_yaml


def deployment(params_file: Optional[str] = None, changes: Sequence[str] = ()) -> ClassifierConfig:
    """Defaults, then the file, then the changes.

    Parameters of the file that are none of the classifier's own (``use_sim_time``, ``qos_overrides``) are passed over.

    Raises:
        ConfigError: the file or a change cannot be used.
    """
    known = {flat.name: flat for flat in flat_options()}
    values: Dict[str, Any] = {}
    if params_file:
        values.update({name: value for name, value in _read(Path(params_file)).items() if name in known})
    for text in changes:
        name, equals, value = text.partition('=')
        if not equals or name not in known:
            raise ConfigError(f'--set {text!r}: ' + (did_you_mean(name, known) if equals else 'expected NAME=VALUE'))
        values[name] = _parsed(value, known[name].default)
    for name, value in values.items():
        if isinstance(known[name].default, tuple) and isinstance(value, list):
            values[name] = tuple(value)
    return with_values(ClassifierConfig(), values)


def _parsed(text: str, default: Any) -> Any:
    """A value of the type of its default where the text can be one; what cannot is refused by the config."""
    if isinstance(default, str):
        return text
    try:
        return float(text) if isinstance(default, float) else parse_yaml(text, 'value')
    except ValueError:
        return text


def _read(path: Path) -> Dict[str, Any]:
    content = read_yaml(path)
    flat: Dict[str, Any] = {}
    nodes = content if isinstance(content, dict) else {}
    found = [node['ros__parameters'] for node in nodes.values()
             if isinstance(node, dict) and isinstance(node.get('ros__parameters'), dict)]
    if not found:
        raise ConfigError(f'{path}: is not a ROS parameter file; `robot-vision run --print-parameters` prints one')
    for parameters in found:
        _flatten(parameters, '', flat)
    return flat


def _flatten(values: Dict[str, Any], prefix: str, into: Dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _flatten(value, f'{prefix}{key}.', into)
        else:
            into[f'{prefix}{key}'] = value
