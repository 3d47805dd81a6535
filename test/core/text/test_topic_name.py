"""Names of topics, nodes and namespaces."""
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.text.topic_name import MOST_CHARACTERS, check_namespace, check_node_name, check_topic_name


@pytest.mark.parametrize('name', ['/a b', '', '/', '~/x', '~', '{node}/x', '/a\x1b[31m', '/a//b', '/a/', '/1a', '/a/2b',
                                  '/ä', '/a__b', '/a-b', '/a.b', '/a\n', '//a', '/' + 'a' * MOST_CHARACTERS])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ConfigError, match='--topic: .* is no name of a ROS 2 topic') as caught:
        check_topic_name(name, '--topic')
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize('name, full', [('/camera/image_raw', '/camera/image_raw'), ('image', '/image'),
                                        ('/_a/b1', '/_a/b1'),
                                        ('/' + 'a' * (MOST_CHARACTERS - 1), '/' + 'a' * (MOST_CHARACTERS - 1))])
def test_what_is_a_name(name, full):
    assert check_topic_name(name, '--topic') == full


def test_the_rules_are_those_of_ros():
    """Where rclpy is here, whatever we take it takes."""
    names = pytest.importorskip('rclpy.validate_full_topic_name')
    for name in ('/camera/image_raw', '/_a/b1', '/' + 'a' * (MOST_CHARACTERS - 1)):
        assert names.validate_full_topic_name(name)
    for name in ('/a b', '/a//b', '/a/', '/1a', '/a-b'):
        with pytest.raises(Exception, match='[Ii]nvalid'):
            names.validate_full_topic_name(name)


@pytest.mark.parametrize('name', ['a b', 'a/b', '/a', '1a', "'a'", 'ä', '', 'a-b', 'a\n', '~', 'a' * MOST_CHARACTERS])
def test_what_is_no_name_of_a_node_is_refused(name):
    with pytest.raises(ConfigError, match='--node-name: .* is no name of a ROS 2 node'):
        check_node_name(name, '--node-name')


def test_names_of_nodes_and_namespaces():
    assert check_node_name('arm_classifier', '-') == 'arm_classifier'
    assert [check_namespace(name, '-') for name in ('', '/', 'arm', '/arm/left/')] == ['/', '/', '/arm', '/arm/left']
    with pytest.raises(ConfigError, match="--namespace: '1/b c' is no namespace of ROS 2"):
        check_namespace('1/b c', '--namespace')


@pytest.mark.parametrize('command', ['run', 'gate'])
@pytest.mark.parametrize('option', ['--node-name', '--namespace'])
def test_commands_that_start_nodes_tell_it_before_rcl_does(command, option, capsys):
    assert main([command, option, 'a b']) == 2
    assert f"robot-vision {command}: {option}: 'a b' is no name" in capsys.readouterr().err


def test_run_quotes_what_it_hands_to_the_node():
    from robot_vision_dl.cli import run
    from robot_vision_dl.cli.main import parser_of
    args = parser_of('run', run).parse_args(['--model', "o'brien's", '--image', "/a'b"])
    args.ros_args = []
    assert run.node_arguments(args) == ['--ros-args', '-p', "image_topics:=['/a''b']", '-p', "model:='o''brien''s'"]
