"""What a detector found, held against what is labelled: which box is of which object, and which is of none.

A detection is of the labelled object that its box overlaps most, if the intersection over union is at least
:data:`LEAST_OVERLAP`, as in PASCAL VOC (Everingham et al., IJCV 2010). Unlike there, several detections may be of one
object: each is cut out and classified, and each has a right answer. One that is of no object is the detector's false
alarm: it is none of the classes, ``unknown``. An object without a detection was missed by the detector; whoever
classifies what it found has no part in that.
"""
from dataclasses import dataclass
from math import isfinite
from typing import Collection, List, Sequence, Tuple

import numpy as np

from ..core.regions.crop import BoxError, check_box
from ..core.regions.detections import Box, Detection
from ..core.regions.overlap import overlaps
from ..core.types import UNKNOWN
from .labels.labels import IGNORE, Finding, FrameLabel, check_label

LEAST_OVERLAP = 0.5
NOT_LABELLED = FrameLabel(Finding.GAP)
"""Of a detection in a picture of which nobody says what is in it."""


@dataclass(frozen=True)
class Labelled:
    """What the labels say of the detections of one picture.

    Attributes:
        verdicts: one for each detection, in order.
        objects: labelled ones, without those that are ignored.
        missed: of these, without a detection.
        again: detections of an object that another detection overlaps more.
        false_alarms: detections of no object.
    """

    verdicts: Tuple[FrameLabel, ...]
    objects: int = 0
    missed: int = 0
    again: int = 0
    false_alarms: int = 0


def class_of(detection: Detection) -> str:
    """The class of the hypothesis with the highest score; empty where there is none."""
    best = max(detection.hypotheses, key=lambda one: one.score if isfinite(one.score) else -1.0, default=None)
    return '' if best is None else best.class_id


def label_detections(boxes: Sequence[Box], objects: Sequence[Box], labels: Sequence[FrameLabel]) -> Labelled:
    """Say what each detection is of.

    Args:
        boxes: of the detections; one that is none (no number, no area) is of nothing that could be said: a gap.
        objects: boxes of what is labelled; one that is none is passed over.
        labels: what each of them is, see :func:`object_label`.
    """
    sound = [place for place, box in enumerate(boxes) if is_box(box)]
    there = [place for place, box in enumerate(objects) if is_box(box)]
    shared = overlaps([boxes[place] for place in sound], [objects[place] for place in there])
    counts = [labels[place].finding is Finding.LABELLED for place in there]
    verdicts: List[FrameLabel] = [NOT_LABELLED] * len(boxes)
    found: List[int] = []
    false_alarms = 0
    for row, place in enumerate(sound):
        best = int(np.argmax(shared[row])) if there else -1
        if best < 0 or shared[row, best] < LEAST_OVERLAP:
            verdicts[place] = FrameLabel(Finding.LABELLED, UNKNOWN)
            false_alarms += 1
            continue
        verdicts[place] = labels[there[best]]
        if counts[best]:
            found.append(best)
    return Labelled(tuple(verdicts), sum(counts), sum(counts) - len(set(found)), len(found) - len(set(found)),
                    false_alarms)


def object_label(name: str, track: str, ignore: Collection[str], where: str) -> FrameLabel:
    """What a labelled object is: of a class or ``unknown``; left out where its class is to be ignored, or is empty.

    Raises:
        ConfigError: the name can be no label.
    """
    label = check_label(name, where)
    if not label or label == IGNORE or label in ignore:
        return FrameLabel(Finding.IGNORED)
    return FrameLabel(Finding.LABELLED, label, track or None)


def is_box(box: Box) -> bool:
    """Whether a box has an area."""
    try:
        check_box(box)
    except BoxError:
        return False
    return True
