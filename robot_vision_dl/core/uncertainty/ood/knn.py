"""Distance to known features as an OOD score."""
from typing import TYPE_CHECKING, Any, Mapping, Optional

import numpy as np

from ...errors import BundleError, RobotVisionError
from .base import LinearHead, OodScore, Values, lengths_of, table_of

if TYPE_CHECKING:
    import torch

_MOST_LENGTH = 1.01  # of a feature of length 1, with the rounding of float32
_ROUNDS = 20  # of k-means; more move a mean by no more than float16 rounds it
_MOST_FOR_MEANS = 20  # pictures a mean


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

    stored = {'bank': (2, np.float32), 'k': (0, np.int64)}

    def __init__(self, bank: Optional[Values] = None, k: Optional[Values] = None) -> None:
        self.bank, self.k = table_of(bank, 2), table_of(k, 0, np.int64)
        self._k = int(self.k)
        if bank is not None and not 1 <= self._k <= len(bank):
            raise BundleError(f'knn: k must be in 1..{len(bank)}, the rows of the bank, got {self._k}')
        if bank is not None and not float(lengths_of(self.bank).max()) <= _MOST_LENGTH:
            raise BundleError('knn: the rows of the bank must have the length 1')
        # In this order a row times it takes half the time.
        self._bank_t = self.bank.T.copy()

    @classmethod
    def width(cls, tables: Mapping[str, np.ndarray], prefix: str = '') -> int:
        """F."""
        return int(tables[f'{prefix}bank'].shape[1])

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None, k: int = 5) -> 'KNearestNeighbours':
        """Keep the features (N, F) of known pictures; N at least k."""
        import torch
        from torch.nn.functional import normalize
        if len(features) < k:
            raise RobotVisionError(f'knn: {k} known pictures at least are needed, got {len(features)}')
        return cls(normalize(features.float(), dim=-1), torch.tensor(k))

    @classmethod
    def fit_means(cls, features: 'torch.Tensor', most: int, seed: int) -> 'KNearestNeighbours':
        """The distance to the nearest of ``most`` directions that stand for features (N, F), or of all, if N is less.

        Spherical k-means (Dhillon and Modha 2001). Beside as many pictures drawn at random, means lie where the others
        are, too: of things that resemble the classes they tell nearly as many as all pictures do.
        """
        import torch
        from torch.nn.functional import normalize
        rows = normalize(features.float(), dim=-1)
        if len(rows) > most:
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
            means, rows = rows[order[:most]], rows[order[:_MOST_FOR_MEANS * most]]
            for _ in range(_ROUNDS):
                nearest = (rows @ means.T).argmax(dim=1)
                sums = torch.zeros_like(means).index_add_(0, nearest, rows)
                lengths = sums.norm(dim=1, keepdim=True)
                means = torch.where(lengths > 0, sums / lengths.clamp_min(1e-12), means)  # one of none stays
            rows = means
        return cls(rows, torch.tensor(1))

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        # |f| is divided by after the k-th is found, which is one number instead of F.
        kth = np.partition(features @ self._bank_t, -self._k, axis=1)[:, -self._k]
        length = np.maximum(lengths_of(features), 1e-12)
        scores: np.ndarray = np.sqrt(np.maximum(2 - 2 * kth / length, 0))
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        kth = (features @ tables._bank_t).topk(self._k, dim=1).values[:, -1]
        length = features.norm(dim=1).clamp_min(1e-12)
        scores: 'torch.Tensor' = (2 - 2 * kth / length).clamp_min(0).sqrt()
        return scores
