"""Free energy of the logits as an OOD score."""
from math import log
from typing import TYPE_CHECKING, Any, List, Sequence

import numpy as np

from .base import OodScore

if TYPE_CHECKING:
    import torch


def energy(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """-T ln sum exp(z / T) (Liu et al. 2020, equation 4), shape (B, C) -> (B,); larger is further out."""
    z = logits if temperature == 1 else logits / temperature
    highest = z.max(axis=1)
    scores: np.ndarray = -temperature * (highest + np.log(np.exp(z - highest[:, None]).sum(axis=1)))
    return scores


def energy_below(below: np.ndarray, highest: Sequence[float]) -> List[float]:
    """:func:`energy` at temperature 1, of logits (B, C) minus the highest of their row, and that, B numbers."""
    return [-(top + log(total)) for top, total in zip(highest, np.add.reduce(np.exp(below), axis=1).tolist())]


class Energy(OodScore):
    """:func:`energy` at temperature 1."""

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        return energy(logits)

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        return -logits.logsumexp(1)
