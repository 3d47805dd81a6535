"""Reading bags: every format, field spellings, damage; against rosbags' own deserialization."""
import tracemalloc

import numpy as np
import pytest
from bag_samples import IMAGE, PERIOD_NS, T0_NS, picture, stamps, write_old_db3, write_ros1, write_ros2
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from robot_vision_dl.core.errors import BagError
from robot_vision_dl.data.bags.files import find_bags
from robot_vision_dl.data.bags.reader import BagReader, open_bags

N = 40
WRITERS = {
    'mcap': lambda folder: write_ros2(folder / 'bag', N),
    'mcap, zstd chunks': lambda folder: write_ros2(folder / 'bag', N, compression='storage'),
    'db3': lambda folder: write_ros2(folder / 'bag', N, 'sqlite3'),
    'db3, old': lambda folder: write_old_db3(folder / 'old.db3', N),
    'db3, zstd messages': lambda folder: write_ros2(folder / 'bag', N, 'sqlite3', 'message'),
    'db3, zstd file': lambda folder: write_ros2(folder / 'bag', N, 'sqlite3', 'file'),
    'mcap, zstd file': lambda folder: write_ros2(folder / 'bag', N, 'mcap', 'file'),
    'ros1': lambda folder: write_ros1(folder / 'a.bag', N),
    'ros1, bz2': lambda folder: write_ros1(folder / 'a.bag', N, 'bz2'),
    'ros1, lz4': lambda folder: write_ros1(folder / 'a.bag', N, 'lz4'),
    'ros1, trailing bytes': lambda folder: write_ros1(folder / 'a.bag', N, trailing=b'\x01\x02\x03'),
}
# bz2 gives blocks of 900 kB or nothing, and the samples are smaller; so is what a cut zstd file gives of an index.
NO_PART_READABLE = ('ros1, bz2', 'mcap, zstd file', 'db3, zstd file')


def check_frames(messages, indices):
    """Messages are the frames of ``indices``, with their stamps and pixels."""
    assert [message.receive_ns for message in messages] == [T0_NS + index * PERIOD_NS for index in indices]
    for index, message in zip(indices, messages):
        image = message.decode()
        assert (message.topic, message.msgtype) == ('/camera/image_raw', IMAGE)
        assert (image.header.stamp_ns, image.header.frame_id) == (message.receive_ns, 'camera')
        np.testing.assert_array_equal(image.data.reshape(48, 64, 3), picture(index))


@pytest.mark.parametrize('kind', WRITERS)
def test_every_format_gives_the_same_frames(kind, tmp_path):
    with BagReader(WRITERS[kind](tmp_path)) as reader:
        check_frames(list(reader.image_messages()), range(N))
        assert reader.problems == ()
        assert (reader.start_ns, reader.end_ns) == (stamps(N)[0], stamps(N)[-1])
        topic, = reader.survey()
        assert (topic.name, topic.msgtype, topic.count) == ('/camera/image_raw', IMAGE, N)
        assert topic.rate_hz == pytest.approx(10)
        assert (topic.encoding, topic.width, topic.height) == ('bgr8', 64, 48)


@pytest.mark.parametrize('kind', WRITERS)
def test_part_of_the_time(kind, tmp_path):
    with BagReader(WRITERS[kind](tmp_path)) as reader:
        times = stamps(N)
        found = list(reader.image_messages(['camera/image_raw'], times[5], times[9]))
        check_frames(found, range(5, 9))


@pytest.mark.parametrize('share', (0.3, 0.6, 0.9))
@pytest.mark.parametrize('kind', [kind for kind in WRITERS if kind not in NO_PART_READABLE])
def test_cut_off_gives_what_is_there_and_says_so(kind, share, tmp_path):
    path = WRITERS[kind](tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:int(share * len(data))])
    with BagReader(path) as reader:
        found = list(reader.image_messages())
        assert int(share * N * 0.75) - 3 <= len(found) <= share * N + 3
        check_frames(found, range(len(found)))
        assert any('could be read' in problem and path.name in problem for problem in reader.problems)
        assert reader.topics['/camera/image_raw'].count == len(found)


