"""Channels that do nothing: their maps stay at one value over given pictures, or the weights let expect it.

A channel that is zero everywhere takes no part in any decision, and no gradient reaches it any more ("dead ReLU").
Maps are looked at where they are handed on: after the batch normalisation and the activation that follow a convolution,
whether these are modules or functions, since it is the graph of a pass (``torch.export``) that is run.
"""
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import fx

from ..core.errors import ConfigError
from ..core.networks.network import Network
from .network_table import module_of, operation_of

_RECTIFIERS = ('relu', 'relu_', 'relu6', 'relu6_', 'hardtanh', 'hardtanh_')
_ACTIVATIONS = (*_RECTIFIERS, 'silu', 'silu_', 'gelu', 'hardswish', 'hardswish_', 'tanh', 'tanh_', 'sigmoid',
                'leaky_relu', 'leaky_relu_', 'elu', 'elu_')
_SUMS = ('add', 'add_')
_STILL = 1e-6  # of the largest value of the layer: what changes by no more does not change
_FAINT = 0.01  # of the median scale, or norm, of the layer
_FAR = 4.0  # standard deviations
BATCH = 8


@dataclass(frozen=True)
class LayerChannels:
    """What is known of the channels of a layer.

    Attributes:
        name: dotted name of the convolution, or of the block whose sum is rectified.
        channels: how many there are.
        zero: those that are at zero at all places of all pictures.
        constant: those that are at one other value.
    """

    name: str
    channels: int
    zero: Tuple[int, ...]
    constant: Tuple[int, ...] = ()


class _Chain(NamedTuple):
    """A convolution (or a sum of paths), and what is done with its maps before they are handed on."""

    name: str
    first: fx.Node
    normalisation: Optional[fx.Node]
    last: fx.Node

    @property
    def is_rectified(self) -> bool:
        return operation_of(self.last) in _RECTIFIERS


class ChannelWatch:
    """The layers of one network, to be looked at.

    Args:
        network: in evaluation mode.
        shape: (C, H, W) of its input.

    Raises:
        ConfigError: torch cannot follow the network.
    """

    def __init__(self, network: Network, shape: Sequence[int]) -> None:
        try:
            with torch.no_grad():
                self._graph = torch.export.export(network, (torch.zeros(BATCH, *shape),)).module()
        except Exception as error:  # noqa: B902 - networks cannot be followed for many reasons
            raise ConfigError(f'channels cannot be watched: torch.export cannot follow the network ({error})'
                              ) from error
        assert isinstance(self._graph, fx.GraphModule)
        self._chains = _chains(self._graph.graph)

    def over(self, batches: Iterable[torch.Tensor]) -> Tuple[LayerChannels, ...]:
        """Layer by layer over pictures.

        Args:
            batches: each float32 (at most :data:`BATCH`, C, H, W), preprocessed; memory is needed for one.
        """
        run = _Extremes(self._graph, {chain.last: chain for chain in self._chains})
        with torch.no_grad():
            for batch in batches:
                missing = BATCH - len(batch)  # the last picture again changes no extreme
                run.run(torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch)
        return tuple(_judged(chain.name, *run.found[chain.last]) for chain in self._chains if chain.last in run.found)

    def by_weights(self) -> Tuple[LayerChannels, ...]:
        """Channels that the weights let expect nothing of, without a picture: no more than a suspicion.

        With a batch normalisation values have, over the training pictures, its shift as their mean and its scale as
        their standard deviation: a channel is told where the scale is below a hundredth of the layer's median, or where
        0 lies more than four standard deviations above the mean, before a ReLU. Else where the norm of the filter is
        below a hundredth of the layer's median.
        """
        return tuple(self._suspected(chain) for chain in self._chains if operation_of(chain.first) not in _SUMS)

    def _suspected(self, chain: _Chain) -> LayerChannels:
        if chain.normalisation is not None:
            scale, shift = (self._tensor(chain.normalisation.args[place]) for place in (1, 2))
            if scale is not None and shift is not None:
                scale = scale.abs()
                off = chain.is_rectified & (shift < -_FAR * scale)
                faint = (scale < _FAINT * scale.median()) & ~off
                return LayerChannels(chain.name, len(scale), _places(off), _places(faint))
        weight = self._tensor(chain.first.args[1])
        assert weight is not None
        norms = weight.flatten(1).norm(dim=1)
        return LayerChannels(chain.name, len(norms), (), _places(norms < _FAINT * norms.median()))

    def _tensor(self, node: Any) -> Optional[torch.Tensor]:
        """A weight, float32."""
        if not isinstance(node, fx.Node) or node.op != 'get_attr':
            return None
        owner, _, name = str(node.target).rpartition('.')
        tensor: torch.Tensor = getattr(self._graph.get_submodule(owner), name)
        return tensor.detach().float()


class _Extremes(fx.Interpreter):
    """Runs a graph and notes the least and the largest value of each channel."""

    def __init__(self, graph: fx.GraphModule, wanted: Dict[fx.Node, _Chain]) -> None:
        super().__init__(graph)
        self._wanted = wanted
        self.found: Dict[fx.Node, Tuple[torch.Tensor, torch.Tensor]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """As the interpreter does it; before a later operation writes into what comes out."""
        value = super().run_node(n)
        if n in self._wanted:
            low, high = value.amin((0, 2, 3)), value.amax((0, 2, 3))
            if n in self.found:
                low, high = torch.minimum(low, self.found[n][0]), torch.maximum(high, self.found[n][1])
            self.found[n] = low, high
        return value


def _judged(name: str, low: torch.Tensor, high: torch.Tensor) -> LayerChannels:
    size = torch.maximum(low.abs(), high.abs())
    least = _STILL * max(float(size.max()), 1e-12)
    zero = size <= least
    return LayerChannels(name, len(low), _places(zero), _places((high - low <= least) & ~zero))


def _places(mask: torch.Tensor) -> Tuple[int, ...]:
    return tuple(mask.nonzero().flatten().tolist())


def _chains(graph: fx.Graph) -> List[_Chain]:
    found: List[_Chain] = []
    for node in graph.nodes:
        value = node.meta.get('val')
        if node.op != 'call_function' or not isinstance(value, torch.Tensor) or value.ndim != 4:
            continue
        operation = operation_of(node)
        if value.shape[2] * value.shape[3] == 1 or operation not in ('conv2d', 'convolution', *_SUMS):
            continue
        chain = _followed(node)
        if operation not in _SUMS or chain.last is not node:  # of a sum only what it becomes
            found.append(chain)
    return found


def _followed(first: fx.Node) -> _Chain:
    last, normalisation = first, None
    while len(last.users) == 1:
        user = next(iter(last.users))
        if operation_of(user) in _ACTIVATIONS:
            last = user
            break
        if operation_of(user) != 'batch_norm':
            break
        last = normalisation = user
    return _Chain(module_of(first).removeprefix('backbone.'), first, normalisation, last)
