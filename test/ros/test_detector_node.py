"""The detector as a process of its own, over real DDS; its weights are random, its boxes torchvision's."""
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from detector_samples import NAMES, weights_file  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_harness import RELIABLE, NodeProcess, PreloadedChildren, environment, raw_image  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from robot_vision_dl.core import types  # noqa: E402
from robot_vision_dl.core.images.cdr import encode_compressed_image, encode_image  # noqa: E402
from robot_vision_dl.core.regions.detector import Detector, DetectorConfig  # noqa: E402

MODULE = 'robot_vision_dl.ros.detector_node'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return weights_file(tmp_path_factory.mktemp('weights') / 'ours.pth')


def pixels(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(np.repeat(coarse, 20, 0), 20, 1))


def as_raw(stamp_ns, picture):
    height, width = picture.shape[:2]
    return encode_image(types.RawImage(types.Header(stamp_ns, 'front'), height, width, 'bgr8', False, 3 * width,
                                       picture.reshape(-1)))


def as_png(stamp_ns, picture):
    data = cv2.imencode('.png', picture)[1].reshape(-1)
    return encode_compressed_image(types.CompressedImage(types.Header(stamp_ns, 'front'), 'bgr8; png', data))


def rows(array):
    return [(one.bbox.center.position.x, one.bbox.center.position.y, one.bbox.size_x, one.bbox.size_y,
             one.results[0].hypothesis.class_id, one.results[0].hypothesis.score) for one in array.detections]


class Camera:
    """The node, and a driver that asks it."""

    def __init__(self, children, peer, tmp_path, weights, transport, *parameters):
        given = [f'weights:={weights}', f'class_names:=[{", ".join(NAMES)}]', 'min_score:=0.6', 'max_detections:=10',
                 'threads:=1', 'device:=cpu', 'image_topic:=/cam', f'image_transport:={transport}', *parameters]
        self.arrays = peer.listen(Detection2DArray, '/detector/detections')
        self.health = peer.listen(DiagnosticArray, '/diagnostics')
        self.node = NodeProcess(children, tmp_path / 'detector.log', '--ros-args',
                                *[word for each in given for word in ('-p', each)], module=MODULE)
        self._peer, self._stamp = peer, 0
        kind, topic = (Image, '/cam') if transport == 'raw' else (CompressedImage, f'/cam/{transport}')
        self._encode = as_raw if transport == 'raw' else as_png
        self.publisher = peer.publisher(kind, topic, RELIABLE)
        self.values(lambda values: values['publishers'] == '1')

    def ask(self, picture):
        """The answer to a picture, that with its stamp."""
        self._stamp += 1
        data = self._encode(self._stamp, picture)
        self.publisher.publish(data)
        return self._peer.wait(lambda: next((each for each in self.arrays
                                             if each.header.stamp.nanosec == self._stamp), None), 'an answer')

    def values(self, until):
        """Values of the newest report, once they are as wished."""
        def newest():
            for status in self.health[-1].status if self.health else ():
                values = {one.key: one.value for one in status.values}
                if status.name == '/detector: detector' and until(values):
                    return values, status
            return None
        return self._peer.wait(newest, 'a report of the detector')


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_an_array_an_image_with_its_header(ros_domain, peer, tmp_path, weights, transport):
    detector = Detector.load(DetectorConfig(weights=str(weights), class_names=NAMES, device='cpu'))
    with PreloadedChildren(environment(ros_domain)) as children:
        camera = Camera(children, peer, tmp_path, weights, transport)
        for seed in range(3):
            answer = camera.ask(pixels(seed))
            expected = detector(types.Picture(pixels(seed), types.ColorOrder.BGR), 0.6, 10)
            assert len(expected) > 2 and answer.header.frame_id == 'front' and answer.header.stamp.sec == 0
            found = rows(answer)
            assert [row[4] for row in found] == [one.hypotheses[0].class_id for one in expected]
            np.testing.assert_allclose([[*row[:4], row[5]] for row in found], [
                [one.box.x, one.box.y, one.box.width, one.box.height, one.hypotheses[0].score] for one in expected],
                atol=1e-3)
            assert all(one.id == '' and one.bbox.center.theta == 0 for one in answer.detections)
        values = [Parameter(name='min_score', value=ParameterValue(type=3, double_value=1.0))]
        assert peer.call(SetParameters, '/detector/set_parameters', SetParameters.Request(parameters=values)
                         ).results[0].successful
        assert rows(camera.ask(pixels(0))) == [], 'an empty array where nothing is found'
        assert camera.values(lambda values: values['detected'] == '4')[0]['received'] == '4'
        assert camera.node.alive and 'Traceback' not in camera.node.log


def test_what_cannot_be_read_is_counted_and_the_newest_wins(ros_domain, peer, tmp_path, weights):
    with PreloadedChildren(environment(ros_domain)) as children:
        camera = Camera(children, peer, tmp_path, weights, 'raw')
        sent = 0
        for data in (raw_image(1, encoding='nonsense'), raw_image(1)[:100], raw_image(1, step=2)):
            camera.publisher.publish(data)
            sent += 1
            camera.values(lambda values, sent=sent: values['received'] == str(sent))
        values, _ = camera.values(lambda values: values['dropped'] == '3')
        assert (values['dropped_encoding'], values['dropped_truncated'], values['dropped_step']) == ('1', '1', '1')
        assert 'image dropped, encoding: ' in camera.node.log
        for stamp in range(100, 140):  # all at once
            camera.publisher.publish(as_raw(stamp, pixels(stamp)))
        peer.wait(lambda: any(each.header.stamp.nanosec == 139 for each in camera.arrays), 'the newest')
        values, _ = camera.values(lambda values: int(values['received']) + int(values['lost_in_transport']) == 43 and
                                  int(values['received']) == int(values['detected']) + int(values['dropped']))
        assert int(values['detected']) == len(camera.arrays) < 40
        stamps = [each.header.stamp.nanosec for each in camera.arrays]
        assert stamps == sorted(stamps)
        began = time.monotonic()
        _, status = camera.values(lambda _values: time.monotonic() > began + 3)
        assert status.message.startswith('stale: no image for ')
        assert camera.node.alive and 'Traceback' not in camera.node.log


@pytest.mark.parametrize('parameters, said', [
    (('weights:=/nowhere.pth',), '/nowhere.pth: no such file'),
    (('model:=ssdlite320',), "no detector 'ssdlite320'; did you mean ssdlite320_mobilenet_v3_large"),
    (('image_transport:=theora',), 'image_transport: must be one of raw, compressed, compressedDepth')])
def test_what_cannot_be_used_ends_with_a_clear_line(ros_domain, tmp_path, parameters, said):
    with PreloadedChildren(environment(ros_domain)) as children:
        node = NodeProcess(children, tmp_path / 'log', '--ros-args',
                           *[word for each in parameters for word in ('-p', each)], module=MODULE)
        assert node.process.wait(60) == 2
    assert said in node.log and 'Traceback' not in node.log
