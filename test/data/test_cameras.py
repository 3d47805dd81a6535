"""Which image topics are read: each camera once, what is no camera's picture only when asked, and all that told."""
import json

import cv2
import numpy as np
import pytest
from labelled_samples import T0_S, S, pattern, write_bag

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import BagError
from robot_vision_dl.core.images.cdr import encode_compressed_image, encode_image
from robot_vision_dl.core.types import CompressedImage, Header, RawImage
from robot_vision_dl.data.bags.message_types import COMPRESSED_IMAGE, IMAGE
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.cameras import choose_topics
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.labels.messages import CLASSIFICATION, encode_label
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.evaluation.options import EvaluationOptions
from robot_vision_dl.evaluation.recordings import open_recordings


def message(kind: str, stamp_ns: int):
    """(type, CDR) of a picture of a kind: an encoding, or the format of a compressed one."""
    header, pixels = Header(stamp_ns, 'camera'), pattern(3)
    if 'compressed' in kind or kind in ('jpeg', 'png'):
        form = '.png' if 'png' in kind or 'Depth' in kind else '.jpg'
        data = cv2.imencode(form, pixels)[1].reshape(-1)
        return COMPRESSED_IMAGE, encode_compressed_image(CompressedImage(header, kind, data))
    size = {'16UC1': 2, '32FC1': 4, 'mono16': 2, 'rgb8': 3, 'bgr8': 3}.get(kind, 1)
    data = np.zeros(48 * 64 * size, np.uint8)
    return IMAGE, encode_image(RawImage(header, 48, 64, kind, False, 64 * size, data))


