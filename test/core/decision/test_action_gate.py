"""Decisions become actions late, and the safe action at once."""
import pytest

from robot_vision_dl.core.decision.action_gate import Action, ActionGate, ActionGateConfig, ActionTable, load_actions
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.resources import share_directory

TABLE = ActionTable(Action('stop', 0.0, 0.0), {'cup': Action('pick'), 'door': Action('go', 0.3)})


@pytest.fixture()
def gate():
    return ActionGate(TABLE, ActionGateConfig(begin_confidence=0.6, keep_confidence=0.4, minimum_time_s=0.3,
                                              silence_s=0.5))


def hear(gate, label, confidence, start, stop, step=0.1):
    time = start
    while time <= stop + 1e-9:
        gate.hear(label, confidence, time)
        time += step
    return gate.action(stop)[0].name


def test_label_must_last(gate):
    assert hear(gate, 'cup', 0.9, 0.0, 0.2) == 'stop'
    assert hear(gate, 'cup', 0.9, 0.3, 0.4) == 'pick'


def test_hysteresis(gate):
    assert hear(gate, 'cup', 0.5, 0.0, 1.0) == 'stop'
    assert hear(gate, 'cup', 0.7, 1.1, 1.5) == 'pick'
    assert hear(gate, 'cup', 0.45, 1.6, 2.0) == 'pick'
    assert hear(gate, 'cup', 0.39, 2.1, 2.1) == 'stop'
    assert hear(gate, 'cup', 0.5, 2.2, 3.0) == 'stop'


@pytest.mark.parametrize('label', ['unknown', 'uncertain', 'tree'])
def test_safe_at_once_without_a_clear_label(gate, label):
    assert hear(gate, 'cup', 0.9, 0.0, 0.5) == 'pick'
    assert hear(gate, label, 0.99, 0.6, 0.6) == 'stop'
    assert hear(gate, 'cup', 0.9, 0.7, 0.8) == 'stop'


@pytest.mark.parametrize('confidence', [float('inf'), 7.0, float('nan'), -1.0])
def test_what_is_no_probability_begins_nothing(gate, confidence):
    assert hear(gate, 'cup', confidence, 0.0, 1.0) == 'stop'


def test_a_label_does_not_last_through_a_silence_that_nobody_looked_at(gate):
    gate.hear('cup', 0.9, 0.0)
    gate.hear('cup', 0.9, 0.9)
    assert gate.action(0.9)[0].name == 'stop'
    assert hear(gate, 'cup', 0.9, 1.0, 1.3) == 'pick'


def test_silence_is_safe(gate):
    assert hear(gate, 'cup', 0.9, 0.0, 0.5) == 'pick'
    assert gate.action(0.9)[0].name == 'pick'
    assert gate.action(1.1) == (TABLE.safe, 'no decision heard')
    assert hear(gate, 'cup', 0.9, 1.2, 1.3) == 'stop'


def test_nothing_heard_yet_is_safe(gate):
    assert gate.action(0.0)[0].name == 'stop'


def test_confidence_that_is_no_number_is_safe(gate):
    assert hear(gate, 'cup', float('nan'), 0.0, 2.0) == 'stop'


def test_shipped_table_loads():
    table = load_actions(share_directory() / 'config' / 'actions.yaml')
    assert table.safe.linear_x == 0.0
    assert 'water bottle' in table.by_label


