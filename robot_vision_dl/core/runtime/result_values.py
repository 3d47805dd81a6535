"""A result as the names and values that topics and bags carry it under."""
from typing import Dict, List, Sequence, Tuple

import numpy as np

from ..types import Assessment, Result


def best_classes(probabilities: np.ndarray, count: int) -> List[Tuple[int, float]]:
    """(index, probability) of the ``count`` most probable classes, best first; shape of the argument (C,)."""
    count = min(count, len(probabilities))
    best = np.argpartition(probabilities, -count)[-count:]
    best = best[np.argsort(-probabilities[best], kind='stable')]
    return [(index, float(probabilities[index])) for index in best.tolist()]


def assessment_values(assessment: Assessment, class_names: Sequence[str]) -> Dict[str, object]:
    """What a frame says on its own: entropies, OOD score, conformal set."""
    values: Dict[str, object] = {
        'max_probability': float(assessment.probabilities.max()),
        'predictive_entropy': assessment.predictive_entropy,
    }
    if assessment.mutual_information is not None:
        values['expected_entropy'] = assessment.expected_entropy
        values['mutual_information'] = assessment.mutual_information
    if assessment.ood is not None:
        values['ood_method'] = assessment.ood.method
        values['ood_score'] = assessment.ood.score
        if assessment.ood.p_value is not None:
            values['ood_p_value'] = assessment.ood.p_value
    if assessment.conformal_set is not None:
        values['conformal_set'] = ', '.join(class_names[index] for index in assessment.conformal_set)
        values['conformal_set_was_empty'] = assessment.conformal_set_was_empty
    return values


def uncertainty_values(result: Result) -> Dict[str, object]:
    """Why the decision is what it is: entropies, OOD score, conformal set; times are not among them."""
    values: Dict[str, object] = {'label': result.decision.label, 'confidence': result.decision.confidence,
                                 **assessment_values(result.assessment, result.class_names)}
    if 'ood_p_value' in values:
        values['unknown_probability'] = result.unknown_probability
    if result.camera is not None:
        values['camera_state'] = result.camera.state
        values['camera_fault'] = '' if result.camera.fault is None else result.camera.fault.value
        if result.camera.fault is not None:
            values['camera_fault_s'] = result.camera.lasts_s
            values['camera_fault_frames'] = result.camera.frames
        if result.camera.p_value is not None:
            values['camera_p_value'] = result.camera.p_value
    return values


def value_text(value: object) -> str:
    """A value as diagnostics show it; floats keep six significant digits."""
    return f'{value:.6g}' if isinstance(value, float) else str(value)
