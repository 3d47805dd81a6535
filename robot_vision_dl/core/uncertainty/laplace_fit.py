"""Fits the last-layer Laplace approximation of :mod:`.laplace`: its factors, and the precision of the prior."""
from dataclasses import replace

import numpy as np

from ..errors import RobotVisionError
from ..metrics.proper_scores import log_probability, of_target
from .laplace import Laplace, LaplacePredictive
from .temperature import below_highest

_TAUS = np.geomspace(1e-3, 1e6, 28)
_LOG_TAU_SPREAD = 5.0  # a thousand times less than the largest costs 1 nat, a millionth 4


def fit_factors(logits: np.ndarray, features: np.ndarray) -> Laplace:
    """The Kronecker factors of a linear head's Fisher information, in float64.

    Args:
        logits, features: shapes (N, C) and (N, F), of pictures that the head was trained on, or like them.
    """
    import torch
    z, f = (torch.from_numpy(np.asarray(values, np.float64)) for values in (logits, features))
    f = torch.cat([f, f.new_ones(len(f), 1)], dim=1)  # for the bias
    if len(z) == 0 or len(z) != len(f):
        raise RobotVisionError(f'laplace: as many logits as features are needed, at least one, got {len(z)} and '
                               f'{len(f)}')
    p = torch.softmax(z, dim=-1)
    a = f.T @ f / len(f)
    b = torch.diag(p.sum(0)) - p.T @ p
    values_a, vectors_a = torch.linalg.eigh(a)
    values_b, vectors_b = torch.linalg.eigh(b)
    return Laplace(*(one.float().numpy() for one in (vectors_a, values_a.clamp_min(0), vectors_b,
                                                     values_b.clamp_min(0))))


def log_likelihoods_by_tau(factors: Laplace, logits: np.ndarray, features: np.ndarray, labels: np.ndarray,
                           temperature: float = 1.0) -> np.ndarray:
    """ln p(label) of each picture under each prior precision that is tried, ascending, shape (T, n), nats."""
    return np.stack([log_probability(of_target(
        mean_probabilities(with_tau(factors, place, temperature), logits, features), labels))
        for place in range(len(_TAUS))])


def log_prior_of_taus() -> np.ndarray:
    """ln of the prior of each precision that is tried, up to a constant, shape (T,).

    Gaussian in ln tau around the largest, where the head is as sure of its weights as without the approximation: that
    is what few pictures leave it at.
    """
    log_prior: np.ndarray = -0.5 * (np.log(_TAUS / _TAUS[-1]) / _LOG_TAU_SPREAD) ** 2
    return log_prior


def with_tau(factors: Laplace, place: int, temperature: float = 1.0) -> Laplace:
    """The posterior under the precision at this place of those that are tried."""
    return replace(factors, tau=float(_TAUS[place]), temperature=temperature, gives_probabilities=False)


def mean_probabilities(laplace: Laplace, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Mean predictions (n, C), float64, rows sum to 1, for logits (n, C) and features (n, F)."""
    predictive = LaplacePredictive(laplace)
    z, f = below_highest(np.asarray(logits, np.float32)), np.asarray(features, np.float32)
    p = np.concatenate([predictive(z[i:i + 256], predictive.scales(f[i:i + 256])).probabilities
                        for i in range(0, len(z), 256)])
    mean: np.ndarray = p / p.sum(axis=1, keepdims=True, dtype=np.float64)
    return mean
