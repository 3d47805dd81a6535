"""The CDR decoder against rclpy's and rosbags' serializers, and against whatever bytes may arrive."""
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.errors import ImageError
from robot_vision_dl.core.images.cdr import (
    decode_compressed_image,
    decode_image,
    encode_classification,
    encode_compressed_image,
    encode_image,
)
from robot_vision_dl.core.types import CompressedImage, Header, RawImage

DECODERS = (decode_image, decode_compressed_image)


def raw_image(frame_id: str = 'camera', height: int = 3, width: int = 5, encoding: str = 'bgr8', big: bool = False,
              stamp_ns: int = 1_234_567_890) -> RawImage:
    step = 3 * width + 1
    data = np.arange(height * step, dtype=np.uint8)
    return RawImage(Header(stamp_ns, frame_id), height, width, encoding, big, step, data)


def compressed_image(format: str = 'jpeg', size: int = 7, frame_id: str = 'camera') -> CompressedImage:
    return CompressedImage(Header(2 ** 31 * 10 ** 9 - 1, frame_id), format, np.arange(size, dtype=np.uint8))


def assert_same(one, other):
    for name in one.__dataclass_fields__:
        if name == 'data':
            np.testing.assert_array_equal(one.data, other.data)
        else:
            assert getattr(one, name) == getattr(other, name), name


def big_endian(image: RawImage) -> bytes:
    """The message in the byte order that this machine does not write, made by hand from the specification."""
    def pad(raw):
        return raw + bytes(-len(raw) % 4)

    def string(text):
        raw = text.encode() + b'\0'
        return struct.pack('>I', len(raw)) + raw

    seconds, nanoseconds = divmod(image.header.stamp_ns, 10 ** 9)
    raw = pad(struct.pack('>iI', seconds, nanoseconds) + string(image.header.frame_id))
    raw = raw + struct.pack('>II', image.height, image.width) + string(image.encoding) + bytes([image.is_bigendian])
    raw = pad(raw) + struct.pack('>II', image.step, image.data.size) + image.data.tobytes()
    return b'\x00\x00\x00\x00' + raw


@pytest.mark.parametrize('frame_id', ['', 'c', 'ca', 'cam', 'camera_optical_frame', 'Kamera_ä'])
@pytest.mark.parametrize('encoding', ['bgr8', 'mono16', 'bayer_rggb8', '8UC1'])
def test_image_is_what_was_encoded_whatever_the_alignment(frame_id, encoding):
    image = raw_image(frame_id, encoding=encoding, big=True)
    assert_same(decode_image(encode_image(image)), image)
    assert_same(decode_image(big_endian(image)), image)


@pytest.mark.parametrize('size', [0, 1, 7, 1000])
@pytest.mark.parametrize('format', ['', 'jpg', 'rgb8; jpeg compressed bgr8'])
def test_compressed_image_is_what_was_encoded(format, size):
    image = compressed_image(format, size)
    assert_same(decode_compressed_image(encode_compressed_image(image)), image)


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, lambda raw: np.frombuffer(raw, np.uint8),
                                  lambda raw: np.repeat(np.frombuffer(raw, np.uint8), 2)[::2]])
def test_any_buffer_is_read(kind):
    image = raw_image()
    assert_same(decode_image(kind(encode_image(image))), image)


def test_data_is_a_read_only_view():
    buffer = bytearray(encode_image(raw_image()))
    decoded = decode_image(buffer)
    buffer[-1] = 99
    assert decoded.data[-1] == 99
    with pytest.raises(ValueError):
        decoded.data[0] = 1
    assert not decode_compressed_image(encode_compressed_image(compressed_image(size=0))).data.flags.writeable


def test_bytes_after_the_message_are_ignored():
    image = raw_image()
    assert_same(decode_image(encode_image(image) + b'\0\0\0rest'), image)


