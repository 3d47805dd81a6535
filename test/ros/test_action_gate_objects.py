"""The action gate on one object of several, as a process of its own, over real DDS."""
import itertools
import time
from struct import pack

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from node_harness import RELIABLE, NodeProcess, PreloadedChildren, environment  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from robot_vision_dl.core.regions.detection_cdr import encode_detections  # noqa: E402
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis  # noqa: E402
from robot_vision_dl.core.types import Header  # noqa: E402

TABLE = """
safe: stop
labels:
  cup: {name: pick, trigger: /close_gripper}
  mug: push
"""
NAN = float('nan')


def one(name, label, x, y, side, away=None, confidence=0.9):
    found = [label, confidence] if away is None else [label, confidence, pack(
        '=43d', 0.0, 0.0, away, 0.0, 0.0, 0.0, 1.0, *(0.0,) * 36)]
    return Detection(Header(0, ''), (Hypothesis(*found),), Box(x, y, side, side), name)


class Gate:
    """A gate that runs, and what it is told."""

    def __init__(self, children, peer, tmp_path, *parameters):
        (tmp_path / 'actions.yaml').write_text(TABLE)
        self.calls = []
        peer.node.create_service(Trigger, '/close_gripper', self._close_gripper)
        self.actions = peer.listen(String, '/action_gate/action', QoSProfile(
            depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        options = ['detections_topic:=/objects', f'actions_file:={tmp_path}/actions.yaml', *parameters]
        self.node = NodeProcess(children, tmp_path / 'gate.log', '--ros-args',
                                *itertools.chain(*(('-p', option) for option in options)),
                                module='robot_vision_dl.ros.action_gate_node')
        self._peer = peer
        self._publisher = peer.publisher(Detection2DArray, '/objects', RELIABLE)
        self._stamp = 0

    def _close_gripper(self, _request, response):
        self.calls.append(time.monotonic())
        response.success = True
        return response

    def tell(self, *objects):
        self._stamp += 1
        self._publisher.publish(encode_detections(DetectionArray(Header(self._stamp, 'camera'), objects)))

    def tell_bytes(self, data):
        self._publisher.publish(data)

    def until(self, action, *objects):
        self._peer.wait(lambda: self.tell(*objects) or (self.actions and self.actions[-1].data == action), action)

    def for_s(self, seconds, *turns):
        """Tell what takes turns, for so long."""
        end, names = time.monotonic() + seconds, itertools.cycle(turns)
        self._peer.wait(lambda: self.tell(*next(names)) or time.monotonic() > end, 'a while')

    @property
    def heard(self):
        return [message.data for message in self.actions]


def test_nearest_object_is_acted_on_and_nothing_there_is_safe(ros_domain, peer, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        gate = Gate(children, peer, tmp_path, 'silence_s:=30.0')
        far, near = one('1', 'cup', 100, 100, 90, away=3.0), one('2', 'mug', 200, 50, 20, away=1.0)
        gate.until('push', far, near)
        assert gate.heard == ['stop', 'push'] and 'push: mug (object 2)' in gate.node.log
        gate.until('stop')
        assert 'stop: no object is there' in gate.node.log, 'at once, long before it is silent'
        gate.until('pick', far)
        gate.until('stop', one('1', 'cup', NAN, 100, 90, away=3.0))
        gate.until('pick', far, one('3', 'cup', 0, NAN, 90, away=0.1))
        peer.wait(lambda: gate.calls, 'the trigger')
        gate.tell_bytes(encode_detections(DetectionArray(Header(1, 'camera'), (far,)))[:60])
        peer.wait(lambda: gate.actions[-1].data == 'stop', 'the safe action')
        peer.wait(lambda: 'stop: the detections cannot be read' in gate.node.log, 'the reason')
        assert 'detections that cannot be read: ' in gate.node.log
        gate.until('stop', one('1', '', 100, 100, 90, away=3.0))
        gate.until('pick', far)
        assert gate.node.alive and 'Traceback' not in gate.node.log


def test_what_is_believed_of_one_object_starts_nothing_on_another(ros_domain, peer, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        gate = Gate(children, peer, tmp_path, 'minimum_time_s:=0.5', 'silence_s:=30.0', 'object:=largest')
        first, second = one('1', 'cup', 100, 100, 90), one('2', 'cup', 100, 100, 91)
        # Each is the largest for a moment only: of both together a cup is told for much longer than it must last.
        gate.for_s(2.0, *[(first,)] * 5, *[(first, second)] * 5)
        assert gate.heard == ['stop'] and not gate.calls
        gate.until('pick', first)
        begun_s = time.monotonic()
        gate.until('stop', first, second)
        gate.until('pick', first, second)
        assert time.monotonic() - begun_s > 0.5
        peer.wait(lambda: len(gate.calls) == 2, 'the trigger, for each of them')
        gate.for_s(1.5, (one('', 'cup', 100, 100, 90),), (one('7', 'cup', 9, 9, 90), one('7', 'cup', 9, 9, 90)))
        assert gate.heard == ['stop', 'pick', 'stop', 'pick', 'stop']
        assert 'it has no id of its own' in gate.node.log


def test_a_named_object_and_another_by_parameter(ros_domain, peer, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        gate = Gate(children, peer, tmp_path, 'object:=id:2', 'minimum_time_s:=0.0', 'silence_s:=30.0')
        gate.until('pick', one('1', 'mug', 100, 100, 90), one('2', 'cup', 100, 100, 9))
        gate.until('stop', one('1', 'mug', 100, 100, 90))
        assert 'stop: no object is called 2' in gate.node.log

        def choose(wanted):
            value = ParameterValue(type=4, string_value=wanted)
            answer = peer.call(SetParameters, '/action_gate/set_parameters', SetParameters.Request(
                parameters=[Parameter(name='object', value=value)]))
            return answer.results[0]
        refused = choose('farthest')
        assert not refused.successful and 'must be nearest, largest or id:NAME' in refused.reason
        assert choose('nearest').successful
        gate.until('push', one('1', 'mug', 100, 100, 90), one('2', 'cup', 100, 100, 9))
        # The same action on another object begins anew: its trigger is called for each.
        calls = len(gate.calls)
        gate.until('pick', one('3', 'cup', 100, 100, 9))
        gate.for_s(0.5, (one('4', 'cup', 100, 100, 9),))
        peer.wait(lambda: len(gate.calls) == calls + 2, 'the trigger for both')
        assert gate.node.alive


def test_the_command_takes_an_object(ros_domain, tmp_path):
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'gate.log', 'gate', '--detections', '/objects', '--object', 'first')
        assert node.process.wait(60) == 2
    assert "object: must be nearest, largest or id:NAME, got 'first'" in node.log and 'Traceback' not in node.log
