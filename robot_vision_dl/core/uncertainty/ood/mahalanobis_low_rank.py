"""Mahalanobis distance of many features by a few of their axes, as an OOD score."""
from typing import TYPE_CHECKING, Any, Mapping, Optional

import numpy as np

from ...errors import BundleError
from .base import LinearHead, OodScore, Quadratic, Values, lengths_of, table_of, turned_to
from .mahalanobis import amid, class_means, enough_for_classes, shrunk_spectrum

if TYPE_CHECKING:
    import torch

_AXES = 64


class MahalanobisLowRank(OodScore):
    """Mahalanobis distance of features of length 1 to the nearest class, most axes of them alike; larger is further.

    The covariance within classes is that of probabilistic PCA (Tipping and Bishop 1999): its own variance along each of
    K axes, and one along all others. Of a thousand features that is a twentieth of the whole covariance to store and to
    multiply by, needs fewer pictures, and tells as much (see :class:`~.mahalanobis.MahalanobisNormalised`).

    With r = f/|f| - mu and s the variance along the other axes it is |r|^2 / s - |A^T r|^2.

    Tensors:
        axes: A, each axis times the root of 1/s - 1/variance, shape (F, K).
        means: mu of each class, shape (C', F).
        rest: s, shape (), above 0.
    """

    fitted = True
    of_features = True
    is_distance = True
    large = ('axes',)

    stored = {'axes': (2, np.float32), 'means': (2, np.float32), 'rest': (0, np.float32)}

    def __init__(self, axes: Optional[Values] = None, means: Optional[Values] = None,
                 rest: Optional[Values] = None) -> None:
        self.axes, self.means = table_of(axes, 2), table_of(means, 2)
        self.rest = table_of(np.array(1.0) if rest is None else rest, 0)
        if self.means.shape[1:] != self.axes.shape[:1] and axes is not None:
            raise BundleError(f'mahalanobis_low_rank: axes must have the shape (F, K) and means (C, F), got '
                              f'{tuple(self.axes.shape)} and {tuple(self.means.shape)}')
        if not float(self.rest) > 0:
            raise BundleError(f'mahalanobis_low_rank: rest must be above 0, got {float(self.rest):g}')
        self._both = np.concatenate([self.axes, self.means.T], axis=1) if axes is not None else self.axes
        self._inverse = 1 / float(self.rest)
        self._moved = self.means @ self.axes if axes is not None else self.means
        self._squares = np.square(self.means).sum(axis=-1)

    def quadratic(self) -> Optional[Quadratic]:
        """As that of :class:`~.mahalanobis.MahalanobisNormalised`, for A^T r; |r|^2 is multiplied out."""
        axes, means, rest = self.axes.astype(np.float64), self.means.astype(np.float64), float(self.rest)
        if axes.shape[1] < 2:
            return None
        moved = means @ axes
        mean = amid(moved)
        table = np.concatenate([axes @ turned_to(mean), 2 * axes @ (moved - mean).T - 2 / rest * means.T], axis=1)
        constants = np.square(means).sum(axis=-1) / rest - np.square(moved).sum(axis=-1) + np.square(mean).sum()
        return Quadratic(table.astype(np.float32), axes.shape[1] - 1, -1.0, float(np.linalg.norm(mean)),
                         tuple(constants.tolist()), 1 / rest)

    @classmethod
    def width(cls, tables: Mapping[str, np.ndarray], prefix: str = '') -> int:
        """F."""
        return int(tables[f'{prefix}axes'].shape[0])

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None, axes: int = _AXES, shrinkage: Optional[float] = None
            ) -> 'MahalanobisLowRank':
        """Fit to known pictures.

        Args:
            axes: K at most; fewer where there are hardly more features.
            shrinkage: see :meth:`~.mahalanobis.Mahalanobis.fit`.
        """
        from torch.nn.functional import normalize
        labels = enough_for_classes(logits.argmax(-1) if labels is None else labels)
        means, centred, _ = class_means(normalize(features.float(), dim=-1), labels)
        values, vectors = shrunk_spectrum(centred, shrinkage)
        kept = min(axes, len(values) - 1)
        rest = values[:len(values) - kept].mean()
        # Rounding may leave an axis with less variance than the rest.
        scaled = vectors[:, len(values) - kept:] * (1 / rest - 1 / values[len(values) - kept:]).clamp_min(0).sqrt()
        return cls(scaled.float(), means.float(), rest.float())

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        norm = lengths_of(features)
        found = features @ self._both / np.maximum(norm, 1e-12)[:, None]
        count = self.axes.shape[1]
        u = found[:, None, :count] - self._moved
        length = (norm > 0)[:, None] - 2 * found[:, count:] + self._squares  # what is 0 stays so
        scores: np.ndarray = np.maximum((length * self._inverse - (u * u).sum(axis=2)).min(axis=1), 0)
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        norm = features.norm(dim=1, keepdim=True)
        found = features @ tables._both / norm.clamp_min(1e-12)
        count = self.axes.shape[1]
        u = found[:, None, :count] - tables._moved
        length = (norm > 0).float() - 2 * found[:, count:] + tables._squares
        scores: 'torch.Tensor' = (length * self._inverse - u.square().sum(2)).amin(1).clamp_min(0)
        return scores
