"""The decoder of detections against rclpy's serializer, and against whatever bytes may arrive."""
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.errors import ConfigError, ImageError
from robot_vision_dl.core.regions.detection_cdr import (
    MOST_DETECTIONS,
    MOST_HYPOTHESES,
    decode_detections,
    encode_detections,
)
from robot_vision_dl.core.regions.detections import NO_POSE, Box, Detection, DetectionArray, Hypothesis
from robot_vision_dl.core.types import Header

doubles = st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_characters='\0', exclude_categories=['Cs']), max_size=9)
headers = st.builds(Header, st.integers(0, 2 ** 31 * 10 ** 9 - 1), texts)
poses = st.lists(doubles, min_size=43, max_size=43).map(lambda numbers: struct.pack('=43d', *numbers))
hypotheses = st.builds(Hypothesis, texts, doubles, st.just(NO_POSE) | poses)
boxes = st.builds(Box, doubles, doubles, doubles, doubles, doubles)
arrays = st.builds(DetectionArray, headers, st.lists(st.builds(
    Detection, headers, st.lists(hypotheses, max_size=3).map(tuple), boxes, texts), max_size=4).map(tuple))


def array_of(count: int, classes: int = 1) -> DetectionArray:
    return DetectionArray(Header(1_700_000_000_123_456_789, 'camera'), tuple(
        Detection(Header(index, 'c' * index), tuple(Hypothesis(f'class {number}', 1 / (number + 2))
                                                    for number in range(classes)),
                  Box(10.5 + index, 20.25, 30.0, 40.0 + index, 0.125), f'track {index}')
        for index in range(count)))


def to_ros(array):
    """The message that rclpy serializes, field by field by the definitions of vision_msgs."""
    messages = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

    def header(ours, theirs):
        theirs.stamp.sec, theirs.stamp.nanosec = divmod(ours.stamp_ns, 10 ** 9)
        theirs.frame_id = ours.frame_id

    message = messages.Detection2DArray()
    header(array.header, message.header)
    for ours in array.detections:
        detection = messages.Detection2D(id=ours.track_id)
        header(ours.header, detection.header)
        for guess in ours.hypotheses:
            result = messages.ObjectHypothesisWithPose()
            result.hypothesis.class_id, result.hypothesis.score = guess.class_id, guess.score
            numbers = struct.unpack('=43d', guess.pose)
            pose = result.pose.pose
            pose.position.x, pose.position.y, pose.position.z = numbers[:3]
            (pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w) = numbers[3:7]
            result.pose.covariance = np.array(numbers[7:])
            detection.results.append(result)
        center = detection.bbox.center
        center.position.x, center.position.y, center.theta = ours.box.x, ours.box.y, ours.box.theta
        detection.bbox.size_x, detection.bbox.size_y = ours.box.width, ours.box.height
        message.detections.append(detection)
    return message


def big_endian(array) -> bytes:
    """The message in the byte order that this machine does not write, made by hand from the specification."""
    raw = b''

    def string(text):
        encoded = text.encode() + b'\0'
        return bytes(-len(raw) % 4) + struct.pack('>I', len(encoded)) + encoded

    def header(ours):
        nonlocal raw
        raw += bytes(-len(raw) % 4) + struct.pack('>iI', *divmod(ours.stamp_ns, 10 ** 9))
        raw += string(ours.frame_id)

    def numbers(*values):
        return bytes(-len(raw) % 8) + struct.pack(f'>{len(values)}d', *values)

    header(array.header)
    raw += bytes(-len(raw) % 4) + struct.pack('>I', len(array.detections))
    for each in array.detections:
        header(each.header)
        raw += bytes(-len(raw) % 4) + struct.pack('>I', len(each.hypotheses))
        for guess in each.hypotheses:
            raw += string(guess.class_id)
            raw += numbers(guess.score, *struct.unpack('=43d', guess.pose))
        raw += numbers(each.box.x, each.box.y, each.box.theta, each.box.width, each.box.height)
        raw += string(each.track_id)
    return b'\x00\x00\x00\x00' + raw


@settings(max_examples=60, deadline=None)
@given(arrays)
def test_what_is_encoded_is_decoded_in_either_byte_order(array):
    assert decode_detections(encode_detections(array)) == array
    assert decode_detections(big_endian(array)) == array


@settings(max_examples=60, deadline=None)
@given(arrays)
def test_rclpy_reads_and_writes_the_same(array):
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS 2 is not installed')
    message = to_ros(array)
    theirs = serialization.serialize_message(message)
    ours = encode_detections(array)
    assert decode_detections(theirs) == array
    assert serialization.deserialize_message(ours, type(message)) == message
    assert len(theirs) == len(ours)  # the bytes between fields are whatever lay in Fast CDR's memory


def test_numbers_that_are_none_are_carried():
    nan = float('nan')
    array = array_of(1)
    odd = replace(array.detections[0], box=Box(nan, float('inf'), -1.0, 0.0, nan), hypotheses=(
        Hypothesis('', nan, struct.pack('=43d', *(nan,) * 43)),))
    found = decode_detections(encode_detections(replace(array, detections=(odd,)))).detections[0]
    assert str(found) == str(odd) and found.hypotheses[0].pose == odd.hypotheses[0].pose


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, lambda raw: np.frombuffer(raw, np.uint8)])
def test_any_buffer_is_read_and_what_follows_ignored(kind):
    array = array_of(2)
    assert decode_detections(kind(encode_detections(array) + b'\0rest')) == array


