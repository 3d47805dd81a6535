"""What a detector might have found where the objects are known: boxes that are off, some missed, some of nothing.

It imitates no detector in particular. Real ones are wrong where the picture is difficult; this one is wrong at random.
"""
from dataclasses import dataclass, replace
from math import exp
from typing import List, Sequence, Tuple

import numpy as np

from ..core.config import check_values, option
from ..core.regions.detections import Box
from .background import background_boxes
from .labels.objects.labelled_picture import LabelledObject, bounds

_SIDES = (0.05, 0.1, 0.2, 0.3)  # of a false alarm as shares of the picture's, where there is no object to go by


@dataclass(frozen=True)
class DetectorErrors:
    """How an imitated detector errs; all zero: it finds what is there."""

    box_jitter: float = option(
        0.0, 'standard deviation by which boxes are moved, as a share of their sides, and of the logarithm of their '
        'sides', minimum=0.0, maximum=1.0)
    missed: float = option(0.0, 'share of the objects that are not found', minimum=0.0, maximum=1.0)
    false_alarms: float = option(0.0, 'boxes a picture, on average, where nothing is', minimum=0.0, maximum=100.0)
    seed: int = option(0, 'of what is random', minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        check_values(self)

    @property
    def any(self) -> bool:
        """Whether it errs at all."""
        return bool(self.box_jitter or self.missed or self.false_alarms)


def imitate_detector(objects: Sequence[LabelledObject], size: Tuple[int, int], classes: Sequence[str],
                     errors: DetectorErrors, number: int) -> List[LabelledObject]:
    """What the detector says of a picture, in an order that tells nothing.

    Args:
        objects: that are in it.
        size: (width, height) of the picture.
        classes: that a false alarm may be taken for; none: it has the class ``object``. It is as large as one of the
            objects, and hardly touches any.
        number: of the picture; with the seed it decides all draws.
    """
    if not errors.any:
        return list(objects)
    rng = np.random.default_rng([errors.seed, number])
    found = [replace(each, box=_jittered(each.box, errors.box_jitter, rng)) for each in objects
             if rng.random() >= errors.missed]
    names = list(classes) or ['object']
    sizes = [(each.box.width, each.box.height) for each in objects] or [
        (size[0] * across, size[1] * down) for across in _SIDES for down in _SIDES]
    for box in background_boxes(size, [bounds(each.box) for each in objects], sizes,
                                int(rng.poisson(errors.false_alarms)), 0.0, rng):
        found.append(LabelledObject(box, names[int(rng.integers(len(names)))]))
    return [found[place] for place in rng.permutation(len(found))]


def _jittered(box: Box, share: float, rng: np.random.Generator) -> Box:
    across, down, wider, higher = (share * rng.standard_normal(4)).tolist()
    return Box(box.x + across * box.width, box.y + down * box.height, box.width * exp(wider), box.height * exp(higher),
               box.theta)
