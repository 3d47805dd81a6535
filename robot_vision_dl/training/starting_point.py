"""What holds a network near the one that its training started from, so that it keeps what that one knows."""
import copy
from typing import Any, Iterator, List, Optional, Tuple

import torch
from torch import nn

from ..core.errors import ConfigError
from ..core.networks.network import Network, Prediction
from ..core.networks.split_network import Tail, check_cut
from .freeze import first_trained


class StartingPoint:
    """The network that training starts from; beside the one in training, and in none of its checkpoints.

    Args:
        network: as training starts, with what is frozen marked so; only its backbone counts.
        distill: weight of :func:`feature_distance` to the features of the start. Costs a forward pass of the starting
            network a step, from where it is trained on.
        l2_sp: weight of :func:`squared_distance` of the weights to those of the start. Costs next to nothing.
    """

    def __init__(self, network: Network, distill: float, l2_sp: float) -> None:
        self._distill, self._l2_sp = distill, l2_sp
        self._network: Optional[Network] = copy.deepcopy(network).eval().requires_grad_(False) if distill else None
        self._layer = first_trained(network) if distill else ''
        self._maps: Optional[torch.Tensor] = None
        self._tail: Optional[Tail] = None
        if self._layer:
            network.backbone.get_submodule(self._layer).register_forward_pre_hook(self._keep)
        self._weights: List[Tuple[nn.Parameter, torch.Tensor]] = [
            (parameter, parameter.detach().clone()) for parameter in network.backbone.parameters()
            if parameter.requires_grad] if l2_sp else []

    def _keep(self, module: nn.Module, inputs: Tuple[Any, ...]) -> None:
        if module.training and isinstance(inputs[0], torch.Tensor):
            self._maps = inputs[0].detach().clone()  # a layer may write into what it is given

    def to(self, device: torch.device) -> None:
        """Move what is kept of the start."""
        if self._network is not None:
            self._network.to(device)
        self._weights = [(parameter, start.to(device)) for parameter, start in self._weights]

    def penalties(self, pixels: torch.Tensor, found: Prediction) -> Iterator[torch.Tensor]:
        """What is added to the loss.

        Args:
            pixels: the batch, shape (B, channels, H, W).
            found: what the network in training gives for it.
        """
        if self._network is not None:
            with torch.no_grad():
                start = self._features(self._network, pixels)
            yield self._distill * feature_distance(found, start)
        if self._weights:
            yield self._l2_sp * squared_distance(self._weights)


    def _features(self, network: Network, pixels: torch.Tensor) -> Prediction:
        """What the starting network gives for the batch that the one in training has just seen.

        What is frozen gives the same in both, and is not run again, where the network can be cut there.
        """
        if self._layer and self._tail is None:
            try:
                check_cut(network, self._layer, pixels)
                self._tail = Tail(network, self._layer).eval()
            except ConfigError:
                self._layer = ''
        if self._tail is None or self._maps is None:
            found: Prediction = network(pixels)
        else:
            found, self._maps = self._tail(self._maps), None
        return found


def feature_distance(found: Prediction, start: Prediction) -> torch.Tensor:
    """1 - cos of the angle between features now and at the start; mean over pictures, and over features and stages.

    Feature distillation (Romero et al. 2015) by direction, which is what scores on normalised features read. Stages
    that are frozen are left out, and the first of them may be missing from ``start``. In [0, 2].
    """
    pairs = [(found.features, start.features), *zip(found.stages[len(found.stages) - len(start.stages):], start.stages)]
    distances = [1 - nn.functional.cosine_similarity(now.float(), then.float()).mean()
                 for now, then in pairs if now.requires_grad]
    return torch.stack(distances).mean() if distances else found.features.new_zeros(())


def squared_distance(weights: List[Tuple[nn.Parameter, torch.Tensor]]) -> torch.Tensor:
    """Half the sum of squared differences (L2-SP; Li, Grandvalet and Davoine 2018)."""
    return 0.5 * torch.stack([(now - start).square().sum() for now, start in weights]).sum()
