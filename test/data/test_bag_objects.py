"""The objects of a bag: paired, followed, labelled, and counted; by content, in real bags."""
import numpy as np
import pytest

from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.core.regions.association import TrackingConfig
from robot_vision_dl.core.regions.detection_cdr import encode_detections
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from robot_vision_dl.core.types import UNKNOWN, Header
from robot_vision_dl.data.bag_objects import BagObjects, ObjectTopics, check_topics
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.labels import Finding
from robot_vision_dl.data.labels.messages import DETECTIONS
from robot_vision_dl.data.object_topics import object_topics

T0 = 1_700_000_000_000_000_000
STEP = 100_000_000
IMAGES, FOUND, TRUTH = '/camera/image_raw', '/detections', '/ground_truth'
TOPICS = [ObjectTopics(IMAGES, FOUND, TRUTH)]


def array(stamp_ns, *objects):
    """``objects``: (x, class, id)."""
    return encode_detections(DetectionArray(Header(stamp_ns, 'camera'), tuple(
        Detection(Header(0, ''), (Hypothesis(name, .9),) if name else (), Box(x, 20, 10, 10), track)
        for x, name, track in objects)))


class Recording:
    """Writes a bag of small pictures, and whatever arrays at whatever time."""

    def __init__(self, folder):
        self.folder = folder
        self.writer = ImageBagWriter(folder)

    def __enter__(self):
        self.writer.__enter__()
        return self

    def __exit__(self, *error):
        self.writer.__exit__(*error)

    def image(self, number, topic=IMAGES):
        self.writer.write_raw(topic, T0 + number * STEP, np.full((40, 200, 3), number % 256, np.uint8))

    def array(self, topic, number, *objects, received=None, shift_ns=0, stamp_ns=None):
        stamp_ns = T0 + number * STEP + shift_ns if stamp_ns is None else stamp_ns
        self.writer.write_cdr(topic, DETECTIONS, T0 + round((number if received is None else received) * STEP),
                              array(stamp_ns, *objects))


def objects_of(folder, tolerance_s=.02, topics=TOPICS, **options):
    with BagReader(folder) as reader:
        return BagObjects(reader, topics, tolerance_s, 1.0, TrackingConfig(), **options)


def test_arrays_go_to_the_images_of_their_stamps_however_late_they_were_recorded(tmp_path):
    with Recording(tmp_path / 'bag') as bag:
        for number in range(5):
            bag.image(number)
        for number in (3, 0, 4, 1, 2):
            bag.array(FOUND, number, (20 + number, 'ball', ''), received=5 + number)
    found = objects_of(tmp_path / 'bag', topics=[ObjectTopics(IMAGES, FOUND)])
    assert [[each.box.x for each in found.of(IMAGES, number)] for number in range(5)] == [[20], [21], [22], [23], [24]]
    counts = found.counts[IMAGES]
    assert (counts.paired, counts.detections, counts.tracks, counts.nearest) == (5, 5, 1, 0)
    assert {each.label.finding for number in range(5) for each in found.of(IMAGES, number)} == {Finding.GAP}


def test_what_has_no_partner_is_counted_by_reason(tmp_path):
    with Recording(tmp_path / 'bag') as bag:
        for number in (0, 1, 2, 3, 3, 4, 6):
            bag.image(number)
        bag.array(FOUND, 0, (20, 'ball', ''))
        bag.array(FOUND, 1, (30, 'ball', ''), shift_ns=10_000_000)  # near
        bag.array(FOUND, 2, (40, 'ball', ''), shift_ns=30_000_000)  # too far
        bag.array(FOUND, 3, (50, 'ball', ''))
        bag.array(FOUND, 3, (99, 'ball', ''), received=3.5)
        bag.array(FOUND, 4, (60, 'ball', ''), stamp_ns=0)
        bag.array(FOUND, 6)  # empty: nothing is there
        bag.writer.write_cdr(FOUND, DETECTIONS, T0 + 7 * STEP, array(T0 + 7 * STEP, (1, 'ball', ''))[:60])
    found = objects_of(tmp_path / 'bag', topics=[ObjectTopics(IMAGES, FOUND)])
    counts = found.counts[IMAGES]
    said = [found.of(IMAGES, number) for number in range(7)]
    assert [each if isinstance(each, str) else [one.box.x for one in each] for each in said] == [
        [20], [30], 'no_detections', [50], 'same_stamp', 'no_detections', []]
    assert (counts.paired, counts.nearest, counts.detections) == (4, 1, 3)
    assert counts.images_alone == {'no_detections': 2, 'same_stamp': 1}
    assert counts.arrays_alone == {'no_image': 1, 'same_stamp': 1, 'no_stamp': 1}
    assert len(found.problems) == 1 and '/detections: 1 message(s) left out' in found.problems[0]
    assert 'cut off' in found.problems[0]