def bag_of(path, topics, labelled=True):
    """A bag of topics {name: (kind, frames)}, the frames of each over one second."""
    events = [(T0_S * S + index * S // count, name, kind) for name, (kind, count) in topics.items()
              for index in range(count)]
    with ImageBagWriter(path) as writer:
        for stamp_ns, name, kind in sorted(events):
            if kind == 'label':
                writer.write_cdr(name, CLASSIFICATION, stamp_ns, encode_label(CLASSIFICATION, stamp_ns, '', 'cup'))
            else:
                writer.write_cdr(name, *(lambda pair: (pair[0], stamp_ns, pair[1]))(message(kind, stamp_ns)))
    if labelled:
        (path / 'labels.yaml').write_text('- {start: 0, label: cup}')
    return path


REALSENSE = {
    '/camera/color/image_raw': ('rgb8', 10), '/camera/color/image_raw/compressed': ('rgb8; jpeg compressed bgr8', 10),
    '/camera/color/image_raw/compressedDepth': ('rgb8; compressedDepth', 10),
    '/camera/depth/image_rect_raw': ('16UC1', 10),
    '/camera/depth/image_rect_raw/compressed': ('16UC1; png compressed', 10),
    '/camera/depth/image_rect_raw/compressedDepth': ('16UC1; compressedDepth png', 10),
    '/camera/aligned_depth_to_color/image_raw': ('16UC1', 10), '/camera/infra1/image_rect_raw': ('mono8', 10),
    '/camera/infra2/image_rect_raw': ('8UC1', 10)}
"""A depth camera as its driver and image_transport record it."""


@pytest.mark.parametrize('topics, chosen, why', [
    (REALSENSE, ['/camera/color/image_raw'], 'it is not compressed'),
    ({'/cam/image_raw': ('bgr8', 10), '/cam/image_raw/compressed': ('jpeg', 10)}, ['/cam/image_raw'],
     '/cam/image_raw is read and /cam/image_raw/compressed not, which show the same camera: it is not compressed'),
    ({'/cam/image_raw': ('bgr8', 2), '/cam/image_raw/compressed': ('jpeg', 10)}, ['/cam/image_raw/compressed'],
     'it has 10 frames, /cam/image_raw 2'),
    ({'/cam/image_raw': ('bgr8', 10), '/cam/image_raw/compressed': ('jpeg', 11)}, ['/cam/image_raw'], 'not compressed'),
    ({'/cam/image_raw': ('bgr8', 4), '/cam/image_rect_color': ('bgr8', 4), '/cam/image_mono': ('mono8', 4)},
     ['/cam/image_raw'], 'it is the least processed'),
    ({'/cam/image_rect_color': ('bgr8', 4), '/cam/image_mono': ('mono8', 4)}, ['/cam/image_rect_color'], 'least'),
    ({'/left/image_raw': ('bgr8', 4), '/right/image_raw': ('bgr8', 4)}, ['/left/image_raw', '/right/image_raw'], ''),
    ({'/front': ('bgr8', 4), '/back': ('bgr8', 4)}, ['/back', '/front'], ''),
    ({'/cam/front': ('bgr8', 4), '/cam/back': ('bgr8', 4), '/cam/back/compressed': ('jpeg', 4)},
     ['/cam/back', '/cam/front'], '/cam/back/compressed not'),
    ({'/a/image': ('bgr8', 4), '/a/range': ('32FC1', 4)}, ['/a/image'], '/a/range (depth)'),
    ({'/a/image': ('bgr8', 4), '/a/disparity': ('mono8', 4)}, ['/a/image'], '/a/disparity (depth)'),
    ({'/a/image': ('bgr8', 4), '/left_ir/image_raw': ('mono8', 4)}, ['/a/image'], '/left_ir/image_raw (infrared)'),
    ({'/depth_camera/image_raw': ('rgb8', 4), '/depth_camera/depth/image_raw': ('32FC1', 4)},
     ['/depth_camera/image_raw'], '/depth_camera/depth/image_raw (depth)'),  # Gazebo
    ({'/stairs/image': ('mono8', 4), '/fire/image': ('mono8', 4)}, ['/fire/image', '/stairs/image'], ''),
    ({'/camera/depth/image_raw': ('16UC1', 4)}, ['/camera/depth/image_raw'], ''),  # there is nothing else
    ({'/cam/depth/image_raw': ('16UC1', 4), '/cam/depth/image_raw/compressedDepth': ('16UC1; compressedDepth', 4)},
     ['/cam/depth/image_raw'], 'same camera'),
    ({'/cam/image_raw': ('bgr8', 4), '/classifier/cam/overlay': ('bgr8', 4),
      '/classifier/cam/overlay/compressed': ('jpeg', 4), '/classifier/cam/decision': ('label', 4)},
     ['/cam/image_raw'], '(drawn by a classifier)'),
    ({'/cam/overlay': ('bgr8', 4), '/cam/image': ('bgr8', 4)}, ['/cam/image', '/cam/overlay'], ''),
    ({'/cam/image_raw_compressed': ('jpeg', 4), '/cam/image_raw': ('bgr8', 4)}, ['/cam/image_raw'], 'same camera'),
])
def test_what_is_read(topics, chosen, why, tmp_path):
    with BagReader(bag_of(tmp_path / 'bag', topics)) as reader:
        found = choose_topics(reader)
        everything = choose_topics(reader, ['all']).topics
    assert list(found.topics) == chosen
    assert why in ' | '.join(found.notes) and bool(found.notes) == bool(why)
    images = sorted(name for name, (kind, _) in topics.items() if kind != 'label')
    assert sorted(everything) == images
    told = ' '.join(found.notes)
    assert all(name in told for name in images if name not in chosen)


def test_what_is_named_is_read_whatever_it_is(tmp_path):
    with BagReader(bag_of(tmp_path / 'bag', REALSENSE)) as reader:
        found = choose_topics(reader, ['camera/infra1/image_rect_raw', '/camera/depth/image_rect_raw'])
        assert found == (('/camera/depth/image_rect_raw', '/camera/infra1/image_rect_raw'), ())
        found = choose_topics(reader, ['/camera/color/image_raw', '/camera/color/image_raw/compressed'])
        assert len(found.topics) == 2 and 'show the same camera; all are read' in found.notes[0]
    with pytest.raises(BagError, match="no image topic '/camera/color/image_rw' in the bags; did you mean"):
        open_sources([tmp_path / 'bag'], LabelConfig(), ['/camera/color/image_rw', '/camera/color/image_raw'])


def test_training_and_evaluation_count_each_camera_once(tmp_path, capsys):
    bag = bag_of(tmp_path / 'bag', REALSENSE)
    stream = FrameStream(open_sources([bag], LabelConfig()), SelectionConfig(0.0, -1))
    assert [sample.frame.topic for sample in stream] == ['/camera/color/image_raw'] * 10
    assert 'note: ' in str(stream.label_report) and 'infra1/image_rect_raw (infrared)' in str(stream.label_report)
    recording, = open_recordings([bag], EvaluationOptions())
    assert recording.topics == ('/camera/color/image_raw',) and recording.frames == 10
    assert any('infrared' in text for text in recording.problems)
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'out')]) == 0
    assert 'cup 10)' in capsys.readouterr().out
    assert len(open_sources([bag], LabelConfig(), ['all'])[0].topics) == 9
    infrared = '/camera/infra1/image_rect_raw'
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'two'), '--topics', infrared]) == 0
    assert 'cup 10)' in capsys.readouterr().out
    assert main(['bag', 'info', str(bag), '--json']) == 0
    notes = json.loads(capsys.readouterr().out)[0]['notes']
    assert any('/camera/color/image_raw is read' in note for note in notes)


