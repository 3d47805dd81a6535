"""Which pictures the OOD score of a bundle was fitted to, as far as that decides what another calibration may keep."""
from typing import Mapping, Optional

import numpy as np

from ..uncertainty.ood.part import ood_method
from ..uncertainty.ood.pictures import Pictures
from .bundle import Bundle

SCORE_FITTED_TO = 'score_fitted_to'
"""Key of the provenance: what the score was fitted to, where that is not what it was calibrated on."""
OF_REFERENCE = 'data of --reference'


def is_score_of_others(bundle: Bundle) -> bool:
    """Whether the OOD score was fitted to other pictures than it was calibrated on: by training, or to a reference."""
    known = bundle.provenance
    return bundle.ood is not None and bundle.ood.scores is not None and (
        bundle.ood.stage_names == bundle.architecture.stages) and (
        SCORE_FITTED_TO in known or 'trained' in known and 'calibrated_from' not in known)


def keeps_score(bundle: Bundle, count: int, pictures: Optional[Pictures] = None) -> bool:
    """Whether a calibration on pictures of a deployment keeps the score, and needs none of them to fit another.

    It does where the score was fitted to the training, and where it was fitted to at least as many others as half of
    the pictures are, which would fit another one.

    Args:
        count: of the pictures that are given.
        pictures: these: where one of them is among those that the score was calibrated on, others may be among those
            that it was fitted to. None: nothing else is known of them.
    """
    if bundle.ood is None or bundle.ood.scores is None or bundle.ood.stage_names != bundle.architecture.stages or (
            not any(ood_method(part.method).fitted for part in bundle.ood.all_parts)):
        return False
    if is_score_of_others(bundle):
        return True
    before = bundle.metrics.get('calibration', bundle.metrics)
    every = before.get('pictures') if isinstance(before, Mapping) else None
    fitted = every - len(bundle.ood.scores) if type(every) is int else 0
    return fitted >= max(count // 2, 1) and not (
        pictures is not None and np.isin(bundle.ood.scores_of(pictures), bundle.ood.scores).any())
