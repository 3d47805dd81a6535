"""Deep ensembles: several networks trained from different seeds, run as one (Lakshminarayanan et al. 2017)."""
from math import log
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from ..errors import BundleError
from ..networks.graph_network import GraphNetwork, SingleNetwork


class EnsemblePrediction(NamedTuple):
    """As :class:`~..network.Prediction`, with what each of M members says.

    Attributes:
        logits: ln of the members' mean probabilities, shape (B, C).
        features: the members' side by side, shape (B, F1 + F2 + ...).
        members: probabilities of each, shape (M, B, C).
        member_logits: shape (M, B, C).
        member_features: M tensors of shape (B, Fm).
        member_stages: of each member, as ``Prediction.stages``.
    """

    logits: torch.Tensor
    features: torch.Tensor
    members: torch.Tensor
    member_logits: torch.Tensor
    member_features: Tuple[torch.Tensor, ...]
    member_stages: Tuple[Tuple[torch.Tensor, ...], ...]


class EnsembleNetwork(nn.Module):
    """Networks for the same classes and the same input as one.

    Args:
        networks: in evaluation mode, at least two.
        temperatures: T of each.
        vectorised: all members as one call over stacked weights, which wants equal architectures. Stacked convolutions
            become grouped ones: on a CPU they take longer than one after another, and on a GPU, where a CUDA graph
            launches the members at no cost, torch cannot stack BatchNorm in float32.
    """

    temperatures: torch.Tensor

    def __init__(self, networks: Sequence[SingleNetwork], temperatures: Sequence[float],
                 vectorised: bool = False) -> None:
        super().__init__()
        if len(networks) < 2 or len(networks) != len(temperatures):
            raise BundleError(f'an ensemble needs two networks at least, and a temperature each, got {len(networks)} '
                              f'and {len(temperatures)}')
        self.networks = nn.ModuleList(networks)
        self.register_buffer('temperatures', torch.tensor(list(temperatures), dtype=torch.float32).view(-1, 1, 1))
        self.architecture = networks[0].architecture
        self.num_features = sum(network.num_features for network in networks)
        self.is_uniform = len({network.architecture for network in networks}) == 1 and not any(
            isinstance(network, GraphNetwork) for network in networks)  # whose weights cannot be stacked
        if vectorised and not self.is_uniform:
            raise BundleError('an ensemble of different architectures cannot run as one vectorised pass')
        self.vectorised = vectorised
        self._stacked: Optional[Tuple[torch.device, Dict[str, torch.Tensor], Dict[str, torch.Tensor]]] = None

    def forward(self, pixels: torch.Tensor) -> EnsemblePrediction:
        """Mean prediction and those of the members for pixels (B, c, H, W)."""
        if self.vectorised:
            logits, features, stages = self._all_at_once(pixels)
        else:
            predictions = [network(pixels) for network in self.networks]
            logits = torch.stack([prediction.logits for prediction in predictions])
            features = tuple(prediction.features for prediction in predictions)
            stages = tuple(prediction.stages for prediction in predictions)
        logits = logits.float()
        log_members = torch.log_softmax(logits / self.temperatures, dim=-1)
        mean = torch.logsumexp(log_members, dim=0) - log(len(self.networks))
        return EnsemblePrediction(mean, torch.cat(features, dim=1), log_members.exp(), logits, features, stages)

    def _all_at_once(self, pixels: torch.Tensor
                     ) -> Tuple[torch.Tensor, Tuple[torch.Tensor, ...], Tuple[Tuple[torch.Tensor, ...], ...]]:
        if self._stacked is None or self._stacked[0] != pixels.device:
            parameters, buffers = stack_module_state(list(self.networks))
            self._stacked = pixels.device, {key: value.detach() for key, value in parameters.items()}, buffers
        _, parameters, buffers = self._stacked
        like = self.networks[0]

        def one(parameters: Dict[str, torch.Tensor], buffers: Dict[str, torch.Tensor]) -> Tuple[Any, ...]:
            return tuple(functional_call(like, (parameters, buffers), (pixels,)))
        logits, features, stages = vmap(one)(parameters, buffers)
        return logits, tuple(features), tuple(zip(*stages)) if stages else ((),) * len(features)


AnyNetwork = Union[SingleNetwork, EnsembleNetwork]
"""What a bundle has: of one model, or of an ensemble."""