@pytest.mark.parametrize('lost', (1, 8, 37, 300))
@pytest.mark.parametrize('kind', ('mcap', 'mcap, zstd chunks', 'ros1', 'ros1, lz4', 'ros1, bz2'))
def test_only_the_index_lost_loses_nothing(kind, lost, tmp_path):
    path = WRITERS[kind](tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])
    with BagReader(path) as reader:
        check_frames(list(reader.image_messages()), range(N))
        assert reader.problems


def test_damage_in_the_middle_of_a_chunked_file(tmp_path):
    path = write_ros2(tmp_path / 'bag', 400, compression='storage')
    data = bytearray(path.read_bytes())
    zstd_magic = b'\x28\xb5\x2f\xfd'
    assert data.count(zstd_magic) == 4
    second_chunk = data.index(zstd_magic, data.index(zstd_magic) + 1)
    data[second_chunk:second_chunk + 4] = bytes(4)
    path.write_bytes(data)
    with BagReader(path) as reader:
        found = [message.receive_ns for message in reader.image_messages()]
        assert found == sorted(set(found)) and set(found) <= set(stamps(400))
        assert 270 < len(found) < 300
        assert reader.problems


def test_ros1_bag_without_index_is_read(tmp_path):
    """A recording that was never closed: ``.bag.active``, its header says there is no index."""
    path = write_ros1(tmp_path / 'a.bag', N)
    data = path.read_bytes()
    at = data.index(b'index_pos=') + len(b'index_pos=')
    active = tmp_path / 'a.bag.active'
    active.write_bytes(data[:at] + bytes(8) + data[at + 8:])
    with BagReader(active) as reader:
        check_frames(list(reader.image_messages()), range(N))
        assert 'no usable index' in reader.problems[0]


def test_mcap_of_another_profile(tmp_path):
    """Foxglove's tools write mcap files whose profile is not ``ros2``."""
    path = write_ros2(tmp_path / 'bag', N)
    path.write_bytes(path.read_bytes().replace(b'\x04\x00\x00\x00ros2', b'\x04\x00\x00\x00none', 1))
    with BagReader(path) as reader:
        check_frames(list(reader.image_messages()), range(N))


def test_message_that_is_too_short_is_left_out_and_told(tmp_path):
    from rosbags.rosbag1 import Writer
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer(tmp_path / 'a.bag') as writer:
        connection = writer.add_connection('/text', 'std_msgs/msg/String', typestore=store)
        writer.write(connection, 1, b'\x05\x00\x00\x00hello')
        writer.write(connection, 2, b'\x05\x00\x00\x00he')
        writer.write(connection, 3, b'\x02\x00\x00\x00ho')
    with BagReader(tmp_path / 'a.bag') as reader:
        assert [message.cdr for message in reader.messages()] == [
            b'\x00\x01\x00\x00\x06\x00\x00\x00hello\x00', b'\x00\x01\x00\x00\x03\x00\x00\x00ho\x00']
        assert '/text: messages are left out' in reader.problems[0]


def split_recording(folder, parts):
    folder.mkdir()
    listed = []
    for number in range(parts):
        file = write_ros2(folder.parent / f'part{number}', 10, first=10 * number)
        listed.append(f'run_{number}.mcap')
        file.rename(folder / listed[-1])
    files = '\n'.join(f'  - {name}' for name in listed)
    (folder / 'metadata.yaml').write_text(
        f'rosbag2_bagfile_information:\n  version: 5\n  relative_file_paths:\n{files}\n')
    return folder


def test_split_recording(tmp_path):
    folder = split_recording(tmp_path / 'run', 12)
    with BagReader(folder) as reader:
        check_frames(list(reader.image_messages()), range(120))
        assert reader.problems == ()
        times = stamps(120)
        check_frames(list(reader.image_messages(None, times[15], times[32])), range(15, 32))


def test_split_recording_with_parts_missing_and_empty(tmp_path):
    folder = split_recording(tmp_path / 'run', 5)
    (folder / 'run_1.mcap').unlink()
    (folder / 'run_3.mcap').write_bytes(b'')
    with BagReader(folder) as reader:
        check_frames(list(reader.image_messages()), [*range(10), *range(20, 30), *range(40, 50)])
        assert any('1 of 5 parts' in problem and 'run_1.mcap' in problem for problem in reader.problems)
        assert any('run_3.mcap: empty (0 bytes)' in problem for problem in reader.problems)


