"""Entropy of a prediction, split into what more data could not change and what it could."""
from math import log
from typing import List, NamedTuple

import torch


class Entropies(NamedTuple):
    """Each of shape (B,), divided by ln C, so in [0, 1].

    Attributes:
        predictive: H[mean p], the total uncertainty.
        expected: mean H[p], aleatoric: what the members agree on.
        mutual_information: predictive - expected, epistemic: what the members disagree on; 0 for one member.
    """

    predictive: torch.Tensor
    expected: torch.Tensor
    mutual_information: torch.Tensor


def normalised_entropy(probabilities: torch.Tensor) -> List[float]:
    """Entropy over ln C of each row (B, C), in [0, 1]; with few operations, since this runs for every frame."""
    scale = 1 / log(probabilities.shape[-1]) if probabilities.shape[-1] > 1 else 0.0
    return [value * scale if value * scale < 1 else value if value != value else 1.0
            for value in torch.special.entr(probabilities).sum(-1).tolist()]


def normalised_entropies(probabilities: torch.Tensor) -> Entropies:
    """Entropies of the mean of M predictions (Depeweg et al. 2018).

    Args:
        probabilities: shape (M, B, C), or (B, C) for one member; rows sum to 1.
    """
    members = probabilities if probabilities.ndim == 3 else probabilities[None]
    scale = 1 / log(members.shape[-1]) if members.shape[-1] > 1 else 0.0
    # entr is -p ln p with 0 ln 0 = 0. Rounding can take a uniform prediction past 1 and a difference below 0.
    expected = (torch.special.entr(members).sum(-1).mean(0) * scale).clamp(0, 1)
    if len(members) == 1:
        return Entropies(expected, expected, torch.zeros_like(expected))
    predictive = (torch.special.entr(members.mean(0)).sum(-1) * scale).clamp(0, 1)
    expected = torch.minimum(expected, predictive)
    return Entropies(predictive, expected, predictive - expected)