@pytest.mark.parametrize('frame_id', ['', 'cam', 'camera'])
def test_agrees_with_rosbags(frame_id):
    typesys = pytest.importorskip('rosbags.typesys')
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    image, compressed = raw_image(frame_id), compressed_image('png', frame_id=frame_id)
    for little in (True, False):
        for ours, decode, name in ((image, decode_image, 'Image'), (compressed, decode_compressed_image,
                                                                    'CompressedImage')):
            name = f'sensor_msgs/msg/{name}'
            encode = encode_image if ours is image else encode_compressed_image
            message = store.deserialize_cdr(encode(ours), name)
            np.testing.assert_array_equal(message.data, ours.data)
            assert_same(decode(store.serialize_cdr(message, name, little_endian=little)), ours)


@pytest.mark.parametrize('frame_id', ['', 'cam', 'camera'])
def test_agrees_with_rclpy(frame_id):
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS 2 is not installed')
    messages = pytest.importorskip('sensor_msgs.msg')
    for ours, encode, decode, kind in (
            (raw_image(frame_id), encode_image, decode_image, messages.Image),
            (compressed_image(frame_id=frame_id), encode_compressed_image, decode_compressed_image,
             messages.CompressedImage)):
        message = serialization.deserialize_message(encode(ours), kind)
        assert message.header.frame_id == frame_id
        assert bytes(message.data) == ours.data.tobytes()
        raw = serialization.serialize_message(message)
        assert len(raw) == len(encode(ours))  # the bytes between fields are whatever lay in Fast CDR's memory
        assert_same(decode(raw), ours)


@pytest.mark.parametrize('frame_id', ['', 'c', 'cam', 'camera', 'camera1'])
@pytest.mark.parametrize('hypotheses', [(), (('cup', 0.25),), (('', 1.0), ('crème brûlée', 1e-300), ('mug', -2.5))])
def test_classification_is_what_rclpy_reads_and_writes(frame_id, hypotheses):
    serialization = pytest.importorskip('rclpy.serialization', reason='ROS 2 is not installed')
    kind = pytest.importorskip('vision_msgs.msg').Classification
    raw = encode_classification(Header(1_700_000_000_123_456_789, frame_id), iter(hypotheses))
    message = serialization.deserialize_message(raw, kind)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert message.header.frame_id == frame_id
    assert [(found.class_id, found.score) for found in message.results] == list(hypotheses)
    assert len(serialization.serialize_message(message)) == len(raw)


def test_real_recordings(shared_data):
    """Bags of other people's writers, ROS 2 and (by way of rosbags) ROS 1: same fields as rosbags, then a picture."""
    readers = pytest.importorskip('rosbags.highlevel')
    from robot_vision_dl.core.images.image import decode, from_message
    decoders = {'sensor_msgs/msg/Image': decode_image, 'sensor_msgs/msg/CompressedImage': decode_compressed_image}
    typesys = pytest.importorskip('rosbags.typesys')
    seen = set()
    for bag in sorted((shared_data / 'bags').glob('ros*')):
        store = typesys.get_typestore(typesys.Stores.ROS1_NOETIC if bag.suffix else typesys.Stores.ROS2_HUMBLE)
        with readers.AnyReader([bag], default_typestore=store) as reader:
            connections = [each for each in reader.connections if each.msgtype in decoders]
            for connection, _, raw in reader.messages(connections) if connections else ():
                message = reader.deserialize(raw, connection.msgtype)
                image = from_message(message)
                if not bag.suffix:
                    assert_same(decoders[connection.msgtype](raw), image)
                if bag.name == 'ros2_mixed_mcap':  # its images claim 640x480, and hold a few bytes
                    with pytest.raises(ImageError, match='data has 30 bytes|cut off after 10 bytes'):
                        decode(image)
                else:
                    assert decode(image).pixels.size
                seen.add((bag.name, connection.msgtype))
    assert len(seen) >= 5, seen


@pytest.mark.parametrize('encode, decode, image', [
    (encode_image, decode_image, raw_image()),
    (encode_compressed_image, decode_compressed_image, compressed_image())])
def test_every_cut_is_truncated(encode, decode, image):
    raw = encode(image)
    for length in range(len(raw)):
        with pytest.raises(ImageError) as caught:
            decode(raw[:length])
        assert caught.value.reason == 'truncated', length
        assert 'cut off' in str(caught.value)


def test_not_a_ros_2_message():
    with pytest.raises(ImageError, match='begins with 00 00 or 00 01.*got ff d8') as caught:
        decode_image(b'\xff\xd8\xff\xe0' + bytes(100))
    assert caught.value.reason == 'malformed'


