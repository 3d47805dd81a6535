"""Bags of what the node was unsure about, written by the real node over real DDS."""
import itertools
import os
import signal
import struct
import subprocess
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from mcap.exceptions import EndOfFile  # noqa: E402
from mcap.reader import NonSeekingReader, make_reader  # noqa: E402
from node_harness import NodeProcess, PreloadedChildren, environment, raw_image, small_bundle  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from vision_msgs.msg import Classification, Detection2DArray  # noqa: E402

from robot_vision_dl.core import types  # noqa: E402
from robot_vision_dl.core.images.cdr import encode_compressed_image  # noqa: E402
from robot_vision_dl.core.regions.detection_cdr import encode_detections  # noqa: E402
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray  # noqa: E402
from robot_vision_dl.data.bags.reader import open_bags  # noqa: E402

SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND
MANY = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
SURE, UNSURE = True, False
QUICK = ('fusion.enabled:=false', 'decision.false_unknown_rate:=0.0', 'decision.hysteresis:=0.0',
         'decision.abstain_cost:=1.0', 'record_doubts.min_interval_s:=0.0', 'record_doubts.min_free_mb:=0.0',
         'record_doubts.kinds:=[uncertain]')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return small_bundle(tmp_path_factory.mktemp('models') / 'small')


def set_parameter(peer, name, value):
    kind = {str: (ParameterType.PARAMETER_STRING, 'string_value'),
            float: (ParameterType.PARAMETER_DOUBLE, 'double_value')}[type(value)]
    request = SetParameters.Request(parameters=[Parameter(name=name, value=ParameterValue(
        type=kind[0], **{kind[1]: value}))])
    result = peer.call(SetParameters, '/classifier/set_parameters', request).results[0]
    assert result.successful, result.reason


