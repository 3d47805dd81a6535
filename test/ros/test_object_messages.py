"""What the node says about objects can be read, by our own reader, whatever the detector sent."""
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from robot_vision_dl.core.regions.detection_cdr import (  # noqa: E402
    MOST_HYPOTHESES,
    decode_detections,
    encode_detections,
)
from robot_vision_dl.core.regions.detections import Box, Detection, DetectionArray, Hypothesis  # noqa: E402
from robot_vision_dl.core.regions.results import ObjectResult, ObjectResults  # noqa: E402
from robot_vision_dl.core.types import ColorOrder, Decision, Frame, Header, Outcome, Picture  # noqa: E402
from robot_vision_dl.ros.object_messages import detections  # noqa: E402


@pytest.mark.parametrize('count', [0, 3, MOST_HYPOTHESES])
def test_our_decision_comes_before_as_many_hypotheses_as_a_detector_may_give(count):
    header = Header(1, 'camera')
    one = Detection(header, tuple(Hypothesis(f'class {number}', .5) for number in range(count)), Box(9, 9, 4, 4), '7')
    sent = decode_detections(encode_detections(DetectionArray(header, (one,))))
    decision = Decision(Outcome.ACCEPTED, 'cup', .9, 'clear', 0)
    picture = Picture(np.zeros((20, 20, 3), np.uint8), ColorOrder.BGR)
    answer = detections(ObjectResults(
        Frame('camera', header, picture, 'bgr8', 1), sent,
        (ObjectResult(sent.detections[0], '7', decision, np.ones(1, np.float32)),), ('cup',)), False)
    found, = decode_detections(answer).detections
    assert [each.class_id for each in found.hypotheses] == ['cup', *(
        f'class {number}' for number in range(min(count, MOST_HYPOTHESES - 1)))]
