"""Order and time of what is played, without ROS."""
import struct

import pytest
from bag_samples import PERIOD_NS, T0_NS, stamps, write_ros1, write_ros2

from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.data.bags.playback import (
    GAP_NS,
    NewStamps,
    Selection,
    duration_ns,
    parse_remaps,
    selected_topics,
    timeline,
    with_stamp,
)
from robot_vision_dl.data.bags.reader import BagReader

TOPIC = '/camera/image_raw'


@pytest.fixture
def readers(tmp_path):
    """Two bags of 10 frames each, one ROS 2 and one ROS 1, with the same stamps."""
    with BagReader(write_ros2(tmp_path / 'a', 10)) as first, BagReader(write_ros1(tmp_path / 'b.bag', 10)) as second:
        yield [first, second]


def test_bags_follow_one_another(readers):
    dues = list(timeline(readers, Selection(), [TOPIC]))
    assert [due.offset_ns for due in dues] == [index * PERIOD_NS for index in range(10)] + [
        9 * PERIOD_NS + GAP_NS + index * PERIOD_NS for index in range(10)]
    assert [due.message.receive_ns for due in dues] == stamps(10) * 2
    assert duration_ns(readers, Selection()) == dues[-1].offset_ns


@pytest.mark.parametrize('start, duration, expected', [
    (0.0, 0.3, [0, 1, 2]),
    (0.35, 0.2, [4, 5]),
    (0.8, 0.35, [8, 9, 10, 11]),
    (1.5, None, [15, 16, 17, 18, 19]),
    (5.0, None, []),
])
def test_start_and_duration_over_both_bags(readers, start, duration, expected):
    dues = list(timeline(readers, Selection(start_s=start, duration_s=duration), [TOPIC]))
    # The gap is one period here, so that the frames of both lie on one grid.
    assert [round((due.offset_ns / 1e9 + start) * 10) for due in dues] == expected
    assert [due.message.receive_ns for due in dues] == [T0_NS + index % 10 * PERIOD_NS for index in expected]


def test_topics_that_cannot_be_played_are_named(readers):
    assert selected_topics(readers, Selection(('camera/image_raw',), images_only=True)) == [TOPIC]
    with pytest.raises(BagError, match="no topic '/x' in the bag; there are /camera/image_raw"):
        selected_topics(readers, Selection(('/x',)))


@pytest.mark.parametrize('values', [{'start_s': -1.0}, {'duration_s': 0.0}, {'start_s': float('nan')}])
def test_impossible_times_are_refused(values):
    with pytest.raises(ConfigError, match='must be'):
        Selection(**values)


def test_remaps():
    assert parse_remaps(['a:=/b/c', '/d/:=e']) == {'/a': '/b/c', '/d': '/e'}
    for rule in ('a', 'a:=', ':=b', 'a=b'):
        with pytest.raises(ConfigError, match='old:=new'):
            parse_remaps([rule])


@pytest.mark.parametrize('order', '<>')
def test_stamp_is_replaced_in_place(order):
    head = b'\x00\x01\x00\x00' if order == '<' else b'\x00\x00\x00\x00'
    message = head + struct.pack(f'{order}iI', 5, 6) + b'the rest'
    assert with_stamp(message, 7_000_000_008) == head + struct.pack(f'{order}iI', 7, 8) + b'the rest'
    assert with_stamp(b'\x00\x01', 1) == b'\x00\x01'


def test_an_image_and_what_was_found_in_it_keep_equal_stamps():
    def message(seconds, text=b''):
        return b'\x00\x01\x00\x00' + struct.pack('<iI', seconds, 6) + text

    stamps = NewStamps()
    image = stamps.restamped('/image', message(5, b'pixels'), 100)
    other = stamps.restamped('/image', message(6), 110)
    found = stamps.restamped('/detections', message(5, b'boxes'), 120)
    assert image == with_stamp(message(5, b'pixels'), 100) and other == with_stamp(message(6), 110)
    assert found == with_stamp(message(5, b'boxes'), 100)
    # Played again, or never set by the driver: the topic has had that stamp.
    assert stamps.restamped('/image', message(5), 130) == with_stamp(message(5), 130)
    assert stamps.restamped('/detections', message(5), 140) == with_stamp(message(5), 130)


def test_stamps_of_zero_do_not_belong_together_and_memory_is_bounded():
    stamps, zero = NewStamps(), b'\x00\x01\x00\x00' + bytes(8)
    assert [stamps.restamped(topic, zero, now) for topic, now in (('/a', 1), ('/b', 2))] == [
        with_stamp(zero, 1), with_stamp(zero, 2)]
    for number in range(1, 10_500):
        stamps.restamped('/a', with_stamp(zero, number), number)
    assert len(stamps._new) <= 10_000
