"""Arguments and parameter files that nodes cannot begin with, and what they log."""
import subprocess
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

import rclpy  # noqa: E402
from node_harness import environment  # noqa: E402
from preloaded import run_preloaded  # noqa: E402
from rclpy.node import Node  # noqa: E402

from robot_vision_dl.ros.start import PrintableLogs  # noqa: E402


@pytest.mark.parametrize('node, text, said', (
    *((node, '{node}:\n  ros__parameters:\n    model:\n    top_k: 1\n',
     'line 3, column 5: {node}.ros__parameters.model: has no value; give it one')
      for node in ('classifier', 'action_gate', 'detector', 'trainer')),
    ('action_gate', '{node}:\n  ros__parameters: {{a: [1, b]}}\n', 'the values of a list must be of one type'),
    ('action_gate', '{node}: {{', 'is not YAML that can be read (line 2, column 1'),
    ('classifier', '/**:\n  ros__parameters: {{top_k: many, rate_hz: fast, restart: maybe}}\n', 'parameter'),
    ('action_gate', None, 'cannot be read (No such file'),
))
def test_a_file_that_cannot_be_used_is_one_clear_line(node, text, said, ros_domain, tmp_path):
    path = tmp_path / 'p.yaml'
    if text is not None:
        path.write_text(text.format(node=node))
    done = run_preloaded([sys.executable, '-m', f'robot_vision_dl.ros.{node}_node', '--ros-args', '--params-file',
                          str(path)], environment(ros_domain))
    lines = [line for line in done.stderr.splitlines() if '[FATAL]' in line]
    assert done.returncode == 2 and len(lines) == 1, done.stderr
    assert said.format(node=node) in lines[0] and 'Traceback' not in done.stderr


def test_a_fatal_line_bears_the_full_name_of_the_node(ros_domain):
    done = subprocess.run(
        [sys.executable, '-m', 'robot_vision_dl.ros.classifier_node', '--ros-args', '-r', '__ns:=/robot1/vision', '-r',
         '__node:=eye', '-p', 'top_k:=many'], capture_output=True, text=True, env=environment(ros_domain), timeout=120)
    line, = [line for line in done.stderr.splitlines() if '[FATAL]' in line]
    assert done.returncode == 2 and '[robot1.vision.eye]: parameter top_k' in line


def test_arguments_that_cannot_be_used_are_one_clear_line(ros_domain):
    done = subprocess.run([sys.executable, '-m', 'robot_vision_dl.ros.action_gate_node', '--ros-args', '-r', ':=:='],
                          capture_output=True, text=True, env=environment(ros_domain), timeout=120)
    assert done.returncode == 2 and 'arguments of the node: ' in done.stderr and 'Traceback' not in done.stderr


def test_logs_of_nodes_are_printable_and_say_where_they_come_from(ros_domain, tmp_path):
    program = tmp_path / 'loud.py'
    program.write_text(
        'import rclpy\nfrom rclpy.node import Node\nfrom robot_vision_dl.ros.start import PrintableLogs, init\n\n\n'
        'class Loud(PrintableLogs, Node):\n    pass\n\n\ninit([])\nnode = Loud("loud")\n'
        'for text in ("a\\x1b[31m\\u202e\\rb", "x" * 50_000):\n'
        '    node.get_logger().debug(text)\n    node.get_logger().info(text)\n'
        '    node.get_logger().warning(text)\n    node.get_logger().error(text)\n    node.get_logger().fatal(text)\n'
        'node.get_logger().set_level(10)\nnode.get_logger().debug("quiet")\n')
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, env={
        **environment(ros_domain), 'RCUTILS_CONSOLE_OUTPUT_FORMAT': '{file_name}:{line_number} {message}'})
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert sum(r'a\x1b[31m\u202e\rb' in line for line in lines) == 4 and '\x1b' not in done.stderr
    assert max(map(len, lines)) < 2200
    assert all('loud.py:1' in line for line in lines), lines
    assert lines[-1].endswith('quiet')


def test_whole_numbers_are_taken_for_floats(ros_domain, tmp_path):
    from robot_vision_dl.core.config import ClassifierConfig
    from robot_vision_dl.ros.parameters import ConfigParameters
    path = tmp_path / 'p.yaml'
    path.write_text('/**:\n  ros__parameters: {fusion: {correlation_time_s: 2}, decision.false_unknown_rate: 1e-3}\n')
    context = rclpy.Context()
    rclpy.init(context=context, args=['', '--ros-args', '--params-file', str(path)], domain_id=ros_domain)

    class Quiet(PrintableLogs, Node):
        pass
    node = Quiet('classifier', context=context)
    try:
        config = ConfigParameters(node, ClassifierConfig, lambda: False, lambda config, names: None).config
        assert (config.fusion.correlation_time_s, config.decision.false_unknown_rate) == (2.0, 1e-3)
        assert node.get_parameter('fusion.correlation_time_s').type_ is rclpy.Parameter.Type.DOUBLE
        assert node.describe_parameter('fusion.correlation_time_s').floating_point_range
        assert not node.set_parameters([rclpy.Parameter('fusion.correlation_time_s', value=100.0)])[0].successful
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


