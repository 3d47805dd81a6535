"""Decisions about objects as ROS messages. Conversion only: every number was computed in ``core``."""
from typing import Dict

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from ..core.regions.detection_cdr import MOST_HYPOTHESES, encode_detections
from ..core.regions.detections import NO_POSE, Detection, DetectionArray, Hypothesis
from ..core.regions.results import ObjectResult, ObjectResults
from ..core.runtime.engine_thread import Timing
from ..core.runtime.result_values import assessment_values
from ..core.types import Outcome
from .messages import LEVEL_OF_OUTCOME, header, key_values


def detections(result: ObjectResults, as_index: bool) -> bytes:
    """The array as it came, with our decision as the first hypothesis of each object; a ``Detection2DArray``.

    Headers, order, boxes and the detector's hypotheses are unchanged, but for the last where there are as many as a
    message may hold. An id that the detector left empty is filled with the name of the object's track.
    """
    array = result.detections
    return encode_detections(DetectionArray(array.header, tuple([
        Detection(one.detection.header, (_decision(one, as_index), *one.detection.hypotheses)[:MOST_HYPOTHESES],
                  one.detection.box, one.detection.track_id or one.track) for one in result.objects])))


def _decision(one: ObjectResult, as_index: bool) -> Hypothesis:
    label = one.decision.label
    if as_index and one.decision.outcome is Outcome.ACCEPTED:
        label = str(one.decision.class_index)
    # Where the object is in space is for the detector to say.
    pose = one.detection.hypotheses[0].pose if one.detection.hypotheses else NO_POSE
    return Hypothesis(label, one.decision.confidence, pose)


def uncertainty(result: ObjectResults, node_name: str, timing: Timing) -> DiagnosticArray:
    """Why each decision is what it is: a status an object, in the order of the detections."""
    statuses = [_status(one, place, result, node_name) for place, one in enumerate(result.objects)]
    if statuses:
        shared: Dict[str, object] = {'frame_age_ms': timing.age_ms, 'decode_ms': timing.decode_ms}
        shared.update({f'{stage}_ms': took_ms for stage, took_ms in timing.stage_ms.items()})
        shared['batch_size'] = result.batch_size
        statuses[0].values = [*statuses[0].values, *key_values(shared)]
    return DiagnosticArray(header=header(result.detections.header), status=statuses)


def _status(one: ObjectResult, place: int, result: ObjectResults, node_name: str) -> DiagnosticStatus:
    camera = result.frame.camera
    values: Dict[str, object] = {
        'index': place, 'track': one.track, 'label': one.decision.label, 'confidence': one.decision.confidence,
        'unknown_probability': one.unknown_probability, 'track_age_s': one.age_s, 'outside': one.outside}
    if one.refusal:
        values['refusal'] = one.refusal
    if one.note:
        values['track_note'] = one.note
    if one.assessment is not None:
        values.update(assessment_values(one.assessment, result.class_names))
    if result.camera is not None:
        values['camera_state'] = result.camera.state
    return DiagnosticStatus(
        level=LEVEL_OF_OUTCOME[one.decision.outcome], name=f'{node_name}: {camera}/{one.track or place}',
        message=f'{one.decision.outcome.value}: {one.decision.reason}', hardware_id=camera, values=key_values(values))
