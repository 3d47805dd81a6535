"""A copy of a network goes on from where the network in training is no longer as it was."""
from typing import Any, List, Optional, Tuple

import torch
from torch import nn

from ..core.networks.architectures import replace_module
from ..core.networks.network import Network, Prediction

_SAME = 1e-3  # as a share; half precision rounds to as much


class SharedTrunk:
    """Frozen layers are run once for both networks.

    Where a backbone begins with layers that are frozen, and all that follows reads their last maps alone, the copy need
    not compute these again. Whether that is so is not read from the code of the network but tried on the first batch:
    both ways must give the same, else the copy runs whole.

    Args:
        network: in training, with what is frozen marked so.
    """

    def __init__(self, network: Network) -> None:
        self._maps: Optional[torch.Tensor] = None
        self._is_short: Optional[bool] = None
        self._before, self._last = _frozen_start(network.backbone)
        if self._last:
            network.backbone.get_submodule(self._last).register_forward_hook(self._keep)

    def run(self, copy: Network, pixels: torch.Tensor) -> Prediction:
        """What ``copy``, as it was at the start and in evaluation mode, gives for the batch that the network just saw.

        Of stages in what is frozen, which are as they were, it may give anything.
        """
        if self._is_short is None:
            self._is_short = self._shorten(copy, pixels)
        found: Prediction = copy(pixels.clone() if self._is_short else pixels)
        self._maps = None
        return found

    def _keep(self, module: nn.Module, inputs: Tuple[Any, ...], output: torch.Tensor) -> None:
        self._maps = output.detach()

    def _shorten(self, copy: Network, pixels: torch.Tensor) -> bool:
        """Take from the copy what is shared, if it then gives the same."""
        if not self._last or self._maps is None:
            return False
        whole: Prediction = copy(pixels)
        kept = {name: copy.backbone.get_submodule(name) for name in (*self._before, self._last)}
        for name, module in kept.items():
            stand_in = _Given(self) if name == self._last else nn.Identity()
            stand_in._forward_hooks.update(module._forward_hooks)  # by which stages are collected
            replace_module(copy.backbone, name, stand_in)
        try:
            # What is between the layers may write into what it is given, which is now the batch.
            found: Prediction = copy(pixels.clone())
            is_same = (float((found.features - whole.features).norm()) <= _SAME * float(whole.features.norm())
                       and len(found.stages) == len(whole.stages))
        except (RuntimeError, ValueError, IndexError):  # layers between them that cannot take a picture for maps
            is_same = False
        if not is_same:
            for name, module in kept.items():
                replace_module(copy.backbone, name, module)
        return is_same


class _Given(nn.Module):
    """Gives the maps that the network in training has just made, whatever it is given."""

    def __init__(self, trunk: SharedTrunk) -> None:
        super().__init__()
        self._trunk = trunk

    def forward(self, ignored: torch.Tensor) -> torch.Tensor:
        assert self._trunk._maps is not None
        return self._trunk._maps


def _frozen_start(backbone: nn.Module) -> Tuple[List[str], str]:
    """Names of the frozen layers that a backbone begins with, but for the last, and the last's; empty: there are none.

    Within chains of layers (``nn.Sequential``), the layers are looked at one by one.
    """
    found: List[str] = []
    part, prefix = backbone, ''
    while True:
        for name, child in part.named_children():
            parameters = list(child.parameters())
            if any(parameter.requires_grad for parameter in parameters):
                break
            found.append(prefix + name)
        else:
            break
        if not isinstance(child, nn.Sequential):
            break
        part, prefix = child, f'{prefix}{name}.'
    while found and not list(backbone.get_submodule(found[-1]).parameters()):
        found.pop()
    return found[:-1], found[-1] if found else ''
