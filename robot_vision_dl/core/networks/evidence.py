"""Where in the picture a network found what speaks for a class: class activation maps from its last maps.

The last maps of a network are what it has just before their positions are averaged, (F, h, w). Where it ends in that
mean and one linear layer, a logit is a sum over positions, and its terms are the class activation map (Zhou et al.
2016, "Learning Deep Features for Discriminative Localization"); nothing is estimated. For other heads the terms are
the maps times the gradient of the logit, position by position (HiResCAM: Draelos and Carin 2020, "Use HiResCAM instead
of Grad-CAM for faithful explanations"), which is the same where the head is linear. The gradient runs through the head
alone.

Such a map says what the head read, at the size of the last maps. It does not say what the robot should look at, and
what lies under a position may come from the whole picture, since the layers before have wide receptive fields.
"""
from contextlib import contextmanager
from copy import copy
from enum import Enum
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import nn

from ..errors import ConfigError
from .hooks import forward_hooks
from .network import Network, Prediction

_CLOSE = 1e-4  # of what two ways give, relative to the largest value
_ACTIVATIONS = (nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.SiLU())  # called as functions


class Head(str, Enum):
    """What follows the last maps."""

    LINEAR = 'linear'  # an activation or none, the mean over positions, and one linear layer
    CONVOLUTION = 'convolution'  # a 1x1 convolution, a ReLU, the mean: SqueezeNet
    OTHER = 'other'  # whatever a gradient can be followed through


class Evidence(NamedTuple):
    """What speaks for and against classes, position by position.

    Attributes:
        maps: float32 (B, K, h, w), in units of the logits; negative where it speaks against the class.
        logits: float32 (B, C).
        exact: the sum of a map and a constant of its class is the logit, whatever the picture; else the maps are terms
            of the first order.
    """

    maps: torch.Tensor
    logits: torch.Tensor
    exact: bool


class PassMaps:
    """What a pass leaves of its last maps, from which the evidence for any class follows.

    Attributes:
        maps: (B, F, h, w), after their activation; of a convolution's head (B, C, h, w), one a class.
        weights: (C, F) of a linear head; None: the maps are one a class already.
        exact: see :class:`Evidence`.
    """

    exact = True

    def __init__(self, maps: torch.Tensor, weights: Optional[torch.Tensor]) -> None:
        self.maps, self.weights = maps, weights

    def of(self, classes: Sequence[int], row: Optional[int] = None) -> torch.Tensor:
        """Evidence for K classes, (B, K, h, w), or (1, K, h, w) of one row of the batch."""
        maps = self.maps if row is None else self.maps[row:row + 1]
        if self.weights is None:
            return maps[:, list(classes)] / (maps.shape[2] * maps.shape[3])
        return linear_evidence(maps, self.weights, classes)


    def between(self, one: int, other: int, row: int) -> torch.Tensor:
        """Evidence of a row for a class rather than another, (h, w)."""
        found = self.of([one, other], row)[0]
        return found[0] - found[1]


class GradientMaps(PassMaps):
    """Maps and the head's part of the pass, which a gradient is followed through.

    Args:
        maps: (B, F, h, w), a leaf.
        logits: (B, C) that the head made of them.
    """

    exact = False

    def __init__(self, maps: torch.Tensor, logits: torch.Tensor) -> None:
        super().__init__(maps, None)
        self._logits = logits

    def of(self, classes: Sequence[int], row: Optional[int] = None) -> torch.Tensor:
        """See :meth:`PassMaps.of`."""
        part = slice(None) if row is None else slice(row, row + 1)
        maps = self.maps[part].detach()
        found = [self._followed(part, {index: 1.0}) for index in classes]
        return torch.stack(found, 1) if found else maps.new_zeros((len(maps), 0, *maps.shape[2:]))

    def between(self, one: int, other: int, row: int) -> torch.Tensor:
        """See :meth:`PassMaps.between`; one gradient instead of two."""
        return self._followed(slice(row, row + 1), {one: 1.0, other: -1.0})[0]

    def _followed(self, part: slice, weights: Mapping[int, float]) -> torch.Tensor:
        """Maps times the gradient of a weighted sum of logits by class, (b, h, w) of a part of the batch."""
        with torch.inference_mode(False), torch.enable_grad():
            value = torch.stack([weight * self._logits[part, index].sum() for index, weight in weights.items()]).sum()
            [gradient] = torch.autograd.grad(value, self.maps, retain_graph=True)
        return (gradient[part] * self.maps[part].detach()).sum(1)


