"""Free energy of the logits as a score of foreignness."""
import torch

from .score import OodScore


def energy(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """-T ln sum exp(z / T) (Liu et al. 2020, equation 4), shape (B, C) -> (B,); larger is more foreign."""
    z = logits[:, 0] if temperature == 1 else logits[:, 0] / temperature
    # ln softmax(z) is z minus what is asked for, and one operation where logsumexp is five.
    spread = torch.log_softmax(logits if temperature == 1 else logits / temperature, dim=-1)[:, 0] - z
    return spread if temperature == 1 else temperature * spread


class Energy(OodScore):
    """:func:`energy` at temperature 1."""

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Scores (B,)."""
        return energy(logits)
