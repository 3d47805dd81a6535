"""Vector scaling: a weight and an offset for each class, where one temperature is not enough."""
from typing import TYPE_CHECKING, NamedTuple, Optional

import numpy as np

if TYPE_CHECKING:
    import torch

# Of ln(w T) and b in the prior. Half that of a temperature: there are two of them a class.
SPREAD = 0.25


class VectorScaling(NamedTuple):
    """softmax(w (z - mean z) + b); may change which class is best. A constant added to all logits changes nothing.

    Attributes:
        weight: w, float32, shape (C,).
        bias: b, float32, shape (C,).
    """

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Scaled logits (..., C), float32."""
        z = np.asarray(logits, np.float32)
        scaled: np.ndarray = (z - z.mean(axis=-1, keepdims=True)) * self.weight + self.bias
        return scaled


def fit_vector_scaling(logits: np.ndarray, labels: np.ndarray, temperature: float, decay: Optional[float] = None
                       ) -> VectorScaling:
    """The weights and offsets with the least negative log-likelihood (Guo et al. 2017), in float64.

    Args:
        logits, labels: shapes (n, C) and (n,), of pictures that took no part in training.
        temperature: the best single T; the search starts there.
        decay: pulls ln(w T) and b to 0, or a class that is always right would run away: that much times their squares
            is added to the mean likelihood. None: as a Gaussian prior of ``SPREAD`` has it, 1 / (2 n SPREAD^2), but
            1e-3 at least.
    """
    import torch
    if decay is None:
        decay = max(1 / (2 * max(len(logits), 1) * SPREAD ** 2), 1e-3)
    z, y = torch.from_numpy(np.asarray(logits, np.float64)), torch.from_numpy(np.asarray(labels, np.int64))
    z = (z - z.mean(1, keepdim=True)) / temperature
    logs = torch.zeros(2, z.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logs], max_iter=200, tolerance_grad=1e-9, line_search_fn='strong_wolfe')

    def closure() -> 'torch.Tensor':
        optimizer.zero_grad()
        scaled = z * logs[0].exp() + logs[1]
        loss = torch.nn.functional.cross_entropy(scaled, y) + decay * logs.square().sum()
        loss.backward()
        return loss
    optimizer.step(closure)
    log_weight, bias = logs.detach()
    return VectorScaling((log_weight.exp() / temperature).float().numpy(), bias.float().numpy())
