"""Detections of bags as pictures of their own: by content, with their labels, and false alarms among them."""
import csv
import json

import cv2
import numpy as np
import pytest
from evaluation_samples import STEP_NS, T0_NS

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.regions.crop import crop
from robot_vision_dl.core.regions.detection_cdr import encode_detections
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis
from robot_vision_dl.core.types import ColorOrder, Header, Picture
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.labels.messages import DETECTIONS
from robot_vision_dl.data.picture_folder import folder_pictures

BOXES = {'cup': Box(60, 60, 40, 30), 'mug': Box(200, 120, 50, 50), 'nothing': Box(100, 150, 30, 30),
         'skipped': Box(270, 40, 40, 40)}
FRAMES = 4


def image(number):
    return np.random.default_rng(number).integers(0, 255, (200, 320, 3), dtype=np.uint8)


def array(stamp_ns, names, labelled):
    header = Header(stamp_ns, 'camera')
    return encode_detections(DetectionArray(header, tuple(
        Detection(header, (Hypothesis('ignore' if name == 'skipped' else name, 1.0),) if labelled else (), BOXES[name],
                  f'{name} 1' if labelled and name == 'cup' else '') for name in names)))


@pytest.fixture
def bags(tmp_path):
    for day in ('monday', 'tuesday'):
        with ImageBagWriter(tmp_path / 'bags' / day) as writer:
            for number in range(FRAMES):
                stamp_ns = T0_NS + number * STEP_NS
                writer.write_raw('/camera/image_raw', stamp_ns, image(number))
                writer.write_cdr('/detections', DETECTIONS, stamp_ns, array(stamp_ns, BOXES, False))
                if number < FRAMES - 1:
                    writer.write_cdr('/ground_truth', DETECTIONS, stamp_ns,
                                     array(stamp_ns, ('cup', 'mug', 'skipped'), True))
    return tmp_path / 'bags'


def run(*argv):
    return main(['crop', *map(str, argv), '--input', '64x48'])


def rows_of(folder):
    with open(folder / 'index.csv', encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file))


def test_each_detection_is_cut_out_as_the_node_does_and_labelled_by_overlap(bags, tmp_path, capsys):
    out = tmp_path / 'objects'
    assert run(bags, out, '--detections', '/detections') == 0
    said = capsys.readouterr()
    assert '18 objects (cup 6, mug 6, unknown 6) of 8 images' in said.out
    assert 'left out 8, detections in images without labels: monday image 3, tuesday image 3' in said.err
    assert 'left out 6, detections of objects that are labelled ignore: monday image 0, monday image 1' in said.err
    rows = rows_of(out)
    assert {row['recording'] for row in rows} == {'monday', 'tuesday'} and len(rows) == 18
    assert {row['topic'] for row in rows} == {'/camera/image_raw'}
    assert {row['track'] for row in rows if row['label'] == 'cup'} == {'cup 1'}
    assert len({row['picture'] for row in rows}) == FRAMES - 1
    spec = Preprocessing(0, (48, 64))
    for row in rows:
        number = (int(row['stamp_ns']) - T0_NS) // STEP_NS
        assert int(row['index']) == number
        name = 'nothing' if row['label'] == 'unknown' else row['label']
        expected = crop(Picture(image(number), ColorOrder.BGR), BOXES[name], spec, .1).picture.pixels
        np.testing.assert_array_equal(cv2.imread(str(out / row['file'])), expected)
    facts = json.loads((out / 'crops.json').read_text())
    assert facts['margin'] == .1 and facts['labels'] == 'detector'
    pictures = folder_pictures(out, lambda note: None)
    assert len(pictures) == 18 and {picture.label for picture in pictures} == {'cup', 'mug', 'unknown'}


def test_classes_rates_and_one_bag(bags, tmp_path, capsys):
    assert run(bags / 'monday', tmp_path / 'a', '--detections', '/detections', '--classes', 'cup', '--every', '.2') == 0
    assert '4 objects (cup 2, unknown 2) of 2 images' in capsys.readouterr().out
    assert run(bags / 'monday', tmp_path / 'b', '--detections', '/detections', '--unknown-classes', 'mug') == 0
    assert 'cup 3, unknown 6' in capsys.readouterr().out
    assert run(bags / 'monday', tmp_path / 'c', '--detections', '/ground_truth', '--labels', 'topic:/ground_truth') == 0
    assert '6 objects (cup 3, mug 3)' in capsys.readouterr().out


@pytest.mark.parametrize('options, text', [
    (['--detections', '/none'], "no topic '/none' with detections"),
    (['--detections', '/detections', '--background', '2'], '--background: is for pictures'),
    (['--detections', '/detections', '--labels', 'none'], 'nothing is left to cut out'),
    (['--detections', '/detections', '--labels', 'yolo'], 'objects are labelled by a topic'),
])
def test_what_cannot_be_is_refused(bags, tmp_path, capsys, options, text):
    assert run(bags, tmp_path / 'out', *options) == 2
    assert text in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_boxes_that_cannot_be_used_are_counted_as_such_and_not_as_unlabelled(tmp_path, capsys):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        for number in range(2):
            stamp_ns = T0_NS + number * STEP_NS
            header = Header(stamp_ns, 'camera')
            writer.write_raw('/camera/image_raw', stamp_ns, image(number))
            found = [BOXES['cup'], Box(60, 60, 0, 30), Box(float('nan'), 60, 40, 30), Box(-500, 60, 40, 30)]
            writer.write_cdr('/detections', DETECTIONS, stamp_ns, encode_detections(DetectionArray(
                header, tuple(Detection(header, (), box) for box in found))))
            writer.write_cdr('/ground_truth', DETECTIONS, stamp_ns, array(stamp_ns, ('cup',), True))
    assert run(tmp_path / 'bag', tmp_path / 'out', '--detections', '/detections') == 0
    said = capsys.readouterr()
    assert '2 objects (cup 2)' in said.out and 'without labels' not in said.err
    for reason in ('without area', 'that are not finite numbers', 'of which nothing is in the picture'):
        assert f'left out 2, boxes {reason}' in said.err


def test_a_class_of_a_topic_that_cannot_have_a_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(BOXES, 'index.csv', Box(60, 60, 40, 30))
    with ImageBagWriter(tmp_path / 'bag') as writer:
        writer.write_raw('/camera/image_raw', T0_NS, image(0))
        for topic in ('/detections', '/ground_truth'):
            writer.write_cdr(topic, DETECTIONS, T0_NS, array(T0_NS, ('index.csv',), True))
    assert run(tmp_path / 'bag', tmp_path / 'out', '--detections', '/detections') == 2
    assert "the class 'index.csv' cannot have a folder" in capsys.readouterr().err and not (tmp_path / 'out').exists()
