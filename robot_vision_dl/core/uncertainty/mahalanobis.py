"""Distance to the classes' Gaussians as a score of foreignness."""
from typing import Optional, Tuple

import torch
from torch import nn

from ..errors import RobotVisionError
from .score import LinearHead, OodScore


class Mahalanobis(OodScore):
    """min_c (f - mu_c)^T S^-1 (f - mu_c), S the covariance within classes (Lee et al. 2018); larger is more foreign.

    Tensors:
        whitening: W of shape (F, F) with S^-1 = W W^T.
        means: the class means times W, shape (C', F); classes without a picture are left out.
    """

    fitted = True

    def __init__(self, whitening: torch.Tensor = None, means: torch.Tensor = None):
        super().__init__()
        self.register_buffer('whitening', torch.empty(0, 0) if whitening is None else whitening.contiguous())
        self.register_buffer('means', torch.empty(0, 0) if means is None else means)
        self._nearest = NearestMean(self.means)

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor, labels: Optional[torch.Tensor] = None,
            head: Optional[LinearHead] = None, shrinkage: Optional[float] = None) -> 'Mahalanobis':
        """Fit to known pictures.

        Args:
            shrinkage: share of a multiple of the identity in S, in [0, 1]; None: as Ledoit and Wolf (2004) have it, who
                need no more pictures than features.
        """
        means, centred, _ = class_means(features, logits.argmax(-1) if labels is None else labels)
        whitening = whitening_of(centred, shrinkage)
        return cls(whitening.float(), (means @ whitening).float())

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Scores (B,)."""
        return self._nearest(features @ self.whitening)


class RelativeMahalanobis(OodScore):
    """Mahalanobis distance to the nearest class minus that to all pictures as one Gaussian (Ren et al. 2021).

    Tensors:
        whitening, means: see :class:`Mahalanobis`.
        background_whitening, background_mean: the same for the one Gaussian, the mean of shape (1, F).
    """

    fitted = True

    def __init__(self, whitening: torch.Tensor = None, means: torch.Tensor = None,
                 background_whitening: torch.Tensor = None, background_mean: torch.Tensor = None):
        super().__init__()
        for name, value in (('whitening', whitening), ('means', means), ('background_whitening', background_whitening),
                            ('background_mean', background_mean)):
            self.register_buffer(name, torch.empty(0, 0) if value is None else value.contiguous())
        # Both Gaussians in one product.
        nearest = NearestMean(self.means)
        for name, value in (('_both', torch.cat([self.whitening, self.background_whitening], 1).contiguous()),
                            ('_minus_origins', -torch.cat([nearest.origin.view(-1), self.background_mean.view(-1)])),
                            ('_moved', nearest.moved), ('_lengths', nearest.lengths)):
            self.register_buffer(name, value, persistent=False)

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor, labels: Optional[torch.Tensor] = None,
            head: Optional[LinearHead] = None, shrinkage: Optional[float] = None) -> 'RelativeMahalanobis':
        """Fit to known pictures; see :meth:`Mahalanobis.fit`."""
        near = Mahalanobis.fit(logits, features, labels, head, shrinkage)
        f = features.double()
        mean = f.mean(0, keepdim=True)
        whitening = whitening_of(f - mean, shrinkage)
        return cls(near.whitening, near.means, whitening.float(), (mean @ whitening).float())

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Scores (B,)."""
        rows = torch.addmm(self._minus_origins, features, self._both)
        lengths = rows.square().view(len(rows), 2, -1).sum(-1)  # from the origin amid the means, and from the mean
        own = torch.addmm(self._lengths, rows[:, :features.shape[1]], self._moved).amin(-1) + lengths[:, 0]
        return own.clamp_min_(0) - lengths[:, 1]


class NearestMean(nn.Module):
    """Least squared distance (B,) of rows (B, F) to means (C, F).

    By |a|^2 - 2ab + |b|^2 with the origin amid the means: that is one product, and there the digits that are lost do
    not count.
    """

    def __init__(self, means: torch.Tensor):
        super().__init__()
        origin = means.mean(0) if len(means) else means
        moved = means - origin
        self.register_buffer('origin', origin, persistent=False)
        self.register_buffer('moved', (-2 * moved.T).contiguous(), persistent=False)
        self.register_buffer('lengths', moved.square().sum(-1), persistent=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Distances (B,), at least 0."""
        rows = rows - self.origin
        return (torch.addmm(self.lengths, rows, self.moved).amin(-1) + rows.square().sum(-1)).clamp_min(0)


def class_means(features: torch.Tensor, labels: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means (C', F) of the classes that occur, features minus their class's mean, and those classes; float64."""
    f = features.double()
    if len(f) < 2:
        raise RobotVisionError(f'mahalanobis: two known pictures at least are needed, got {len(f)}')
    classes, index = labels.unique(return_inverse=True)
    counts = torch.bincount(index, minlength=len(classes)).double()
    means = f.new_zeros(len(classes), f.shape[1]).index_add_(0, index, f) / counts[:, None]
    return means, f - means[index], classes


def whitening_of(centred: torch.Tensor, shrinkage: Optional[float] = None) -> torch.Tensor:
    """W with W W^T the inverse of the shrunk covariance of centred rows (n, F); float64 (F, F)."""
    covariance = centred.T @ centred / len(centred)
    share = ledoit_wolf_shrinkage(centred) if shrinkage is None else shrinkage
    scale = covariance.diagonal().mean()
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    shrunk = (1 - share) * covariance + share * scale * identity
    # Features that are always 0 have no variance, and no two pictures may look infinitely different.
    values, vectors = torch.linalg.eigh(shrunk)
    return vectors * values.clamp_min(1e-7 * float(scale) + 1e-30).rsqrt()


def ledoit_wolf_shrinkage(centred: torch.Tensor) -> float:
    """Share of the identity with the least expected squared error (Ledoit and Wolf 2004), of centred rows (n, F)."""
    n, features = centred.shape
    covariance = centred.T @ centred / n
    scale = covariance.diagonal().mean()
    distance = covariance.square().sum() - features * scale ** 2
    # Sum over pictures of |x x^T - S|^2 is sum |x|^4 - n |S|^2.
    noise = (centred.square().sum(1).square().sum() / n - covariance.square().sum()) / n
    return float((noise / distance).clamp(0, 1)) if distance > 0 else 0.0
