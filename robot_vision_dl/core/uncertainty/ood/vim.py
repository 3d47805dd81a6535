"""Virtual-logit matching: what of the features lies outside the space that training filled, against the logits."""
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from .base import LinearHead, OodScore, Values, require_head, table_of
from .energy import energy

if TYPE_CHECKING:
    import torch


class Vim(OodScore):
    """alpha |R^T (f - u)| - ln sum exp z (Wang et al. 2022); larger is further out.

    Tensors:
        origin: u = -W^+ b, where the head gives logits of 0, shape (F,).
        residual_space: R, the eigenvectors with the smallest eigenvalues, times alpha, shape (F, F - D).
    """

    fitted = True
    needs_head = True

    stored = {'origin': (1, np.float32), 'residual_space': (2, np.float32)}

    def __init__(self, origin: Optional[Values] = None, residual_space: Optional[Values] = None) -> None:
        self.origin, self.residual_space = table_of(origin, 1), table_of(residual_space, 2)
        self._minus_offset = -(self.origin @ self.residual_space)

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None, dimensions: Optional[int] = None) -> 'Vim':
        """Fit to known pictures.

        Args:
            dimensions: D of the space that counts as filled; None: 1000, 512 or F / 2 for F from 2048, 768, or less
                (section 4.3 of the paper).
        """
        import torch
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

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        residual = features @ self.residual_space + self._minus_offset
        scores: np.ndarray = np.sqrt((residual * residual).sum(axis=1)) + energy(logits)
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        residual = features @ tables.residual_space + tables._minus_offset
        scores: 'torch.Tensor' = residual.norm(dim=1) - logits.logsumexp(1)
        return scores
