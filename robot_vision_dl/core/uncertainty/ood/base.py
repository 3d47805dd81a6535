"""What all OOD scores have in common."""
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Mapping, NamedTuple, Optional, Tuple, Union

import numpy as np

from ...errors import RobotVisionError

if TYPE_CHECKING:
    import torch
    from torch import nn

Values = Union[np.ndarray, 'torch.Tensor']
"""What a network gave: an array, or a tensor on any device."""


class LinearHead(NamedTuple):
    """Last layer of a network whose logits are ``features @ weight.T + bias``.

    Attributes:
        weight: shape (C, F).
        bias: shape (C,).
    """

    weight: 'torch.Tensor'
    bias: 'torch.Tensor'


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

    table: np.ndarray
    axes: int
    sign: float
    origin: float
    constants: Tuple[float, ...]
    unit: float = 0.0


def turned_to(mean: np.ndarray) -> np.ndarray:
    """An orthogonal matrix (K, K), float64, whose last column is the direction of ``mean`` (K,); by Householder."""
    identity = np.eye(len(mean))
    length = float(np.linalg.norm(mean))
    if not length > 0:
        return identity
    difference = mean / length - identity[-1]
    size = float(np.linalg.norm(difference))
    if size < 1e-9:
        return identity
    across = difference / size
    turned: np.ndarray = identity - 2 * np.outer(across, across)
    return turned


class OodScore:
    """Logits and features of one forward pass -> how far out of distribution each picture is.

    What a score was fitted to are its tables, arrays that are its attributes by the names in :attr:`stored`; they are
    stored in the bundle's ``uncertainty.safetensors``, and the constructor takes them. Scores are numpy's, so that a
    robot needs no torch for them; fitting them, and running them on a GPU (:mod:`..packed`), are torch's.

    Attributes:
        stored: name of each table -> how many dimensions it has, and the type of its numbers.
        fitted: whether the score needs :meth:`fit`.
        needs_head: whether :meth:`fit` needs the head, which then must be linear.
        of_features: whether features alone decide, so that those of a stage will do as well.
        is_distance: whether scores are distances, at least 0, whose logarithm is nearer to a normal distribution.
        large: names of tables that are stored as float16 in a combination.
    """

    stored: ClassVar[Mapping[str, Tuple[int, type]]] = {}
    fitted = False
    needs_head = False
    of_features = False
    is_distance = False
    large: Tuple[str, ...] = ()

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None) -> 'OodScore':
        """The score for pictures like those with these logits (n, C) and features (n, F).

        Args:
            labels: int64 (n,); None: what the network says they are.
            head: of the network, where it is linear.
        """
        return cls()

    @property
    def tables(self) -> Dict[str, np.ndarray]:
        """What it is made of again, by name."""
        return {name: getattr(self, name) for name in self.stored}

    def quadratic(self) -> Optional[Quadratic]:
        """The same as numbers from one product; None: it is not of that form."""
        return None

    @classmethod
    def width(cls, tables: Mapping[str, np.ndarray], prefix: str = '') -> int:
        """How many features it reads, by its tables, where it reads nothing else.

        Args:
            tables: the score's, each name after ``prefix``.
        """
        raise NotImplementedError

    def __call__(self, logits: Values, features: Values) -> np.ndarray:
        """Scores, float32, shape (B,), larger is further out, of float32 logits (B, C) and features (B, F)."""
        return self.forward(on_host(logits), on_host(features))

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """The same of arrays."""
        raise NotImplementedError

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """The scores of :meth:`forward` (B,) but for the rounding, and nothing of them by way of the host.

        For a GPU: without branches on data, so that a CUDA graph can hold it.

        Args:
            tables: whose attributes are tensors on the device, one for each array that the score has as an attribute,
                by the same name.
        """
        raise RobotVisionError(f'OOD score {type(self).__name__}: has no on_device, so it is for CPUs only; set device '
                               'to cpu')


def table_of(values: Optional[Values], dimensions: int, dtype: type = np.float32) -> np.ndarray:
    """A table as it is computed with, its rows one after another in memory; empty where there is none."""
    if values is None:
        return np.zeros((0,) * dimensions, dtype)
    return np.ascontiguousarray(on_host(values)).astype(dtype, copy=False).reshape(np.shape(values))


def on_host(values: Values) -> np.ndarray:
    """The same numbers as an array; where they are on the CPU, the same memory."""
    if isinstance(values, np.ndarray):
        return values
    array: np.ndarray = (values if values.is_cpu else values.cpu()).detach().numpy()
    return array


def lengths_of(features: np.ndarray) -> np.ndarray:
    """Euclidean lengths (B,) of features (B, F)."""
    found: np.ndarray = np.sqrt((features * features).sum(axis=1))
    return found


def linear_head(head: 'nn.Module') -> Optional[LinearHead]:
    """Weights of a network's ``head`` in float32 on the CPU; None where its logits are not linear in the features.

    SqueezeNet's own head (convolution, ReLU, mean over the picture) is not: the mean of rectified maps is no function
    of the mean of the maps.
    """
    import torch
    if not isinstance(head, torch.nn.Linear):
        return None
    weight = head.weight.detach().float().cpu()
    return LinearHead(weight, torch.zeros(len(weight)) if head.bias is None else head.bias.detach().float().cpu())


def require_head(method: str, head: Optional[LinearHead]) -> LinearHead:
    """The head, or a RobotVisionError that says that the method cannot do without."""
    if head is None:
        raise RobotVisionError(f'{method}: needs a linear head, and the logits of this network are not linear in its '
                               'features; choose another score')
    return head
