"""Exponential moving average of a network's weights, which generalises better than the last weights."""
import copy

import torch
from torch import nn

from ..core.networks.network import Network
from ..core.networks.torch_private import lerp_all


class WeightAverage(nn.Module):
    """A second network whose weights follow those of the first (Polyak & Juditsky 1992).

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the random start is soon forgotten (as in
    TensorFlow's ExponentialMovingAverage). Statistics of BatchNorm are averaged as weights are; counters are copied.

    Attributes:
        network: the average, in evaluation mode.
        updates: int64, n, part of the state.
    """

    updates: torch.Tensor

    def __init__(self, network: Network, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.register_buffer('updates', torch.tensor(0))

    def train(self, mode: bool = True) -> 'WeightAverage':
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the present weights of ``network``."""
        n = int(self.updates)
        decay = min(self.decay, (1 + n) / (10 + n))
        own, other = self.network.state_dict(), network.state_dict()
        moving = [key for key, value in own.items() if value.is_floating_point()]
        lerp_all([own[key] for key in moving], [other[key].detach() for key in moving], 1 - decay)
        for key in own.keys() - set(moving):
            own[key].copy_(other[key])
        self.updates += 1