def test_split_recording_without_metadata(tmp_path):
    folder = split_recording(tmp_path / 'run', 12)
    (folder / 'metadata.yaml').unlink()
    (folder / 'run_4.mcap').unlink()
    with BagReader(folder) as reader:
        check_frames(list(reader.image_messages()), [*range(40), *range(50, 120)])
        assert any('metadata.yaml is missing' in problem for problem in reader.problems)
        assert any('number 4' in problem for problem in reader.problems)


def test_damaged_metadata_and_unlisted_part(tmp_path):
    folder = split_recording(tmp_path / 'run', 2)
    text = (folder / 'metadata.yaml').read_text()
    (folder / 'metadata.yaml').write_text(text.replace('  - run_1.mcap\n', ''))
    with BagReader(folder) as reader:
        check_frames(list(reader.image_messages()), range(20))
        assert any('does not list them: run_1.mcap' in problem for problem in reader.problems)
    (folder / 'metadata.yaml').write_text('rosbag2_bagfile_information: {')
    with BagReader(folder) as reader:
        check_frames(list(reader.image_messages()), range(20))
        assert any('damaged' in problem for problem in reader.problems)


def test_folder_of_several_bags(tmp_path):
    write_ros2(tmp_path / 'one', 3)
    write_ros2(tmp_path / 'deeper' / 'two', 4, 'sqlite3')
    write_ros1(tmp_path / 'three.bag', 5)
    assert sorted(sum(1 for _ in reader.messages()) for reader in open_bags([tmp_path])) == [3, 4, 5]
    with pytest.raises(BagError, match='holds 3 bags; name one: '):
        BagReader(tmp_path)


@pytest.mark.parametrize('make, message', [
    (lambda path: None, 'no such file or folder'),
    (lambda path: path.mkdir(), 'no bag in this folder'),
    (lambda path: path.write_text('x'), 'not a bag'),
])
def test_what_is_no_bag(make, message, tmp_path):
    make(tmp_path / 'x')
    with pytest.raises(BagError, match=message):
        find_bags(tmp_path / 'x')


@pytest.mark.parametrize('suffix', ('.bag', '.mcap', '.db3', '.mcap.zstd'))
@pytest.mark.parametrize('content', (b'', b'\x00', b'hello, this is text\n' * 100), ids=('empty', 'byte', 'text'))
def test_files_in_which_nothing_can_be_read(suffix, content, tmp_path):
    path = tmp_path / f'x{suffix}'
    path.write_bytes(content)
    with pytest.raises(BagError, match=f'x{suffix}: (empty|no message in it can be read)'):
        BagReader(path)


def test_a_topic_that_is_not_there(tmp_path):
    with BagReader(write_ros2(tmp_path / 'bag', 3)) as reader:
        with pytest.raises(BagError, match="'/nothing'.*there are /camera/image_raw"):
            list(reader.messages(['/nothing']))
        with pytest.raises(BagError, match='image topics in it: /camera/image_raw'):
            list(reader.image_messages(['/nothing']))


def test_memory_is_bounded(tmp_path):
    path = write_ros2(tmp_path / 'bag', 4000)
    assert path.stat().st_size > 36e6
    tracemalloc.start()
    try:
        with BagReader(path) as reader:
            assert sum(1 for _ in reader.messages()) == 4000
        path.write_bytes(path.read_bytes()[:-5])
        tracemalloc.reset_peak()
        with BagReader(path) as reader:
            assert sum(1 for _ in reader.messages()) == 4000
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


REAL = {
    'ros1_compressed_aruco.bag': {'/raspicam_node/image/compressed': ('jpg', 1280, 960)},
    'ros1_raw_and_png.bag': {'/image': ('rgb8', 360, 240), '/compressedimage': ('png', 2, 2)},
    'ros1_no_images_lz4.bag': {},
    'ros1_no_images_bz2.bag': {},
    'ros2_mono8_db3': {'/image': ('mono8', 2, 2)},
    'ros2_mixed_mcap': {'/test/sensor_msgs/image': ('rgb8', 640, 480),
                        # Ten bytes that begin as a JPEG does: its size cannot be told.
                        '/test/sensor_msgs/compressed_image': ('jpeg', None, None)},
}


