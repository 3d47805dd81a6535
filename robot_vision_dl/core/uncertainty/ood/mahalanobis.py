"""Distance to the classes' Gaussians as an OOD score."""
from typing import TYPE_CHECKING, Any, Mapping, Optional, Tuple

import numpy as np

from ...errors import BundleError, RobotVisionError
from .base import LinearHead, OodScore, Quadratic, Values, lengths_of, table_of, turned_to

if TYPE_CHECKING:
    import torch

_LEAST_PER_CLASS = 10  # for means of classes


class _NearestClass(OodScore):
    """u = W^T (f - origin) of features f, and the least of linear functions of u, one a class.

    By |u|^2 - 2 u m + |m|^2 with the origin amid the means a distance to the nearest is one product, and there the
    digits that are lost do not count.
    """

    fitted = True
    of_features = True
    large = ('whitening',)
    stored = {'whitening': (2, np.float32), 'means': (2, np.float32)}
    whitening: np.ndarray
    means: np.ndarray
    _minus_origin: np.ndarray
    _linear: np.ndarray
    _constant: np.ndarray

    @classmethod
    def width(cls, tables: Mapping[str, np.ndarray], prefix: str = '') -> int:
        """F."""
        return int(tables[f'{prefix}whitening'].shape[0])

    def _nearest(self, features: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """u, shape (B, F), and the least of ``_constant + u _linear``, shape (B,)."""
        u: np.ndarray = features @ self.whitening + self._minus_origin
        return u, (u @ self._linear + self._constant).min(axis=1)

    def _least(self, tables: Any, u: 'torch.Tensor') -> 'torch.Tensor':
        """The least of ``_constant + u _linear``, shape (B,), of u (B, F) on a device."""
        least: 'torch.Tensor' = (u @ tables._linear + tables._constant).amin(1)
        return least


class Mahalanobis(_NearestClass):
    """min_c (f - mu_c)^T S^-1 (f - mu_c), S the covariance within classes (Lee et al. 2018); larger is further out.

    Tensors:
        whitening: W of shape (F, F) with S^-1 = W W^T.
        means: the class means times W, shape (C', F); classes without a picture are left out.
    """

    is_distance = True

    def __init__(self, whitening: Optional[Values] = None, means: Optional[Values] = None) -> None:
        self.whitening, self.means = table_of(whitening, 2), table_of(means, 2)
        _check_square(self.whitening, self.means)
        origin = amid(self.means)
        moved = self.means - origin
        self._minus_origin, self._linear = -origin, np.ascontiguousarray(-2 * moved.T)
        self._constant = np.square(moved).sum(axis=-1)

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None, shrinkage: Optional[float] = None) -> 'Mahalanobis':
        """Fit to known pictures.

        Args:
            shrinkage: share of a multiple of the identity in S, in [0, 1]; None: as Ledoit and Wolf (2004) have it, who
                need no more pictures than features.
        """
        means, centred, _ = class_means(features, logits.argmax(-1) if labels is None else labels)
        whitening = whitening_of(centred, shrinkage)
        return cls(whitening.float(), (means @ whitening).float())

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        u, nearest = self._nearest(features)
        scores: np.ndarray = np.maximum(nearest + (u * u).sum(axis=1), 0)
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        u = features @ tables.whitening + tables._minus_origin
        scores: 'torch.Tensor' = (self._least(tables, u) + u.square().sum(1)).clamp_min(0)
        return scores


