"""Pictures as a camera at fault gives them, on their way to the network."""
import numpy as np
import torch

from ...core.networks.preprocess import Preprocessing
from ...core.types import Picture
from ...core.uncertainty.ood.sensor_faults import spoilt_picture
from ..dataset import EvalTransform
from ..seeded_random import share


class SpoiltTransform:
    """What the live node makes of a picture of a camera with one fault, at a strength that is drawn for each.

    As :class:`~..dataset.EvalTransform`; the draws follow from those of :mod:`..seeded_random`.

    Args:
        preprocessing: what the network expects.
        fault: one of :data:`~...core.uncertainty.ood.sensor_faults.SPOILT`.
    """

    def __init__(self, preprocessing: Preprocessing, fault: str) -> None:
        self._plain, self._fault = EvalTransform(preprocessing), fault

    def __call__(self, picture: Picture) -> torch.Tensor:
        """float32, shape (C, crop height, crop width)."""
        return self._plain(spoilt_picture(picture, self._fault, np.random.default_rng(int(share() * 2 ** 24))))