@pytest.mark.parametrize('make', [encode_detections, big_endian])
def test_every_cut_is_truncated(make):
    raw = make(array_of(2, classes=2))
    for length in range(len(raw)):
        with pytest.raises(ImageError, match='cut off') as caught:
            decode_detections(raw[:length])
        assert caught.value.reason == 'truncated', length


def test_counts_that_lie_are_refused_before_anything_is_allocated():
    array = array_of(3)
    assert len(decode_detections(encode_detections(array), most=3).detections) == 3
    with pytest.raises(ImageError, match='states 3 detections, more than 2') as caught:
        decode_detections(encode_detections(array), most=2)
    assert caught.value.reason == 'malformed'
    raw = bytearray(encode_detections(DetectionArray(Header(1, 'cam'))))
    for count, reason in ((2 ** 32 - 1, 'malformed'), (5, 'truncated')):
        raw[-4:] = struct.pack('=I', count)
        with pytest.raises(ImageError) as caught:
            decode_detections(raw)
        assert caught.value.reason == reason
    one = encode_detections(DetectionArray(Header(1, 'cam'), (Detection(Header(0, ''), (), Box(1, 2, 3, 4)),)))
    where = 4 + 16 + 4 + 16  # encapsulation, header, detections, header of the first: there its results are counted
    assert one[where:where + 4] == bytes(4)
    with pytest.raises(ImageError, match='states 4294967295 results'):
        decode_detections(one[:where] + b'\xff' * 4 + one[where + 4:])


def test_a_nonsense_stamp_refuses_an_array_but_not_for_one_of_its_detections():
    array = array_of(2)
    raw = bytearray(encode_detections(array))
    where = 4 + 20 + 4  # encapsulation, header ("camera" and its NUL, filled up to 8), detections
    assert raw[where:where + 8] == bytes(8)
    raw[where:where + 8] = struct.pack('=iI', -1, 0)
    assert decode_detections(raw) == array  # whose first detection has the stamp 0
    raw[4:12] = struct.pack('=iI', -1, 0)
    with pytest.raises(ImageError, match='the stamp is -1 s and 0 ns') as caught:
        decode_detections(raw)
    assert caught.value.reason == 'stamp'


def test_a_very_long_name_is_refused():
    longest = encode_detections(DetectionArray(Header(1, 'cam'), (Detection(
        Header(0, ''), (Hypothesis('n' * 4095, 1.0),), Box(1, 2, 3, 4)),)))
    assert decode_detections(longest).detections[0].hypotheses[0].class_id == 'n' * 4095
    raw = longest.replace(struct.pack('=I', 4096) + b'n' * 4095, struct.pack('=I', 5001) + b'n' * 5000)
    with pytest.raises(ImageError, match='class_id has 5001 bytes') as caught:
        decode_detections(raw)
    assert caught.value.reason == 'malformed'


ONE = Detection(Header(0, ''), (), Box(1, 2, 3, 4))


@pytest.mark.parametrize('header, detections, text', [
    (Header(1, 'cam'), (replace(ONE, track_id='\ud800'),), r"'\\ud800' cannot be a name in a message: it is not UTF-8"),
    (Header(1, 'cam'), (replace(ONE, track_id='a\0b'),), r"'a\\x00b' cannot be .* holds a NUL character; remove it"),
    (Header(1, 'cam'), (replace(ONE, track_id='\u20ac' * 1366),), 'has 4098 bytes, and 4095 are allowed; shorten it'),
    (Header(1, 'cam'), (replace(ONE, hypotheses=(Hypothesis('n' * 4096, 1.0),)),), 'has 4096 bytes'),
    (Header(1, 'c' * 4096), (), 'has 4096 bytes'),
    (Header(-1, 'cam'), (), 'must be 0 to 2147483647999999999 ns, got -1'),
    (Header(2 ** 31 * 10 ** 9, ''), (), 'the stamp of a header must be'),
    (Header(1, 'cam'), (ONE,) * (MOST_DETECTIONS + 1), '10001 detections cannot be in one message, 10000 can'),
    (Header(1, 'cam'), (replace(ONE, hypotheses=(Hypothesis('a', 1.0),) * (MOST_HYPOTHESES + 1)),), '2001 hypotheses'),
])
def test_what_the_reader_refuses_is_not_written(header, detections, text):
    with pytest.raises(ConfigError, match=text) as caught:
        encode_detections(DetectionArray(header, detections))
    assert len(str(caught.value)) < 300 and '\n' not in str(caught.value)


def test_as_much_as_can_be_written_is_read():
    many = DetectionArray(Header(2 ** 31 * 10 ** 9 - 1, 'c' * 4095), (
        replace(ONE, hypotheses=(Hypothesis('a', 1.0),) * MOST_HYPOTHESES), *(ONE,) * (MOST_DETECTIONS - 1)))
    assert decode_detections(encode_detections(many)) == many


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_never_raise_anything_else(raw, with_encapsulation):
    try:
        decode_detections(b'\0\1\0\0' + raw if with_encapsulation else raw)
    except ImageError as error:
        assert error.reason in ('truncated', 'malformed', 'stamp')


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_messages_never_raise_anything_else(data):
    raw = bytearray(encode_detections(array_of(2, classes=2)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_detections(raw)
    except ImageError as error:
        assert error.reason in ('truncated', 'malformed', 'stamp')