class MahalanobisNormalised(Mahalanobis):
    """Mahalanobis distance of features of length 1 (Mueller and Hein 2025, "Mahalanobis++"); larger is further out.

    How long a vector of features is varies more within a class than its direction, and says less. With fewer than ten
    pictures a class, as of a thousand classes, the means of classes say little, and all pictures are one Gaussian.

    Tensors:
        whitening, means: of normalised features, as in :class:`Mahalanobis`.
    """

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None, shrinkage: Optional[float] = None) -> 'MahalanobisNormalised':
        """Fit to known pictures; see :meth:`Mahalanobis.fit`."""
        from torch.nn.functional import normalize
        labels = enough_for_classes(logits.argmax(-1) if labels is None else labels)
        found = super().fit(logits, normalize(features.float(), dim=-1), labels, head, shrinkage)
        return cls(found.whitening, found.means)

    def quadratic(self) -> Optional[Quadratic]:
        """|W^T f / |f| - m|^2, m the mean of the means, and what differs between the classes.

        The former in a basis one axis of which goes through m; the latter is 2 (m - m_c)^T W^T f / |f| + |m_c|^2 -
        |m|^2.
        """
        whitening, means = self.whitening.astype(np.float64), self.means.astype(np.float64)
        if whitening.shape[1] < 2:
            return None
        mean = amid(means)
        table, constants = [whitening @ turned_to(mean)], (0.0,)
        if len(means) > 1:
            table.append(2 * whitening @ (mean - means).T)
            constants = tuple((np.square(means).sum(axis=-1) - np.square(mean).sum()).tolist())
        return Quadratic(np.concatenate(table, axis=1).astype(np.float32), whitening.shape[1] - 1, 1.0,
                         float(np.linalg.norm(mean)), constants)

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        # The length is divided by after the product.
        u = features @ self.whitening / np.maximum(lengths_of(features), 1e-12)[:, None] + self._minus_origin
        nearest = (u @ self._linear + self._constant).min(axis=1)
        scores: np.ndarray = np.maximum(nearest + (u * u).sum(axis=1), 0)
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        length = features.norm(dim=1, keepdim=True).clamp_min(1e-12)
        u = features @ tables.whitening / length + tables._minus_origin
        scores: 'torch.Tensor' = (self._least(tables, u) + u.square().sum(1)).clamp_min(0)
        return scores


class RelativeMahalanobis(_NearestClass):
    """Mahalanobis distance to the nearest class minus that to all pictures as one Gaussian (Ren et al. 2021).

    Both covariances are diagonal in one basis, as in discriminant analysis: there the one within classes is the
    identity, and one product serves both distances.

    Tensors:
        whitening: A of shape (F, F) with A^T S A = I and A^T S_0 A diagonal, S within classes, S_0 of all pictures.
        means: the class means times A, shape (C', F).
        background_variances, background_mean: of all pictures times A, shapes (F,) and (F,).
    """

    stored = {'whitening': (2, np.float32), 'means': (2, np.float32), 'background_variances': (1, np.float32),
              'background_mean': (1, np.float32)}

    def __init__(self, whitening: Optional[Values] = None, means: Optional[Values] = None,
                 background_variances: Optional[Values] = None, background_mean: Optional[Values] = None) -> None:
        self.whitening, self.means = table_of(whitening, 2), table_of(means, 2)
        self.background_variances = table_of(background_variances, 1)
        self.background_mean = table_of(background_mean, 1)
        _check_square(self.whitening, self.means)
        # |u - m_c|^2 - sum_i (u_i - m_0i)^2 / v_i, written out: all classes have the same quadratic part.
        with np.errstate(divide='ignore'):
            origin, weights = amid(self.means), np.float32(1) / self.background_variances
        moved, background = self.means - origin, self.background_mean - origin
        self._quadratic, self._minus_origin = 1 - weights, -origin
        self._linear = np.ascontiguousarray(2 * (weights * background - moved).T)
        self._constant = np.square(moved).sum(axis=-1) - (weights * np.square(background)).sum()

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None, shrinkage: Optional[float] = None) -> 'RelativeMahalanobis':
        """Fit to known pictures; see :meth:`Mahalanobis.fit`."""
        import torch
        means, centred, _ = class_means(features, logits.argmax(-1) if labels is None else labels)
        within = whitening_of(centred, shrinkage)
        f = features.double()
        mean = f.mean(0)
        spread, axes = shrunk_spectrum(f - mean, shrinkage)
        seen = axes.T @ within  # S_0 = axes diag(spread) axes^T, in the basis that whitens S
        values, vectors = torch.linalg.eigh(seen.T @ (spread[:, None] * seen))
        whitening = within @ vectors
        return cls(whitening.float(), (means @ whitening).float(), values.float(), (mean @ whitening).float())

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        u, nearest = self._nearest(features)
        scores: np.ndarray = nearest + (u * u) @ self._quadratic
        return scores

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        u = features @ tables.whitening + tables._minus_origin
        scores: 'torch.Tensor' = self._least(tables, u) + u.square() @ tables._quadratic
        return scores


