"""``robot-vision bag from-images --objects``: labelled boxes as detections in a bag, and on to an evaluation."""
import json

import cv2
import numpy as np
import pytest
from evaluation_samples import small_model

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.regions.detection_cdr import decode_detections
from robot_vision_dl.data.bags.reader import BagReader


@pytest.fixture
def labelled(tmp_path):
    """Three pictures of 100x80 with YOLO text: a cup and a mug, nothing, a cup."""
    folder = tmp_path / 'labelled'
    folder.mkdir()
    (folder / 'classes.txt').write_text('cup\nmug\n')
    for number, lines in enumerate(('0 0.5 0.5 0.2 0.25\n1 0.25 0.25 0.3 0.4\n', '', '0 0.3 0.5 0.2 0.25\n')):
        picture = np.random.default_rng(number).integers(0, 255, (80, 100, 3), np.uint8)
        cv2.imwrite(str(folder / f'{number}.jpg'), picture)
        (folder / f'{number}.txt').write_text(lines)
    return folder


def boxes_of(bag, topic):
    with BagReader(bag) as reader:
        return [[(each.hypotheses[0].class_id, *(round(side) for side in each.box.corners))
                 for each in decode_detections(message.cdr).detections] for message in reader.messages([topic])]


def test_boxes_of_label_files_become_detections(labelled, tmp_path, capsys):
    assert main(['bag', 'from-images', str(labelled), '--out', str(tmp_path / 'bag'), '--objects']) == 0
    out = capsys.readouterr().out
    assert '3 pictures, 3 as they were, 1.5 s at 2 Hz' in out and '/ground_truth: 3 objects, labels yolo' in out
    assert '/detections: 3 detections, the same boxes' in out
    expected = [[('cup', 40, 30, 60, 50), ('mug', 10, 4, 40, 36)], [], [('cup', 20, 30, 40, 50)]]
    for topic in ('/ground_truth', '/detections'):
        assert boxes_of(tmp_path / 'bag', topic) == expected
    assert main(['bag', 'info', str(tmp_path / 'bag')]) == 0
    assert 'vision_msgs/msg/Detection2DArray' in capsys.readouterr().out


def test_a_detector_that_errs_is_told_and_the_same_for_the_same_seed(labelled, tmp_path, capsys):
    errors = ['--objects', 'yolo', '--box-jitter', '.1', '--missed', '.3', '--false-alarms', '2', '--detections',
              '/yolo/found', '--seed', '4']
    for name in 'ab':
        assert main(['bag', 'from-images', str(labelled), '--out', str(tmp_path / name), *errors]) == 0
    assert 'of a detector that is imitated' in capsys.readouterr().out
    assert boxes_of(tmp_path / 'a', '/yolo/found') == boxes_of(tmp_path / 'b', '/yolo/found')
    assert boxes_of(tmp_path / 'a', '/yolo/found') != boxes_of(tmp_path / 'a', '/ground_truth')
    assert len(boxes_of(tmp_path / 'a', '/ground_truth')[0]) == 2


@pytest.mark.parametrize('options, text', [
    (['--objects', 'coco'], 'no labels of the format coco'),
    (['--objects', '--detections', '/ground_truth'], 'must be on topics of their own'),
    (['--objects', '--missed', '1.5'], '--missed: must be'),
    (['--objects', '--topic', '/a b'], '--topic'),
])
def test_what_cannot_be_is_refused(labelled, tmp_path, capsys, options, text):
    assert main(['bag', 'from-images', str(labelled), '--out', str(tmp_path / 'bag'), *options]) == 2
    assert text in capsys.readouterr().err and not (tmp_path / 'bag').exists()


def test_the_bag_is_evaluated_object_by_object(labelled, tmp_path, capsys):
    model = small_model(tmp_path / 'small')
    assert main(['bag', 'from-images', str(labelled), '--out', str(tmp_path / 'bag'), '--objects', '--rate', '10']) == 0
    assert main(['evaluate', str(tmp_path / 'bag'), '--model', str(model), '--detections', '/detections', '--out',
                 str(tmp_path / 'report'), '--device', 'cpu']) == 0
    metrics = json.loads((tmp_path / 'report' / 'metrics.json').read_text())
    assert metrics['recordings'][0]['decided'] == 3
    assert metrics['models']['small']['frames']['known'] == 3
    camera, = metrics['recordings'][0]['objects']
    assert (camera['labelled'], camera['missed'], camera['false_alarms']) == (3, 0, 0)