@pytest.mark.parametrize('text, said', [
    ('labels: {}', 'two keys safe and labels'),
    ('safe: stop\nlabels: {unknown: go}', "'unknown' always leads to the safe action"),
    ('safe: stop\nlabels: {cup: {name: go, speed: 1}}', 'labels: cup: expected a name or the keys'),
    ('safe: stop\nlabels: {cup: {name: go, linear_x: fast}}', "a velocity must be a number in -1000..1000, got 'fast'"),
    ('safe: [', 'is not YAML that can be read (line 2, column 1'),
    ('safe: stop\nlabels: {cup: go, cup: stop}', 'line 2, column 19: a key that stands there already'),
    ('safe: stop\nlabels: {Unknown: go}', "'Unknown' always leads to the safe action"),
    ('safe: stop\nlabels: {cup: {name: 7}}', 'labels: cup: name must be a text'),
    ('safe: stop\nlabels: {cup: {name: off}, mug: {name: no, trigger: true}}', 'labels: mug: trigger must be a text'),
    ('safe: stop\nlabels: {cup: 7}', 'labels: cup: expected a name or the keys'),
    ('safe: stop\nlabels: {cup: }', 'labels: cup: expected a name or the keys'),
    ('safe: stop\nlabels: {cup: [go]}', 'labels: cup: expected a name or the keys'),
    ('safe: {linear_x: 1}\nlabels: {}', 'safe: expected a name or the keys'),
    ('safe: stop\nlabels: {cup: {name: go, linear_x: .inf}}', 'a velocity must be a number in -1000..1000, got inf'),
    ('safe: stop\nlabels: {cup: {name: go, linear_x: true}}', 'a velocity must be a number in -1000..1000, got True'),
    ('safe: stop\nlabels: {cup: {name: go, angular_z: 2001-99-99}}', "got '2001-99-99'"),
    ('safe: stop\nlabels: {"c\\eup": }', r'labels: c\x1bup: expected'),
])
def test_bad_tables_are_refused(tmp_path, text, said):
    path = tmp_path / 'actions.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_actions(path)
    assert said in str(error.value)


def test_labels_are_as_they_are_written(tmp_path):
    path = tmp_path / 'actions.yaml'
    path.write_text('safe: no\nlabels:\n'
                    '  off: stop\n  010: pick\n  1_0: place\n  7: off\n  true: on\n  ~: x\n  2001-01-01: y\n')
    table = load_actions(path)
    assert table.safe.name == 'no'
    assert {label: action.name for label, action in table.by_label.items()} == {
        'off': 'stop', '010': 'pick', '1_0': 'place', '7': 'off', 'true': 'on', '~': 'x', '2001-01-01': 'y'}


def test_missing_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='cannot be read'):
        load_actions(tmp_path / 'none.yaml')


def test_keep_above_begin_is_refused():
    with pytest.raises(ConfigError, match='keep_confidence: must be at most begin_confidence'):
        ActionGateConfig(begin_confidence=0.3, keep_confidence=0.4)


@pytest.mark.parametrize('mode, acts', (('warn', True), ('stop', False)))
def test_labels_that_the_model_does_not_have_are_told(mode, acts):
    table = ActionTable(Action('stop'), {'cup': Action('pick'), 'cpu': Action('x'), '7': Action('y')})
    gate = ActionGate(table, ActionGateConfig(unknown_labels=mode))
    assert gate.know(['cup', 'mug']) == (
        "no class of the model is called 'cpu' (did you mean 'cup'?), '7' (there are cup, mug), as the action table "
        'has it; ' + ('they never begin an action' if acts else 'the safe action is taken until the table fits'))
    assert hear(gate, 'cup', 0.9, 0.0, 1.0) == ('pick' if acts else 'stop')
    assert acts or gate.action(1.0) == (Action('stop'), 'the action table does not fit the model')
    assert gate.know(['cup', 'cpu', *'abcdef']) == ''  # class 7 by its number
    assert hear(gate, 'cup', 0.9, 2.0, 3.0) == 'pick'


def test_nothing_begins_before_the_classes_are_known_where_the_table_must_fit():
    gate = ActionGate(TABLE, ActionGateConfig(unknown_labels='stop'))
    assert hear(gate, 'cup', 0.9, 0.0, 1.0) == 'stop'
    assert gate.action(1.0)[1] == 'the classes of the model are not known yet'
    gate.know(['cup', 'door'])
    assert hear(gate, 'cup', 0.9, 1.1, 2.0) == 'pick'


