"""Names of topics."""
import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.text.topic_name import MOST_CHARACTERS, check_topic_name


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
