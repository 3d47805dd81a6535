"""Message types that a bag names: found where they are installed, and nothing else is imported for them."""
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from robot_vision_dl.ros.player import _message_class  # noqa: E402


def test_installed_messages_are_found():
    assert _message_class('sensor_msgs/msg/Image').__name__ == 'Image'
    assert _message_class('sensor_msgs/msg/NoSuchMessage') is None


@pytest.mark.parametrize('msgtype', ['no_such_package/msg/Image', 'os/msg/Image', 'a b/msg/Image', '../x/msg/Image', '',
                                     'sensor_msgs/msg/a.b', 'sensor_msgs.msg/msg/Image', '/msg/', 'sensor_msgs/Image'])
def test_what_is_no_message_gives_none(msgtype):
    assert _message_class(msgtype) is None


def test_a_package_without_messages_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / 'named_by_a_bag'
    package.mkdir()
    (package / '__init__.py').write_text('raise SystemExit("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    assert _message_class('named_by_a_bag/msg/Image') is None
    assert 'named_by_a_bag' not in sys.modules
