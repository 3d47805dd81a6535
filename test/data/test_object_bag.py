"""Pictures with marked objects as a bag: equal stamps, scaled boxes, and a detector that errs as told."""
import cv2
import numpy as np
import pytest

from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.core.regions.detection_cdr import decode_detections
from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.core.regions.overlap import overlaps
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.imitated_detector import DetectorErrors, imitate_detector
from robot_vision_dl.data.labels.messages import DETECTIONS
from robot_vision_dl.data.labels.objects.labelled_picture import LabelledObject, LabelledPicture
from robot_vision_dl.data.object_bag import write_object_pictures

BALL, CUP = LabelledObject(Box(30, 20, 10, 12), 'ball', 'ball 1'), LabelledObject(Box(50, 40, 8, 8), 'cup')
IMAGES = '/camera/image_raw/compressed'


def iou(one, other):
    return float(overlaps([one], [other])[0, 0])


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f'{number}.jpg' for number in range(4)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8))
    return [LabelledPicture(path, path.name, 80, 60, objects)
            for path, objects in zip(paths, ((BALL, CUP), (), (CUP,), (BALL,)))]


def arrays_of(folder, topic):
    with BagReader(folder) as reader:
        assert reader.topics[topic].msgtype == DETECTIONS
        return [decode_detections(message.cdr) for message in reader.messages([topic])]


def test_every_picture_has_its_detections_and_labels_at_its_own_stamp(tmp_path, pictures):
    written = write_object_pictures(tmp_path / 'bag', pictures)
    assert written == (4, 4, 4)
    with BagReader(tmp_path / 'bag') as reader:
        stamps = [message.decode().header.stamp_ns for message in reader.image_messages()]
        assert not reader.problems
    for topic in ('/detections', '/ground_truth'):
        arrays = arrays_of(tmp_path / 'bag', topic)
        assert [array.header.stamp_ns for array in arrays] == stamps and len(set(stamps)) == 4
        assert [len(array.detections) for array in arrays] == [2, 0, 1, 1]
        first, second = arrays[0].detections
        assert (first.box, first.track_id) == (BALL.box, 'ball 1') and (second.box, second.track_id) == (CUP.box, '')
        assert [(each.class_id, each.score) for each in first.hypotheses] == [('ball', 1.0)]


def test_boxes_are_scaled_with_their_pictures(tmp_path, pictures):
    write_object_pictures(tmp_path / 'bag', pictures[:1], width=160, detections_topic='/yolo/boxes')
    (array,) = arrays_of(tmp_path / 'bag', '/yolo/boxes')
    assert array.detections[0].box == Box(60, 40, 20, 24)


def test_a_picture_that_cannot_be_read_and_topics_that_are_the_same_are_refused(tmp_path, pictures):
    with pytest.raises(ConfigError, match='must be on topics of their own'):
        write_object_pictures(tmp_path / 'bag', pictures, detections_topic='/ground_truth')
    pictures[2].path.write_bytes(b'none')
    with pytest.raises(BagError, match='2.jpg'):
        write_object_pictures(tmp_path / 'bag', pictures)
    assert not (tmp_path / 'bag').exists()


def test_a_detector_without_errors_finds_what_is_there_and_one_with_seeds_finds_the_same_again():
    assert imitate_detector([BALL, CUP], (80, 60), ['ball'], DetectorErrors(), 3) == [BALL, CUP]
    errors = DetectorErrors(.1, .2, 1.0, seed=5)
    first = [imitate_detector([BALL, CUP], (80, 60), ['ball'], errors, number) for number in range(20)]
    assert first == [imitate_detector([BALL, CUP], (80, 60), ['ball'], errors, number) for number in range(20)]
    other = DetectorErrors(.1, .2, 1.0, seed=6)
    assert first != [imitate_detector([BALL, CUP], (80, 60), ['ball'], other, number) for number in range(20)]


def test_errors_are_as_frequent_as_asked():
    objects = [LabelledObject(Box(100 + 60 * number, 100, 40, 50), f'class {number}', str(number))
               for number in range(5)]
    marked = [each.box for each in objects]
    found = [imitate_detector(objects, (640, 480), ['ball', 'cup'], DetectorErrors(.05, .25, 2.0), number)
             for number in range(250)]
    real = [[each for each in boxes if each.track] for boxes in found]
    false = [[each for each in boxes if not each.track] for boxes in found]
    assert np.mean([len(boxes) for boxes in real]) == pytest.approx(5 * .75, abs=.2)
    assert np.mean([len(boxes) for boxes in false]) == pytest.approx(2, abs=.3)
    assert {each.label for boxes in false for each in boxes} == {'ball', 'cup'}
    for boxes in false[:50]:
        assert overlaps([each.box for each in boxes], marked).max(initial=0) < .1
        for each in boxes:
            left, top, right, bottom = each.box.corners
            assert left >= 0 and top >= 0 and right <= 640 and bottom <= 480
    off = np.array([(each.box.x - objects[int(each.track)].box.x) / 40 for boxes in real for each in boxes])
    assert off.std() == pytest.approx(.05, abs=.005) and abs(off.mean()) < .005
    shared = [iou(each.box, objects[int(each.track)].box) for boxes in real for each in boxes]
    assert .8 < np.mean(shared) < .95


def test_no_room_for_a_false_alarm_is_no_false_alarm():
    everything = [LabelledObject(Box(40, 30, 80, 60), 'wall')]
    assert imitate_detector(everything, (80, 60), [], DetectorErrors(false_alarms=3.0), 0) == everything
    alone = imitate_detector([], (80, 60), [], DetectorErrors(false_alarms=3.0), 0)
    assert alone and {each.label for each in alone} == {'object'}
