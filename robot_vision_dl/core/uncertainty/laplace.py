"""Last-layer Laplace approximation: how far the logits of a frame could move, given what the head was trained on.

The posterior of the head's weights is a Gaussian around the trained ones whose precision is N A (x) B + tau I: A is the
mean of f f^T (f: features with 1 appended), B the mean of diag(p) - p p^T, both over training pictures, N their number
(Ritter et al. 2018; Daxberger et al. 2021). With the eigenvectors U and eigenvalues l of both, the logits of a frame
are Gaussian around what the network said, with the covariance

    V = U_B diag_j( sum_i (U_A^T f)_i^2 / (lA_i lB_j + tau) ) U_B^T.

Both factors and the features come from the one forward pass; the backbone is not run again.
"""
from dataclasses import dataclass
from math import exp, log
from typing import List, Optional, Tuple

import numpy as np
import torch

from ..errors import BundleError, RobotVisionError
from .entropy import Entropies, normalised_entropies

SAMPLES = 32
# Of a frame, so many classes move; the others, which are less probable, keep their mean. Exact up to so many classes.
MOST_CLASSES = 32
_TAUS = np.geomspace(1e-3, 1e6, 28)
_NEGLIGIBLE = 1e-2
_FEW_CLASSES = 32
_LEAST_TAU = 1e-12  # less, and variances do not fit into float32
NAMES = ('eigenvectors_a', 'eigenvalues_a', 'eigenvectors_b', 'eigenvalues_b')


@dataclass(frozen=True)
class Laplace:
    """A fitted posterior; :func:`fit_factors` and :func:`choose_tau` make it.

    Attributes:
        eigenvectors_a, eigenvalues_a: of A, float32, shapes (F + 1, F + 1) with a column each, and (F + 1,).
        eigenvectors_b, eigenvalues_b: of N B, float32, shapes (C, C) and (C,).
        tau: precision of the prior, above 0.
        temperature: T of the softmax over sampled logits, where ``gives_probabilities``.
        gives_probabilities: whether its mean prediction was better than temperature scaling on held-out pictures and
            is what a bundle publishes; else only the mutual information is used.
    """

    eigenvectors_a: torch.Tensor
    eigenvalues_a: torch.Tensor
    eigenvectors_b: torch.Tensor
    eigenvalues_b: torch.Tensor
    tau: float = 1.0
    temperature: float = 1.0
    gives_probabilities: bool = False

    def __post_init__(self):
        shapes = [tuple(getattr(self, name).shape) for name in NAMES]
        (rows_a, *_), (values_a, *_), (rows_b, *_), (values_b, *_) = shapes
        if shapes != [(rows_a, rows_a), (rows_a,), (rows_b, rows_b), (rows_b,)]:
            raise BundleError(f'laplace: {", ".join(NAMES)} must have the shapes (F, F), (F,), (C, C), (C,), got '
                              f'{shapes}')
        if not self.tau > 0 or not self.temperature > 0:
            raise BundleError(f'laplace: tau and temperature must be above 0, got {self.tau} and {self.temperature}')


def fit_factors(logits: np.ndarray, features: np.ndarray) -> Laplace:
    """The Kronecker factors of a linear head's Fisher information, in float64.

    Args:
        logits, features: shapes (N, C) and (N, F), of pictures that the head was trained on, or like them.
    """
    z, f = _double(logits), _with_one(_double(features))
    if len(z) == 0 or len(z) != len(f):
        raise RobotVisionError(f'laplace: as many logits as features are needed, at least one, got {len(z)} and '
                               f'{len(f)}')
    p = torch.softmax(z, dim=-1)
    a = f.T @ f / len(f)
    b = torch.diag(p.sum(0)) - p.T @ p
    values_a, vectors_a = torch.linalg.eigh(a)
    values_b, vectors_b = torch.linalg.eigh(b)
    return Laplace(vectors_a.float(), values_a.clamp_min(0).float(), vectors_b.float(), values_b.clamp_min(0).float())


