"""Values of ``~/<camera>/uncertainty`` and ``/diagnostics``: keys from the sources that write them, meaning from here.

A key that is not explained here, or is explained and not written, is an error.
"""
import ast
import inspect
import re
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import robot_vision_dl
from robot_vision_dl.core import errors
from robot_vision_dl.core.regions import crop, results
from robot_vision_dl.core.regions import stamp_pairing as pairing
from robot_vision_dl.core.runtime import engine_thread, frame_counters

from .markdown import code, definition, escaped

PACKAGE = Path(robot_vision_dl.__file__).parent

UNCERTAINTY = {
    'label': 'the decision: a class name, `uncertain` or `unknown`',
    'confidence': 'probability of the decision, 0 to 1',
    'max_probability': 'the largest calibrated probability of this frame alone, 0 to 1',
    'predictive_entropy': 'entropy of those probabilities, in units of ln C: 0 sure, 1 uniform',
    'expected_entropy': 'the part of it that is in the picture (aleatoric), in the same units; with Laplace or dropout',
    'mutual_information': 'the part of it that is in the weights (epistemic), in the same units; with Laplace or '
                          'dropout',
    'ood_method': 'which score tells what is of no known class',
    'ood_score': 'that score; larger is further out of distribution',
    'ood_p_value': 'share of calibration pictures that look as far out of distribution, 1/(n+1) at least',
    'unknown_probability': 'how likely it is that the last frames show none of the classes, 0 to 1',
    'camera_state': 'whether the camera is `sound`, or what is wrong with it, since when and for how many frames',
    'camera_fault': 'the fault alone; empty: none',
    'camera_fault_s': 'since when there is this fault, seconds of the stamps',
    'camera_fault_frames': 'for how many frames in a row',
    'camera_p_value': 'share of pictures held out by the calibration that are as unusual for this camera, 1/(n+1) at '
                      'least; where the model has bounds of its own',
    'conformal_set': 'classes that the frame may be at the promised error rate, separated by commas',
    'conformal_set_was_empty': 'no class reached the threshold, and the best one stands in the set',
    'frame_age_ms': "from the image's stamp to the decision, milliseconds",
    'decode_ms': 'time of decoding',
    'preprocess_ms': 'time of resizing and normalising',
    'camera_ms': 'time of the look for faults of the camera',
    'forward_ms': 'time of the network',
    'uncertainty_ms': 'time of calibration, entropies, OOD score and sets',
    'decide_ms': 'time of fusion and decision',
    'evidence_ms': 'time of working out the evidence for overlays, where somebody watches and wishes it',
    'batch_size': 'frames that shared the forward pass',
}
OBJECT = {
    'index': 'place of the object in the array of detections',
    'track': 'name of its track',
    'track_age_s': 'since the first frame of its track, seconds of the stamps',
    'track_note': 'why its track began anew although its id was known',
    'outside': 'share of its box that lies outside of the picture, 0 to 1',
    'refusal': 'why it was not looked at, of the reasons below',
    'label': 'the decision: a class name, `uncertain` or `unknown`',
    'confidence': 'probability of the decision, 0 to 1',
    'unknown_probability': 'how likely it is that it is none of the classes, by all frames of its track',
    'camera_state': 'of the whole picture: whether the camera is `sound`, or what is wrong with it',
    'frame_age_ms': "from the image's stamp to the decision, milliseconds; this and what follows are with the first "
                    'object only',
    'decode_ms': 'time of decoding',
    'batch_size': 'objects of all cameras that were looked at together',
    '<stage>_ms': 'time of `camera`, `crop`, `preprocess`, `forward`, `uncertainty` and `decide`, of all of them',
}
DETECTIONS = {
    'topic': 'full name of the topic of detections',
    'publishers': 'how many there are on it, compatible or not',
    'rate_in_hz': 'arrays that arrived, a second, since the last report',
    'received': 'arrays since activation: `received` = `decided` + `dropped` + those that wait or are in work',
    'decided': 'of them those whose objects were decided',
    'lost_in_transport': 'messages that the middleware says it lost',
    'dropped': 'arrays that were not decided, for all reasons together',
    'dropped_<reason>': 'for each reason, of those below',
    'objects_decided': 'objects that were looked at',
    'objects_<reason>': 'objects that were not, for each reason, of those below',
}
CAMERA = {
    'topic': 'full name of the topic of images',
    'publishers': 'how many there are on it, compatible or not',
    'rate_in_hz': 'frames that arrived, a second, since the last report',
    'rate_out_hz': 'frames that were decided, a second, since the last report',
    'received': 'frames since activation: `received` = `decided` + `dropped` + at most two in work; with '
                'detections also those that wait for theirs',
    'decided': 'of them those that ended in a decision',
    'lost_in_transport': 'messages that the middleware says it lost',
    'priors_refused': 'messages on `~/<camera>/prior` that could not be used',
    'stamps_standing_still': 'images whose stamp came first longer than `fusion.reset_gap_s` ago, as of drivers that '
                             'repeat a header; their time is that of arrival',
    'dropped': 'frames that were not decided, for all reasons together',
    'dropped_<reason>': 'for each reason, of those below',
    'frame_age_ms_p50': "median time from the image's stamp to the decision, milliseconds",
    'frame_age_ms_max': 'the longest of them',
    'batch_size_mean': 'frames that shared a forward pass, on average',
    'decode_ms_mean': 'mean time of decoding',
    'camera_state': 'of the newest frame: `sound`, or what is wrong, since when and for how many frames',
    'camera_fault_reason': 'what in the picture shows it',
    'camera_p_value': 'as above, of the newest frame',
    '<stage>_ms_mean': 'mean time of `preprocess`, `camera`, `forward`, `uncertainty` and `decide`, and of `evidence`',
}
MODEL = {
    'state': 'of the lifecycle',
    'memory_mb': 'memory of the process that is in RAM',
    'model': 'name of the bundle that runs',
    'bundle_id': 'beginning of its SHA-256',
    'device': 'what it runs on',
    'precision': 'arithmetic of the network',
    'backend': 'what runs the network',
    'backend_reason': 'why this one',
    'classes': 'how many',
    'overlay_evidence': 'what overlays show of it (`overlay.evidence`), and why nothing, where they cannot',
    'calibrated': 'whether confidences are probabilities',
    'gpu_memory_mb': "memory of the GPU that torch's tensors take",
    'false_unknown_rate': 'the parameter: share of known pictures that may be called unknown',
    'smallest_false_unknown_rate': 'the least that so many calibration pictures can promise',
    'false_unknown_rate_in_force': 'at which rate `unknown` is said; 0: never',
    'can_say_unknown': 'whether it is ever said',
    'camera_bounds_pictures': 'to how many pictures the bounds are fitted by which faults of a camera are told; 0: to '
                              'none, they are wide, as they always are with objects; `off`: faults are not looked for',
    'camera_frozen_after_s': 'for how long a picture must stay the same until the camera counts as frozen; 0: for ever',
    'cannot_promise': 'what the calibration is too small for, separated by commas',
    'wanted_model': 'the parameter, while another model runs',
    'loading': 'the model that is being read',
}
DOUBTS = {
    'folder': 'where the bags are',
    'written': 'frames since activation',
    'written_mb': 'what they took',
    'written_<reason>': '`uncertain`, `unknown`, `flickering`, `camera_fault`, `random`: what they were written for; a '
                        'frame may have several reasons',
    'dropped': 'frames that were to be written and were not, for all reasons together',
    'dropped_<reason>': '`over_budget`: the hour has had its `mb_per_hour`; `queue_full`: the disk is slower than they '
                        'come; `too_large`: one alone is more than may be written at once; `disk_full`: less than '
                        '`min_free_mb` would stay free; `not_writable`: the folder cannot be written; `failed`: its '
                        'messages could not be made',
    'waiting': 'frames in the queue',
    'bags': 'that are in the folder, of earlier runs as well',
    'on_disk_mb': 'what they take',
}
REASONS = {
    frame_counters.REPLACED: 'a newer frame of the camera came before this one was taken: the network cannot keep up',
    frame_counters.BACKWARDS: 'its stamp is before that of a frame that was decided already',
    frame_counters.RATE_LIMITED: 'beyond `max_rate_hz`, as wished',
    engine_thread.DECODE_FAILED: 'a decoder failed in a way that is no fault of the image that we know; the log says '
                                 'how',
    engine_thread.INFERENCE_FAILED: 'the network failed, for want of memory for example; the log says how',
    engine_thread.PUBLISH_FAILED: 'the decision could not be published; the log says how',
    pairing.NO_STAMP: 'with detections: its stamp, or that of the array, is zero, and nothing tells what belongs to it',
    pairing.DUPLICATE: 'with detections: an image or array of the same stamp was there already',
    pairing.NO_DETECTIONS: 'with detections: no array came for the image within `detections.deadline_s`, as where the '
                           'detector is slower than the camera',
    pairing.NO_IMAGE: 'with detections, of arrays: no image of their stamp, or near it, came in time',
    pairing.LATE: 'with detections, of arrays: their image had waited for `detections.deadline_s` in vain',
    pairing.IMAGE_REPLACED: 'with detections: the image had to make room for newer ones (`detections.max_waiting_mb`)',
    pairing.STOPPED: 'with detections: it still waited when the node was deactivated',
}
OBJECT_REASONS = {
    crop.BOX_REASONS[0]: 'its box has a number that is none',
    crop.BOX_REASONS[1]: 'its box has no area',
    crop.BOX_REASONS[2]: 'nothing of its box is in the picture',
    results.TOO_SMALL: 'its part in the picture is smaller than `detections.least_side_px`',
    results.MOSTLY_OUTSIDE: 'more than `detections.max_outside` of its box is outside of the picture',
    results.BLURRED: 'it is less sharp than `detections.least_sharpness`',
    results.NOT_ITS_TURN: 'there are more than `detections.max_objects`; the decision is what is still believed of it',
}


