"""Names of topics that cannot be are told by name, whichever node is given them."""
import sys

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import NodeProcess, PreloadedChildren, environment, small_bundle  # noqa: E402
from preloaded import run_preloaded  # noqa: E402

from robot_vision_dl.core.errors import ConfigError  # noqa: E402
from robot_vision_dl.ros.topic_name import resolved  # noqa: E402

SAID = "topic '/a b': cannot be the name of a topic; take letters, digits and _"


def test_names(peer):
    assert resolved(peer.node, '/a/b_1') == '/a/b_1'
    for name in ('/a b', '/a//b', '/1a', ''):
        with pytest.raises(ConfigError, match=f"topic '{name}': cannot be the name of a topic"):
            resolved(peer.node, name)


def test_the_gate_says_so(ros_domain):
    done = run_preloaded([sys.executable, '-m', 'robot_vision_dl.ros.action_gate_node', '--ros-args', '-p',
                          'decision_topic:="/a b"'], environment(ros_domain))
    assert done.returncode == 2 and SAID in done.stderr, done.stderr


def test_the_classifier_says_so(peer, ros_domain, tmp_path):
    bundle = small_bundle(tmp_path / 'small')
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'log', '--ros-args', '-p', f'model:={bundle}', '-p', 'device:=cpu',
                           '-p', 'image_topics:=["/a b"]', module='robot_vision_dl.ros.classifier_node')
        peer.wait(lambda: f'cannot activate: {SAID}' in node.log, 'the error')
