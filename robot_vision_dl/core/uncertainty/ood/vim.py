"""Virtual-logit matching: what of the features lies outside the space that training filled, against the logits."""
from typing import Optional

import numpy as np
import torch

from .base import LinearHead, OodScore, on_host, require_head
from .energy import energy


class Vim(OodScore):
    """alpha |R^T (f - u)| - ln sum exp z (Wang et al. 2022); larger is further out.

    Tensors:
        origin: u = -W^+ b, where the head gives logits of 0, shape (F,).
        residual_space: R, the eigenvectors with the smallest eigenvalues, times alpha, shape (F, F - D).
    """

    fitted = True
    needs_head = True

    origin: torch.Tensor
    residual_space: torch.Tensor
    _minus_offset: torch.Tensor

    def __init__(self, origin: Optional[torch.Tensor] = None, residual_space: Optional[torch.Tensor] = None) -> None:
        super().__init__()
        self.register_buffer('origin', torch.empty(0) if origin is None else origin)
        self.register_buffer('residual_space', torch.empty(0, 0) if residual_space is None else residual_space)
        self.register_buffer('_minus_offset', -(self.origin @ self.residual_space), persistent=False)

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor, labels: Optional[torch.Tensor] = None,
            head: Optional[LinearHead] = None, dimensions: Optional[int] = None) -> 'Vim':
        """Fit to known pictures.

        Args:
            dimensions: D of the space that counts as filled; None: 1000, 512 or F / 2 for F from 2048, 768, or less
                (section 4.3 of the paper).
        """
        head = require_head('vim', head)
        f, z = features.double(), logits.double()
        size = f.shape[1]
        if dimensions is None:
            dimensions = 1000 if size >= 2048 else 512 if size >= 768 else size // 2
        origin = -(torch.linalg.pinv(head.weight.double()) @ head.bias.double())
        centred = f - origin
        _, vectors = torch.linalg.eigh(centred.T @ centred / len(f))
        residual = vectors[:, :size - dimensions]
        alpha = z.amax(-1).mean() / (centred @ residual).norm(dim=-1).mean().clamp_min(1e-12)
        return cls(origin.float(), (alpha * residual).float().contiguous())

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> np.ndarray:
        """Scores (B,)."""
        residual = on_host(torch.addmm(self._minus_offset, features, self.residual_space))
        scores: np.ndarray = np.sqrt((residual * residual).sum(axis=1)) + energy(on_host(logits))
        return scores

    def on_device(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, where the tables are."""
        residual = torch.addmm(self._minus_offset, features, self.residual_space)
        outside: torch.Tensor = torch.linalg.vector_norm(residual, dim=1)
        return outside - torch.logsumexp(logits, dim=1)