class Robot:
    """The node with one camera, and what was sent to it.

    Whether it is sure is decided by its parameter: at an abstain cost of 1 it accepts anything, at 0 nothing.
    """

    def __init__(self, children, peer, folder, bundle, compressed, *parameters):
        self.peer, self.compressed, self.is_sure = peer, compressed, True
        self.sent, self.stamps = {}, itertools.count(START_NS, SECOND // 10)
        self.decisions = peer.listen(Classification, '/classifier/camera/decision', MANY)
        self.health = peer.listen(DiagnosticArray, '/diagnostics')
        given = [word for parameter in (*QUICK, *parameters) for word in ('-p', parameter)]
        self.node = NodeProcess(
            children, folder / 'node.log', 'run', '--model', str(bundle), '--backend', 'torch', '--image', '/cam',
            *['--transport', 'compressed'] * compressed, '--ros-args', *given)
        self.camera = peer.publisher(*((CompressedImage, '/cam/compressed') if compressed else (Image, '/cam')), MANY)
        self.values('camera camera', lambda values: values['publishers'] == '1')
        self.health.clear()

    def message(self, stamp_ns):
        """A picture like no other."""
        pixels = np.random.default_rng(stamp_ns).integers(0, 256, (48, 64, 3), np.uint8)
        if not self.compressed:
            return raw_image(stamp_ns, data=pixels.reshape(-1))
        png = cv2.imencode('.png', pixels)[1].reshape(-1)
        return encode_compressed_image(types.CompressedImage(
            types.Header(stamp_ns, 'test_camera'), 'bgr8; png compressed bgr8', png))

    def see(self, sure):
        """Send a picture and wait for its decision; the label."""
        if sure != self.is_sure:
            self.set('decision.abstain_cost', 1.0 if sure else 0.0)
            self.is_sure = sure
        stamp_ns, before = next(self.stamps), len(self.decisions)
        self.sent[stamp_ns] = self.message(stamp_ns)
        self.camera.publish(self.sent[stamp_ns])
        self.peer.wait(lambda: len(self.decisions) > before, 'the decision')
        return self.decisions[-1].results[0].class_id

    def values(self, name, until=lambda values: True):
        """Values and status of what the diagnostics say of it, once they are as wished."""
        return self.peer.report(self.health, name, until)

    def doubts(self, until=lambda values: True):
        return self.values(': doubts', until)

    def set(self, name, value):
        set_parameter(self.peer, name, value)

    def stop(self):
        self.node.process.send_signal(signal.SIGINT)
        assert self.node.process.wait(30) == 0, self.node.log

    def kill(self):
        os.killpg(self.node.process.pid, signal.SIGKILL)
        self.node.process.wait()
        self.peer.node.destroy_publisher(self.camera)


@pytest.fixture
def robot(ros_domain, tmp_path, bundle, peer):
    with PreloadedChildren(environment(ros_domain)) as children:
        def starter(*parameters, compressed=False):
            return Robot(children, peer, tmp_path, bundle, compressed, *parameters)
        yield starter


def storage_files(folder):
    return sorted(folder.glob('doubts_*/*.mcap'))


def read_by_library(folder):
    """(topic, type, time, bytes) of all messages, by the reference library."""
    found = []
    for path in storage_files(folder):
        with path.open('rb') as file:
            for schema, channel, message in make_reader(file, validate_crcs=True).iter_messages(log_time_order=False):
                assert (channel.message_encoding, schema.encoding) == ('cdr', 'ros2msg')
                found.append((channel.topic, schema.name, message.log_time, message.data))
    return found


def read_until_the_end(path):
    """Bytes of the images of a file that was never closed, by the reference library."""
    found = []
    with path.open('rb') as file:
        try:
            for _, channel, message in NonSeekingReader(file, validate_crcs=True).iter_messages(log_time_order=False):
                found += [message.data] * (channel.topic == '/cam')
        except (EndOfFile, struct.error):
            return found
    raise AssertionError(f'{path} was closed')


def stamp_of(message):
    return message.header.stamp.sec * SECOND + message.header.stamp.nanosec


@pytest.mark.parametrize('compressed', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_doubtful_frames_are_written_as_they_came_and_sure_ones_are_not(robot, tmp_path, compressed, capsys, bundle):
    folder = tmp_path / 'doubts'
    robot = robot(f'record_doubts.folder:={folder}', compressed=compressed)
    seen = [robot.see(sure) for sure in [SURE, SURE, UNSURE, SURE, UNSURE, UNSURE, SURE]]
    assert [label == 'uncertain' for label in seen] == [False, False, True, False, True, True, False]
    values, status = robot.doubts(lambda values: values['written'] == '3')
    assert values['folder'] == str(folder) and values['bags'] == '1' and values['written_uncertain'] == '3'
    assert float(values['written_mb']) > 0 and status.level == DiagnosticStatus.OK
    assert status.message.startswith('3 frames written, 0.0 MB, to /')
    robot.stop()

    found = read_by_library(folder)
    topic, msgtype = ('/cam/compressed', 'sensor_msgs/msg/CompressedImage') if compressed else (
        '/cam', 'sensor_msgs/msg/Image')
    doubted = [stamp_of(one) for one in robot.decisions if one.results[0].class_id == 'uncertain']
    images = [data for name, kind, _, data in found if (name, kind) == (topic, msgtype)]
    assert images == [robot.sent[stamp_ns] for stamp_ns in doubted], 'the same bytes'
    decisions = [data for name, _, _, data in found if name == '/classifier/camera/decision']
    assert [deserialize_message(data, Classification) for data in decisions] == [
        one for one in robot.decisions if stamp_of(one) in doubted]
    reasons = [deserialize_message(data, DiagnosticArray) for name, _, _, data in found
               if name == '/classifier/camera/uncertainty']
    for stamp_ns, reason in zip(doubted, reasons):
        given = {one.key: one.value for one in reason.status[0].values}
        assert (stamp_of(reason), given['recorded_because'], given['label']) == (stamp_ns, 'uncertain', 'uncertain')
        assert {'ood_p_value', 'predictive_entropy', 'frame_age_ms'} <= set(given)
    assert len({time_ns for name, _, time_ns, _ in found}) == 3, 'what belongs together has one time'

    reader, = open_bags([folder])
    assert not reader.problems
    assert [bytes(one.cdr) for one in reader.image_messages()] == images
    from robot_vision_dl.cli.main import main
    assert main(['bag', 'info', str(folder)]) == 0
    told = capsys.readouterr().out
    assert '/classifier/camera/classification  vision_msgs/msg/Classification' in told and 'problem' not in told
    if compressed:  # once is enough
        assert main(['evaluate', str(folder), '--model', str(bundle), '--out', str(tmp_path / 'report')]) == 0
        assert len((tmp_path / 'report' / 'frames.csv').read_text().splitlines()) == 1 + 3


def test_a_killed_node_leaves_what_can_be_read(robot, tmp_path):
    """And the next one goes on beside it."""
    folder = tmp_path / 'doubts'
    first = robot(f'record_doubts.folder:={folder}')
    for _ in range(12):
        first.see(UNSURE)
    told = int(first.doubts(lambda values: int(values['written']) >= 10)[0]['written'])
    for _ in range(3):
        first.camera.publish(first.message(next(first.stamps)))
    time.sleep(np.random.default_rng().uniform(0, 0.02))
    first.kill()
    sent = [*first.sent.values()]
    images = read_until_the_end(storage_files(folder)[0])
    assert len(images) >= told and images[:12] == sent[:len(images[:12])]
    reader, = open_bags([folder])
    assert [bytes(one.cdr) for one in reader.image_messages()] == images
    second = robot(f'record_doubts.folder:={folder}')
    assert second.see(UNSURE) == 'uncertain'
    second.doubts(lambda values: (values['written'], values['bags']) == ('1', '2'))
    second.stop()
    # It has also finished the bag of the first.
    assert [(list(reader.problems), len(list(reader.image_messages()))) for reader in open_bags([folder])] == [
        ([], len(images)), ([], 1)]


@pytest.mark.slow
def test_the_budget_holds_and_what_is_over_it_is_counted(robot, tmp_path):
    folder = tmp_path / 'doubts'
    began = time.monotonic()
    robot = robot(f'record_doubts.folder:={folder}', 'record_doubts.mb_per_hour:=0.5')
    for _ in range(15):
        robot.see(UNSURE)
    values, status = robot.doubts(lambda values: int(values['written']) + int(values['dropped']) == 15)
    assert 0 < int(values['written']) < 15 and int(values['dropped_over_budget']) == int(values['dropped'])
    assert status.level == DiagnosticStatus.OK
    robot.stop()
    size = sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
    assert 25_000 < size < 50_000 + 0.45e6 / 3600 * (time.monotonic() - began), 'a tenth at once, the rest evenly'
    assert len([one for one in read_by_library(folder) if one[0] == '/cam']) == int(values['written'])


@pytest.mark.slow
def test_it_begins_and_ends_by_parameter(robot, tmp_path):
    robot = robot()
    robot.see(UNSURE)
    robot.peer.wait(lambda: len(robot.health) >= 2, 'diagnostics')
    assert not [status for one in robot.health for status in one.status if status.name.endswith('doubts')]
    robot.set('record_doubts.folder', str(tmp_path / 'a'))
    robot.see(UNSURE)
    robot.doubts(lambda values: values['written'] == '1')
    robot.set('record_doubts.folder', '')
    robot.peer.wait(lambda: list((tmp_path / 'a').glob('*/metadata.yaml')), 'the end of the bag')
    robot.see(UNSURE)
    (tmp_path / 'file').write_text('')
    robot.health.clear()
    robot.set('record_doubts.folder', str(tmp_path / 'file'))
    robot.see(UNSURE)
    values, status = robot.doubts(lambda values: values.get('dropped_not_writable') == '1')
    assert status.level == DiagnosticStatus.WARN and 'cannot be written' in status.message
    robot.set('record_doubts.random_share', 1.0)
    robot.set('record_doubts.folder', str(tmp_path / 'b'))
    robot.see(SURE)
    values, status = robot.doubts(lambda values: values['written'] == '2')
    assert (values['written_random'], status.level) == ('1', DiagnosticStatus.OK)
    robot.stop()
    assert [robot.sent[stamp] for stamp in (sorted(robot.sent)[1], sorted(robot.sent)[-1])] == [
        one[3] for name in 'ab' for one in read_by_library(tmp_path / name) if one[0] == '/cam']


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_node_goes_on(robot, tmp_path):
    disk = tmp_path / 'disk'
    disk.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk], capture_output=True).returncode:
        pytest.skip('a disk cannot be mounted here: that takes root')
    try:
        filler = disk / 'of_others'
        filler.write_bytes(bytes(180_000))
        robot = robot(f'record_doubts.folder:={disk}')
        for _ in range(15):
            assert robot.see(UNSURE) == 'uncertain'
        values, status = robot.doubts(lambda values: int(values['dropped']) > 0)
        assert status.level == DiagnosticStatus.WARN and 'make room' in status.message
        assert 'record_doubts: ' in robot.node.log and 'make room' in robot.node.log
        written = int(values['written'])
        assert written > 0
        filler.unlink()
        robot.see(UNSURE)
        values, status = robot.doubts(lambda values: int(values['written']) == written + 1)
        assert status.level == DiagnosticStatus.OK
        robot.stop()
        assert len([one for one in read_by_library(disk) if one[0] == '/cam']) == written + 1
    finally:
        subprocess.run(['umount', '-l', disk], check=True)


