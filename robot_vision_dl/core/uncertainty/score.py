"""What all scores of foreignness have in common."""
import torch
from torch import nn


class OodScore(nn.Module):
    """Logits and features of one forward pass -> how foreign each picture is.

    What a score was fitted to are its buffers; they are stored in the bundle's ``uncertainty.safetensors``.

    Attributes:
        fitted: whether the score needs :meth:`fit`.
    """

    fitted = False

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor) -> 'OodScore':
        """The score for pictures like those with these logits (n, C) and features (n, F)."""
        return cls()

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Scores, float32, shape (B,), larger is more foreign, of float32 logits (B, C) and features (B, F)."""
        raise NotImplementedError
