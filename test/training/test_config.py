"""The config file: defaults, and one clear line for whatever is wrong with it."""
from dataclasses import replace

import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.training.config import TrainConfig
from robot_vision_dl.training.config_file import as_file, default_file, load_config, parse_config


def test_defaults_as_a_file_are_the_defaults():
    assert parse_config(default_file(), 'defaults') == TrainConfig()


def test_every_setting_has_a_comment():
    lines = default_file().splitlines()
    for above, line in zip(lines, lines[1:]):
        if ':' in line and not line.lstrip().startswith('#'):
            assert above.lstrip().startswith('#'), line


@pytest.mark.parametrize('text, message', [
    ('data: {bgas: [x]}', "data.bgas: no such setting; did you mean 'bags'?"),
    ('ruin: {}', "ruin: no such setting; did you mean 'run'?"),
    ('data: {labels: {sorces: [auto]}}', "data.labels.sorces: no such setting; did you mean 'sources'?"),
    ('run: {epochs: many}', "run.epochs: expected a whole number, got 'many'"),
    ('run: {epochs: 0}', 'run.epochs: must be at least 1, got 0'),
    ('run: 3', 'run: expected settings as `name: value`, got 3'),
    ('[1, 2]', 'the file: expected settings as `name: value`, got [1, 2]'),
    ('optimizer: {name: adamm}', 'optimizer.name: must be one of sgd, nesterov, adagrad, rmsprop, adam, adamw, got'),
    ('run: {seed: 1, seed: 2}', 'is not YAML that can be read (line 1, column 16: a key that stands there already)'),
    ('run: {', 't.yaml: is not YAML that can be read (line 2'),
    ('data: {class_names: [mug, mug]}', "'mug' occurs twice"),
    ('data: {class_names: [mug, unknown]}', "'unknown' is reserved"),
    ('name: ../up', "name: must be made of letters, digits, _ and -, got '../up'"),
    ('network: {pretrained: "", train_from: head}', 'random weights must be trained'),
    ('network: {pretrained: "", train_from: all, batch_norm: frozen}', 'come with no statistics'),
    ('run: {epochs: 2}\nnetwork: {head_epochs: 2}', 'network.head_epochs: must be less than run.epochs (2), got 2'),
    ('run: {epochs: 2}\nschedule: {warmup_epochs: 2}',
     'warmup_epochs: must be less than run.epochs (2), got 2, or the learning rate only rises; lower it, or train'),
    ('data: {split: {train: 0.9}}', 'train, early_stop, calibration and test must add up to 1'),
])
def test_what_is_wrong_is_told_in_one_line(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, 't.yaml')
    assert message in str(caught.value)
    assert str(caught.value).startswith('t.yaml') and '\n' not in str(caught.value)


def test_a_schedule_without_warm_up_asks_for_none():
    assert parse_config('run: {epochs: 1}\nschedule: {name: one_cycle, warmup_epochs: 3}', 't').run.epochs == 1


def test_exponents_without_a_point_are_numbers():
    assert parse_config('optimizer: {learning_rate: 3e-4}', 't').optimizer.learning_rate == 3e-4


def test_changes_take_the_place_of_the_file_and_are_kept(tmp_path):
    path = tmp_path / 'a.yaml'
    path.write_text('name: a\nrun: {epochs: 5}\noutput: {notes: a.md}\n')
    (tmp_path / 'a.md').write_text('For "you" & \'me\':\n\n- a\n')
    config = load_config(path, ['run.epochs=7', 'data.bags=["x y"]', 'data.split.seed=3'])
    assert (config.run.epochs, config.data.bags, config.data.split.seed) == (7, ('x y',), 3)
    assert config.output.notes == (tmp_path / 'a.md').read_text()
    assert parse_config(as_file(config), 'kept') == config
    (tmp_path / 'a.md').unlink()
    with pytest.raises(ConfigError, match='output.notes: .*a.md: cannot be read'):
        load_config(path)


@pytest.mark.parametrize('change, message', [
    ('run.epochs', 'expected name=value'), ('name.x=1', 'is not a setting within a group'),
    ('run.epoks=1', "did you mean 'epochs'?"),
])
def test_bad_changes_are_told(change, message):
    with pytest.raises(ConfigError) as caught:
        parse_config('name: a', 't', [change])
    assert message in str(caught.value)


def test_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match='cannot be read .No such file'):
        load_config(tmp_path / 'none.yaml')


def test_name_is_checked_in_code_too():
    with pytest.raises(ConfigError, match='name: must be made of letters'):
        replace(TrainConfig(), name='')
