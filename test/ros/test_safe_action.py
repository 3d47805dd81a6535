"""From camera to action over real DDS: what the robot stops for, with the models and the pictures that ship."""
import os
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_harness import NodeProcess, Peer, PreloadedChildren, environment  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from vision_msgs.msg import Classification  # noqa: E402

from robot_vision_dl.core import types  # noqa: E402
from robot_vision_dl.core.images.cdr import encode_image  # noqa: E402
from robot_vision_dl.core.images.image import decode  # noqa: E402
from robot_vision_dl.data.bags.reader import BagReader  # noqa: E402

DEMO = Path(__file__).resolve().parents[2] / 'config' / 'demo'
PERIOD_S = 0.05


def pictures(bag, first, last):
    """Frames first..last of a demo bag; uint8 (H, W, 3) BGR."""
    with BagReader(DEMO / bag) as reader:
        return [np.ascontiguousarray(decode(message.decode()).pixels)
                for count, message in enumerate(reader.image_messages()) if first <= count < last]


class Robot:
    """A camera, the classifier, and the action gate, which picks up what it is told to."""

    def __init__(self, children, peer, folder, model, label):
        (folder / 'actions.yaml').write_text(f'safe: stop\nlabels: {{{label}: pick}}\n')
        self._peer = peer
        self.actions = peer.listen(String, '/action_gate/action', QoSProfile(
            depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self._decisions = peer.listen(Classification, '/classifier/camera/decision')
        self.reasons = peer.listen(DiagnosticArray, '/classifier/camera/uncertainty')
        self.health = peer.listen(DiagnosticArray, '/diagnostics')
        NodeProcess(children, folder / 'gate.log', '--ros-args', '-p', f'actions_file:={folder}/actions.yaml',
                    '-p', 'begin_confidence:=0.5', '-p', 'silence_s:=5.0',
                    module='robot_vision_dl.ros.action_gate_node')
        peer.wait(lambda: self.actions, 'the safe action, of which who comes late is told nothing once another follows')
        NodeProcess(children, folder / 'classifier.log', 'run', '--model', model, '--camera', 'camera:=/image',
                    '--backend', 'torch')  # no seconds of export to ONNX
        self._camera = peer.publisher(Image, '/image')
        self._sent, self._due_s = 0, 0.0

    def show(self, seen, until, what):
        """Send these pictures in turn until a condition holds; the labels that were decided meanwhile."""
        before = len(self._decisions)

        def step():
            if time.monotonic() >= self._due_s:
                picture = seen[self._sent % len(seen)]
                height, width = picture.shape[:2]
                self._camera.publish(encode_image(types.RawImage(
                    types.Header(time.time_ns(), 'camera'), height, width, 'bgr8', False, 3 * width,
                    picture.reshape(-1))))
                self._sent, self._due_s = self._sent + 1, time.monotonic() + PERIOD_S
            return until()
        self._peer.wait(step, what)
        return [message.results[0].class_id for message in self._decisions[before:]]

    @property
    def label(self):
        """The newest decision."""
        return self._decisions[-1].results[0].class_id

    def pick(self, seen):
        """Show what leads to the action, until it is under way."""
        self.show(seen, lambda: self.actions and self.actions[-1].data == 'pick', 'the action')

    def stop(self, seen):
        """Show what is not to be acted on, until the robot stops; what was decided meanwhile."""
        return self.show(seen, lambda: self.actions[-1].data == 'stop', 'the safe action')


@pytest.fixture()
def robot(ros_domain, tmp_path):
    """A function that makes one with this model, which acts on this label."""
    # Under the profile, as a camera driver should be, and in this process for all tests.
    os.environ.update({key: value for key, value in environment(ros_domain).items() if 'PROFILES_FILE' in key})
    peer = Peer(ros_domain)
    with PreloadedChildren(environment(ros_domain)) as children:
        yield lambda model, label: Robot(children, peer, tmp_path, model, label)
    peer.close()


def test_stops_for_a_covered_lens_and_for_what_could_be_two_things(robot):
    robot = robot('waste_sorter', 'cardboard')
    cardboard, both = pictures('waste', 16, 32), pictures('waste', 100, 105)  # trash that may be metal
    robot.pick(cardboard)
    # Nothing but the two: it was not a doubt that stopped the robot.
    assert set(robot.stop([np.zeros_like(cardboard[0])])) <= {'cardboard', 'unknown'}
    robot.pick(cardboard)
    robot.stop(both)
    robot.show(both, lambda: robot.label == 'uncertain', 'doubt')
    robot.pick(cardboard)
    assert [message.data for message in robot.actions] == ['stop', 'pick', 'stop', 'pick', 'stop', 'pick']


def test_stops_for_an_object_of_no_class(robot):
    robot = robot('squeezenet1_1_imagenet', 'water bottle')
    bottle, foreign = pictures('bottles', 30, 32), pictures('bottles', 222, 240)
    robot.pick(bottle)
    assert set(robot.stop(foreign)) <= {'water bottle', 'unknown'}
    robot.pick(bottle)
    assert [message.data for message in robot.actions] == ['stop', 'pick', 'stop', 'pick']


@pytest.mark.parametrize('name', ['china.jpg', 'flower.jpg'])
def test_stops_for_what_the_waste_sorter_has_never_seen(robot, name):
    samples = pytest.importorskip('sklearn.datasets', reason='scikit-learn is not installed')
    photograph = samples.load_sample_image(name)[..., ::-1]  # BGR
    views = [np.ascontiguousarray(photograph[y:y + 360, x:x + 480]) for y in (0, 30, 60) for x in range(0, 160, 8)]
    robot = robot('waste_sorter', 'cardboard')
    cardboard = pictures('waste', 16, 32)
    robot.pick(cardboard)
    robot.reasons.clear()
    assert set(robot.stop(views)) <= {'cardboard', 'unknown'}
    robot.show(views, lambda: any(report.status[0].message.startswith('unknown: ') for report in robot.reasons),
               'the reason')
    robot.pick(cardboard)
    assert [message.data for message in robot.actions] == ['stop', 'pick', 'stop', 'pick']


def test_stops_for_a_camera_at_fault_and_says_what_is_wrong(robot):
    robot = robot('waste_sorter', 'cardboard')
    cardboard, rng = pictures('waste', 16, 32), np.random.default_rng(0)
    spoilt = {
        'noise': [np.clip(one + rng.normal(0, 60, one.shape), 0, 255).astype(np.uint8) for one in cardboard],
        'overexposed': [np.clip(8.0 * one + 40, 0, 255).astype(np.uint8) for one in cardboard],
        'frozen': cardboard[-1:],
    }
    for fault, seen in spoilt.items():
        robot.pick(cardboard)
        robot.reasons.clear()
        assert set(robot.stop(seen)) <= {'cardboard', 'unknown'}, fault
        told = f'unknown: camera {fault}: '
        robot.show(seen, lambda told=told: any(
            report.status[0].message.startswith(told) for report in robot.reasons), told)
        robot.health.clear()
        told = f'camera at fault: {fault} since '
        robot.show(seen, lambda told=told: any(status.message.startswith(told) for report in robot.health
                                               for status in report.status), told)
    robot.pick(cardboard)
