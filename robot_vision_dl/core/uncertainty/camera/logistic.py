"""Logistic regression of few numbers, as both classifiers of a camera's faults use it."""
from typing import Optional, Union

import numpy as np

_STEPS = 12  # of Newton's method; six are enough


def separating_weights(rows: np.ndarray, decay: Union[float, np.ndarray], shares: Optional[np.ndarray] = None
                       ) -> np.ndarray:
    """Weights w (D,) with the least sum of share ln(1 + exp(-x w)) + decay/2 w^2, by Newton's method.

    Args:
        rows: x, (n, D), turned so that the sum x w is to be positive: those of the other side times -1.
        decay: of all weights, or of each, (D,).
        shares: how much each row counts, (n,); None: 1.
    """
    x = rows.astype(np.float64)
    share = np.ones(len(x)) if shares is None else shares
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        wrong = 1 / (1 + np.exp(np.clip(x @ weights, -30, 30)))
        gradient = decay * weights - (share * wrong) @ x
        curvature = (x * (share * wrong * (1 - wrong))[:, None]).T @ x
        curvature[np.diag_indices_from(curvature)] += decay
        weights = weights - np.linalg.solve(curvature, gradient)
    return weights