def logit_variances(laplace: Laplace, features: torch.Tensor) -> torch.Tensor:
    """Variance of the logits along each eigenvector of B, shape (B, C), of features (B, F)."""
    precisions = torch.outer(laplace.eigenvalues_a, laplace.eigenvalues_b) + laplace.tau
    return (_with_one(features) @ laplace.eigenvectors_a).square() @ precisions.reciprocal()


def logit_covariance(laplace: Laplace, features: torch.Tensor) -> torch.Tensor:
    """V, shape (B, C, C), of features (B, F)."""
    vectors = laplace.eigenvectors_b
    return torch.einsum('ci,bi,di->bcd', vectors, logit_variances(laplace, features), vectors)


class LaplacePredictive:
    """Samples of a frame's prediction.

    The same standard normal draws are used for every frame (antithetic, from a scrambled Sobol sequence with a fixed
    seed), so that equal frames give equal figures.

    Directions of A that training has hardly told anything about have the variance 1/tau whatever the class; they are
    taken together, which leaves a few instead of F + 1 (relative error of a variance: ``_NEGLIGIBLE`` at most). The
    table of (F + 1) C variances is kept as the product of two thin ones, see :func:`reciprocal_factors`.

    Args:
        laplace: from the bundle.
        samples: M, even.
        most_classes: classes of a frame that move, see ``MOST_CLASSES``.
    """

    def __init__(self, laplace: Laplace, samples: int = SAMPLES, most_classes: int = MOST_CLASSES):
        self.laplace = laplace
        classes = len(laplace.eigenvalues_b)
        self.most_classes = min(most_classes, classes)
        self._draws = standard_normal_draws(samples, classes)
        self._tau = max(laplace.tau, _LEAST_TAU)
        told = laplace.eigenvalues_a * laplace.eigenvalues_b.max() > _NEGLIGIBLE * self._tau
        if 2 * int(told.sum()) > len(told):  # then it would not save anything
            told = torch.ones_like(told)
        self._vectors_a = laplace.eigenvectors_a[:-1, told].contiguous()
        self._last_of_a = laplace.eigenvectors_a[-1, told].contiguous()  # belongs to the appended 1
        self._all_told = bool(told.all())
        self._to_weights, self._to_variances = reciprocal_factors(
            laplace.eigenvalues_a[told], laplace.eigenvalues_b, self._tau)
        if self._all_told and classes <= _FEW_CLASSES:  # the table itself is thin
            self._to_weights, self._to_variances = self._to_weights @ self._to_variances, torch.empty(0)
        elif not self._all_told:  # what of the feature lies in the other directions has the variance 1/tau
            self._to_weights = torch.cat([self._to_weights, -torch.ones(len(self._to_weights), 1)], dim=1)
            self._to_variances = torch.cat([self._to_variances, torch.full((1, classes), 1 / self._tau)])
        self._vectors_b = laplace.eigenvectors_b.contiguous()

    def to(self, device: torch.device) -> 'LaplacePredictive':
        """Itself, with its tensors on ``device``."""
        for name in ('_draws', '_vectors_a', '_last_of_a', '_to_weights', '_to_variances', '_vectors_b'):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def scales(self, features: torch.Tensor) -> torch.Tensor:
        """Standard deviations of the logits along the eigenvectors of B, shape (B, C), of features (B, F)."""
        weights = torch.mm(torch.addmm(self._last_of_a, features, self._vectors_a).square_(), self._to_weights)
        if not len(self._to_variances):
            return weights.clamp_(min=0).sqrt_()
        if not self._all_told:
            weights[:, -1] += torch.linalg.vecdot(features, features) + 1
        return torch.mm(weights, self._to_variances).clamp_(min=0).sqrt_()

    def _scaled_draws(self, features: torch.Tensor) -> torch.Tensor:
        """Samples along the eigenvectors of B, shape (M, B, C)."""
        return self._draws[:, None] * self.scales(features)

    def members(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Probabilities of M samples, float32, shape (M, B, C), for float32 logits (B, C) and features (B, F)."""
        scaled = self._scaled_draws(features)
        if self.most_classes == logits.shape[-1]:
            return torch.softmax((logits + scaled @ self._vectors_b.T) / self.laplace.temperature, dim=-1)
        top = logits.topk(self.most_classes, dim=-1)
        moved = torch.einsum('mbi,bci->mbc', scaled, self._vectors_b[top.indices])
        sampled = logits.expand(len(self._draws), -1, -1).scatter(
            -1, top.indices.expand(len(self._draws), -1, -1), top.values + moved)
        return torch.softmax(sampled / self.laplace.temperature, dim=-1)

    def __call__(self, logits: torch.Tensor, features: torch.Tensor) -> Tuple[torch.Tensor, Entropies]:
        """Mean probabilities (B, C) and the entropies of the samples.

        Equal to those of :meth:`members`, without writing out the classes that do not move: how they share what is
        left to them is the same in all samples.
        """
        classes, warmth = logits.shape[-1], self.laplace.temperature
        if self.most_classes == classes:
            members = self.members(logits, features)
            return members.mean(0), normalised_entropies(members)
        z = logits / warmth
        top = z.topk(self.most_classes, dim=-1)
        scaled = self._scaled_draws(features)
        if len(z) == 1:
            moved = (scaled[:, 0] @ self._vectors_b[top.indices[0]].T)[:, None]
        else:
            moved = torch.einsum('mbi,bci->mbc', scaled, self._vectors_b[top.indices])
        sampled = top.values + moved / warmth
        others = z.scatter(-1, top.indices, float('-inf'))
        rest = others.logsumexp(-1)  # (B,)
        shares = (others - rest[:, None]).exp_()  # of the rest's probability, (B, C)
        # A sample may move its logits far up or down, which exp would not survive.
        highest = torch.maximum(sampled.amax(-1), rest)
        e, unmoved = (sampled - highest[..., None]).exp_(), (rest - highest).exp_()
        total = e.sum(-1) + unmoved  # (M, B), at least 1
        weight = total.reciprocal()
        expected = (total.log() + highest
                    - ((e * sampled).sum(-1) + unmoved * (shares * z).sum(-1)) * weight).mean(0)
        mean = shares.mul_((unmoved * weight).mean(0)[:, None]).scatter_(
            -1, top.indices, (e * weight[..., None]).mean(0))
        scale = 1 / log(classes)
        predictive = (torch.special.entr(mean).sum(-1) * scale).clamp_(0, 1)
        expected = torch.minimum((expected * scale).clamp_(0, 1), predictive)
        return mean, Entropies(predictive, expected, predictive - expected)

    def mutual_information(self, logits: torch.Tensor, features: torch.Tensor) -> List[float]:
        """The mutual information of each frame over ln C, in [0, 1]; as :meth:`__call__` has it, in half the time.

        Classes that do not move are one class here: how they share their probability is the same in all samples, and
        drops out of the difference of entropies. After a forward pass nothing is in the caches, so what counts is the
        number of different operations.
        """
        classes, warmth = logits.shape[-1], self.laplace.temperature
        z, scales, moves, rest = logits, self.scales(features), self._vectors_b, None
        if warmth != 1:
            z, scales = z / warmth, scales / warmth
        if self.most_classes < classes:
            z, indices = torch.log_softmax(z, dim=-1).topk(self.most_classes, dim=-1)
            moves = torch.nn.functional.embedding(indices, moves)
            rest = z.new_tensor([log(max(1 - sum(map(exp, row)), 1e-9)) for row in z.tolist()])
        moves = (moves * scales[:, None]).transpose(1, 2)  # (B, C, classes that move)
        if len(z) == 1:
            sampled = torch.addmm(z, self._draws, moves[0])[None]
        else:
            sampled = torch.baddbmm(z[:, None], self._draws.expand(len(z), -1, -1), moves)
        if rest is not None:
            sampled = torch.cat([sampled, rest[:, None, None].expand(-1, sampled.shape[1], -1)], dim=-1)
        members = torch.softmax(sampled, dim=-1)
        total = torch.special.entr(members.mean(1)).sum(-1).tolist()
        expected = torch.special.entr(members).sum(-1).mean(1).tolist()
        scale = 1 / log(classes) if classes > 1 else 0.0
        return [min(max((one - inner) * scale, 0.0), 1.0) for one, inner in zip(total, expected)]


def reciprocal_factors(a: torch.Tensor, b: torch.Tensor, tau: float, error: float = 1e-3
                       ) -> Tuple[torch.Tensor, torch.Tensor]:
    """P (n, K) and Q (K, m), float32, with P Q = 1 / (a_i b_j + tau) up to a relative error, K about 3 to 10.

    By elimination with the entry of the largest relative error as pivot: this is a scaled Cauchy matrix, of which K
    steps leave an error that is a product of K factors below 1 for every entry (Demmel 1999, section 4).

    Args:
        a, b: eigenvalues, shapes (n,) and (m,), at least 0.
    """
    exact = (torch.outer(a.double(), b.double()) + tau).reciprocal()
    left, columns, rows = exact.clone(), [], []
    while len(rows) < min(exact.shape):
        relative = (left / exact).abs()
        place = int(relative.argmax())
        if float(relative.view(-1)[place]) <= error:
            break
        row, column = divmod(place, exact.shape[1])
        columns.append(left[:, column] / left[row, column])
        rows.append(left[row].clone())
        left -= torch.outer(columns[-1], rows[-1])
    if not rows:
        return exact.new_zeros(len(a), 0).float(), exact.new_zeros(0, len(b)).float()
    return torch.stack(columns, 1).float().contiguous(), torch.stack(rows).float()


def standard_normal_draws(samples: int, dimensions: int) -> torch.Tensor:
    """Float32 (samples, dimensions): the second half is minus the first, so the mean is exactly 0."""
    if samples < 2 or samples % 2:
        raise RobotVisionError(f'laplace: the number of samples must be even and at least 2, got {samples}')
    if dimensions <= torch.quasirandom.SobolEngine.MAXDIM:
        sobol = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0)
        half = torch.special.ndtri(sobol.draw(samples // 2, dtype=torch.float64).clamp(1e-6, 1 - 1e-6))
    else:
        half = torch.randn(samples // 2, dimensions, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # So few draws have a variance that is not 1; made so, in each direction.
    half = half / half.square().mean(0, keepdim=True).sqrt()
    return torch.cat([half, -half]).float()


def choose_tau(factors: Laplace, logits: np.ndarray, features: np.ndarray, labels: np.ndarray,
               temperature: float = 1.0) -> Tuple[Laplace, float]:
    """The prior precision with the least negative log-likelihood on held-out pictures.

    Args:
        factors: of :func:`fit_factors`.
        logits, features, labels: of pictures that took no part in training.
        temperature: T of the softmax over sampled logits.

    Returns:
        The posterior, and its negative log-likelihood in nats.
    """
    z, f = torch.from_numpy(np.asarray(logits, np.float32)), torch.from_numpy(np.asarray(features, np.float32))
    y = torch.from_numpy(np.asarray(labels, np.int64))
    best: Optional[Tuple[Laplace, float]] = None
    for tau in _TAUS:
        candidate = _replaced(factors, float(tau), temperature)
        loss = held_out_nll(candidate, z, f, y)
        if best is None or loss < best[1]:
            best = candidate, loss
    return best


@torch.inference_mode()
def held_out_nll(laplace: Laplace, logits: torch.Tensor, features: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean of -ln p(label), nats, of the mean prediction."""
    predictive = LaplacePredictive(laplace)
    total, tiny = 0.0, torch.finfo(torch.float32).tiny
    for begin in range(0, len(labels), 256):
        part = slice(begin, begin + 256)
        p = predictive(logits[part], features[part])[0]
        total -= float(p.gather(1, labels[part, None]).clamp_min(tiny).double().log().sum())
    return total / len(labels)


def _replaced(laplace: Laplace, tau: float, temperature: float) -> Laplace:
    return Laplace(*(getattr(laplace, name) for name in NAMES), tau=tau, temperature=temperature)


def _double(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float64))


def _with_one(features: torch.Tensor) -> torch.Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)
