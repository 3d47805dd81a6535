"""What a forward pass gives, as arrays: of a runtime that is not torch."""
from typing import NamedTuple, Tuple

import numpy as np


class HostPrediction(NamedTuple):
    """As :class:`~.network.Prediction`, in arrays on the host.

    Attributes:
        logits: float32, shape (B, C).
        features: what the head sees, float32, shape (B, F); F is 0 where the network gives none.
        stages: what each of ``architecture.stages`` gives, averaged over the picture, shape (B, F_s) each.
    """

    logits: np.ndarray
    features: np.ndarray
    stages: Tuple[np.ndarray, ...] = ()
