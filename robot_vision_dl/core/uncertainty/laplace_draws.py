"""Draws for :class:`~.laplace.LaplacePredictive`; where classes are many, the few nodes at which variances are kept."""
from math import ceil, log
from statistics import NormalDist

import numpy as np

from ..errors import RobotVisionError
from .sobol import MOST_DIMENSIONS, scrambled_sobol

_NODE_SPACING = 0.7  # in ln a; relative error of a variance .03
_NEARLY_UNTOLD = 0.1  # a b / tau up to which a straight line in a is right within .003


def variance_nodes(a: np.ndarray, b: np.ndarray, tau: float, most: int) -> np.ndarray:
    """Eigenvalues of A at which variances 1 / (a b + tau) are kept, ascending from 0, shape (K,), K at most ``most``.

    Args:
        a, b: eigenvalues, shapes (n,) and (m,), at least 0.
    """
    high = float(a.max())
    # Where a b is small beside tau for all b, a straight line from a = 0 does.
    low = min(_NEARLY_UNTOLD * tau / float(b.max()), high) if b.max() > 0 else high
    return np.concatenate([[0.0], np.geomspace(low, high, min(most - 1, ceil(log(high / low) / _NODE_SPACING) + 1))])


def node_weights(a: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """W (n, K), at least 0, rows sum to 1, with 1 / (a_i b + tau) about sum_k W_ik / (nodes_k b + tau) for all b.

    A straight line in 1/a is right where a b is large beside tau; between the nodes r times apart the relative error is
    (ln r)^2 / 16 at most.
    """
    above = np.clip(np.searchsorted(nodes, a), 1, len(nodes) - 1)
    low, high = nodes[above - 1], nodes[above]
    with np.errstate(divide='ignore', invalid='ignore'):
        share = np.where(low > 0, (1 / low - 1 / a) / (1 / low - 1 / high), a / high)
    share = np.clip(share, 0, 1)
    weights = np.zeros((len(a), len(nodes)))
    weights[np.arange(len(a)), above - 1], weights[np.arange(len(a)), above] = 1 - share, share
    return weights


def moves_at_nodes(vectors_b: np.ndarray, variances: np.ndarray, half: int) -> np.ndarray:
    """Moves of all logits with the variances (K, C) along the eigenvectors of B, float32, shape (C, M / 2, K)."""
    draws = orthogonal_draws(half, *variances.shape)
    return np.stack([vectors_b @ (draws[:, :, k] * np.sqrt(variances[k])[:, None]).astype(np.float32)
                     for k in range(len(variances))], axis=2)


def orthogonal_draws(samples: int, vectors: int, dimensions: int) -> np.ndarray:
    """Standard normal in number, shape (dimensions, samples, vectors), vectors at most samples.

    In each dimension the vectors are orthogonal to each other and have the mean square 1, so that a sum of them with
    any weights has the variance that it should have.
    """
    gauss = np.random.default_rng(0).standard_normal((dimensions, samples, vectors))
    q, r = map(np.stack, zip(*map(np.linalg.qr, gauss)))  # all at once from NumPy 1.22 on
    draws: np.ndarray = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None] * samples ** 0.5
    return draws


def standard_normal_draws(samples: int, dimensions: int) -> np.ndarray:
    """Float32 (samples, dimensions): the second half is minus the first, so the mean is exactly 0."""
    if samples < 2 or samples % 2:
        raise RobotVisionError(f'laplace: the number of samples must be even and at least 2, got {samples}')
    if dimensions > MOST_DIMENSIONS:
        half = np.random.default_rng(0).standard_normal((samples // 2, dimensions))
    else:
        points = np.clip(scrambled_sobol(samples // 2, dimensions), 1e-6, 1 - 1e-6)
        half = np.vectorize(NormalDist().inv_cdf, otypes=[float])(points)
    # So few draws have a variance that is not 1; made so, in each direction.
    half = half / np.sqrt(np.square(half).mean(axis=0, keepdims=True))
    return np.concatenate([half, -half]).astype(np.float32)
