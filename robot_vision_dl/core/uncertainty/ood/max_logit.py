"""The largest logit as an OOD score."""
import numpy as np
import torch

from .base import OodScore, on_host


class MaxLogit(OodScore):
    """-max z (Hendrycks et al. 2022); larger is further out."""

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> np.ndarray:
        """Scores (B,)."""
        scores: np.ndarray = -on_host(logits).max(axis=1)
        return scores

    def on_device(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, where the tables are."""
        return -logits.amax(1)
