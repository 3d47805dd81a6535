"""The largest probability as an OOD score."""
from typing import TYPE_CHECKING, Any

import numpy as np

from ..temperature import calibrated_softmax
from .base import OodScore

if TYPE_CHECKING:
    import torch


class MaxSoftmax(OodScore):
    """-max softmax(z) (Hendrycks and Gimpel 2017), in [-1, -1/C]; larger is further out. A baseline, rarely good."""

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        scores: np.ndarray = -calibrated_softmax(logits, 1.0).max(axis=1)
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        return -logits.softmax(1).amax(1)
