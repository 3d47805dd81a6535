"""Distance to known features as an OOD score."""
from typing import Mapping, Optional

import numpy as np
import torch
from torch.nn.functional import normalize

from ...errors import BundleError, RobotVisionError
from .base import LinearHead, OodScore, lengths_of, on_host

_MOST_LENGTH = 1.01  # of a feature of length 1, with the rounding of float32


class KNearestNeighbours(OodScore):
    """Distance to the k-th nearest of the known features, all of length 1 (Sun et al. 2022); in [0, 2].

    Tensors:
        bank: normalised features of pictures of the known classes, shape (N, F).
        k: the neighbour that counts, int64, shape ().
    """

    fitted = True
    of_features = True
    is_distance = True
    large = ('bank',)

    bank: torch.Tensor
    k: torch.Tensor
    _bank_t: torch.Tensor

    def __init__(self, bank: Optional[torch.Tensor] = None, k: Optional[torch.Tensor] = None) -> None:
        super().__init__()
        self.register_buffer('bank', torch.empty(0, 0) if bank is None else bank)
        self.register_buffer('k', torch.tensor(0) if k is None else k)
        self._k = int(self.k)
        if bank is not None and not 1 <= self._k <= len(bank):
            raise BundleError(f'knn: k must be in 1..{len(bank)}, the rows of the bank, got {self._k}')
        if bank is not None and not float(bank.norm(dim=-1).max()) <= _MOST_LENGTH:
            raise BundleError('knn: the rows of the bank must have the length 1')
        # In this order a row times it takes half the time.
        self.register_buffer('_bank_t', self.bank.T.contiguous(), persistent=False)

    @classmethod
    def width(cls, tensors: Mapping[str, torch.Tensor], prefix: str = '') -> int:
        """F."""
        return int(tensors[f'{prefix}bank'].shape[1])

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor, labels: Optional[torch.Tensor] = None,
            head: Optional[LinearHead] = None, k: int = 5) -> 'KNearestNeighbours':
        """Keep the features (N, F) of known pictures; N at least k."""
        if len(features) < k:
            raise RobotVisionError(f'knn: {k} known pictures at least are needed, got {len(features)}')
        return cls(normalize(features.float(), dim=-1).contiguous(), torch.tensor(k))

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> np.ndarray:
        """Scores (B,)."""
        # |f| is divided by after the k-th is found, which is one number instead of F.
        kth = np.partition(on_host(torch.mm(features, self._bank_t)), -self._k, axis=1)[:, -self._k]
        length = np.maximum(lengths_of(on_host(features)), 1e-12)
        scores: np.ndarray = np.sqrt(np.maximum(2 - 2 * kth / length, 0))
        return scores

    def on_device(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, where the tables are."""
        kth = torch.mm(features, self._bank_t).topk(self._k, dim=1).values[:, -1]
        length = torch.linalg.vector_norm(features, dim=1).clamp_min(1e-12)
        scores: torch.Tensor = (2 - 2 * kth / length).clamp_min(0).sqrt()
        return scores