def test_string_without_nul_and_not_utf8():
    raw = encode_image(raw_image('camera'))
    with pytest.raises(ImageError, match='frame_id must end with its only NUL') as caught:
        decode_image(raw.replace(b'camera\0', b'cameras'))
    assert caught.value.reason == 'malformed'
    with pytest.raises(ImageError, match='frame_id is not UTF-8') as caught:
        decode_image(raw.replace(b'camera\0', b'cam\xff\xfea\0'))
    assert caught.value.reason == 'malformed'


def other_types():
    """Serialized messages of other types that may be found on a topic, with plausible contents."""
    typesys = pytest.importorskip('rosbags.typesys')
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    types = store.types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](1700000000, 5), 'camera')
    roi = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    field = types['sensor_msgs/msg/PointField']
    found = {
        'std_msgs/msg/String': types['std_msgs/msg/String']('hello, this is a longer text than one may think'),
        'std_msgs/msg/Empty': types['std_msgs/msg/Empty'](),
        'sensor_msgs/msg/PointCloud2': types['sensor_msgs/msg/PointCloud2'](
            header, 1, 9, [field(axis, 4 * i, 7, 1) for i, axis in enumerate('xyz')], False, 12, 108,
            np.zeros(108, np.uint8), True),
        'sensor_msgs/msg/LaserScan': types['sensor_msgs/msg/LaserScan'](
            header, -1.0, 1.0, 0.1, 0.0, 0.1, 0.2, 9.0, np.ones(20, np.float32), np.zeros(0, np.float32)),
        'sensor_msgs/msg/CameraInfo': types['sensor_msgs/msg/CameraInfo'](
            header, 480, 640, 'plumb_bob', np.zeros(5), np.eye(3).ravel(), np.eye(3).ravel(), np.zeros(12), 0, 0, roi),
    }
    return {name: store.serialize_cdr(message, name) for name, message in found.items()}