def test_a_late_image_is_not_decided_and_a_recording_that_begins_anew_is(tmp_path):
    with Recording(tmp_path / 'bag') as bag:
        for number in (50, 52, 51, 3, 4):
            bag.image(number)
            bag.array(FOUND, number, (20, 'ball', 'a'))
    found = objects_of(tmp_path / 'bag', topics=[ObjectTopics(IMAGES, FOUND)])
    # In the order of the bag, which is by the time of recording: 3, 4, 50, 51, 52.
    assert found.counts[IMAGES].paired == 5
    with ImageBagWriter(tmp_path / 'late') as writer:
        for place, number in enumerate((50, 52, 51, 3, 4)):
            writer.write_raw('/other', T0 + number * STEP, np.zeros((4, 4), np.uint8))
            image = np.zeros((4, 4), np.uint8)
            message = writer._store.types['sensor_msgs/msg/Image'](
                header=writer._header(T0 + number * STEP), height=4, width=4, encoding='mono8', is_bigendian=0, step=4,
                data=image.reshape(-1))
            writer.write_cdr(IMAGES, 'sensor_msgs/msg/Image', T0 + place,
                             writer._store.serialize_cdr(message, 'sensor_msgs/msg/Image'))
            writer.write_cdr(FOUND, DETECTIONS, T0 + place, array(T0 + number * STEP, (20, 'ball', 'a')))
    found = objects_of(tmp_path / 'late', topics=[ObjectTopics(IMAGES, FOUND)])
    said = [found.of(IMAGES, place) for place in range(5)]
    assert said[2] == 'stamp_backwards' and [len(each) for each in (*said[:2], *said[3:])] == [1, 1, 1, 1]
    assert said[0][0].key == said[1][0].key != said[3][0].key == said[4][0].key


def test_labels_by_overlap_and_tracks_by_ids_or_boxes(tmp_path):
    with Recording(tmp_path / 'bag') as bag:
        for number in range(3):
            bag.image(number)
            bag.array(FOUND, number, (21 + number, 'sports ball', ''), (100, 'person', ''), (160, 'person', ''))
        bag.array(TRUTH, 0, (20, 'ball', 'ball 7'), (60, 'cup', ''))
        bag.array(TRUTH, 1, (20, 'ball', 'ball 7'), (102, 'skip', ''), (160, 'unknown', ''))
    found = objects_of(tmp_path / 'bag', ignore=('skip',))
    ball, person, other = found.of(IMAGES, 0)
    assert (ball.label.label, ball.label.track) == ('ball', 'ball 7')
    assert person.label.label == other.label.label == UNKNOWN and person.label.track is None
    ball2, person2, other2 = found.of(IMAGES, 1)
    assert ball2.label == ball.label and person2.label.finding is Finding.IGNORED and other2.label.label == UNKNOWN
    assert {each.label.finding for each in found.of(IMAGES, 2)} == {Finding.GAP}  # nobody labelled this image
    assert [each.key for each in found.of(IMAGES, 0)] == [each.key for each in found.of(IMAGES, 2)]
    counts = found.counts[IMAGES]
    assert (counts.labelled_images, counts.labelled, counts.missed, counts.false_alarms) == (2, 4, 1, 2)
    assert (counts.tracks, counts.detections) == (3, 9)


