"""Results as ROS messages. Conversion only: every number was computed in ``core``."""
from typing import List, Mapping, Sequence

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header as HeaderMessage
from vision_msgs.msg import LabelInfo, VisionClass

from ..core import types
from ..core.images.cdr import encode_classification
from ..core.runtime.engine_thread import Timing
from ..core.runtime.result_values import best_classes, uncertainty_values, value_text
from ..core.types import Outcome, Result

LEVEL_OF_OUTCOME = {
    Outcome.ACCEPTED: DiagnosticStatus.OK,
    Outcome.UNCERTAIN: DiagnosticStatus.WARN,
    Outcome.UNKNOWN: DiagnosticStatus.ERROR,
}


def header(source: types.Header) -> HeaderMessage:
    """The header of the input image, unchanged."""
    seconds, nanoseconds = divmod(source.stamp_ns, 1_000_000_000)
    return HeaderMessage(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=source.frame_id)


def classification(result: Result, top_k: int, as_index: bool) -> bytes:
    """Calibrated probabilities of this frame alone, best first; a serialized ``Classification``."""
    return encode_classification(result.frame.header, (
        (str(index) if as_index else result.class_names[index], probability)
        for index, probability in best_classes(result.assessment.probabilities, top_k)))


def decision(result: Result, as_index: bool) -> bytes:
    """The fused, gated outcome as the one hypothesis of a serialized ``Classification``."""
    label = result.decision.label
    if as_index and result.decision.outcome is Outcome.ACCEPTED:
        label = str(result.decision.class_index)
    return encode_classification(result.frame.header, [(label, result.decision.confidence)])


def key_values(values: Mapping[str, object]) -> List[KeyValue]:
    """Diagnostic values; numbers keep six significant digits."""
    return [KeyValue(key=key, value=value_text(value)) for key, value in values.items()]


def uncertainty(result: Result, node_name: str, timing: Timing) -> DiagnosticArray:
    """Why the decision is what it is: entropies, OOD score, conformal set, age and stage times."""
    values = uncertainty_values(result)
    values['frame_age_ms'] = timing.age_ms
    values['decode_ms'] = timing.decode_ms
    for stage, milliseconds in result.stage_ms.items():
        values[f'{stage}_ms'] = milliseconds
    values['batch_size'] = result.batch_size
    status = DiagnosticStatus(
        level=LEVEL_OF_OUTCOME[result.decision.outcome], name=f'{node_name}: {result.frame.camera}',
        message=f'{result.decision.outcome.value}: {result.decision.reason}', hardware_id=result.frame.camera,
        values=key_values(values))
    return DiagnosticArray(header=header(result.frame.header), status=[status])


def label_info(class_names: Sequence[str], stamp: Time) -> LabelInfo:
    """The class table of the loaded bundle."""
    message = LabelInfo()
    message.header.stamp = stamp
    message.class_map = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(class_names)]
    return message