def test_messages_of_other_types_are_refused():
    from robot_vision_dl.core.images.image import decode
    raws = other_types()
    raws['Image of 480 black rows'] = encode_image(RawImage(
        Header(1, 'camera'), 480, 640, 'mono8', False, 640, np.zeros(480 * 640, np.uint8)))
    raws['CompressedImage'] = encode_compressed_image(compressed_image(size=500))
    for name, raw in raws.items():
        for read in DECODERS:
            if (name[:5], read) in (('Image', decode_image), ('Compr', decode_compressed_image)):
                continue
            with pytest.raises(ImageError):
                decode(read(bytes(raw)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_raise_anything_else(raw, with_encapsulation):
    for decode in DECODERS:
        try:
            decode(b'\0\1\0\0' + raw if with_encapsulation else raw)
        except ImageError as error:
            assert error.reason in ('truncated', 'malformed', 'stamp')


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_messages_never_raise_anything_else(data):
    from robot_vision_dl.core.images.image import decode
    raw = bytearray(encode_image(raw_image()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, 75))] = data.draw(st.integers(0, 255))
    for read in DECODERS:
        try:
            decode(read(raw))
        except ImageError:
            pass


def fields(seconds=1, nanoseconds=0, frame_id=b'camera\0', encoding=b'mono8\0', is_bigendian=0, step=2, height=2,
           width=2, data=bytes(4), frame_id_length=None, data_length=None) -> bytes:
    """A serialized Image, made by hand, whose fields and lengths may be anything."""
    def aligned(raw):
        return raw + bytes(-len(raw) % 4)

    def string(raw, length=None):
        return struct.pack('<I', len(raw) if length is None else length) + raw
    body = aligned(struct.pack('<iI', seconds, nanoseconds) + string(frame_id, frame_id_length))
    body = aligned(body + struct.pack('<II', height, width) + string(encoding) + bytes((is_bigendian,)))
    return b'\0\1\0\0' + body + struct.pack('<II', step, len(data) if data_length is None else data_length) + data


def picture_of(raw):
    from robot_vision_dl.core.images.image import decode
    return decode(decode_image(raw)).pixels


@pytest.mark.parametrize('changes, reason, text', [
    ({'seconds': -1}, 'stamp', 'the stamp is -1 s and 0 ns'),
    ({'seconds': -2 ** 31}, 'stamp', 'does the driver set it'),
    ({'seconds': 2 ** 31 - 1, 'nanoseconds': 10 ** 9}, 'stamp', 'where a message holds 0 to 2147483647 s'),
    ({'seconds': 2 ** 31 - 4, 'nanoseconds': 2 ** 32 - 1}, 'stamp', '4294967295 ns'),
    ({'seconds': -5, 'nanoseconds': 2 ** 32 - 1}, 'stamp', '-5 s'),
    ({'frame_id': b'a' * 10 ** 6 + b'\0'}, 'malformed', 'frame_id has 1000001 bytes'),
    ({'encoding': b'\x1b[31m' * 10 ** 5 + b'\0'}, 'malformed', 'encoding has 500001 bytes'),
    ({'encoding': b'\x1b[31mred\0'}, 'encoding', 'unknown image encoding'),
    ({'frame_id': b'a\0b\0'}, 'malformed', 'only NUL'),
    ({'frame_id': b'camera'}, 'malformed', 'only NUL'),
    ({'frame_id': b'\xff\xfe\x1b\0'}, 'malformed', 'not UTF-8'),
    ({'frame_id_length': 2 ** 32 - 1}, 'truncated', 'frame_id needs 4294967295 bytes'),
    ({'frame_id_length': 2 ** 31}, 'truncated', 'frame_id needs'),
    ({'data_length': 2 ** 32 - 1}, 'truncated', 'data needs 4294967295 bytes'),
    ({'data_length': 5}, 'truncated', 'data needs 5 bytes'),
    ({'height': 0}, 'empty', '2 x 0'),
    ({'height': 2 ** 32 - 1, 'width': 2 ** 32 - 1, 'step': 2 ** 32 - 1}, 'too_large', '4294967295 x 4294967295'),
    ({'height': 4000, 'width': 4000, 'step': 2 ** 32 - 1}, 'truncated', f'need {3999 * (2 ** 32 - 1) + 4000}'),
    ({'step': 1}, 'step', 'step is 1 bytes'),
    ({'encoding': b'64FC512\0', 'step': 2 ** 31}, 'truncated', 'need'),
])
def test_fields_that_lie(changes, reason, text):
    with pytest.raises(ImageError) as caught:
        picture_of(fields(**changes))
    assert caught.value.reason == reason and text in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


@pytest.mark.parametrize('changes', [
    {'is_bigendian': 1}, {'is_bigendian': 2}, {'is_bigendian': 255}, {'seconds': 0}, {'nanoseconds': 10 ** 9},
    {'seconds': 2 ** 31 - 1, 'nanoseconds': 10 ** 9 - 1}, {'frame_id': b'\0'}, {'frame_id': b'', 'frame_id_length': 0},
    {'frame_id': b'f' * 4000 + b'\0'}, {'data': bytes(4) + b'more'}])
def test_fields_that_are_odd_but_sound(changes):
    assert picture_of(fields(**changes)).shape == (2, 2)


def test_any_number_that_is_not_zero_means_big_endian():
    for flag, value in ((0, 1), (1, 2), (2, 2), (255, 2)):
        seen = picture_of(fields(encoding=b'mono16\0', step=4, data=b'\2\1' * 4, is_bigendian=flag))
        assert (seen == value).all()


def test_a_stamp_of_a_message_object_is_checked_alike():
    from types import SimpleNamespace

    from robot_vision_dl.core.images.image import from_message
    for seconds, nanoseconds, is_sound in ((-1, 0, False), (2 ** 31 - 1, 10 ** 9, False), (2 ** 31 - 1, 5, True)):
        stamp = SimpleNamespace(sec=seconds, nanosec=nanoseconds)
        message = SimpleNamespace(header=SimpleNamespace(stamp=stamp, frame_id='f'), format='jpeg', data=b'')
        if is_sound:
            assert from_message(message).header.stamp_ns == (2 ** 31 - 1) * 10 ** 9 + 5
            continue
        with pytest.raises(ImageError) as caught:
            from_message(message)
        assert caught.value.reason == 'stamp'
