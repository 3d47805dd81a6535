"""Evidence on the overlay of the real node over real DDS: there while it is wished for and somebody watches."""
import itertools

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_harness import NodeProcess, environment  # noqa: E402
from object_samples import HEIGHT, WIDTH, array, detection, scene, square_bundle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from robot_vision_dl.core import types  # noqa: E402
from robot_vision_dl.core.images.cdr import encode_image  # noqa: E402
from robot_vision_dl.core.processes import Children  # noqa: E402
from robot_vision_dl.core.regions.detection_cdr import encode_detections  # noqa: E402

SECOND = 1_000_000_000
MANY = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
OVERLAY = '/classifier/camera/overlay'
SQUARES = [('red', 90, 130), ('blue', 230, 130)]
QUIET = ('fusion.enabled:=false', 'camera_faults.enabled:=false', 'decision.false_unknown_rate:=0.0',
         'decision.abstain_cost:=1.0')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return square_bundle(tmp_path_factory.mktemp('models') / 'squares')


class Robot:
    """The node with one camera, which always sees the same."""

    def __init__(self, children, peer, folder, *arguments):
        self.peer, self.stamps = peer, itertools.count(1_700_000_000 * SECOND, 10 * SECOND)
        self.health = peer.listen(DiagnosticArray, '/diagnostics')
        given = [word for parameter in QUIET for word in ('-p', parameter)]
        self.node = NodeProcess(children, folder / 'node.log', 'run', '--backend', 'torch', '--image', '/cam',
                                *arguments, '--ros-args', *given)
        self.camera = peer.publisher(Image, '/cam', MANY)
        self.watched, self.subscription = [], None
        self.pixels = scene(SQUARES, seed=3)
        self.detector = None

    def watch(self):
        self.subscription = self.peer.node.create_subscription(Image, OVERLAY, self.watched.append, 10)
        self.peer.wait(lambda: self.peer.node.count_publishers(OVERLAY), 'the overlay')

    def unwatch(self):
        self.peer.node.destroy_subscription(self.subscription)

    def send(self):
        """One picture more; the overlay, if it comes, goes to :attr:`watched`."""
        stamp = next(self.stamps)
        self.camera.publish(encode_image(types.RawImage(
            types.Header(stamp, 'camera'), HEIGHT, WIDTH, 'bgr8', False, 3 * WIDTH, self.pixels.reshape(-1))))
        if self.detector is not None:
            self.detector.publish(encode_detections(array(stamp, *(detection(x, y) for _, x, y in SQUARES))))
        return stamp

    def overlay(self):
        """Of a picture that is sent until it comes, uint8 (H, W, 3)."""
        self.watched.clear()

        def come():
            self.send()
            self.peer.listen_for(0.3)
            return self.watched
        message = self.peer.wait(come, 'an overlay')[-1]
        return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)

    def overlay_beside(self, before):
        """The first that differs from another one."""
        found = []
        self.peer.wait(lambda: found.append(self.overlay()) or changed(found[-1], before).any(), 'another overlay')
        return found[-1]

    def values(self, name, until=lambda values: True):
        return self.peer.report(self.health, name, until)

    def set(self, name, value):
        request = SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(
            type=ParameterType.PARAMETER_STRING, string_value=value))])
        return self.peer.call(SetParameters, '/classifier/set_parameters', request).results[0]


def changed(one, other):
    return (np.abs(one.astype(int) - other) > 8).any(2)


def test_evidence_comes_and_goes_with_the_parameter_and_the_watcher(tmp_path, ros_domain, peer, bundle):
    with Children(environment(ros_domain)) as children:
        robot = Robot(children, peer, tmp_path, '--model', str(bundle))
        robot.watch()
        plain = robot.overlay()
        assert robot.set('overlay.evidence', 'winner').successful
        shown = robot.overlay_beside(plain)
        where = changed(shown, plain)
        height, width = where.shape
        legend = where[height - 20:, 290:]
        assert legend.any() and where[60:height - 70].any()
        left = (width - height) // 2  # the network sees the square in the middle, but for a margin
        assert not where[60:height - 70, :left].any() and not where[60:height - 70, width - left:].any()
        assert robot.set('overlay.evidence', 'difference').successful
        peer.wait(lambda: changed(robot.overlay(), shown)[height - 20:, 290:].any(), 'another legend')
        assert not robot.set('overlay.evidence', 'loser').successful
        # Its time is told while it is worked out, and only then.
        robot.values('camera camera', lambda values: (robot.send(), 'evidence_ms_mean' in values)[1])
        robot.unwatch()
        robot.values('camera camera', lambda values: (
            robot.send(), 'forward_ms_mean' in values and 'evidence_ms_mean' not in values)[1])
        # What has none says so where its user looks, and goes on.
        assert robot.set('model', f'ensemble:{bundle},{bundle}').successful
        values, status = robot.values('model', lambda values: 'but no evidence can be shown' in values.get(
            'overlay_evidence', ''))
        assert 'an ensemble has as many maps as members' in status.message
        robot.watch()
        told = robot.overlay()
        assert changed(told, plain)[height - 20:, 290:].any()
        assert robot.set('overlay.evidence', 'none').successful
        robot.values('model', lambda values: values.get('overlay_evidence') == 'none')
        assert robot.node.alive and robot.node.log.count('no evidence can be shown') == 1


def test_evidence_of_each_object_lies_in_its_box(tmp_path, ros_domain, peer, bundle):
    with Children(environment(ros_domain)) as children:
        robot = Robot(children, peer, tmp_path, '--model', str(bundle), '--regions', '/boxes')
        robot.detector = peer.publisher(Detection2DArray, '/boxes', MANY)
        robot.watch()
        plain = robot.overlay()
        assert robot.set('overlay.evidence', 'difference').successful
        shown = robot.overlay_beside(plain)
        where = changed(shown, plain)
        scale = shown.shape[1] / WIDTH
        rest = where.copy()
        for _, x, y in SQUARES:
            left, top = round((x - 18) * scale), round((y - 18) * scale)
            assert where[top:top + round(36 * scale), left:left + round(36 * scale)].any()
            rest[top - round(28 * scale):top + round(40 * scale), left - round(4 * scale):] = False  # its box and tag
        bottom = round(44 * shown.shape[1] / 640)
        assert not rest[:-bottom].any() and rest[-bottom:].any()
