"""Config dataclasses: ROS parameters, and the keys of a training file."""
import inspect
from dataclasses import MISSING, fields
from typing import Any

from robot_vision_dl.core.config import BagConfig, ClassifierConfig, Option, flat_options
from robot_vision_dl.core.config_yaml import scalar
from robot_vision_dl.core.decision.action_gate import ActionGateConfig
from robot_vision_dl.core.regions.detector import DetectorConfig
from robot_vision_dl.training.config import TrainConfig
from robot_vision_dl.training.node_config import TrainerConfig

from .markdown import code, definition, escaped

ROS_TYPES = {bool: 'bool', int: 'integer', float: 'double', str: 'string', tuple: 'string array'}
FILE_TYPES = {bool: 'true or false', int: 'whole number', float: 'number', str: 'text', tuple: 'list of texts'}


def limits(option: Option) -> str:
    """Range and choices as Markdown, '' where anything goes."""
    if option.choices:
        return 'one of ' + ', '.join(code(scalar(choice).strip("'")) for choice in option.choices)
    if option.minimum is not None and option.maximum is not None:
        return f'range {option.minimum:.10g} to {option.maximum:.10g}'
    if option.minimum is not None:
        return f'at least {option.minimum:.10g}'
    return '' if option.maximum is None else f'at most {option.maximum:.10g}'


def entry(name: str, default: Any, option: Option, types: dict, fixed: str) -> str:
    """One setting as an entry of a definition list."""
    facts = [types[type(default)], f'default {code(scalar(default))}', limits(option)]
    if option.at_configure and fixed:
        facts.append(fixed)
    return definition(code(name), '*' + '*, *'.join(facts[:1]) + '*, ' + ', '.join(filter(None, facts[1:])),
                      escaped(option.description))


def settings(config_class: type, types: dict, fixed: str = '', level: str = '###') -> str:
    """All settings of a config class: first its own, then a section for each group."""
    own = [f for f in fields(config_class) if f.default is not MISSING]
    text = [entry(f.name, f.default, f.metadata['option'], types, fixed) for f in own]
    for group in (f for f in fields(config_class) if f.default is MISSING):
        summary = inspect.getdoc(group.default_factory).splitlines()[0]
        text.append(f'{level} {group.name}\n\n{escaped(summary)}\n')
        text += [entry(flat.name, flat.default, flat.option, types, fixed)
                 for flat in flat_options(group.default_factory, f'{group.name}.')]
    return '\n'.join(text)


def classifier() -> str:
    """Parameters of the classifier node."""
    return settings(ClassifierConfig, ROS_TYPES, 'fixed while the node is configured')


def action_gate() -> str:
    """Parameters of the action gate."""
    return settings(ActionGateConfig, ROS_TYPES, 'fixed at start')


def detector() -> str:
    """Parameters of the detector node."""
    return settings(DetectorConfig, ROS_TYPES, 'fixed at start')


def trainer() -> str:
    """Parameters of the trainer node."""
    return settings(TrainerConfig, ROS_TYPES, 'fixed at start')


def training_file() -> str:
    """Keys of the file of a training run."""
    return settings(TrainConfig, FILE_TYPES, level='##')


def bag_limits() -> str:
    """What bags may take, and the environment variables that change it."""
    return '\n'.join(definition(
        code(f'ROBOT_VISION_{flat.name.upper()}'), f'*whole number*, default {code(scalar(flat.default))}, '
        f'{limits(flat.option)}', escaped(flat.option.description) + ' (MB)')
        for flat in flat_options(BagConfig))
