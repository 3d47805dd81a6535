"""The largest probability as a score of foreignness."""
import torch

from .score import OodScore


class MaxSoftmax(OodScore):
    """-max softmax(z) (Hendrycks and Gimpel 2017), in [-1, -1/C]; larger is more foreign. A baseline, rarely good."""

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Scores (B,)."""
        return -torch.softmax(logits, dim=-1).amax(dim=-1)
