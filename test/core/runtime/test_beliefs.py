"""What is believed of cameras, alone and in groups, and carried over to another model."""
import numpy as np
import pytest

from robot_vision_dl.core.config import ClassifierConfig, FusionConfig, camera_groups
from robot_vision_dl.core.decision.decision import Policy
from robot_vision_dl.core.decision.fusion import FALLBACK_TIMES
from robot_vision_dl.core.runtime.beliefs import Beliefs
from robot_vision_dl.core.runtime.settings import Settings
from robot_vision_dl.core.types import (
    Assessment,
    CameraCheck,
    CameraFault,
    ColorOrder,
    Frame,
    Header,
    OodResult,
    Outcome,
    Picture,
)

CAMERAS = ('left', 'right')
PICTURE = Picture(np.zeros((4, 4), np.uint8), ColorOrder.MONO)


def beliefs(class_names=('cup', 'mug'), groups='left+right', **fusion):
    config = ClassifierConfig(cameras=CAMERAS, image_topics=('l', 'r'), fusion=FusionConfig(groups=groups, **fusion))
    return Beliefs(class_names, FALLBACK_TIMES, Settings(
        config, Policy(0.3, 0.01, 0.1), config.fusion.resolved(), camera_groups(groups, CAMERAS), 1.0))


def frame(camera, seconds):
    return Frame(camera, Header(round(seconds * 1e9), ''), PICTURE, 'mono8')


def assessment(p_value):
    p = np.array([0.98, 0.02], np.float32)
    return Assessment(np.log(p), p, 0.1, ood=OodResult('knn', 0.0, p_value))


@pytest.mark.parametrize('then', ['gone', 'covered'])
def test_a_camera_that_is_gone_or_covered_keeps_no_other_of_its_group_unknown(then):
    shared = beliefs()
    for index in range(20):
        shared.update(frame('right', 100 + index / 10), assessment(0.001), None)
        decision = shared.update(frame('left', 100.01 + index / 10), assessment(0.6), None)[2]
    assert decision.outcome is Outcome.UNKNOWN
    for index in range(20, 60):
        if then == 'covered':
            shared.update(frame('right', 100 + index / 10), assessment(0.001), CameraCheck(CameraFault.COVERED, 'dark'))
        decision = shared.update(frame('left', 100.01 + index / 10), assessment(0.6), None)[2]
    assert decision.label == 'cup'


def test_what_is_expected_is_carried_over_to_a_model_of_other_classes_that_has_them():
    old = beliefs()
    old.expect('left', {'cup': 0.001})
    for class_names, kept in ((('cup', 'mug', 'jug'), True), (('cup', 'mug'), True), (('dog', 'cat'), False)):
        new, plain = beliefs(class_names), beliefs(class_names)
        new.adopt(old)
        at = frame('left', 100)
        assert (new.remembered(at)[0][0] < 0.01) == kept
        assert plain.remembered(at)[0][0] > 0.3
        old = beliefs()
        old.expect('left', {'cup': 0.001})


def test_the_last_prior_of_a_group_counts_and_is_taken_back_for_all():
    one = beliefs()
    one.expect('left', {'cup': 0.001})
    one.expect('right', {})
    other = beliefs(('cup', 'mug', 'jug'))
    other.adopt(one)
    assert other.remembered(frame('left', 100))[0].tolist() == pytest.approx([1 / 3] * 3)
