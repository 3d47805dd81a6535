"""``robot-vision play`` in a process of its own, heard over real DDS."""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_samples import PERIOD_NS, T0_NS, write_old_db3, write_ros1, write_ros2

import robot_vision_dl
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.images.cdr import decode_image
from robot_vision_dl.data.bags.reader import BagReader

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not here: source one or install its wheels')
TOPIC = '/camera/image_raw'
SOURCE = Path(robot_vision_dl.__file__).resolve().parents[1]


def start(*argv, **options):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(SOURCE), os.environ.get('PYTHONPATH', '')]))
    return subprocess.Popen([sys.executable, '-m', 'robot_vision_dl.cli.main', 'play', *map(str, argv)],
                            env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


class Listener:
    """Subscriptions in this process; keeps the serialized messages in the order they come."""

    def __init__(self, domain):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('listener', context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard = []

    def subscribe(self, message_class, topic, best_effort=False, latched=False, depth=50):
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
        qos = QoSProfile(
            depth=depth,
            reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)

        def heard(data):
            self.heard.append((topic, bytes(data), time.time_ns()))

        self.node.create_subscription(message_class, topic, heard, qos, raw=True)

    def until(self, condition, timeout_s=20.0):
        deadline = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.05)
        assert condition(), f'not within {timeout_s} s; {len(self.heard)} messages were heard'

    def finish(self, player):
        """Spin until the player ends; returns its exit code, output and errors."""
        self.until(lambda: player.poll() is not None)
        self.executor.spin_once(timeout_sec=0.1)
        out, err = player.communicate()
        assert 'Traceback' not in err, err
        return player.returncode, out, err


@pytest.fixture
def listener(ros_domain):
    listener = Listener(ros_domain)
    yield listener
    listener.executor.shutdown()
    listener.node.destroy_node()
    rclpy.shutdown(context=listener.context)


def image_class():
    from sensor_msgs.msg import Image
    return Image


@pytest.mark.parametrize('write', [
    pytest.param(lambda folder: write_ros2(folder / 'a', 8), id='mcap'),
    pytest.param(lambda folder: write_ros1(folder / 'a.bag', 8), id='ros1', marks=pytest.mark.slow),
    pytest.param(lambda folder: write_old_db3(folder / 'a.db3', 8), id='db3', marks=pytest.mark.slow)])
def test_bytes_and_pace_arrive_as_recorded(write, tmp_path, listener):
    path = write(tmp_path)
    listener.subscribe(image_class(), TOPIC)
    code, out, err = listener.finish(start(path, '--wait-for-subscribers', '--rate', '2'))
    assert code == 0
    assert float(re.search(r'played 8 messages in (\S+) s', out)[1]) == pytest.approx(7 * 0.05, abs=0.1)
    # Not a terminal: no progress line.
    assert '\r' not in err
    with BagReader(path) as reader:
        assert [data for _, data, _ in listener.heard] == [message.cdr for message in reader.messages()]
    assert [decode_image(data).header.stamp_ns for _, data, _ in listener.heard] == [
        T0_NS + index * PERIOD_NS for index in range(8)]


@pytest.mark.slow
def test_real_bags_arrive(shared_data, listener):
    """Messages of a ROS 1 bag (no ROS 2 ever saw it) and of an mcap bag, as message objects of the installed types."""
    from geometry_msgs.msg import Twist
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import CompressedImage, Imu
    compressed, imu = '/raspicam_node/image/compressed', '/test/sensor_msgs/imu'
    listener.subscribe(CompressedImage, compressed)
    listener.subscribe(Imu, imu)
    listener.subscribe(Twist, '/turtle1/cmd_vel', depth=1000)
    folder = shared_data / 'bags'
    code, out, err = listener.finish(start(
        folder / 'ros1_compressed_aruco.bag', folder / 'ros2_mixed_mcap', folder / 'ros1_no_images_lz4.bag', '--rate',
        '20', '--topics', compressed, imu, '/turtle1/cmd_vel', '--wait-for-subscribers', '3'))
    assert code == 0, err
    by_topic = {}
    for topic, data, _ in listener.heard:
        by_topic.setdefault(topic, []).append(data)
    assert {topic: len(items) for topic, items in by_topic.items()} == {compressed: 1, imu: 2, '/turtle1/cmd_vel': 357}
    image = deserialize_message(by_topic[compressed][0], CompressedImage)
    assert image.format == 'jpg' and image.header.frame_id == 'raspicam'
    assert cv2.imdecode(np.asarray(image.data), cv2.IMREAD_COLOR).shape == (960, 1280, 3)
    assert deserialize_message(by_topic[imu][0], Imu).header.frame_id == 'test_frame'
    speeds = {deserialize_message(data, Twist).linear.x for data in by_topic['/turtle1/cmd_vel']}
    # Driven by arrow keys.
    assert speeds == {-2.0, 0.0, 2.0}


@pytest.mark.slow
def test_topics_remap_start_duration_and_best_effort(tmp_path, listener):
    path = write_ros2(tmp_path / 'a', 10)
    listener.subscribe(image_class(), '/front/image', best_effort=True)
    player = start(path, '--topics', TOPIC, '--remap', f'{TOPIC}:=/front/image', '--start', '0.3', '--duration', '0.4',
                   '--qos', 'best_effort', '--wait-for-subscribers')
    code, out, _ = listener.finish(player)
    assert code == 0 and '/front/image' in out and 'played 4 messages' in out
    # Best effort may lose one, the first above all: the subscriber can learn of the publisher a moment later.
    heard = {decode_image(data).header.stamp_ns for _, data, _ in listener.heard}
    assert heard and heard <= {T0_NS + index * PERIOD_NS for index in range(3, 7)}


def test_stamp_now(tmp_path, listener):
    path = write_ros2(tmp_path / 'a', 5)
    listener.subscribe(image_class(), TOPIC)
    before = time.time_ns()
    listener.finish(start(path, '--stamp-now', '--wait-for-subscribers'))
    assert len(listener.heard) == 5
    with BagReader(path) as reader:
        for (_, data, arrival_ns), message in zip(listener.heard, reader.messages()):
            stamp = decode_image(data).header.stamp_ns
            assert before < stamp < arrival_ns and arrival_ns - stamp < 2e9
            # All but the stamp is as it was.
            assert data[12:] == message.cdr[12:] and data[:4] == message.cdr[:4]


def test_images_and_their_detections_are_played_with_equal_stamps(tmp_path, listener):
    from vision_msgs.msg import Detection2DArray

    from robot_vision_dl.core.images.cdr import decode_compressed_image
    from robot_vision_dl.core.regions.detection_cdr import decode_detections
    from robot_vision_dl.core.regions.detections import Box
    from robot_vision_dl.data.labels.objects.labelled_picture import LabelledObject, LabelledPicture
    from robot_vision_dl.data.object_bag import write_object_pictures
    path = tmp_path / 'picture.jpg'
    cv2.imwrite(str(path), np.full((48, 64, 3), 99, np.uint8))
    labelled = [LabelledObject(Box(20, 20, 9, 9), 'ball', 'a'), LabelledObject(Box(40, 20, 9, 9), 'cup')]
    picture = LabelledPicture(path, path.name, 64, 48, tuple(labelled))
    write_object_pictures(tmp_path / 'bag', [picture] * 4, rate_hz=10)
    from sensor_msgs.msg import CompressedImage
    listener.subscribe(CompressedImage, f'{TOPIC}/compressed')
    for topic in ('/detections', '/ground_truth'):
        listener.subscribe(Detection2DArray, topic)
    before = time.time_ns()
    code, out, err = listener.finish(start(tmp_path / 'bag', '--stamp-now', '--wait-for-subscribers', '3'))
    assert code == 0 and 'not played' not in err and '/ground_truth' in out
    stamps = {topic: [decode(data).header.stamp_ns for heard, data, _ in listener.heard if heard == topic]
              for topic, decode in ((f'{TOPIC}/compressed', decode_compressed_image),
                                    ('/detections', decode_detections), ('/ground_truth', decode_detections))}
    images, *others = stamps.values()
    assert others == [images, images] and len(set(images)) == 4 and min(images) > before
    array = decode_detections(next(data for topic, data, _ in listener.heard if topic == '/detections'))
    assert [each.hypotheses[0].class_id for each in array.detections] == ['ball', 'cup']


@pytest.mark.slow
def test_clock_is_bag_time_and_keeps_step(tmp_path, listener):
    from rclpy.serialization import deserialize_message
    from rosgraph_msgs.msg import Clock
    path = write_ros2(tmp_path / 'a', 11)
    listener.subscribe(Clock, '/clock')
    listener.subscribe(image_class(), TOPIC)
    listener.finish(start(path, '--clock', '50', '--rate', '2', '--wait-for-subscribers'))
    ticks = [deserialize_message(data, Clock).clock for topic, data, _ in listener.heard if topic == '/clock']
    times = [tick.sec * 10**9 + tick.nanosec for tick in ticks]
    # The first ticks may come before discovery is through.
    assert 10 <= len(times) <= 26
    assert {b - a for a, b in zip(times, times[1:])} == {40_000_000}
    assert T0_NS <= times[0] and times[-1] == T0_NS + 1_000_000_000


@pytest.mark.parametrize('number, expected', [
    (signal.SIGINT, 130), pytest.param(signal.SIGTERM, 0, marks=pytest.mark.slow)])
def test_loop_until_a_signal(number, expected, tmp_path, listener):
    path = write_ros2(tmp_path / 'a', 4)
    listener.subscribe(image_class(), TOPIC)
    player = start(path, '--loop', '--wait-for-subscribers', '--rate', '4')
    listener.until(lambda: len(listener.heard) >= 9)
    asked = time.monotonic()
    player.send_signal(number)
    code, out, _ = listener.finish(player)
    assert code == expected and time.monotonic() - asked < 5
    assert 'played' in out
    indices = [(decode_image(data).header.stamp_ns - T0_NS) // PERIOD_NS for _, data, _ in listener.heard]
    assert indices == [index % 4 for index in range(len(indices))]


@pytest.mark.parametrize('rate', ['2', pytest.param('0.25', marks=pytest.mark.slow)])  # ends sooner, goes on longer
def test_who_plays_to_nobody_is_told(rate, tmp_path, listener):
    from std_msgs.msg import Empty
    path = write_ros2(tmp_path / 'a', 8)
    code, _, err = listener.finish(start(path, '--rate', rate))
    assert code == 0 and err.count('nobody subscribes') == 1
    assert f'nobody subscribes to {TOPIC}; --wait-for-subscribers' in err
    listener.subscribe(Empty, '/another/topic')
    listener.subscribe(image_class(), TOPIC)
    code, _, err = listener.finish(start(path, '--rate', rate, '--wait-for-subscribers'))
    assert code == 0 and 'nobody' not in err


@pytest.mark.parametrize('number, expected', [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_while_waiting_for_subscribers(number, expected, tmp_path, ros_domain):
    player = start(write_ros2(tmp_path / 'a', 4), '--wait-for-subscribers')
    assert 'waiting for 1 subscription' in player.stderr.readline()
    player.send_signal(number)
    _, err = player.communicate(timeout=10)
    assert player.returncode == expected and 'Traceback' not in err


@pytest.mark.slow
def test_latched_topic_reaches_who_comes_late(tmp_path, listener):
    """ROS 1 latching becomes transient local."""
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore
    from std_msgs.msg import String
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer(tmp_path / 'a.bag') as writer:
        latched = writer.add_connection('/map_name', 'std_msgs/msg/String', typestore=store, latching=1)
        later = writer.add_connection('/end', 'std_msgs/msg/String', typestore=store)
        writer.write(latched, T0_NS, b'\x05\x00\x00\x00house')
        writer.write(later, T0_NS + 60 * 10**9, b'\x03\x00\x00\x00end')
    player = start(tmp_path / 'a.bag', '--wait-for-subscribers')
    try:
        # A first subscription lets the player begin; by the time it is heard, the message is in the past.
        listener.subscribe(String, '/map_name')
        listener.until(lambda: len(listener.heard) == 1)
        listener.subscribe(String, '/map_name', latched=True)
        listener.until(lambda: len(listener.heard) == 2)
        assert listener.heard[0][1] == listener.heard[1][1]
    finally:
        player.terminate()
        player.communicate(timeout=10)


@pytest.mark.slow
def test_types_that_do_not_fit_are_named_and_the_rest_is_played(shared_data, listener):
    """Range gained a field in ROS 2 Iron; turtlesim is not installed here; /rosout's type does not exist in ROS 2."""
    folder = shared_data / 'bags'
    code, out, err = listener.finish(start(folder / 'ros2_mixed_mcap', '--rate', '100'))
    assert code == 0 and '/test/sensor_msgs/image ' in out
    from sensor_msgs.msg import Range
    if 'variance' in Range.get_fields_and_field_types():
        assert '/test/sensor_msgs/range is not played: sensor_msgs/msg/Range was recorded with other fields' in err
    code, out, err = listener.finish(start(folder / 'ros1_no_images_bz2.bag', '--rate', '100'))
    assert code == 0 and '/turtle1/cmd_vel' in out
    assert 'rosgraph_msgs/msg/Log' in err.split('no such type is installed: ')[1]


@pytest.mark.parametrize('order', [('good', 'text', 'fields'), ('fields', 'text', 'good')])
def test_of_several_bags_each_is_asked_whether_a_topic_fits(order, tmp_path, listener):
    """Bytes of another type, or of other fields, are never published as what the first bag has."""
    from mcap.writer import Writer
    write_ros2(tmp_path / 'good', 4)
    definition = 'uint32 height\nuint32 width'  # of a sensor_msgs/Image of nobody's
    for name, kind, text in (('text', 'std_msgs/msg/String', 'string data'),
                             ('fields', 'sensor_msgs/msg/Image', definition)):
        with open(tmp_path / f'{name}.mcap', 'wb') as file:
            writer = Writer(file)
            writer.start(profile='ros2', library='test')
            channel = writer.register_channel(TOPIC, 'cdr', writer.register_schema(kind, 'ros2msg', text.encode()))
            for number in range(3):
                writer.add_message(channel, T0_NS + number * PERIOD_NS, b'\x00\x01\x00\x00\x04\x00\x00\x00abc\x00', 0)
            writer.finish()
    paths = {'good': tmp_path / 'good', 'text': tmp_path / 'text.mcap', 'fields': tmp_path / 'fields.mcap'}
    listener.subscribe(image_class(), TOPIC)
    topics = ['--wait-for-subscribers', '--rate', '20']
    if order[0] == 'good':
        code, out, err = listener.finish(start(*(paths[name] for name in order), *topics))
        assert f'{TOPIC} of {paths["text"]} is not played: it is of std_msgs/msg/String there, and of sensor' in err
    else:  # a topic has the type of the first bag that fits, which would be the text
        code, out, err = listener.finish(start(*(paths[name] for name in order if name != 'text'), *topics))
    assert f'{TOPIC} of {paths["fields"]} is not played: sensor_msgs/msg/Image was recorded with other fields' in err
    assert code == 0 and 'played 4 messages' in out and len(listener.heard) == 4
    with BagReader(paths['good']) as reader:
        assert [data for _, data, _ in listener.heard] == [message.cdr for message in reader.messages()]


@pytest.mark.parametrize('options, message', [
    (['/nowhere'], '/nowhere: no such file or folder'),
    (['BAG', '--rate', '0'], '--rate: must be 0.001 to 1000, got 0'),
    (['BAG', '--topics', '/x'], "no topic '/x' in the bag; there are /camera/image_raw"),
    (['BAG', '--remap', 'a=b'], "--remap: must be old:=new, got 'a=b'"),
    (['BAG', '--clock', '0'], '--clock: must be 0.1 to 10000, got 0'),
    (['BAG', '--start', '-1'], '--start: must be 0 to 10000000, got -1'),
    (['EMPTY'], 'empty (0 bytes)'),
])
def test_errors_are_one_line(options, message, tmp_path, ros_domain, monkeypatch, capsys):
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '')
    places = {'BAG': write_ros2(tmp_path / 'a', 2), 'EMPTY': tmp_path / 'e.mcap'}
    places['EMPTY'].touch()
    before = signal.getsignal(signal.SIGINT)
    assert main(['play', *(str(places.get(option, option)) for option in options), '--dds-profile', 'none']) == 2
    assert signal.getsignal(signal.SIGINT) is before
    err = capsys.readouterr().err
    assert message in err and err.count('\n') == 1


@pytest.mark.slow
def test_cut_off_bag_is_played_as_far_as_it_goes(tmp_path, listener):
    path = write_ros2(tmp_path / 'a', 10)
    path.write_bytes(path.read_bytes()[:60_000])
    listener.subscribe(image_class(), TOPIC)
    code, _, err = listener.finish(start(path, '--rate', '5', '--wait-for-subscribers'))
    assert code == 0 and len(listener.heard) == 6
    assert 'ends in the middle of a record' in err