@pytest.mark.parametrize('name', REAL)
def test_real_bags(name, shared_data):
    """All messages of bags that others recorded, compared with rosbags' deserialization of each."""
    path = shared_data / 'bags' / name
    cdr_store = get_typestore(Stores.ROS2_HUMBLE)
    with BagReader(path) as reader, AnyReader([path], default_typestore=cdr_store) as reference:
        assert {t.name: (t.encoding, t.width, t.height) for t in reader.survey() if t.is_image} == REAL[name]
        expected = {}
        for connection, stamp, raw in reference.messages():
            expected.setdefault(connection.topic, []).append((stamp, reference.deserialize(raw, connection.msgtype)))
        found = {}
        for message in reader.messages():
            found.setdefault(message.topic, []).append(message)
        assert {topic: len(items) for topic, items in found.items()} == {
            topic: len(items) for topic, items in expected.items()}
        for message in reader.image_messages():
            stamp, original = expected[message.topic][found[message.topic].index(message)]
            image = message.decode()
            assert message.receive_ns == stamp
            assert image.header.frame_id == original.header.frame_id
            assert image.header.stamp_ns == original.header.stamp.sec * 10**9 + original.header.stamp.nanosec
            np.testing.assert_array_equal(image.data, original.data)
        # Of those ten bytes it is said that they are no picture; of the bag there is nothing to say.
        assert [text for text in reader.problems if 'the first image cannot be decoded' not in text] == []


def test_a_bag_of_ros_1_that_was_converted_to_mcap(shared_data, tmp_path):
    """As `mcap convert` writes it: types have two parts, messages stay in the serialization of ROS 1."""
    writer_of = pytest.importorskip('mcap.writer', reason='mcap is not installed')
    from rosbags.rosbag1 import Reader
    source, target = shared_data / 'bags' / 'ros1_raw_and_png.bag', tmp_path / 'converted.mcap'
    with Reader(source) as old, open(target, 'wb') as file:
        writer = writer_of.Writer(file)
        writer.start(profile='ros1', library='test')
        channels = {}
        for connection, time_ns, raw in old.messages():
            if connection.id not in channels:
                name = connection.msgtype.replace('/msg/', '/')
                schema = writer.register_schema(name, 'ros1msg', connection.msgdef.data.encode())
                channels[connection.id] = writer.register_channel(connection.topic, 'ros1', schema, {'latching': '1'})
            writer.add_message(channels[connection.id], time_ns, raw, time_ns)
        writer.finish()
    with BagReader(source) as old, BagReader(target) as new:
        assert [(m.topic, m.receive_ns, m.cdr) for m in new.messages()] == [
            (m.topic, m.receive_ns, m.cdr) for m in old.messages()]
        assert {name: topic.msgtype for name, topic in new.topics.items()} == {
            name: topic.msgtype for name, topic in old.topics.items()}
        assert new.problems == old.problems and all(topic.latched for topic in new.topics.values())
        for topic in old.topics.values():
            assert new.wire_formats(topic.msgtype) == old.wire_formats(topic.msgtype) != set(), topic


@pytest.mark.parametrize('share', (0.5, 0.95))
@pytest.mark.parametrize('name', ('ros1_no_images_lz4.bag', 'ros1_no_images_bz2.bag', 'ros1_raw_and_png.bag',
                                  'ros2_mixed_mcap/test_bag_mcap.mcap'))
def test_real_bags_cut_off(name, share, shared_data, tmp_path):
    whole_path = shared_data / 'bags' / name
    data = whole_path.read_bytes()
    path = tmp_path / whole_path.name
    path.write_bytes(data[:int(share * len(data))])
    with BagReader(whole_path) as whole:
        everything = {(m.topic, m.receive_ns, m.cdr) for m in whole.messages()}
    try:
        reader = BagReader(path)
    except BagError as error:
        assert 'no message in it can be read' in str(error)
        # These ROS 1 bags are one chunk, compressed in blocks that can only be read whole, or begin with a large image.
        assert share < 0.9 and name.endswith('.bag')
        return
    with reader:
        found = [(m.topic, m.receive_ns, m.cdr) for m in reader.messages()]
        assert found and set(found) <= everything and len(found) < len(everything) + 1
        assert reader.problems