@pytest.mark.parametrize('age_s, why', [
    (0.4, ''), (-0.4, ''), (0.6, 'its picture is 0.6 s old, more than 0.5 s (max_age_s)'), (-2.0, '2.0 s ahead of the'),
    (None, 'no stamp'), (float('nan'), 'old')])
def test_old_pictures_are_old(age_s, why):
    gate = ActionGate(TABLE, ActionGateConfig(max_age_s=0.5, minimum_time_s=0.0))
    gate.hear('cup', 0.9, 0.0, age_s=0.1)
    assert gate.action(0.0)[0].name == 'pick'
    gate.hear('cup', 0.9, 0.1, age_s=age_s)
    action, reason = gate.action(0.1)
    assert action.name == ('stop' if why else 'pick') and why in reason
    anyhow = ActionGate(TABLE, ActionGateConfig(minimum_time_s=0.0))
    anyhow.hear('cup', 0.9, 0.0, age_s=age_s)
    assert anyhow.action(0.0)[0].name == 'pick'


def test_what_is_told_of_many_labels_is_short():
    table = ActionTable(Action('stop'), {f'\x1b{n}' + 'x' * 500: Action('pick') for n in range(50)})
    said = ActionGate(table, ActionGateConfig()).know([f'class {n}' for n in range(1000)])
    assert ' and 47 more, as' in said and said.isprintable() and len(said) < 2000


def hear_object(gate, name, start, stop, label='cup'):
    time = start
    while time <= stop + 1e-9:
        gate.hear(label, 0.9, time, name)
        time += 0.1
    return gate.action(stop)[0].name


def test_a_label_must_last_for_one_object(gate):
    assert hear_object(gate, '1', 0.0, 0.2) == 'stop'
    assert hear_object(gate, '2', 0.3, 0.5) == 'stop', 'what was believed of another object counts for nothing'
    assert gate.acted_on == ''
    assert hear_object(gate, '2', 0.6, 0.6) == 'pick'
    assert (gate.acted_on, gate.action(0.6)[1]) == ('2', 'cup (object 2)')
    assert hear_object(gate, '1', 0.7, 0.9) == 'stop'
    assert gate.action(0.9)[1] == 'cup (object 1) is not sure or not long enough'


def test_objects_that_take_turns_begin_nothing(gate):
    for step in range(30):
        gate.hear('cup', 0.9, step * 0.1, str(step // 2 % 2))
        assert gate.action(step * 0.1)[0].name == 'stop'


def test_an_object_without_an_id_begins_nothing(gate):
    assert hear_object(gate, None, 0.0, 2.0) == 'stop'
    assert gate.action(2.0)[1] == 'cup lasts for no object: it has no id of its own'


def test_nothing_there_is_safe_at_once_and_begins_anew(gate):
    assert hear_object(gate, '1', 0.0, 0.5) == 'pick'
    gate.hear_nothing('no object is there', 0.6)
    assert gate.action(0.6) == (TABLE.safe, 'no object is there')
    assert hear_object(gate, '1', 0.7, 0.9) == 'stop'
    assert hear_object(gate, '1', 1.0, 1.0) == 'pick'
    gate.hear_nothing('no object is there', 1.1)
    assert gate.action(1.7)[1] == 'no decision heard'


def test_without_a_minimum_time_the_next_object_is_another_action():
    gate = ActionGate(TABLE, ActionGateConfig(minimum_time_s=0.0))
    for name in ('1', '2'):
        gate.hear('cup', 0.9, 0.0, name)
        assert (gate.action(0.0)[0].name, gate.acted_on) == ('pick', name)
    gate.hear('cup', 0.9, 0.0, None)
    assert (gate.action(0.0)[0].name, gate.acted_on) == ('pick', '')


@pytest.mark.parametrize('wanted', ['', 'id:', 'Nearest', '7', 'nearest '])
def test_an_object_that_is_none_is_refused(wanted):
    with pytest.raises(ConfigError, match=rf"^object: must be nearest, largest or id:NAME, got '{wanted}'$"):
        ActionGateConfig(object=wanted)
    assert ActionGateConfig(object='id:7').object == 'id:7'
