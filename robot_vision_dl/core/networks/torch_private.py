"""What the package takes from torch that is private there, each with what stands in for it where it is gone.

``test/ros/test_compat.py`` lists them with the versions that have them.
"""
from typing import Dict, List, Mapping, Sequence

import numpy as np
import torch


def lerp_all(own: Sequence[torch.Tensor], other: Sequence[torch.Tensor], weight: float) -> None:
    """own += weight (other - own), in place; where torch has it, in a few kernels for all tensors."""
    together = getattr(torch, '_foreach_lerp_', None)
    if together is not None:
        together(list(own), list(other), weight)
        return
    for mine, theirs in zip(own, other):
        mine.lerp_(theirs, weight)


def gamma_draws(alpha: float, count: int, generator: torch.Generator) -> List[float]:
    """So many draws of Gamma(alpha, 1)."""
    draw = getattr(torch, '_standard_gamma', None)
    if draw is not None:
        drawn: List[float] = draw(torch.full((count,), alpha, dtype=torch.float64), generator=generator).tolist()
        return drawn
    seed = int(torch.randint(2 ** 62, (), generator=generator))
    drawn = np.random.default_rng(seed).gamma(alpha, size=count).tolist()
    return drawn


def state_like(own: Dict[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    """``state`` as the kind of mapping that ``own`` is, with the versions of modules that torch keeps beside it.

    MNASNet refuses a state dict without them, and files may lose them.
    """
    fitting = type(own)(state)
    versions = getattr(own, '_metadata', None)
    if versions is not None:
        vars(fitting)['_metadata'] = versions
    return fitting
