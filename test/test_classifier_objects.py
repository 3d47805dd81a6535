"""Objects of pictures from Python: as the node decides them, without ROS."""
import cv2
import numpy as np
import pytest
import torch
from object_samples import array, detection, scene, square_bundle

from robot_vision_dl import Classifier
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.core.runtime.object_pipeline import FrameWithObjects, ObjectPipeline
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture

OBJECTS = [('red', 60, 60), ('green', 160, 100), ('yellow', 250, 180)]
BOXES = [(40, 40, 80, 80), (140, 80, 180, 120), (230, 160, 270, 200)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return square_bundle(tmp_path_factory.mktemp('models') / 'squares')


@pytest.fixture(scope='module')
def classifier(folder):
    return Classifier(folder, backend='torch')


@pytest.mark.parametrize('as_given', [list, np.array, torch.tensor,
                                      lambda boxes: [Box.of_corners(*box) for box in boxes]])
def test_boxes_of_every_kind_are_decided_as_the_node_does(classifier, folder, as_given):
    pixels = scene(OBJECTS)
    found = classifier.objects(pixels, as_given(BOXES), color='bgr')
    config = ClassifierConfig(model=str(folder), backend='torch', detection_topics=('boxes',))
    frame = Frame('camera', Header(0, ''), Picture(pixels, ColorOrder.BGR), 'bgr8')
    live, = ObjectPipeline(config).process(Pipeline.load(config), [FrameWithObjects(
        frame, array(0, *[detection(x, y) for _, x, y in OBJECTS]))])
    assert [one.label for one in found] == ['red', 'green', 'unknown']
    for ours, theirs in zip(found, live.objects):
        assert (ours.label, ours.confidence, ours.why) == (
            theirs.decision.label, theirs.decision.confidence, theirs.decision.reason)
        np.testing.assert_array_equal(ours.top[0].probability, theirs.assessment.probabilities.max())


def test_pictures_stand_alone(classifier):
    red, blue = scene([('red', 60, 60)]), scene([('blue', 60, 60)])
    for _ in range(3):
        assert classifier.objects(red, BOXES[:1], 'bgr')[0].label == 'red'
        assert classifier.objects(blue, BOXES[:1], 'bgr')[0].label == 'blue'
    assert not classifier._pipeline._beliefs._filters


def test_none_refused_and_turned_boxes(classifier, tmp_path):
    assert classifier.objects(scene([]), [], 'bgr') == []
    cv2.imwrite(str(tmp_path / 'scene.png'), scene(OBJECTS))
    first, second, third = classifier.objects(tmp_path / 'scene.png', [
        (-100, -100, -50, -50), Box(60, 60, 40, 40, 0.3), (40, 40, 44, 44)])
    assert first.label == 'uncertain' and 'nothing of the box' in first.why and first.top == () and first.best is None
    assert second.label == 'red' and second.file == tmp_path / 'scene.png'
    assert 'detections.least_side_px' in third.why and first.as_dict()['entropy'] == 1.0
    assert Classifier(classifier.config.model, backend='torch',
                      detections={'least_side_px': 2.0}).objects(scene(OBJECTS), [(40, 40, 44, 44)], 'bgr')[0].top


def test_the_overlay_is_of_the_whole_picture(classifier):
    found = classifier.objects(scene(OBJECTS), BOXES, 'bgr')
    overlay = found.overlay()
    assert overlay.shape == (480, 640, 3) and (overlay[80:160, 80] == (0, 158, 115)).all(axis=-1).mean() > 0.8
    with pytest.raises(ValueError, match='overlay'):
        found[0].overlay()


@pytest.mark.parametrize('boxes, told', [([(1, 2, 3)], r'boxes\[0\]'), ([(1, 2, 3, 4), 'abcd'], r'boxes\[1\]'),
                                         ([5], r'boxes\[0\].*in a list'), ([(1, 2, 10**400, 4)], r'boxes\[0\]'),
                                         ([Box('a', 1, 2, 3)], r'boxes\[0\]'), (np.zeros(4), r'boxes\[0\]')])
def test_what_is_no_box_is_told_by_its_place(classifier, boxes, told):
    with pytest.raises(ConfigError, match=told):
        classifier.objects(scene([]), boxes, 'bgr')
