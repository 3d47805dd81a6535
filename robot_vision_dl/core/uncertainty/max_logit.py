"""The largest logit as a score of foreignness."""
import torch

from .score import OodScore


class MaxLogit(OodScore):
    """-max z (Hendrycks et al. 2022); larger is more foreign."""

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Scores (B,)."""
        return -logits.amax(dim=-1)
