"""Which pictures the OOD score of a bundle was fitted to, as far as that decides what another calibration may keep."""
from ..uncertainty.ood.part import ood_method
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


def keeps_score(bundle: Bundle) -> bool:
    """Whether a calibration on pictures of a deployment keeps the score, and needs none of them to fit another."""
    return is_score_of_others(bundle) and bundle.ood is not None and any(
        ood_method(part.method).fitted for part in bundle.ood.all_parts)
