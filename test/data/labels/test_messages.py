"""Types that rosbags does not bring, against the messages that are installed and against our own serializer."""
import json
from pathlib import Path

import pytest

from robot_vision_dl.core.regions.detection_cdr import decode_detections, encode_detections
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from robot_vision_dl.core.types import Header
from robot_vision_dl.data.bags.message_types import wire_format_of_class
from robot_vision_dl.data.labels.messages import CLASSIFICATION, DETECTIONS, DETECTIONS_WIRE_FORMAT, message_store


@pytest.mark.parametrize('name', [CLASSIFICATION, DETECTIONS])
def test_types_have_the_hash_that_ros_computes(name):
    messages = pytest.importorskip('vision_msgs', reason='vision_msgs is not installed')
    short = name.rsplit('/', 1)[-1]
    prefixes = [Path(messages.__file__).parents[up] for up in range(2, 5)]
    files = [file for prefix in prefixes for file in [prefix / 'share' / 'vision_msgs' / 'msg' / f'{short}.json']
             if file.is_file()]
    if not files:
        pytest.skip('this ROS 2 has no hashes of types')
    hashes = {each['type_name']: each['hash_string'] for each in json.loads(files[0].read_text())['type_hashes']}
    assert message_store().hash_rihs01(name) == hashes[name]


def test_the_wire_format_is_that_of_the_installed_type():
    kind = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed').Detection2DArray
    assert wire_format_of_class(kind) == DETECTIONS_WIRE_FORMAT


def test_rosbags_reads_and_writes_the_detections_that_we_do():
    store = message_store()
    array = DetectionArray(Header(1_700_000_000_000_000_001, 'cam'), (
        Detection(Header(5, ''), (Hypothesis('ball', .5), Hypothesis('cup', .25)), Box(1, 2, 3, 4, .5), 'seven'),
        Detection(Header(0, 'c'), (), Box(5, 6, 7, 8))))
    message = store.deserialize_cdr(encode_detections(array), DETECTIONS)
    first, second = message.detections
    assert (first.id, first.results[1].hypothesis.class_id, first.results[1].hypothesis.score) == ('seven', 'cup', .25)
    assert (first.bbox.center.position.y, first.bbox.center.theta, first.bbox.size_x) == (2, .5, 3)
    assert first.results[0].pose.pose.orientation.w == 1
    assert list(second.results) == []
    for little in (True, False):
        assert decode_detections(store.serialize_cdr(message, DETECTIONS, little_endian=little)) == array
