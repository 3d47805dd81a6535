"""Pictures as a camera at fault gives them, on their way to the network."""
import numpy as np
import torch

from ...core.networks.preprocess import Preprocessing
from ...core.types import Picture
from ...core.uncertainty.camera.probe import EXCHANGED, SOUND
from ...core.uncertainty.ood.sensor_faults import AS_USUAL, drawn_recording, spoilt_picture
from ..dataset import EvalTransform
from ..seeded_random import share

# Exchanged colours are told least: as few are drawn as there are drawn ones among those without a fault.
_DRAWN = {SOUND: 1.0, EXCHANGED: 0.15}


class SpoiltTransform:
    """What the live node makes of a picture of a camera with one fault, at a strength that is drawn for each.

    Of some of them, and of all without a fault, so are the sensor's noise and the quality of the file, lest these tell
    what is a fault.

    As :class:`~..dataset.EvalTransform`; the draws follow from those of :mod:`..seeded_random`.

    Args:
        preprocessing: what the network expects.
        fault: one of :data:`~...core.uncertainty.ood.sensor_faults.SPOILT`, or
            :data:`~...core.uncertainty.camera.probe.SOUND`, none.
    """

    def __init__(self, preprocessing: Preprocessing, fault: str) -> None:
        self._plain, self._fault = EvalTransform(preprocessing), fault

    def __call__(self, picture: Picture) -> torch.Tensor:
        """float32, shape (C, crop height, crop width)."""
        rng = np.random.default_rng(int(share() * 2 ** 24))
        is_drawn = rng.random() < _DRAWN.get(self._fault, 0.5)
        return self._plain(spoilt_picture(picture, self._fault, rng, drawn_recording(rng) if is_drawn else AS_USUAL))
