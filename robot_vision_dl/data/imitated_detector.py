"""What a detector might have found where the objects are known: boxes that are off, some missed, some of nothing.

It imitates no detector in particular. Real ones are wrong where the picture is difficult; this one is wrong at random.
"""
from dataclasses import dataclass
from math import exp
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..core.config import check_values, option
from ..core.regions.detections import Box
from ..core.regions.overlap import overlaps

_MOST_OVERLAP = 0.1  # of a false alarm with an object
_TRIES = 50
_SMALLEST, _LARGEST = 0.05, 0.3  # sides of a false alarm as shares of the picture's, where there is no object to go by


class MarkedObject(NamedTuple):
    """An object of a picture: its box in pixels, its class, and its track where that is known."""

    box: Box
    label: str
    track: str = ''


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


def imitate_detector(objects: Sequence[MarkedObject], size: Tuple[int, int], classes: Sequence[str],
                     errors: DetectorErrors, number: int) -> List[MarkedObject]:
    """What the detector says of a picture, in an order that tells nothing.

    Args:
        objects: that are in it.
        size: (width, height) of the picture.
        classes: that a false alarm may be taken for; none: it has the class ``object``.
        number: of the picture; with the seed it decides all draws.
    """
    if not errors.any:
        return list(objects)
    rng = np.random.default_rng([errors.seed, number])
    found = [each._replace(box=_jittered(each.box, errors.box_jitter, rng)) for each in objects
             if rng.random() >= errors.missed]
    names = list(classes) or ['object']
    for _ in range(int(rng.poisson(errors.false_alarms))):
        box = _false_alarm(objects, size, rng)
        if box is not None:
            found.append(MarkedObject(box, names[int(rng.integers(len(names)))]))
    return [found[place] for place in rng.permutation(len(found))]


def _jittered(box: Box, share: float, rng: np.random.Generator) -> Box:
    across, down, wider, higher = (share * rng.standard_normal(4)).tolist()
    return Box(box.x + across * box.width, box.y + down * box.height, box.width * exp(wider), box.height * exp(higher),
               box.theta)


def _false_alarm(objects: Sequence[MarkedObject], size: Tuple[int, int], rng: np.random.Generator) -> Optional[Box]:
    """A box as large as one of the objects that (nearly) touches none of them; None where no room is found."""
    for _ in range(_TRIES):
        if objects:
            like = objects[int(rng.integers(len(objects)))].box
            width, height = min(like.width, size[0]), min(like.height, size[1])
        else:
            width, height = (float(side * rng.uniform(_SMALLEST, _LARGEST)) for side in size)
        x, y = (float(rng.uniform(side / 2, room - side / 2)) for side, room in zip((width, height), size))
        box = Box(x, y, width, height)
        if not objects or overlaps([box], [each.box for each in objects]).max() < _MOST_OVERLAP:
            return box
    return None
