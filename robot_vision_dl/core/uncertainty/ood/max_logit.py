"""The largest logit as an OOD score."""
from typing import TYPE_CHECKING, Any

import numpy as np

from .base import OodScore

if TYPE_CHECKING:
    import torch


class MaxLogit(OodScore):
    """-max z (Hendrycks et al. 2022); larger is further out."""

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        scores: np.ndarray = -logits.max(axis=1)
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        return -logits.amax(1)
