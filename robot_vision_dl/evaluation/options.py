"""Settings of an evaluation: the only home of their defaults."""
from dataclasses import dataclass, field
from typing import Mapping, Tuple

from ..core.config import ClassifierConfig, check_values, option
from ..data.labels.labels import LabelConfig


@dataclass(frozen=True)
class RunOptions:
    """How bags are run through the models."""

    batch: int = option(8, 'frames in one forward pass; decisions do not depend on it', minimum=1, maximum=1024)
    exact: bool = option(
        True, 'a recording in which a decision is so close that the rounding of a batch could turn it is run again, '
        'frame by frame; false: not')
    decode_threads: int = option(
        0, 'threads that decode and preprocess ahead of the network; 0: one for each core that it leaves, 1 to 4',
        minimum=0, maximum=64)
    ahead_mb: int = option(256, 'decoded pictures that may wait for the network', minimum=16, maximum=65536)
    pictures: int = option(480, 'small pictures that a report may hold', minimum=0, maximum=10000)
    evidence: bool = option(
        True, 'mistakes, examples of confusions and what is most uncertain are shown with evidence; false: not')
    draws: int = option(2000, 'bootstrap draws behind each interval', minimum=100, maximum=100000)
    seed: int = option(0, 'of the bootstrap and of the floor of the calibration error', minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        check_values(self, 'evaluate.')


@dataclass(frozen=True)
class EvaluationOptions:
    """What is evaluated, and how.

    Attributes:
        deployment: what a deployment chooses; its model and cameras are not used.
        labels: where labels are; ``auto`` is content with none.
        topics: image topics; empty: each camera once, see :func:`..data.cameras.choose_topics`; ``all``.
        label_map: names in the labels -> class names (or ``unknown``, ``ignore``), for labels made for other models.
        run: see :class:`RunOptions`.
        detections: topics with a detector's boxes, ``TOPIC`` or ``IMAGES:=TOPIC``, whose objects are judged; empty:
            whole pictures are.
        boxes: where the objects in whole pictures are, see :func:`.object_boxes.boxes_of`; empty: not known.
        absent_is_unknown: a label that is a class of another one of the models is ``unknown`` to a model that has no
            such class; else that is an error.
    """

    deployment: ClassifierConfig = field(default_factory=ClassifierConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    topics: Tuple[str, ...] = ()
    label_map: Mapping[str, str] = field(default_factory=dict)
    run: RunOptions = field(default_factory=RunOptions)
    detections: Tuple[str, ...] = ()
    boxes: str = ''
    absent_is_unknown: bool = False
