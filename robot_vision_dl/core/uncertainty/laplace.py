"""Last-layer Laplace approximation: how far the logits of a frame could move, given what the head was trained on.

The posterior of the head's weights is a Gaussian around the trained ones whose precision is N A (x) B + tau I: A is the
mean of f f^T (f: features with 1 appended), B the mean of diag(p) - p p^T, both over training pictures, N their number
(Ritter et al. 2018; Daxberger et al. 2021). With the eigenvectors U and eigenvalues l of both, the logits of a frame
are Gaussian around what the network said, with the covariance

    V = U_B diag_j( sum_i (U_A^T f)_i^2 / (lA_i lB_j + tau) ) U_B^T.

Both factors and the features come from the one forward pass; the backbone is not run again.
"""
from dataclasses import dataclass, replace
from math import log
from typing import List, NamedTuple, Optional

import numpy as np

from ..errors import BundleError
from .entropy import Entropies, normalised_entropy, over_ln
from .laplace_draws import moves_at_nodes, node_weights, standard_normal_draws, variance_nodes
from .ood.base import Values, on_host
from .pass_products import Product, Table

SAMPLES = 32
# Of a frame, so many classes move; the others, which are less probable, keep their mean. Exact up to so many classes.
MOST_CLASSES = 32
_NEGLIGIBLE = 1e-2
_MOST_NODES = 16
_FARTHEST = 300.0
_LEAST_TAU = 1e-12  # less, and variances do not fit into float32
NAMES = ('eigenvectors_a', 'eigenvalues_a', 'eigenvectors_b', 'eigenvalues_b')


@dataclass(frozen=True)
class Laplace:
    """A fitted posterior; :mod:`.laplace_fit` makes it.

    Attributes:
        eigenvectors_a, eigenvalues_a: of A, float32, shapes (F + 1, K) with a column each, and (K,); K is F + 1, or
            less where eigenvalues that count for nothing beside tau are left out (:func:`trimmed`): they are 0 then.
        eigenvectors_b, eigenvalues_b: of N B, float32, shapes (C, C) and (C,).
        tau: precision of the prior, above 0.
        temperature: T of the softmax over sampled logits, where ``gives_probabilities``.
        gives_probabilities: whether its mean prediction was better than temperature scaling on held-out pictures and
            is what a bundle publishes; else only the mutual information is used.
    """

    eigenvectors_a: np.ndarray
    eigenvalues_a: np.ndarray
    eigenvectors_b: np.ndarray
    eigenvalues_b: np.ndarray
    tau: float = 1.0
    temperature: float = 1.0
    gives_probabilities: bool = False

    def __post_init__(self) -> None:
        shapes = [tuple(getattr(self, name).shape) for name in NAMES]
        (rows_a, *_), (values_a, *_), (rows_b, *_), (values_b, *_) = shapes
        if shapes != [(rows_a, values_a), (values_a,), (rows_b, rows_b), (rows_b,)] or not 0 < values_a <= rows_a:
            raise BundleError(f'laplace: {", ".join(NAMES)} must have the shapes (F, K), (K,), (C, C), (C,), K at most '
                              f'F, got {shapes}')
        if not self.tau > 0 or not self.temperature > 0:
            raise BundleError(f'laplace: tau and temperature must be above 0, got {self.tau} and {self.temperature}')


def trimmed(laplace: Laplace) -> Laplace:
    """The same without the eigenvectors of A that nothing is read of: see :class:`LaplacePredictive`."""
    a = laplace.eigenvalues_a
    kept = a * laplace.eigenvalues_b.max() > 0.1 * _NEGLIGIBLE * max(laplace.tau, _LEAST_TAU)
    kept[a.argmax()] = True
    return replace(laplace, eigenvectors_a=laplace.eigenvectors_a[:, kept], eigenvalues_a=a[kept])


def logit_variances(laplace: Laplace, features: np.ndarray) -> np.ndarray:
    """Variance of the logits along each eigenvector of B, shape (B, C), of features (B, F)."""
    precisions = np.outer(laplace.eigenvalues_a, laplace.eigenvalues_b) + laplace.tau
    f = np.concatenate([features, np.ones((len(features), 1), features.dtype)], axis=1)
    along = np.square(f @ laplace.eigenvectors_a)
    variances: np.ndarray = along @ (1 / precisions)
    if len(laplace.eigenvalues_a) < f.shape[1]:
        variances = variances + np.maximum(np.square(f).sum(axis=1) - along.sum(axis=1), 0)[:, None] / laplace.tau
    return variances