def test_detections_may_be_their_own_labels(tmp_path):
    with Recording(tmp_path / 'bag') as bag:
        bag.image(0)
        bag.array(FOUND, 0, (20, 'ball', 'a'), (60, '', ''))
    found = objects_of(tmp_path / 'bag', topics=[ObjectTopics(IMAGES, FOUND, FOUND)])
    ball, nothing = found.of(IMAGES, 0)
    assert ball.label.label == 'ball' and nothing.label.finding is Finding.IGNORED


def test_detections_of_older_vision_msgs_are_refused(tmp_path):
    """Those of Foxy: a picture in each detection, no id, and hypotheses without a type of their own."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    store = get_typestore(Stores.ROS2_FOXY)
    for name, text in (
            (DETECTIONS, 'std_msgs/Header header\nvision_msgs/Detection2D[] detections\n'),
            ('vision_msgs/msg/Detection2D', 'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
                                            'vision_msgs/BoundingBox2D bbox\nsensor_msgs/Image source_img\n'),
            ('vision_msgs/msg/ObjectHypothesisWithPose', 'string id\nfloat64 score\n'
                                                         'geometry_msgs/PoseWithCovariance pose\n'),
            ('vision_msgs/msg/BoundingBox2D', 'geometry_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n')):
        store.register(get_types_from_msg(text, name))
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(FOUND, DETECTIONS, typestore=store)
        header = store.types['std_msgs/msg/Header'](store.types['builtin_interfaces/msg/Time'](1, 0), 'camera')
        writer.write(connection, T0, store.serialize_cdr(store.types[DETECTIONS](header, []), DETECTIONS))
    with BagReader(tmp_path / 'bag') as reader, pytest.raises(ConfigError, match='other fields than vision_msgs 4'):
        check_topics(reader, ObjectTopics(IMAGES, FOUND))


@pytest.fixture
def cameras(tmp_path):
    with Recording(tmp_path / 'bag') as bag:
        for camera in ('/left', '/right'):
            bag.image(0, f'{camera}/image_raw')
            bag.array(f'{camera}/boxes', 0, (20, 'ball', ''))
        bag.array(TRUTH, 0, (20, 'ball', ''))
    with BagReader(tmp_path / 'bag') as reader:
        yield reader


def test_topics_that_belong_together(cameras):
    left, right = ObjectTopics('/left/image_raw', '/left/boxes', TRUTH), '/right/image_raw'
    assert object_topics(cameras, ['left/boxes'], images=['/left/image_raw']).topics == (left,)
    assert object_topics(cameras, ['/left/image_raw:=/left/boxes']).topics == (left,)
    both = object_topics(cameras, ['/left/image_raw:=/left/boxes', f'{right}:=/right/boxes'],
                         [f'topic:{right}:=/right/boxes'])
    assert both.topics == (ObjectTopics('/left/image_raw', '/left/boxes'),
                           ObjectTopics(right, '/right/boxes', '/right/boxes'))
    assert object_topics(cameras, ['/left/boxes'], ['none'], ['/left/image_raw']).topics[0].labels == ''


@pytest.mark.parametrize('detections, labels, error, text', [
    (['/left/boxes'], ['auto'], ConfigError, 'several cameras are read .* say which it belongs to'),
    (['/left/image_raw:=/left/boxes', '/right/image_raw:=/right/boxes'], ['auto'], ConfigError, 'may be /ground_truth'),
    (['/left/image_raw:=/none'], ['none'], BagError, "no topic '/none' with detections .* /left/boxes"),
    (['/left/image_raw:=/left/image_raw'], ['none'], ConfigError, 'is of type sensor_msgs/msg/Image'),
    (['/left/image_raw:=/left/boxes'], ['labels.yaml'], ConfigError, 'objects are labelled by a topic'),
    ([':=/left/boxes'], ['none'], ConfigError, 'must be TOPIC or IMAGES:=TOPIC'),
    (['/left/image_raw:='], ['none'], ConfigError, 'must be TOPIC or IMAGES:=TOPIC'),
])
def test_topics_that_do_not(cameras, detections, labels, error, text):
    with pytest.raises(error, match=text):
        object_topics(cameras, detections, labels)


def test_a_recording_without_the_camera_is_not_read(cameras):
    found = object_topics(cameras, ['/middle/image_raw:=/left/boxes'])
    assert not found.topics and 'none of the topics that are named is in it' in found.notes[0]
