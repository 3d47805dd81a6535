"""What all OOD scores have in common."""
from typing import Mapping, NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch import nn

from ...errors import RobotVisionError


class LinearHead(NamedTuple):
    """Last layer of a network whose logits are ``features @ weight.T + bias``.

    Attributes:
        weight: shape (C, F).
        bias: shape (C,).
    """

    weight: torch.Tensor
    bias: torch.Tensor


class Quadratic(NamedTuple):
    """A score of features f that is told from one product, without differences of large numbers.

    With r = 1/|f| it is max(0, sign (r^2 |A^T f|^2 + (r b^T f - origin)^2) + min_c (r l_c^T f + k_c) + unit).

    Attributes:
        table: A, b and all l_c side by side, shape (F, K + 1 + C').
        axes: K.
        sign: 1 or -1.
        origin: how far along b the mean of known features lies.
        constants: k_c of each class.
        unit: 0 for f = 0.
    """

    table: torch.Tensor
    axes: int
    sign: float
    origin: float
    constants: Tuple[float, ...]
    unit: float = 0.0


def turned_to(mean: torch.Tensor) -> torch.Tensor:
    """An orthogonal matrix (K, K), float64, whose last column is the direction of ``mean`` (K,); by Householder."""
    identity = torch.eye(len(mean), dtype=torch.float64, device=mean.device)
    length = mean.norm()
    if not float(length) > 0:
        return identity
    difference = mean / length - identity[-1]
    size = difference.norm()
    if float(size) < 1e-9:
        return identity
    across = difference / size
    return identity - 2 * torch.outer(across, across)


class OodScore(nn.Module):
    """Logits and features of one forward pass -> how far out of distribution each picture is.

    What a score was fitted to are its buffers; they are stored in the bundle's ``uncertainty.safetensors``.

    Attributes:
        fitted: whether the score needs :meth:`fit`.
        needs_head: whether :meth:`fit` needs the head, which then must be linear.
        of_features: whether features alone decide, so that those of a stage will do as well.
        is_distance: whether scores are distances, at least 0, whose logarithm is nearer to a normal distribution.
        large: names of tables that are stored as float16 in a combination.
    """

    fitted = False
    needs_head = False
    of_features = False
    is_distance = False
    large: Tuple[str, ...] = ()

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor, labels: Optional[torch.Tensor] = None,
            head: Optional[LinearHead] = None) -> 'OodScore':
        """The score for pictures like those with these logits (n, C) and features (n, F).

        Args:
            labels: int64 (n,); None: what the network says they are.
            head: of the network, where it is linear.
        """
        return cls()

    def quadratic(self) -> Optional[Quadratic]:
        """The same as numbers from one product; None: it is not of that form."""
        return None

    @classmethod
    def width(cls, tensors: Mapping[str, torch.Tensor], prefix: str = '') -> int:
        """How many features it reads, by its tables, where it reads nothing else.

        Args:
            tensors: the score's, each name after ``prefix``.
        """
        raise NotImplementedError

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> np.ndarray:
        """Scores, float32, shape (B,), larger is further out, of float32 logits (B, C) and features (B, F).

        Products with large tables run where the tensors are; the rest, which is small, in numpy.
        """
        raise NotImplementedError

    def on_device(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The scores of :meth:`forward` (B,) but for the rounding, and nothing of them by way of the host.

        For a GPU: without branches on data, so that a CUDA graph can hold it. All that is read must be a buffer.
        """
        raise RobotVisionError(f'OOD score {type(self).__name__}: has no on_device, so it is for CPUs only; set device '
                               'to cpu')


def on_host(values: torch.Tensor) -> np.ndarray:
    """The same numbers as an array; where they are on the CPU, the same memory."""
    return (values if values.is_cpu else values.cpu()).numpy()


def lengths_of(features: np.ndarray) -> np.ndarray:
    """Euclidean lengths (B,) of features (B, F)."""
    found: np.ndarray = np.sqrt((features * features).sum(axis=1))
    return found


def linear_head(head: nn.Module) -> Optional[LinearHead]:
    """Weights of a network's ``head`` in float32 on the CPU; None where its logits are not linear in the features.

    SqueezeNet's own head (convolution, ReLU, mean over the picture) is not: the mean of rectified maps is no function
    of the mean of the maps.
    """
    if not isinstance(head, nn.Linear):
        return None
    weight = head.weight.detach().float().cpu()
    return LinearHead(weight, torch.zeros(len(weight)) if head.bias is None else head.bias.detach().float().cpu())


def require_head(method: str, head: Optional[LinearHead]) -> LinearHead:
    """The head, or a RobotVisionError that says that the method cannot do without."""
    if head is None:
        raise RobotVisionError(f'{method}: needs a linear head, and the logits of this network are not linear in its '
                               'features; choose another score')
    return head
