"""Mahalanobis distance of many features by a few of their axes, as an OOD score."""
from typing import Mapping, Optional

import numpy as np
import torch
from torch.nn.functional import normalize

from ...errors import BundleError
from .base import LinearHead, OodScore, Quadratic, lengths_of, on_host, turned_to
from .mahalanobis import amid, class_means, enough_for_classes, shrunk_spectrum

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

    axes: torch.Tensor
    means: torch.Tensor
    rest: torch.Tensor
    _both: torch.Tensor
    _moved_table: torch.Tensor
    _lengths_table: torch.Tensor

    def __init__(self, axes: Optional[torch.Tensor] = None, means: Optional[torch.Tensor] = None,
                 rest: Optional[torch.Tensor] = None) -> None:
        super().__init__()
        self.register_buffer('axes', torch.empty(0, 0) if axes is None else axes.contiguous())
        self.register_buffer('means', torch.empty(0, 0) if means is None else means.contiguous())
        self.register_buffer('rest', torch.tensor(1.0) if rest is None else rest)
        if self.means.shape[1:] != self.axes.shape[:1] and axes is not None:
            raise BundleError(f'mahalanobis_low_rank: axes must have the shape (F, K) and means (C, F), got '
                              f'{tuple(self.axes.shape)} and {tuple(self.means.shape)}')
        if not float(self.rest) > 0:
            raise BundleError(f'mahalanobis_low_rank: rest must be above 0, got {float(self.rest):g}')
        self.register_buffer('_both', torch.cat([self.axes, self.means.T], dim=1) if axes is not None
                             else torch.empty(0, 0), persistent=False)
        self._inverse = 1 / float(self.rest)
        self._moved = (self.means @ self.axes).numpy() if axes is not None else np.empty((0, 0), np.float32)
        self._squares = self.means.square().sum(-1).numpy()
        self.register_buffer('_moved_table', torch.from_numpy(self._moved), persistent=False)
        self.register_buffer('_lengths_table', torch.from_numpy(self._squares), persistent=False)

    def quadratic(self) -> Optional[Quadratic]:
        """As that of :class:`~.mahalanobis.MahalanobisNormalised`, for A^T r; |r|^2 is multiplied out."""
        axes, means, rest = self.axes.double(), self.means.double(), float(self.rest)
        if axes.shape[1] < 2:
            return None
        moved = means @ axes
        mean = amid(moved)
        table = torch.cat([axes @ turned_to(mean), 2 * axes @ (moved - mean).T - 2 / rest * means.T], dim=1).float()
        constants = means.square().sum(-1) / rest - moved.square().sum(-1) + mean.square().sum()
        return Quadratic(table, axes.shape[1] - 1, -1.0, float(mean.norm()), tuple(constants.tolist()), 1 / rest)

    @classmethod
    def width(cls, tensors: Mapping[str, torch.Tensor], prefix: str = '') -> int:
        """F."""
        return int(tensors[f'{prefix}axes'].shape[0])

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor, labels: Optional[torch.Tensor] = None,
            head: Optional[LinearHead] = None, axes: int = _AXES, shrinkage: Optional[float] = None
            ) -> 'MahalanobisLowRank':
        """Fit to known pictures.

        Args:
            axes: K at most; fewer where there are hardly more features.
            shrinkage: see :meth:`~.mahalanobis.Mahalanobis.fit`.
        """
        labels = enough_for_classes(logits.argmax(-1) if labels is None else labels)
        means, centred, _ = class_means(normalize(features.float(), dim=-1), labels)
        values, vectors = shrunk_spectrum(centred, shrinkage)
        kept = min(axes, len(values) - 1)
        rest = values[:len(values) - kept].mean()
        # Rounding may leave an axis with less variance than the rest.
        scaled = vectors[:, len(values) - kept:] * (1 / rest - 1 / values[len(values) - kept:]).clamp_min(0).sqrt()
        return cls(scaled.float(), means.float(), rest.float())

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> np.ndarray:
        """Scores (B,)."""
        norm = lengths_of(on_host(features))
        found = on_host(torch.mm(features, self._both)) / np.maximum(norm, 1e-12)[:, None]
        count = self.axes.shape[1]
        u = found[:, None, :count] - self._moved
        length = (norm > 0)[:, None] - 2 * found[:, count:] + self._squares  # what is 0 stays so
        scores: np.ndarray = np.maximum((length * self._inverse - (u * u).sum(axis=2)).min(axis=1), 0)
        return scores

    def on_device(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, where the tables are."""
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        found: torch.Tensor = torch.mm(features, self._both) / norm.clamp_min(1e-12)
        count = self.axes.shape[1]
        u = found[:, None, :count] - self._moved_table
        length: torch.Tensor = (norm > 0).float() - 2 * found[:, count:] + self._lengths_table
        return (length * self._inverse - u.square().sum(2)).amin(1).clamp_min(0)
