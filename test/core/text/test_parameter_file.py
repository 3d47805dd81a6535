"""ROS parameter files without ROS; test/ros/test_parameter_file.py compares with rcl itself."""
import math
import time

import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.text.parameter_file import parameter_value, read_parameters, read_sections

ROBOT = """
classifier:
  ros__parameters:
    decision: {abstain_cost: 0.1, false_unknown_rate: 0.0}
/front/classifier:
  ros__parameters:
    decision.abstain_cost: 0.9
/rear:
  classifier:
    ros__parameters: {top_k: 3}
person_detector:
  ros__parameters: {top_k: 1, decision: {false_unknown_rate: 0.9}}
/*/classifier:
  ros__parameters: {threads: 2}
/**:
  ros__parameters: {use_sim_time: false}
"""


@pytest.fixture()
def write(tmp_path):
    def write(text):
        path = tmp_path / 'p.yaml'
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path
    return write


@pytest.mark.parametrize('node, values', (
    ('/classifier', {'decision.abstain_cost': .1, 'decision.false_unknown_rate': 0.0, 'use_sim_time': False}),
    ('/front/classifier', {'decision.abstain_cost': .9, 'threads': 2, 'use_sim_time': False}),
    ('/rear/classifier', {'top_k': 3, 'threads': 2, 'use_sim_time': False}),
    ('/a/rear/classifier', {'use_sim_time': False}),
    ('/person_detector', {'top_k': 1, 'decision.false_unknown_rate': .9, 'use_sim_time': False})))
def test_each_node_has_its_own(node, values, write):
    assert read_parameters(write(ROBOT), node) == values


@pytest.mark.parametrize('text, value', (
    ('1e-3', 1e-3), ('010', 8), ('08', 8.0), ('0x1f', 31), ('1_0', '1_0'), ('"5"', '5'), ("''", ''), ('!!str 5', '5'),
    ('yes', True), ('Off', False), ('y', True), ('tRue', 'tRue'), ('~', '~'), ('null', 'null'), ('.inf', math.inf),
    ('-.INF', -math.inf), ('inf', math.inf), ('1e999', '1e999'), ('9' * 30, 1e30), ('9' * 5000, '9' * 5000),
    ('2001-99-99', '2001-99-99'), ('[1, 2]', [1, 2]), ('["1", b]', ['1', 'b']), ('[]', None),
    ('!!python/tuple\n    - a\n    - b', ['a', 'b'])))  # as `ros2 launch` writes lists
def test_values(text, value, write):
    found = read_parameters(write(f'/**:\n  ros__parameters:\n    a: {text}\n'))['a']
    assert type(found) is type(value) and (found == value or math.isclose(found, value, rel_tol=1e-9))


@pytest.mark.parametrize('text, message', (
    ('a: {ros__parameters: {model: }}', 'line 1, column 23: a.ros__parameters.model: has no value; give it one'),
    ('a:\n  ros__parameters:\n    model:\n    x: 1', 'line 3, column 5: a.ros__parameters.model: has no value'),
    ('a: {ros__parameters: {m: [1, 2.0]}}', 'a.ros__parameters.m: the values of a list must be of one type'),
    ('a: {ros__parameters: {m: [1, ]}}\nb:', 'line 2, column 1: b: expected a node with ros__parameters, got a value'),
    ('a: {ros__parameters: {m: [[1]]}}', 'a list can hold single values only'),
    ('a: {ros__parameters: {m: [{b: 1}]}}', 'a list can hold single values only'),
    ('a: {ros__parameters: {m: {}}}', 'a.ros__parameters.m: has nothing in it'),
    ('a: {ros__parameters: {m: 1, m: 2}}', 'line 1, column 29: a key that stands there already'),
    ('a: {ros__parameters: {m.n: 1, m.n.o: 2}}', 'm.n has a value and parameters within it'),
    ('a: {ros__parameters: 1}', 'expected parameters as'), ('a: {ros__parameters: }', 'expected parameters as'),
    ('a: {ros__parameters: {"": 1}}', 'a name is empty'), ('a: {ros_parameters: {b: 1}}', 'expected a node with'),
    ('a: {ros__parameters_: {b: 1}}', 'did you mean ros__parameters?'),
    ('a: {b: {}}', 'has nothing for the node /classi'),
    ('a b: {ros__parameters: {c: 1}}', "'a b' cannot be the name of a node"),
    ('a//b: {ros__parameters: {c: 1}}', "'a//b' cannot be the name"),
    ('7a: {ros__parameters: {c: 1}}', 'cannot be the'),
    ('ros__parameters: {c: 1}', 'the name of a node must stand above'), ('- a', 'expected a node'),
    ('a: {ros__parameters: {b: 1}, c: {ros__parameters: {d: 1}}}', 'there can be nothing beside ros__parameters'),
    ('a: &x {ros__parameters: {b: !!int 1}}', 'a tag other than !!str'), ('', 'there is nothing in it'),
    ('a: {ros__parameters: {c: 1}}', 'has nothing for the node /classifier; there is /a'),
    ('[' * 6000, 'nest'), ('a: {', 'line 2, column 1'), ('"\\e[31m": 1', r'\x1b[31m: expected a node'),
    (b'\xff', 'no UTF-8'), ('a' * 2_000_000, 'larger than any such file')))
def test_what_is_wrong_is_one_line(text, message, write):
    path = write(text)
    started = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        read_parameters(path)
    said = str(caught.value)
    assert message in said and said.startswith(str(path)) and '\n' not in said and len(said) < 400
    assert said.isprintable() and time.perf_counter() - started < 1


def test_order_of_what_is_spelled_in_two_ways(write):
    path = write('/: {classifier: {ros__parameters: {a: 1, b: 1}}}\n/**: {ros__parameters: {a: 2, c: 2}}\n'
                 'classifier: {ros__parameters: {a: 3}}')
    assert [section.spelling for section in read_sections(path)] == ['/classifier', '/**', 'classifier']
    assert read_parameters(path) == {'a': 3, 'b': 1, 'c': 2}


def test_values_of_the_command_line():
    assert [parameter_value(text) for text in ('off', '1e-3', '2', '010', '"7"', '[a, b]', 'x')] == [
        False, 1e-3, 2, 8, '7', ['a', 'b'], 'x']
    for text in ('', '{a: 1}', '[[1]]', '[a', '[~, ]x', '[' * 100):
        with pytest.raises(ConfigError):
            parameter_value(text)
