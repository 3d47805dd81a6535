"""What the calibration part of a split can and cannot promise: said before the first epoch, not after the last."""
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np

from ..core.bundles.calibration_figures import OBJECTS, count_of
from ..core.bundles.trust_limits import few_of_a_class
from ..core.config import DecisionConfig
from ..core.errors import DataError
from ..core.uncertainty.attainable_rates import MIN_PICTURES, pictures_for_rate, smallest_rate
from ..data.division import Part

_REMEDY = 'record more, best as other recordings, or raise data.split.calibration and lower data.split.train by as much'


def check_calibration(targets: np.ndarray, class_names: Sequence[str], alpha: float, strange: int = 0,
                      objects: Optional[Mapping[str, Any]] = None) -> Dict[str, str]:
    """Look at the frames that a model is to be calibrated on.

    Args:
        targets: their classes, int64 (n,).
        class_names: C names.
        alpha: error rate of the conformal sets.
        strange: further frames of this part that are labelled unknown.
        objects: of how many objects the frames are, see :func:`~..data.objects.count_objects`.

    Returns:
        Sentences about what will not hold, by :class:`~..core.bundles.trust_limits.Limit` ``what``.

    Raises:
        DataError: it cannot be done at all, or not for some class.
    """
    n, objects = len(targets), objects or {}
    frames = f'{n} calibration frames{count_of(objects)}'
    if n < MIN_PICTURES:
        uncounted = f' (of {n + strange}, {strange} labelled unknown, which do not count)' if strange else ''
        raise DataError(f'calibration needs {MIN_PICTURES} frames at least that are of a class, and its part of the '
                        'split has '
                        f'{n}{uncounted}: {_REMEDY}')
    counts = np.bincount(targets, minlength=len(class_names)).tolist()
    missing = [name for name, count in zip(class_names, counts) if not count]
    if missing:
        raise DataError(f'no calibration frame is labelled {", ".join(missing)}, so nobody would know how far the '
                        f'model can be trusted there: {_REMEDY}; where recordings are few, data.split.method: time '
                        'spreads every class over all parts')
    found = {}
    few = few_of_a_class(class_names, counts)
    if few:
        found['classes'] = f'{few}: {_REMEDY}'
    rate = DecisionConfig().false_unknown_rate
    if smallest_rate(n) > rate:
        found['unknown_rate'] = (
            f'with {frames} unknown is said at {smallest_rate(n):.4f} at best, so much of what is known is called '
            f'unknown, instead of decision.false_unknown_rate {rate:g}, for which {pictures_for_rate(rate)} are '
            f'needed: {_REMEDY}')
    elif objects.get('counted') == OBJECTS and objects['objects'] < pictures_for_rate(rate):
        found['objects'] = (
            f'there are {frames}; frames of one object are alike, so that at decision.false_unknown_rate {rate:g} '
            f'known objects may be called unknown far more often; {pictures_for_rate(rate)} objects are needed: '
            'record more of them')
    if smallest_rate(n) > alpha:
        found['conformal'] = (f'with {frames} every class is in every conformal set at output.alpha {alpha:g}, and '
                              f'{pictures_for_rate(alpha)} are needed: {_REMEDY}')
    return found


def exposed_frames(strange: Mapping[Part, np.ndarray], weight: float) -> np.ndarray:
    """Which of the frames that are labelled unknown are learned from as outliers: those of the training part.

    None of them where there are not two more, outside the test part, that could choose and judge the OOD score: then
    those of the training part have to.

    Args:
        weight: of outlier exposure; with 0 nothing is learned from.
    """
    others = len(strange[Part.EARLY_STOP]) + len(strange[Part.CALIBRATION])
    return strange[Part.TRAIN] if weight and others > 1 else np.zeros(0, np.int64)


def describe_strange(strange: Mapping[Part, np.ndarray], exposed: int = 0) -> str:
    """What becomes of the frames that are labelled unknown, by part of the split.

    Args:
        exposed: how many of the training part are learned from as outliers.
    """
    total, tested = sum(len(part) for part in strange.values()), len(strange[Part.TEST])
    learned = (f'{exposed} of the training part are learned from as outliers' if exposed else
               'the network does not learn from them')
    return (f'{total} frames are labelled unknown: {learned}. {total - tested - exposed} of them '
            f'choose and judge the OOD score (output.ood: auto); the {tested} of the test part are not used')
