"""Settings of a mining: the only home of their defaults."""
from dataclasses import dataclass, field
from typing import Tuple

from ...core.config import ClassifierConfig, check_values, option
from ...data.labels.labels import LabelConfig
from .selection import RANDOM_SHARE


@dataclass(frozen=True)
class MiningOptions:
    """What is looked at, and how much of it is to be labelled.

    Attributes:
        deployment: what a deployment chooses. What is fused over time is not: each frame is decided alone.
        labels: where labels are that recordings have already.
    """

    every_s: float = option(
        0.5, 'look at a frame of a camera no sooner than this after the one before, in seconds; 0: every frame',
        minimum=0.0, maximum=1e4)
    longest_s: float = option(20.0, 'longest interval, in seconds', minimum=0.1, maximum=1e4)
    count: int = option(200, 'intervals to label, those drawn at random among them', minimum=1, maximum=1000000)
    random_share: float = option(RANDOM_SHARE, 'share of them that is drawn at random from all, so that the accuracy '
                                 'can be estimated without bias', minimum=0.0, maximum=1.0)
    seed: int = option(0, 'of what is drawn at random', minimum=0, maximum=2**32 - 1)
    labelled: bool = option(False, 'choose among stretches that are labelled already as among others; else only those '
                            'whose label is likely wrong')
    deployment: ClassifierConfig = field(default_factory=ClassifierConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)
    topics: Tuple[str, ...] = option((), 'image topics; empty: each camera once; all')

    def __post_init__(self) -> None:
        check_values(self, 'mine.')