def _check_square(whitening: np.ndarray, means: np.ndarray) -> None:
    if whitening.ndim != 2 or whitening.shape[0] != whitening.shape[1] or means.shape[1:] != whitening.shape[1:]:
        raise BundleError('mahalanobis: whitening must have the shape (F, F) and means (C, F), got '
                          f'{tuple(whitening.shape)} and {tuple(means.shape)}')


def amid(means: np.ndarray) -> np.ndarray:
    """The mean of rows (n, F), shape (F,); 0 of none."""
    mean: np.ndarray = means.mean(axis=0) if len(means) else np.zeros(means.shape[1], means.dtype)
    return mean


def enough_for_classes(labels: 'torch.Tensor') -> 'torch.Tensor':
    """The labels (n,), or 0 for all where there are too few pictures of a class to tell its mean by."""
    return labels * 0 if len(labels) < _LEAST_PER_CLASS * len(labels.unique()) else labels


def class_means(features: 'torch.Tensor', labels: 'torch.Tensor'
                ) -> 'Tuple[torch.Tensor, torch.Tensor, torch.Tensor]':
    """Means (C', F) of the classes that occur, features minus their class's mean, and those classes; float64."""
    import torch
    f = features.double()
    if len(f) < 2:
        raise RobotVisionError(f'mahalanobis: two known pictures at least are needed, got {len(f)}')
    classes, index = labels.unique(return_inverse=True)
    counts = torch.bincount(index, minlength=len(classes)).double()
    means = f.new_zeros(len(classes), f.shape[1]).index_add_(0, index, f) / counts[:, None]
    return means, f - means[index], classes


def whitening_of(centred: 'torch.Tensor', shrinkage: Optional[float] = None) -> 'torch.Tensor':
    """W with W W^T the inverse of the shrunk covariance of centred rows (n, F); float64 (F, F)."""
    values, vectors = shrunk_spectrum(centred, shrinkage)
    return vectors * values.rsqrt()


def shrunk_spectrum(centred: 'torch.Tensor', shrinkage: Optional[float] = None
                    ) -> 'Tuple[torch.Tensor, torch.Tensor]':
    """Eigenvalues (F,), none of them 0, and eigenvectors (F, F) of the shrunk covariance of centred rows (n, F).

    Args:
        shrinkage: share of a multiple of the identity in it, in [0, 1]; None: as Ledoit and Wolf (2004) have it.
    """
    import torch
    covariance = centred.T @ centred / len(centred)
    share = ledoit_wolf_shrinkage(centred) if shrinkage is None else shrinkage
    scale = covariance.diagonal().mean()
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    values, vectors = torch.linalg.eigh((1 - share) * covariance + share * scale * identity)
    # Features that are always 0 have no variance, and no two pictures may look infinitely different.
    return values.clamp_min(1e-7 * float(scale) + 1e-30), vectors


def ledoit_wolf_shrinkage(centred: 'torch.Tensor') -> float:
    """Share of the identity with the least expected squared error (Ledoit and Wolf 2004), of centred rows (n, F)."""
    n, features = centred.shape
    covariance = centred.T @ centred / n
    scale = covariance.diagonal().mean()
    distance = covariance.square().sum() - features * scale ** 2
    # Sum over pictures of |x x^T - S|^2 is sum |x|^4 - n |S|^2.
    noise = (centred.square().sum(1).square().sum() / n - covariance.square().sum()) / n
    return float((noise / distance).clamp(0, 1)) if distance > 0 else 0.0