class LastMaps:
    """The layer of a network with its last maps.

    Args:
        network: in evaluation mode.
        pixels: float32 (B, C, H, W), preprocessed, to find it with; any picture of the size that the network is run at.

    Attributes:
        layer: dotted name of the module whose output they are; empty for the backbone itself.
        shape: (F, h, w) of the maps.
        head: what follows them.

    Raises:
        ConfigError: the network has no maps with more than one position, as transformers of tokens do.
    """

    def __init__(self, network: Network, pixels: torch.Tensor) -> None:
        self._network = network
        names = {module: name for name, module in network.backbone.named_modules()}
        found: List[Tuple[nn.Module, Tuple[int, ...]]] = []

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            if not isinstance(output, torch.Tensor):
                return
            if output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
                found.append((module, tuple(output.shape)))
            elif output.ndim == 3 and output.shape[1] > 1:
                found.clear()  # tokens: what comes before them is no last map
        with forward_hooks(names, note), torch.no_grad():
            features = network(pixels).features
        if not found:
            raise ConfigError(f'{network.architecture.name}: ends in no maps of more than one position at '
                              f'{pixels.shape[-1]}x{pixels.shape[-2]} pixels, so that no evidence can be laid over the '
                              'picture; an occlusion test needs none')
        self._module, (_, *shape) = found[-1]
        # As Swin and others of timm compute: (B, h, w, F).
        self._channels_last = shape[2] == features.shape[1] != shape[0]
        if self._channels_last:
            shape = [shape[2], *shape[:2]]
        self.shape = (shape[0], shape[1], shape[2])
        self.layer = names[self._module]
        self._activation: nn.Module = _ACTIVATIONS[0]
        self.head = self._kind_of_head(pixels)

    def on(self, network: Network) -> 'LastMaps':
        """The same layer of another network of the same architecture, on whatever device; nothing is run."""
        other = copy(self)
        other._network, other._module = network, network.backbone.get_submodule(self.layer)
        return other

    def maps_of(self, pixels: torch.Tensor) -> Tuple[torch.Tensor, Prediction]:
        """Last maps (B, F, h, w), after their activation, and what the pass gives, without gradients."""
        with self.kept() as kept, torch.no_grad():
            prediction = self._network(pixels)
        return self._activation(kept[0]), prediction

    @contextmanager
    def kept(self) -> Iterator[List[torch.Tensor]]:
        """The last maps of the first pass of the network within the block, as they are before their activation."""
        kept: List[torch.Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            if not kept:
                kept.append(self._planes(output).clone())  # what follows may write into it
        with forward_hooks([self._module], keep):
            yield kept

    def _planes(self, output: torch.Tensor) -> torch.Tensor:
        """What the layer gives as (B, F, h, w)."""
        return output.permute(0, 3, 1, 2) if self._channels_last else output

    def _kind_of_head(self, pixels: torch.Tensor) -> Head:
        head = self._network.head
        maps, (logits, features, _) = self.maps_of(pixels)
        with torch.no_grad():
            if self._network.head_takes_maps:
                one_pixel = isinstance(head, nn.Sequential) and maps.shape[1] == head[0].in_channels
                return Head.CONVOLUTION if one_pixel and _close(head(maps), logits) else Head.OTHER
            if not isinstance(head, nn.Linear) or features.shape != maps.shape[:2]:
                return Head.OTHER
            for activation in _ACTIVATIONS:
                if _close(activation(maps).mean((2, 3)), features):
                    self._activation = activation
                    return Head.LINEAR
        return Head.OTHER

    def from_kept(self, kept: torch.Tensor) -> PassMaps:
        """Of a head that no gradient is needed for, what :meth:`kept` left."""
        head = self._network.head
        with torch.no_grad():
            maps = self._activation(kept)
            if isinstance(head, nn.Linear):
                return PassMaps(maps, head.weight.detach())
            return PassMaps(torch.relu(head[0](maps)), None)  # type: ignore[index]

    def passed(self, pixels: torch.Tensor) -> Tuple[PassMaps, Prediction]:
        """A pass that keeps what the evidence follows from, and what it gives.

        Raises:
            ConfigError: the head gives no gradient.
        """
        if self.head is Head.OTHER:
            return self._by_gradient(pixels)
        with self.kept() as kept, torch.no_grad():
            prediction = self._network(pixels)
        return self.from_kept(kept[0]), prediction

    def evidence(self, pixels: torch.Tensor, classes: Sequence[int]) -> Evidence:
        """Maps of K classes.

        Args:
            pixels: float32 (B, C, H, W), preprocessed.
            classes: K indices, the same for all pictures.

        Raises:
            ConfigError: the head gives no gradient.
        """
        maps, prediction = self.passed(pixels)
        return Evidence(maps.of(classes), prediction.logits, maps.exact)

    def _by_gradient(self, pixels: torch.Tensor) -> Tuple[PassMaps, Prediction]:
        kept: List[torch.Tensor] = []

        def cut(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            torch.set_grad_enabled(True)  # from here to the end of the pass, for which the caller's block holds
            kept[:] = [self._planes(output.detach()).requires_grad_()]
            followed = kept[0].clone()  # what follows may write into it
            return followed.permute(0, 2, 3, 1) if self._channels_last else followed
        with torch.inference_mode(False), forward_hooks([self._module], cut), torch.no_grad():
            logits, features, stages = self._network(pixels)
        if not logits.requires_grad:
            raise ConfigError(f'{self._network.architecture.name}: no gradient of the logits by its last maps; the '
                              'head computes nothing that can be followed')
        plain = Prediction(logits.detach(), features.detach(), tuple(stage.detach() for stage in stages))
        return GradientMaps(kept[0], logits), plain


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool(torch.allclose(one, other, rtol=0, atol=_CLOSE * max(float(other.abs().max()), 1e-12)))


def linear_evidence(maps: torch.Tensor, weights: torch.Tensor, classes: Sequence[int]) -> torch.Tensor:
    """Class activation maps of a head that is linear in the mean of the maps.

    Args:
        maps: float32 (B, F, h, w).
        weights: (C, F) of the head.
        classes: K indices.

    Returns:
        float32 (B, K, h, w); a map's sum is the logit without the bias.
    """
    chosen = weights[list(classes)].to(maps.dtype)
    return torch.einsum('kf,bfhw->bkhw', chosen, maps) / (maps.shape[2] * maps.shape[3])