def logit_covariance(laplace: Laplace, features: np.ndarray) -> np.ndarray:
    """V, shape (B, C, C), of features (B, F)."""
    vectors = laplace.eigenvectors_b
    covariance: np.ndarray = np.einsum('ci,bi,di->bcd', vectors, logit_variances(laplace, features), vectors)
    return covariance


class LaplacePrediction(NamedTuple):
    """What the samples of B frames say together; float32.

    Attributes:
        probabilities: their mean, shape (B, C), rows sum to 1.
        entropies: of the samples.
    """

    probabilities: np.ndarray
    entropies: Entropies


class LaplacePredictive:
    """Samples of a frame's prediction.

    The same standard normal draws are used for every frame, half of them minus the others, so that equal frames give
    equal figures.

    Directions of A that training has hardly told anything about have the variance 1/tau whatever the class; they are
    taken together, which leaves a few instead of F + 1 (relative error of a variance: ``_NEGLIGIBLE`` at most).

    With more than ``most_classes`` classes, the variance 1 / (a b_j + tau) that a direction of A with the eigenvalue a
    has is taken from those at no more than 16 nodes a_1 < a_2 < ...: between two it is a straight line in 1/a. A sample
    is then a sum over nodes of samples that are made once, for all frames, and nothing of size C is left to do.

    Args:
        laplace: from the bundle.
        samples: M, even.
        most_classes: classes of a frame that move, see ``MOST_CLASSES``.
    """

    def __init__(self, laplace: Laplace, samples: int = SAMPLES, most_classes: int = MOST_CLASSES) -> None:
        self.laplace = laplace
        a, b = laplace.eigenvalues_a, laplace.eigenvalues_b
        self.most_classes = min(most_classes, len(b))
        self._half = samples // 2
        tau = max(laplace.tau, _LEAST_TAU)
        told = a * b.max() > _NEGLIGIBLE * tau
        told[a.argmax()] = True
        directions = len(laplace.eigenvectors_a)
        if 2 * told.sum() > directions:  # then it would not save anything
            told[:] = True
        self.all_told = bool(told.all()) and len(told) == directions
        self.vectors_a = np.ascontiguousarray(laplace.eigenvectors_a[:-1, told])
        self.last_of_a = laplace.eigenvectors_a[-1, told]  # belongs to the appended 1
        vectors_b = laplace.eigenvectors_b
        if self.most_classes == len(b):
            variances, untold = 1 / (np.outer(a[told], b) + tau), np.full(len(b), 1 / tau)
            self._vectors_b = vectors_b
            self._draws = standard_normal_draws(samples, len(b))[:self._half].T.copy()  # (C, M/2)
            self._table = None
        else:
            nodes = variance_nodes(a[told], b, tau, min(self._half, _MOST_NODES))
            variances, untold = node_weights(a[told], nodes), node_weights(np.zeros(1), nodes)[0]
            self._table = moves_at_nodes(vectors_b, 1 / (np.outer(nodes, b) + tau), self._half)
        variances = variances if self.all_told else np.vstack([variances, untold])
        self.variances = (variances / laplace.temperature ** 2).astype(np.float32)

    @property
    def table(self) -> Table:
        """What features are multiplied by, for :meth:`scales_of`."""
        return Table(self.vectors_a, self.vectors_a.shape[1], addend=self.last_of_a)

    def scales(self, features: Values) -> np.ndarray:
        """Standard deviations of z / T along the eigenvectors of B (B, C), or roots of the nodes' shares (B, K).

        Args:
            features: float32 (B, F).
        """
        f = on_host(features)
        along = f @ self.vectors_a + self.last_of_a
        squares = np.square(along)
        if not self.all_told:
            elsewhere = (f * f).sum(axis=1) + 1 - squares.sum(axis=1)
            squares = np.concatenate([squares, np.maximum(elsewhere, 0)[:, None]], axis=1)
        return self._scales(squares)

    def scales_of(self, product: Product) -> np.ndarray:
        """As :meth:`scales`, of the product of the features with :attr:`table`."""
        along = product.values
        width = along.shape[1]
        squares = np.empty((len(along), width if self.all_told else width + 1), np.float32)
        np.multiply(along, along, out=squares[:, :width])
        if not self.all_told:
            squares[:, -1] = [max(whole + 1 - told, 0.0) for whole, told in zip(product.lengths, product.squares)]
        return self._scales(squares)

    def _scales(self, squares: np.ndarray) -> np.ndarray:
        variances: np.ndarray = squares @ self.variances
        np.sqrt(variances, out=variances)
        return variances

    def moves(self, scales: np.ndarray, classes: Optional[np.ndarray] = None) -> np.ndarray:
        """How far half of the samples move z / T, float32, shape (B, k, M / 2); the other half: as far the other way.

        A logit moves by 300 at most; a prediction has long been a single class by then.

        Args:
            scales: of :meth:`scales`.
            classes: those that move, shape (B, k); None: all, where ``most_classes`` allows that.
        """
        moved: np.ndarray
        if self._table is None or classes is None:
            moved = (self._vectors_b * scales[:, None]) @ self._draws
        else:
            rows = self._table[classes].reshape(len(scales), -1, scales.shape[1])
            moved = (rows @ scales[:, :, None]).reshape(*classes.shape, self._half)
        np.maximum(moved, -_FARTHEST, out=moved)
        np.minimum(moved, _FARTHEST, out=moved)
        return moved

    def __call__(self, logits: np.ndarray, scales: np.ndarray) -> LaplacePrediction:
        """Mean probabilities and entropies of the samples.

        Args:
            logits: float32, of :func:`~.temperature.below_highest`, shape (B, C).
            scales: of :meth:`scales`.
        """
        summary = self._summary(logits, scales)
        mean = summary.mean
        if summary.moving is not None and summary.rest is not None and summary.weights is not None:
            # How the classes that do not move share what is left to them is the same in all samples.
            mean = summary.weights * (mean[:, -1:] / summary.rest[:, None])
            mean[np.arange(len(mean))[:, None], summary.moving] = summary.mean[:, :-1]
        predictive = normalised_entropy(mean)
        information = np.minimum(summary.information, predictive)
        return LaplacePrediction(mean.astype(np.float32), Entropies(predictive, predictive - information, information))

    def mutual_information(self, logits: np.ndarray, scales: np.ndarray) -> List[float]:
        """The mutual information of each frame over ln C, in [0, 1]; as :meth:`__call__` has it."""
        return self._summary(logits, scales).information

    def _summary(self, logits: np.ndarray, scales: np.ndarray) -> '_Summary':
        """What the samples say of the classes that move, and of all others as one class.

        As one, since how they share their probability is the same in all samples and drops out of the difference of
        entropies. After a forward pass nothing is in the caches, so what counts is the number of operations.
        """
        classes, k, half = logits.shape[1], self.most_classes, self._half
        z = logits if self.laplace.temperature == 1 else logits / self.laplace.temperature
        if k == classes:
            moving, weights, rest, moved, own = None, None, None, self.moves(scales), z
            exponents = np.empty((len(z), k, 2 * half))
        else:
            weights = np.exp(z, dtype=np.float64)
            moving = z.argpartition(-k, axis=1)[:, -k:]
            rows = np.arange(len(z))[:, None]
            own = z[rows, moving]
            weights[rows, moving] = 0
            rest = np.maximum(weights.sum(axis=1), 1e-300)
            moved = self.moves(scales, moving)
            exponents = np.empty((len(z), k + 1, 2 * half))
            exponents[:, -1] = np.log(rest)[:, None]
        np.add(own[:, :, None], moved, dtype=np.float64, out=exponents[:, :k, :half])
        np.subtract(own[:, :, None], moved, dtype=np.float64, out=exponents[:, :k, half:])
        # H[p] of p = e^x / Z, Z the sum of e^x, is ln Z - sum e^x x / Z: what is needed of a sample are two sums.
        samples = np.exp(exponents)
        totals = np.add.reduce(samples, axis=1)
        np.multiply(exponents, samples, out=exponents)
        inner = np.add.reduce(exponents, axis=1) / totals - np.log(totals)
        mean = (samples @ (1 / totals)[:, :, None])[:, :, 0] * (1 / (2 * half))
        information = [over_ln(of_each - of_mean, classes) for of_each, of_mean in zip(
            (np.add.reduce(inner, axis=1) * (1 / (2 * half))).tolist(), map(_negative_entropy, mean.tolist()))]
        return _Summary(mean, information, moving, weights, rest)


def _negative_entropy(p: List[float]) -> float:
    return sum([one * log(one) for one in p if one > 0])


class _Summary(NamedTuple):
    """Of B frames.

    Attributes:
        mean: probabilities of the k classes that move, and of all others together where there are others.
        information: mutual information over ln C, of each.
        moving: the classes that move, shape (B, k); None: all.
        weights: of the classes that do not, up to a factor, 0 for the others, shape (B, C); None: all move.
        rest: their sum, shape (B,); None: all move.
    """

    mean: np.ndarray
    information: List[float]
    moving: Optional[np.ndarray]
    weights: Optional[np.ndarray]
    rest: Optional[np.ndarray]
