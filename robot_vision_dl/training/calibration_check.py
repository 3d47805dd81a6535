"""What the calibration part of a split can and cannot promise: said before the first epoch, not after the last."""
from typing import List, Mapping, Sequence

import numpy as np

from ..core.config import DecisionConfig
from ..core.errors import DataError
from ..core.uncertainty.reach import MIN_PICTURES, few_of_a_class, pictures_for_rate, smallest_rate
from ..data.split import Part

_REMEDY = 'record more, best as other recordings, or raise data.split.calibration'


def check_calibration(targets: np.ndarray, class_names: Sequence[str], alpha: float, strange: int = 0) -> List[str]:
    """Look at the frames that a model is to be calibrated on.

    Args:
        targets: their classes, int64 (n,).
        class_names: C names.
        alpha: error rate of the conformal sets.
        strange: further frames of this part that are labelled unknown.

    Returns:
        Sentences about what will not hold.

    Raises:
        DataError: it cannot be done at all, or not for some class.
    """
    n = len(targets)
    if n < MIN_PICTURES:
        uncounted = f' (of {n + strange}, {strange} labelled unknown, which do not count)' if strange else ''
        raise DataError(f'calibration needs {MIN_PICTURES} frames of classes at least, and its part of the split has '
                        f'{n}{uncounted}: {_REMEDY}')
    counts = np.bincount(targets, minlength=len(class_names)).tolist()
    missing = [name for name, count in zip(class_names, counts) if not count]
    if missing:
        raise DataError(f'no calibration frame is labelled {", ".join(missing)}, so nobody would know how far the '
                        f'model can be trusted there: {_REMEDY}; where recordings are few, data.split.method: time '
                        'spreads every class over all parts')
    found = []
    few = few_of_a_class(class_names, counts)
    if few:
        found.append(f'{few}: {_REMEDY}')
    rate = DecisionConfig().false_unknown_rate
    if smallest_rate(n) > rate:
        found.append(f'with {n} calibration frames nothing can be called unknown at decision.false_unknown_rate '
                     f'{rate:g}: they reach {smallest_rate(n):.4f} at best, and {pictures_for_rate(rate)} are needed: '
                     f'{_REMEDY}, or run the model with decision.smallest_reachable_rate: true')
    if smallest_rate(n) > alpha:
        found.append(f'with {n} calibration frames every class is in every conformal set at output.alpha {alpha:g}, '
                     f'and {pictures_for_rate(alpha)} are needed: {_REMEDY}')
    return found


def describe_strange(strange: Mapping[Part, np.ndarray]) -> str:
    """What becomes of the frames that are labelled unknown, by part of the split."""
    total, tested = sum(len(part) for part in strange.values()), len(strange[Part.TEST])
    return (f'{total} frames are labelled unknown: the network does not learn from them. {total - tested} of them '
            f'choose and judge the score of foreignness (output.ood: auto); the {tested} of the test part are not used')
