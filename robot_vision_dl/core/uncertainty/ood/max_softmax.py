"""The largest probability as an OOD score."""
import numpy as np
import torch

from ..temperature import calibrated_softmax
from .base import OodScore, on_host


class MaxSoftmax(OodScore):
    """-max softmax(z) (Hendrycks and Gimpel 2017), in [-1, -1/C]; larger is further out. A baseline, rarely good."""

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> np.ndarray:
        """Scores (B,)."""
        scores: np.ndarray = -calibrated_softmax(on_host(logits), 1.0).max(axis=1)
        return scores

    def on_device(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, where the tables are."""
        return -torch.softmax(logits, dim=1).amax(1)
