"""Every option explains itself, and the documentation tells the defaults that there are."""
import argparse
import importlib
import re
from pathlib import Path

import pytest

from robot_vision_dl.cli.main import COMMANDS, parser_of
from robot_vision_dl.core.config import (
    FALLBACK_CHANGE_TIME_S,
    FALLBACK_CORRELATION_TIME_S,
    ClassifierConfig,
    flat_options,
)
from robot_vision_dl.core.config_yaml import scalar

PARAMETERS = Path(__file__).resolve().parents[2] / 'docs' / 'reference' / 'parameters.md'


def unexplained(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from (choice.dest for choice in action._choices_actions if not choice.help)
            for inner in action.choices.values():
                yield from unexplained(inner)
        elif not action.help:
            yield action.dest


@pytest.mark.parametrize('name', COMMANDS)
def test_every_option_has_a_sentence(name):
    module = importlib.import_module(f'robot_vision_dl.cli.{name.replace("-", "_")}')
    assert not list(unexplained(parser_of(name, module)))


def test_the_documentation_tells_the_defaults_of_parameters():
    defaults = {flat.name: flat.default for flat in flat_options(ClassifierConfig)}
    rows = re.findall(r'^\| (`[a-z_.]+`(?:, `[a-z_.]+`)*) \| ([^|]+) \|', PARAMETERS.read_text(encoding='utf-8'), re.M)
    seen = 0
    for names, told in rows:
        names = re.findall(r'`([a-z_.]+)`', names)
        if not set(names) <= set(defaults):
            continue
        values = re.sub(r'\(.*\)', '', told).replace('`', '').split(',')
        assert len(values) == len(names), names
        for name, value in zip(names, values):
            expected = scalar(defaults[name])
            seen += 1
            assert value.strip() in (expected, expected.strip("'")) or float(value) == defaults[name], name
            if defaults[name] == -1 and 'time_s' in name:
                assert f'else {FALLBACK_CORRELATION_TIME_S:g} and {FALLBACK_CHANGE_TIME_S:g}' in told
    assert seen >= 10
