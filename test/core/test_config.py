"""Settings: checked when made, and the same everywhere."""
import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from robot_vision_dl.core.config import (
    FALLBACK_CHANGE_TIME_S,
    FALLBACK_CORRELATION_TIME_S,
    ClassifierConfig,
    flat_options,
    with_values,
)
from robot_vision_dl.core.config_yaml import parameter_file
from robot_vision_dl.core.decision.action_gate import ActionGateConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.resources import share_directory


@pytest.mark.parametrize('values, said', [
    ({'top_k': 0}, 'top_k: must be at least 1, got 0'),
    ({'top_k': 2.5}, 'top_k: expected a whole number, got 2.5'),
    ({'top_k': True}, 'top_k: expected a whole number, got True'),
    ({'precision': 'int4'}, "precision: must be one of auto, float32, tf32, float16, bfloat16, int8, got 'int4'"),
    ({'stale_after_s': float('nan')}, 'stale_after_s: must be finite, got nan'),
    ({'decision.false_unknown_rate': 1.5}, 'decision.false_unknown_rate: must be at most 1, got 1.5'),
    ({'decision.abstain_cost': -0.5}, 'decision.abstain_cost: must be -1'),
    ({'image.depth_far_m': 0.1}, 'image.depth_far_m: must be more than image.depth_near_m (0.2), got 0.1'),
    ({'cameras': ('a', 'b')}, 'image_topics: one topic for each camera is needed, got 1'),
    ({'cameras': ('front:=/front/image_raw',)},
     'it is cameras: [front, ...] and image_topics: [/front/image_raw, ...], in the same order'),
    ({'cameras': ('a', 'b:=/b'), 'image_topics': ('/a', '/b')}, "cameras: 'b:=/b': NAME:=TOPIC is how the command"),
    ({'cameras': ('a-b',)}, "'a-b' cannot be part of a topic name"),
    ({'cameras': ('a', 'a'), 'image_topics': ('x', 'y')}, "'a' is named more than once"),
    ({'cameras': ()}, 'at least one camera is needed'),
    ({'cameras': 'front'}, "cameras: expected a list of texts, got 'front'"),
    ({'fusion.speed': 1}, 'speed: no such setting'),
    ({'fuson.enabled': True}, 'fuson.enabled: no such setting'),
    ({'fusion': 1}, 'fusion: no such setting'),
])
def test_bad_values_are_refused_with_name_and_value(values, said):
    with pytest.raises(ConfigError) as error:
        with_values(ClassifierConfig(), values)
    assert said in str(error.value)


def test_whole_numbers_are_good_enough_for_a_float():
    assert with_values(ClassifierConfig(), {'stale_after_s': 2}).stale_after_s == 2.0


def test_changes_leave_the_rest_alone():
    config = with_values(ClassifierConfig(), {'fusion.enabled': False, 'top_k': 2})
    assert (config.fusion.enabled, config.top_k) == (False, 2)
    assert dataclasses.replace(config, top_k=5, fusion=ClassifierConfig().fusion) == ClassifierConfig()


@pytest.mark.parametrize('name, config_class', [('classifier.yaml', ClassifierConfig),
                                                ('action_gate.yaml', ActionGateConfig)])
def test_yaml_has_the_defaults_of_the_dataclass(name, config_class):
    text = (share_directory() / 'config' / name).read_text()
    assert text.partition('\n')[2] == parameter_file(config_class, '/**'), (
        'made by core.config_yaml.parameter_file: write it anew')
    values = yaml.safe_load(text)['/**']['ros__parameters']
    for option in flat_options(config_class):
        value = values
        for part in option.name.split('.'):
            value = value[part]
        assert (tuple(value) if isinstance(value, list) else value) == option.default


def test_every_setting_is_described():
    for config_class in (ClassifierConfig, ActionGateConfig):
        for option in flat_options(config_class):
            assert len(option.option.description) > 10, option.name


def test_the_documentation_tells_the_defaults_that_are_in_force():
    """Of each parameter in its table; a default in words has its value, or those of the config, in it."""
    page = Path(__file__).parents[2] / 'docs' / 'reference' / 'parameters.md'
    options = {option.name: option.default for option in flat_options(ClassifierConfig)}
    rows = [line.split('|')[1:3] for line in page.read_text(encoding='utf-8').splitlines() if line.startswith('| `')]
    seen = 0
    for names, told in rows:
        known = [options[name] for name in re.findall('`([^`]+)`', names) if name in options]
        if known:
            seen += len(known)
            values = [value.strip(" `'") for value in told.partition('(')[0].split(',')]
            assert values == [f'{value:g}' if type(value) is float else str(value).lower() if type(value) is bool
                              else str(value) for value in known], names
    assert seen >= 10
    fallback, = [told for names, told in rows if 'fusion.correlation_time_s' in names]
    assert f'{FALLBACK_CORRELATION_TIME_S:g} and {FALLBACK_CHANGE_TIME_S:g}' in fallback
