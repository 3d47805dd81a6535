"""The action gate as a process of its own, over real DDS."""
import signal
import time
from functools import partial

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from geometry_msgs.msg import Twist  # noqa: E402
from node_harness import RELIABLE, NodeProcess, PreloadedChildren, environment  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from vision_msgs.msg import Classification, LabelInfo, ObjectHypothesis, VisionClass  # noqa: E402

TABLE = """
safe: {name: stop, linear_x: 0.0}
labels:
  cup: {name: pick, linear_x: 0.2, angular_z: -0.1, trigger: /close_gripper}
"""


def test_acts_on_a_lasting_label_and_stops_on_unknown_and_silence(ros_domain, peer, tmp_path):
    (tmp_path / 'actions.yaml').write_text(TABLE)
    calls = []

    def close_gripper(_request, response):
        calls.append(time.monotonic())
        response.success = True
        return response
    peer.node.create_service(Trigger, '/close_gripper', close_gripper)
    actions = peer.listen(String, '/action_gate/action', QoSProfile(
        depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    velocities = peer.listen(Twist, '/cmd_vel')
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', '--ros-args', '-p',
                           f'actions_file:={tmp_path}/actions.yaml', '-p', 'decision_topic:=/decision',
                           module='robot_vision_dl.ros.action_gate_node')
        decisions = peer.publisher(Classification, '/decision', RELIABLE)

        def until(action, label, confidence=0.9):
            message = Classification(results=[ObjectHypothesis(class_id=label, score=confidence)])
            peer.wait(lambda: decisions.publish(message) or (actions and actions[-1].data == action), action)
        peer.wait(lambda: actions and actions[-1].data == 'stop', 'the safe action before anything was heard')
        until('pick', 'cup')
        velocities.clear()
        peer.wait(lambda: decisions.publish(Classification(results=[ObjectHypothesis(class_id='cup', score=0.9)]))
                  or calls and velocities and velocities[-1].linear.x == pytest.approx(0.2), 'the velocity')
        assert velocities[-1].angular.z == pytest.approx(-0.1)
        until('stop', 'unknown')
        until('pick', 'cup')
        peer.wait(lambda: actions[-1].data == 'stop', 'the safe action on silence')
        velocities.clear()
        peer.wait(lambda: velocities and velocities[-1].linear.x == 0.0, 'standing still')
        assert [message.data for message in actions] == ['stop', 'pick', 'stop', 'pick', 'stop']
        assert len(calls) == 2
        assert node.alive


MOVES = """
safe: stop
labels:
  go: {name: go, linear_x: 0.5}
  pick: pick
"""


@pytest.mark.parametrize('number', (signal.SIGINT, signal.SIGTERM))
def test_a_robot_that_moves_is_told_to_stand_still(number, ros_domain, peer, tmp_path):
    """When an action without a velocity follows, be it the safe one, and when the node ends."""
    (tmp_path / 'actions.yaml').write_text(MOVES)
    actions = peer.listen(String, '/action_gate/action', QoSProfile(
        depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    velocities = peer.listen(Twist, '/cmd_vel')
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', '--ros-args', '-p',
                           f'actions_file:={tmp_path}/actions.yaml', '-p', 'decision_topic:=/decision', '-p',
                           'minimum_time_s:=0.0', module='robot_vision_dl.ros.action_gate_node')
        decisions = peer.publisher(Classification, '/decision', RELIABLE)

        def until(action, label, velocity):
            message = Classification(results=[ObjectHypothesis(class_id=label, score=0.9)])
            peer.wait(lambda: decisions.publish(message) or (
                actions and actions[-1].data == action and velocities and velocities[-1].linear.x == velocity), action)
        until('go', 'go', 0.5)
        until('pick', 'pick', 0.0)
        until('go', 'go', 0.5)
        until('stop', 'unknown', 0.0)
        until('go', 'go', 0.5)
        for _ in range(2):  # of a shell to all processes, and of ros2 launch to each
            node.process.send_signal(number)
        assert node.process.wait(60) == 0
        peer.wait(lambda: velocities[-1].linear.x == 0.0, 'standing still at the end')
        assert 'Traceback' not in node.log


def test_old_pictures_and_a_table_that_nothing_is_known_for_begin_nothing(ros_domain, peer, tmp_path):
    (tmp_path / 'actions.yaml').write_text(TABLE)
    actions = peer.listen(String, '/action_gate/action', QoSProfile(
        depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', '--ros-args', '-p',
                           f'actions_file:={tmp_path}/actions.yaml', '-p', 'decision_topic:=/arm/decision', '-p',
                           'max_age_s:=2.0', module='robot_vision_dl.ros.action_gate_node')
        decisions = peer.publisher(Classification, '/arm/decision', RELIABLE)

        def send(age_s):
            message = Classification(results=[ObjectHypothesis(class_id='cup', score=0.9)])
            message.header.stamp = (peer.node.get_clock().now() - Duration(seconds=age_s)).to_msg()
            decisions.publish(message)
        peer.wait(lambda: send(10) or 'nobody says on /label_info which classes' in node.log, 'a warning')
        assert {message.data for message in actions} == {'stop'}
        assert actions[-1].data == 'stop'
        peer.wait(lambda: send(0) or actions[-1].data == 'pick', 'the action for new pictures')
        peer.wait(lambda: send(10) or actions[-1].data == 'stop', 'the safe action')
        assert 's old, more than 2 s (max_age_s)' in node.log and node.log.count('nobody says on') == 1


def test_bad_table_ends_with_a_clear_line(ros_domain, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', '--ros-args', '-p', 'actions_file:=/no/such.yaml',
                           module='robot_vision_dl.ros.action_gate_node')
        assert node.process.wait(60) == 2
        assert '/no/such.yaml' in node.log and 'Traceback' not in node.log


@pytest.mark.parametrize('mode', ('warn', 'stop'))
def test_a_label_that_the_model_does_not_have_is_said(mode, ros_domain, peer, tmp_path):
    (tmp_path / 'actions.yaml').write_text(TABLE + '  kup: pick\n  off: place\n')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    actions = peer.listen(String, '/action_gate/action', latched)
    tables = peer.node.create_publisher(LabelInfo, '/classifier/label_info', latched)

    def tell(*names):
        tables.publish(LabelInfo(class_map=[VisionClass(class_id=n, class_name=name) for n, name in enumerate(names)]))
    tell('cup', 'mug')
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', '--ros-args', '-p',
                           f'actions_file:={tmp_path}/actions.yaml', '-p', f'unknown_labels:={mode}',
                           module='robot_vision_dl.ros.action_gate_node')
        peer.wait(lambda: "no class of the model is called 'kup' (did you mean 'cup'?), 'off'" in node.log, 'a warning')
        decisions = peer.publisher(Classification, '/classifier/camera/decision', RELIABLE)
        cup = Classification(results=[ObjectHypothesis(class_id='cup', score=0.9)])
        if mode == 'stop':
            begin = time.monotonic()
            peer.wait(lambda: decisions.publish(cup) or time.monotonic() - begin > 1.5, 'a while')
            assert {message.data for message in actions} == {'stop'}
            tell('cup', 'kup', 'off')  # the model is changed
        peer.wait(lambda: decisions.publish(cup) or (actions and actions[-1].data == 'pick'), 'the action')
        assert node.alive and node.log.count('no class of the model') == 1


def test_it_listens_to_the_classifier_of_its_namespace(ros_domain, peer, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        NodeProcess(children, tmp_path / 'gate.log', '--ros-args', '-r', '__ns:=/robot_1',
                    module='robot_vision_dl.ros.action_gate_node')
        for topic in ('/robot_1/classifier/camera/decision', '/robot_1/classifier/label_info'):
            peer.wait(partial(peer.node.count_subscribers, topic), topic)


def test_the_command_starts_it_with_its_options(ros_domain, peer, tmp_path):
    """Those of the command line hold before those of the file, and those after --ros-args before both."""
    (tmp_path / 'actions.yaml').write_text(TABLE)
    (tmp_path / 'gate.yaml').write_text('/**:\n  ros__parameters:\n    silence_s: 9.0\n    minimum_time_s: 7.0\n'
                                        '    keep_confidence: 0.1\n')
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(
            children, tmp_path / 'gate.log', 'gate', '--actions', str(tmp_path / 'actions.yaml'), '--decision',
            '/eye/decision', '--params-file', str(tmp_path / 'gate.yaml'), '--minimum-time', '0',
            '--begin-confidence', '0.5', '--node-name', 'hand', '--namespace', 'arm', '--ros-args', '-p',
            'keep_confidence:=0.2')
        actions = peer.listen(String, '/arm/hand/action', QoSProfile(
            depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        decisions = peer.publisher(Classification, '/eye/decision', RELIABLE)
        message = Classification(results=[ObjectHypothesis(class_id='cup', score=0.55)])
        peer.wait(lambda: decisions.publish(message) or (actions and actions[-1].data == 'pick'), 'the action')
        names = ('silence_s', 'minimum_time_s', 'begin_confidence', 'keep_confidence')
        found = peer.call(GetParameters, '/arm/hand/get_parameters', GetParameters.Request(names=names))
        assert [value.double_value for value in found.values] == [9.0, 0.0, 0.5, 0.2]
        assert node.alive


@pytest.mark.parametrize('arguments, text', [
    (('--actions', '/nowhere.yaml'), '/nowhere.yaml'), (('--rate', '0'), '--rate: must be 1 to 1000, got 0'),
    (('--begin-confidence', '0.3'), 'keep_confidence: must be at most begin_confidence')])
def test_the_command_says_what_cannot_be(ros_domain, tmp_path, arguments, text):
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', 'gate', *arguments)
        assert node.process.wait(60) == 2
    assert text in node.log and 'Traceback' not in node.log