def written(path: Path, function: str, store: str = 'values') -> List[str]:
    """Keys that a function puts into a dict of the name ``store``: literally, one by one, or by ``update``."""
    found: List[str] = []
    for scope in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if not isinstance(scope, ast.FunctionDef) or function not in ('', scope.name):
            continue
        for node in ast.walk(scope):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and \
                    ast.unparse(node.value).split('.')[-1] == store:
                found.append(_key(node.slice))
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Return)) and isinstance(node.value, ast.Dict) \
                    and function:
                found += [_key(key) for key in node.value.keys if key is not None]
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f'{store}.update':
                found += [word.arg for word in node.keywords if word.arg]
                found += [_key(part.key) for part in node.args if isinstance(part, ast.DictComp)]
    return found


def _key(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return ''.join(part.value if isinstance(part, ast.Constant) else f'<{ast.unparse(part.value)}>'
                       for part in node.values)
    return ast.literal_eval(node)


def _listed(told: Dict[str, str], keys: List[str], name: str) -> str:
    difference = set(keys) ^ set(told)
    if difference:
        raise ValueError(f'docs/_ext/reference_pages/diagnostic_values.py: {name} and what the node writes differ: '
                         f'{sorted(difference)}')
    return '\n'.join(definition(code(key), escaped(text)) for key, text in told.items())


def uncertainty_values() -> str:
    """Of ``~/<camera>/uncertainty``."""
    stages = [f'{stage}_ms' for stage in written(PACKAGE / 'core' / 'runtime' / 'pipeline.py', '', 'stage_ms')]
    keys = written(PACKAGE / 'core' / 'runtime' / 'result_values.py', 'uncertainty_values')
    keys += _assessment_keys()
    keys += [key for key in written(PACKAGE / 'ros' / 'messages.py', 'uncertainty') if key != '<stage>_ms']
    return _listed(UNCERTAINTY, keys + stages, 'UNCERTAINTY')


def _assessment_keys() -> List[str]:
    return written(PACKAGE / 'core' / 'runtime' / 'result_values.py', 'assessment_values')


def object_values() -> str:
    """Of ``~/<camera>/uncertainty`` where objects are decided, but for those that whole pictures have as well."""
    path = PACKAGE / 'ros' / 'object_messages.py'
    return _listed(OBJECT, written(path, '_status') + written(path, 'uncertainty', 'shared'), 'OBJECT')


def detection_values() -> str:
    """Of ``/diagnostics``, for the detections of a camera."""
    return _listed(DETECTIONS, written(PACKAGE / 'ros' / 'detection_health.py', 'report'), 'DETECTIONS')


def object_reasons() -> str:
    """Why an object is not looked at."""
    return '\n'.join(definition(code(reason), escaped(text)) for reason, text in OBJECT_REASONS.items())


def camera_values() -> str:
    """Of ``/diagnostics``, for a camera."""
    return _listed(CAMERA, written(PACKAGE / 'ros' / 'diagnostics.py', 'report'), 'CAMERA')


def model_values() -> str:
    """Of ``/diagnostics``, for the node."""
    path = PACKAGE / 'ros' / 'diagnostics.py'
    return _listed(MODEL, written(path, 'model_status') + written(path, 'trust_values'), 'MODEL')


def doubt_values() -> str:
    """Of ``/diagnostics``, for what is recorded."""
    return _listed(DOUBTS, written(PACKAGE / 'ros' / 'doubt_output.py', 'report'), 'DOUBTS')


def reasons() -> Iterator[Tuple[str, str]]:
    """(reason, what it means) of every frame that is not decided; of images as the source has it beside each."""
    told = dict(re.findall(r"'(\w+)',  # (.*)", inspect.getsource(errors)))
    for reason in errors.IMAGE_REASONS:
        yield reason, told[reason]
    yield from REASONS.items()


def drop_reasons() -> str:
    """The reasons, one by one."""
    return '\n'.join(definition(code(reason), escaped(text)) for reason, text in reasons())
