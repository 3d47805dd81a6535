"""What makes a trained model doubtful as a whole: said at the end of the training, and on the card."""
from math import log, nan
from typing import List, Mapping, Optional, Sequence

import numpy as np

from ..core.metrics.classification import ClassificationMetrics
from .history import EpochRecord, best_epoch


def doubts(class_names: Sequence[str], history: Sequence[EpochRecord], test: Optional[ClassificationMetrics] = None,
           baselines: Mapping[str, float] = {}) -> List[str]:
    """Sentences about a result that is not worth much; empty for one that beats what costs nothing.

    Args:
        class_names: C names.
        history: epochs; the best one counts.
        test: what the calibrated model did on the test split; None without one.
        baselines: accuracy on the same test frames by name. The majority class is taken from ``test`` itself.
    """
    nothing = log(len(class_names))
    known_nothing = f'knowing nothing would give ln {len(class_names)} = {nothing:.3f}'
    found = []
    best_nll = best_epoch(history).nll if history else nan
    if best_nll >= nothing:  # NaN without an early-stop split
        found.append(f'the best early-stop NLL, {best_nll:.3f}, is no better than chance: {known_nothing}; it has '
                     'learned nothing that holds on other frames')
    if test is None:
        return found
    support, n = test.by_class.support, test.pictures
    most = int(support.argmax())
    if 0 < support[most] < n and test.accuracy <= support[most] / n:
        found.append(f'accuracy {test.accuracy:.3f} on {n} test frames is no better than always saying '
                     f'{test.class_names[most]} ({support[most] / n:.3f})')
    for name, accuracy in baselines.items():
        if name != 'majority class' and test.accuracy < accuracy - 5e-5:  # they are rounded to four digits
            found.append(f'accuracy {test.accuracy:.3f} on {n} test frames is less than that of {name} '
                         f'({accuracy:.3f}), for which the network needs no training')
    if test.nll >= nothing:
        found.append(f'the test NLL, {test.nll:.3f}, is no better than chance: {known_nothing}')
    never = [f'{name} ({count} frames)' for name, recall, count in zip(
        test.class_names, test.by_class.recall, support) if count and np.isclose(recall, 0.0)]
    if never:
        found.append(f'never recognised in the test: {", ".join(never)}')
    return found
