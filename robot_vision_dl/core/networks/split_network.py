"""A network cut in two before one of its layers: what comes first is run once, what follows is trained on its maps."""
from copy import deepcopy
from typing import Any, List, Tuple

import torch
from torch import nn

from ..errors import ConfigError
from ..suggestions import did_you_mean
from .network import Network, Prediction

_CLOSE = 1e-3  # of the logits of the whole network and of the two halves, relative to the largest


class _Reached(Exception):
    """The layer at which the trunk ends has been reached."""


class Trunk:
    """The layers of a network before ``layer``.

    Args:
        network: in evaluation mode.
        layer: dotted name of a module of its backbone.

    Raises:
        ConfigError: there is no such layer.
    """

    def __init__(self, network: Network, layer: str) -> None:
        modules = dict(network.backbone.named_modules())
        if layer not in modules or not layer:
            top = [name for name in layer_names(network) if name.count('.') <= 1]
            raise ConfigError(f'{network.architecture.name} has no layer {layer!r}; {did_you_mean(layer, top)}')
        self._network, self._layer = network, modules[layer]

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """What goes into the layer, (B, F, H, W), of pixels (B, C, H, W); nothing after it is run."""
        caught: List[Any] = []

        def stop(module: nn.Module, inputs: Tuple[Any, ...]) -> None:
            caught.append(_maps(inputs))
            raise _Reached
        handle = self._layer.register_forward_pre_hook(stop)
        try:
            self._network.backbone(pixels)
        except _Reached:
            pass
        finally:
            handle.remove()
        return _one(caught, self._network)

    @torch.inference_mode()
    def with_prediction(self, pixels: torch.Tensor) -> Tuple[torch.Tensor, Prediction]:
        """The same, and what the whole network gives."""
        caught: List[Any] = []
        handle = self._layer.register_forward_pre_hook(lambda module, inputs: caught.append(_maps(inputs)))
        try:
            found: Prediction = self._network(pixels)
        finally:
            handle.remove()
        return _one(caught, self._network), found


def _maps(inputs: Tuple[Any, ...]) -> Any:
    """A copy of what goes into a layer; what follows may write into it."""
    return inputs[0].clone() if inputs and isinstance(inputs[0], torch.Tensor) else None


def _one(caught: List[Any], network: Network) -> torch.Tensor:
    """What went into the layer, the one time that it ran."""
    if len(caught) != 1 or not isinstance(caught[0], torch.Tensor):
        raise ConfigError(f'{network.architecture.name} cannot be cut there: the layer is not run as a whole, once, on '
                          'maps; name another layer')
    return caught[0]


class Tail(nn.Module):
    """A copy of a network from ``layer`` on, which takes the maps that :class:`Trunk` gives."""

    def __init__(self, network: Network, layer: str) -> None:
        super().__init__()
        self.network = deepcopy(network)
        parts = layer.split('.')
        parent: nn.Module = self.network.backbone
        for part in parts:  # what comes before it, at each level
            for name, _ in list(parent.named_children()):
                if name == part:
                    break
                setattr(parent, name, nn.Identity())
            parent = parent.get_submodule(part)
        self._maps: List[torch.Tensor] = []
        parent.register_forward_pre_hook(lambda module, inputs: (self._maps[0],))

    def forward(self, maps: torch.Tensor) -> Prediction:
        """Logits (B, C), features (B, F) and the stages from the layer on, of maps (B, F, H, W)."""
        self._maps[:] = [maps]
        try:
            found: Prediction = self.network(maps.new_zeros((len(maps), self.network.architecture.in_channels, 1, 1)))
        finally:
            self._maps.clear()
        return found


def layer_names(network: Network) -> List[str]:
    """Dotted names of the layers of the backbone with parameters, in order."""
    return [name for name, module in network.backbone.named_modules() if name and list(module.parameters())]


def check_cut(network: Network, layer: str, pixels: torch.Tensor) -> None:
    """Raise :class:`ConfigError` unless the two halves give what the network gives for some pixels (B, C, H, W)."""
    with torch.inference_mode():
        maps, whole = Trunk(network, layer).with_prediction(pixels)
        try:
            found = Tail(network, layer).eval()(maps)
        except Exception as error:  # noqa: B902 - networks fail in many ways where maps are missing
            raise ConfigError(f'{network.architecture.name} cannot be cut before {layer!r}: {error}') from error
        largest = float(whole.logits.abs().max())
        if not torch.allclose(found.logits, whole.logits, atol=_CLOSE * max(largest, 1e-6), rtol=0):
            raise ConfigError(f'{network.architecture.name} cannot be cut before {layer!r}: what follows needs more '
                              'than what goes into it; name another layer')


def layer_after(network: Network, layer: str) -> str:
    """The next layer on the same level of the backbone; empty: there is none.

    Args:
        layer: dotted name of a module, as of a stage.
    """
    parent_path, _, name = layer.rpartition('.')
    names = list(dict(network.backbone.get_submodule(parent_path).named_children()))
    after = [one for one in names[names.index(name) + 1:]
             if list(network.backbone.get_submodule(f'{parent_path}.{one}'.lstrip('.')).parameters())]
    return f'{parent_path}.{after[0]}'.lstrip('.') if after else ''