@pytest.mark.parametrize('named, read', [
    ('/cam/image_raw', '/cam/image_raw'), ('/cam/image_raw/compressed', '/cam/image_raw/compressed'),
    ('/cam/image_rect', '/cam/image_rect')])
def test_labels_that_name_a_topic_choose_it(named, read, tmp_path):
    bag = bag_of(tmp_path / 'bag', {'/cam/image_raw': ('bgr8', 4), '/cam/image_raw/compressed': ('jpeg', 4),
                                    '/cam/image_rect': ('bgr8', 4)})
    (bag / 'labels.yaml').write_text(f'- {{topic: {named}, start: 0, label: cup}}')
    stream = FrameStream(open_sources([bag], LabelConfig()), SelectionConfig(0.0, -1))
    assert [(sample.frame.topic, sample.frame.label) for sample in stream] == [(read, 'cup')] * 4


def test_labels_hold_for_every_transport_of_their_topic(tmp_path):
    bag = bag_of(tmp_path / 'bag', {'/cam/image_raw': ('bgr8', 1), '/cam/image_raw/compressed': ('jpeg', 4)})
    (bag / 'labels.yaml').write_text('- {topic: /cam/image_raw, start: 0, label: cup}')
    for topics, count in (((), 1), (('/cam/image_raw/compressed',), 4)):
        stream = FrameStream(open_sources([bag], LabelConfig(), topics), SelectionConfig(0.0, -1))
        assert [sample.frame.label for sample in stream] == ['cup'] * count


def test_bag_without_the_topics_that_are_named_is_told(tmp_path):
    one = write_bag(tmp_path / 'one', 3, labels=[(0.0, 'cup')], topics=('/front',))
    two = write_bag(tmp_path / 'two', 3, labels=[(0.0, 'cup')], topics=('/back',))
    stream = FrameStream(open_sources([one, two], LabelConfig(), ['/front']), SelectionConfig(0.0, -1))
    assert len(list(stream)) == 3
    assert 'two: not read, none of the topics that are named is in it; there are /back' in str(stream.label_report)
    recording, = open_recordings([one, two], EvaluationOptions(topics=('/front',)))
    assert any('two: not read' in text for text in recording.problems)


@pytest.mark.parametrize('name, topics', [
    ('ros1_compressed_aruco.bag', ['/raspicam_node/image/compressed']),
    ('ros1_raw_and_png.bag', ['/compressedimage', '/image']),
    ('ros2_mixed_mcap', ['/test/sensor_msgs/compressed_image', '/test/sensor_msgs/image']),
    ('ros2_mono8_db3', ['/image'])])
def test_real_bags(name, topics, shared_data):
    with BagReader(shared_data / 'bags' / name) as reader:
        found = choose_topics(reader)
    assert list(found.topics) == topics