def tell(robot, clock, seconds):
    """Until the node has the time, which its diagnostics carry."""
    message = Clock()
    message.clock.sec = seconds
    robot.peer.wait(lambda: clock.publish(message) or (robot.health and robot.health[-1].header.stamp.sec == seconds),
                    'the time')


@pytest.mark.slow
def test_simulated_time_that_goes_back_breaks_nothing(robot, tmp_path):
    folder = tmp_path / 'doubts'
    robot = robot(f'record_doubts.folder:={folder}', 'use_sim_time:=true')
    clock = robot.peer.publisher(Clock, '/clock', MANY)
    for seconds in (100, 101, 5, 6):
        robot.stamps = itertools.count(seconds * SECOND)
        tell(robot, clock, seconds)
        robot.see(UNSURE)
    robot.doubts(lambda values: values['written'] == '4')
    robot.stop()
    assert [[one.receive_ns // SECOND for one in reader.image_messages()] for reader in open_bags([folder])] == [
        [100, 101], [5, 6]]


def detection(x, y, track_id, side=30):
    return Detection(types.Header(0, ''), (), Box(x, y, side, side), track_id)


def array(stamp_ns, *detections):
    return DetectionArray(types.Header(stamp_ns, 'test_camera'), detections)


def test_any_object_in_doubt_writes_the_frame_and_the_detections(ros_domain, tmp_path, bundle, peer):
    folder = tmp_path / 'doubts'
    with PreloadedChildren(environment(ros_domain)) as children:
        answers = peer.listen(Detection2DArray, '/classifier/camera/detections', MANY)
        health = peer.listen(DiagnosticArray, '/diagnostics')
        parameters = (*QUICK, 'detections.least_sharpness:=0.0', 'camera_faults.enabled:=false')
        given = [word for parameter in parameters for word in ('-p', parameter)]
        node = NodeProcess(children, tmp_path / 'node.log', 'run', '--model', str(bundle), '--backend', 'torch',
                           '--camera', 'camera:=/image', '--regions', 'camera:=/boxes', '--record-doubts', str(folder),
                           '--ros-args', *given)
        camera, detector = peer.publisher(Image, '/image', MANY), peer.publisher(Detection2DArray, '/boxes', MANY)

        def connected():
            values = {one.key: one.value for report in health[-1:] for status in report.status
                      if status.name.endswith('detections camera') for one in status.values}
            return values.get('publishers') == '1'
        peer.wait(connected, 'the node to know the detector')
        sent = {}
        for number, cost in enumerate((1.0, 0.0, 1.0, 0.0)):
            set_parameter(peer, 'decision.abstain_cost', cost)
            stamp_ns = START_NS + number * SECOND
            # A box that cannot be looked at is no doubt of the model.
            boxes = encode_detections(array(stamp_ns, detection(20, 20, f'{number}a', 30),
                                            detection(500, 500, f'{number}b')))
            sent[number] = raw_image(stamp_ns, 40 * number), boxes
            camera.publish(sent[number][0])
            detector.publish(boxes)
            peer.wait(lambda: len(answers) > number, 'the answer')  # noqa: B023
        peer.wait(lambda: [one for status in health[-1].status if status.name.endswith(': doubts')
                           for one in status.values if (one.key, one.value) == ('written', '2')], 'what is written')
        node.process.send_signal(signal.SIGINT)
        assert node.process.wait(30) == 0
    labels = [answer.detections[0].results[0].hypothesis.class_id == 'uncertain' for answer in answers]
    assert labels == [False, True] * 2
    found = read_by_library(folder)
    assert [data for name, _, _, data in found if name == '/image'] == [sent[1][0], sent[3][0]]
    assert [data for name, _, _, data in found if name == '/boxes'] == [sent[1][1], sent[3][1]]
    decided = [deserialize_message(data, Detection2DArray) for name, _, _, data in found
               if name == '/classifier/camera/detections']
    assert decided == [answers[1], answers[3]]
    reasons = [deserialize_message(data, DiagnosticArray) for name, _, _, data in found
               if name == '/classifier/camera/uncertainty']
    assert [[one.value for one in reason.status[0].values if one.key == 'recorded_because'] for reason in reasons] == [
        ['uncertain']] * 2
