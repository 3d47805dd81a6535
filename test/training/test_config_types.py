"""Every setting with every wrong type: one line that names it, or a config; and back through the file it is kept in."""
import datetime
from dataclasses import fields, replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.training.config import TrainConfig
from robot_vision_dl.training.config_file import as_file, group_of, parse_config


def leaves(kind=TrainConfig, prefix=()):
    for f in fields(kind):
        if group_of(f):
            yield from leaves(group_of(f), (*prefix, f.name))
        else:
            yield (*prefix, f.name), f


LEAVES = list(leaves())
WRONG = (None, True, False, 'x', '', 'no', '010', 3, -1, 2.5, float('nan'), float('inf'), 10**25, [], [None], [1],
         [[1]], ['a', 2.5], {}, {'a': 1}, [{'a': None}], '\x1b[31m', 'x' * 5000, datetime.date(2001, 1, 1), b'x')


def nested(path, value):
    for name in reversed(path):
        value = {name: value}
    return value


def read(path, value):
    """The setting as it was read; None where it was refused in one line that names it."""
    try:
        config = parse_config(yaml.safe_dump(nested(path, value)), 't.yaml')
    except ConfigError as error:
        said = str(error)
        assert said.startswith('t.yaml: ') and said.isprintable() and len(said) < 700
        assert path[-1] in said or 'a tag that is not known' in said, said
        return None
    for name in path:
        config = getattr(config, name)
    return config


@pytest.mark.parametrize('path, f', LEAVES, ids=['.'.join(path) for path, _ in LEAVES])
def test_every_wrong_type_of_a_setting_is_one_line(path, f):
    for value in WRONG:
        found = read(path, value)
        if found is not None:
            assert type(found) is type(f.default), value
    for value in (None, {'a': 1}, [{'a': None}]):
        assert read(path, value) is None


@pytest.mark.parametrize('text', (
    'run:', 'run: []', 'run: 3', 'run: {epochs: }', 'run: {? : 1}', '"\\e": 1', '7: 8', 'run: x', 'name: 7', 'true',
    'x', 'data: {bags: x}', 'data: {split: [1]}', '- 1', 'run: {channels_last: yes}', 'run: {epochs: 1_0}',
    'optimizer: {learning_rate: "1e-3"}'))
def test_every_wrong_shape_is_one_line(text):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, 't.yaml')
    said = str(caught.value)
    assert said.startswith('t.yaml: ') and said.isprintable() and len(said) < 700


def test_names_of_classes_are_as_they_are_written():
    config = parse_config('data: {class_names: [off, no, 010, 1_0, 7, 2001-01-01, "1.5"]}', 't')
    assert config.data.class_names == ('off', 'no', '010', '1_0', '7', '2001-01-01', '1.5')
    with pytest.raises(ConfigError, match='data.class_names: expected a list of texts, got the item 1.5'):
        parse_config('data: {class_names: [1.5, a]}', 't')


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(blacklist_categories=('Cs',)), max_size=40),
       st.lists(st.text(st.characters(blacklist_categories=('Cs',)), min_size=1, max_size=20), max_size=3),
       st.floats(1e-9, 100.0))
def test_what_is_kept_is_read_as_it_was(notes, bags, rate):
    config = TrainConfig()
    config = replace(config, output=replace(config.output, notes=notes), data=replace(config.data, bags=tuple(bags)),
                     optimizer=replace(config.optimizer, learning_rate=rate))
    assert parse_config(as_file(config), 'kept') == config
