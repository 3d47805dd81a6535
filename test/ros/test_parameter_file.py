"""Our reader of ROS parameter files beside rcl and rclpy, on the same files."""
import math
import os

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
if os.environ.get('ROS_DISTRO') in ('humble', 'iron'):
    pytest.skip('rclpy knows no wildcards but /** there', allow_module_level=True)

from robot_vision_dl.core.errors import ConfigError  # noqa: E402
from robot_vision_dl.core.text.parameter_file import read_parameters  # noqa: E402


def read_by_rcl(path, namespace=''):
    """All overrides that a node of rclpy has from a file; None where rcl refuses it."""
    context = rclpy.Context()
    try:
        rclpy.init(context=context, args=['', '--ros-args', '--params-file', str(path), '--log-level', 'fatal'])
    except Exception as error:  # noqa: B902 - RCLError is no public name
        assert type(error).__name__ == 'RCLError'
        return None
    node = rclpy.create_node('classifier', namespace=namespace, context=context, start_parameter_services=False,
                             enable_rosout=False)
    try:
        return {name: parameter.value for name, parameter in node._parameter_overrides.items()}
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


STRICTER = 'refused though rcl reads it'


def read_by_us(path, namespace=''):
    try:
        return read_parameters(path, f'{namespace}/classifier')
    except ConfigError as error:
        if 'has a value and parameters within it' in str(error):
            return STRICTER
        return {} if 'has nothing for' in str(error) else None


VALUES = """1e-3 08 010 0x1f 1_0 nan "5" 'x' yes 1e999 99999999999999999999 ~ .inf -.INF +.inf 1e-320 0.0 0e-999 -0 +7
0x 0x1p3 0b1 0o7 y n N null 12:30 2001-01-01 1. .5 . -.5e+3 infinity -Infinity NAN nan(1) .nan -.nan 1e 1e+ +-1 -
0777 0888 -010 -0x10 0X1F 1d 1f "" '' 9223372036854775807 9223372036854775808 -9223372036854775808
-9223372036854775809 5.0e-324
2.2250738585072011e-308 2.2250738585072014e-308 tRue On oN OFF 0x1.8 0x.8p1 1e5 1E5 007 00 0.1.2 --1 ++1
1,2 a:b""".split()
MORE = ('|-\n      5', '|\n      5', '>-\n      true', '!!str 5', '!!str yes', '1 2', '[1, 2]', '[a, b]', '["1", b]',
        '[yes, off]', '[1.0, 2e3]', '[1, 2.0]', '[yes, 1]', '[1, a]', '{b: 1}', '{b: {c: 1}, d: 2}', '', '[1, ]', '[]',
        '!!python/tuple [a, b]', '!!python/tuple\n    - 1.0\n    - 2.0')


def test_values_are_what_rcl_takes_them_for(tmp_path):
    path = tmp_path / 'p.yaml'
    for text in (*VALUES, *MORE):
        path.write_text(f'/**:\n  ros__parameters:\n    a: {text}\n')
        assert repr(read_by_us(path)) == repr(read_by_rcl(path)), text


NAMES = st.sampled_from(('classifier', '/classifier', 'ns/classifier', '/ns/classifier', '/**', '/*', '/**/classifier',
                         '/*/classifier', '/ns/*', '/ns/**', '/ns/*/classifier', '/a/**/classifier', '/other', '/*/*',
                         '/**/*', '**', '*'))
SPACES = st.sampled_from(('/ns', 'ns', '/', '/a', '/**', '/*', '/ns/a'))
INNER = st.sampled_from(('classifier', '*', '**', 'other', 'a/classifier'))
PARAMETERS = st.fixed_dictionaries({'ros__parameters': st.dictionaries(
    st.sampled_from(('a', 'b', 'c.d')),
    st.integers(0, 9) | st.dictionaries(st.sampled_from(('x', 'y.z')), st.integers(0, 9), min_size=1), min_size=1)})
SECTIONS = st.lists(st.tuples(NAMES, PARAMETERS) | st.tuples(SPACES, st.dictionaries(INNER, PARAMETERS, min_size=1)),
                    min_size=1, max_size=5)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECTIONS, st.sampled_from(('', '/ns', '/ns/a', '/a', '/a/b')))
def test_sections_hold_for_a_node_as_in_rclpy(tmp_path, sections, namespace):
    path = tmp_path / 'p.yaml'
    path.write_text(yaml.safe_dump(dict(sections), sort_keys=False))
    ours = read_by_us(path, namespace)
    assert ours is STRICTER or ours == read_by_rcl(path, namespace), path.read_text()


def test_not_a_number_is_the_same(tmp_path):
    path = tmp_path / 'p.yaml'
    path.write_text('/**:\n  ros__parameters:\n    a: .nan\n')
    assert math.isnan(read_by_us(path)['a']) and math.isnan(read_by_rcl(path)['a'])
