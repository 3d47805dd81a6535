"""What layers in the middle of a network give, averaged over the picture, from the same forward pass.

Fine-tuning changes the last layers most, and they forget what the pretrained weights knew of everything else; earlier
ones, which may stay as they were, still tell the unknown from the known.
"""
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Dict, Iterator, List, Tuple

import torch
from torch import nn

from ..errors import ConfigError
from ..suggestions import did_you_mean
from .architecture import Architecture, is_timm
from .timm_networks import timm_stages

_CHANNELS_LAST = ('swin_',)
_MOST_AT_ONCE = 4096  # pixels that are summed one after another; of more, float32 would lose digits
_USUAL: Tuple[Tuple[str, Tuple[str, ...]], ...] = (
    ('efficientnet_lite', ('blocks.2', 'blocks.3', 'blocks.4')),
    ('squeezenet', ('4', '7', '10')),
    ('resnet20_cifar', ()),
    ('resnet32_cifar', ()),
    ('resnet56_cifar', ()),
    ('resnet', ('layer1', 'layer2', 'layer3')),
    ('resnext', ('layer1', 'layer2', 'layer3')),
    ('wide_resnet', ('layer1', 'layer2', 'layer3')),
    ('mobilenet_v2', ('features.6', 'features.10', 'features.13')),
    ('mobilenet_v3_large', ('features.6', 'features.10', 'features.12')),
    ('mobilenet_v3_small', ('features.3', 'features.6', 'features.8')),
    ('efficientnet', ('features.3', 'features.4', 'features.5')),
    ('convnext', ('features.1', 'features.3', 'features.5')),
    ('regnet', ('trunk_output.block1', 'trunk_output.block2', 'trunk_output.block3')),
    ('densenet', ('features.transition1', 'features.transition2', 'features.transition3')),
    ('googlenet', ('inception3b', 'inception4c', 'inception4e')),
)


def usual_stages(architecture: str) -> Tuple[str, ...]:
    """Stages of an architecture whose outputs are worth keeping, the last of them before its last reduction in size.

    Of timm's networks those that timm itself takes features from. Empty where none are known, as of torchvision's
    transformers; then name them.
    """
    if is_timm(architecture):
        return timm_stages(architecture)
    return next((stages for prefix, stages in _USUAL if architecture.startswith(prefix)), ())


class StageOutputs:
    """Collects what the stages of a backbone give.

    Several threads may run the network at the same time.

    Args:
        backbone: whose modules the stages are.
        architecture: that names them.

    Raises:
        ConfigError: there is no such module.
    """

    def __init__(self, backbone: nn.Module, architecture: Architecture) -> None:
        self._count = len(architecture.stages)
        self._by_thread: Dict[int, List[torch.Tensor]] = {}
        channels_last = has_channels_last(backbone, architecture.name)
        modules = dict(backbone.named_modules()) if architecture.stages else {}
        for name in architecture.stages:
            if name not in modules or not name:
                top = [one for one in modules if one.count('.') <= 1]
                raise ConfigError(f'architecture {architecture.name}: has no stage {name!r}; {did_you_mean(name, top)}')
            modules[name].register_forward_hook(_Tap(self._by_thread, channels_last))

    @contextmanager
    def collected(self) -> Iterator[List[torch.Tensor]]:
        """A list that, when the backbone has run within, holds what each stage gave, shape (B, F_s)."""
        found: List[torch.Tensor] = []
        if not self._count:
            yield found
            return
        self._by_thread[get_ident()] = found
        try:
            yield found
        finally:
            del self._by_thread[get_ident()]


class _Tap:
    """A forward hook; an object, so that a copy of the network gets a copy of it."""

    def __init__(self, by_thread: Dict[int, List[torch.Tensor]], channels_last: bool) -> None:
        self._by_thread = by_thread
        self._channels_last = channels_last

    def __call__(self, module: nn.Module, inputs: Tuple[Any, ...], output: torch.Tensor) -> None:
        found = self._by_thread.get(get_ident())
        if found is not None:
            found.append(averaged(output, self._channels_last))


def has_channels_last(backbone: nn.Module, name: str) -> bool:
    """Whether stages give (B, h, w, F), as Swin's do.

    Args:
        backbone: of the network.
        name: of its architecture.
    """
    return name.startswith(_CHANNELS_LAST) or getattr(backbone, 'output_fmt', None) == 'NHWC'  # timm's


def averaged(maps: torch.Tensor, channels_last: bool = False) -> torch.Tensor:
    """The mean over the picture, (B, F), of maps (B, F, H, W), or (B, H, W, F), or of tokens (B, N, F)."""
    if maps.ndim == 4:
        if channels_last:
            return maps.mean((1, 2))
        # A mean is a sum and then a division, which finds nothing in the caches: this takes half the time in the midst
        # of a pass. Only where numbers are computed, so that exported graphs say what is meant.
        if (type(maps) is torch.Tensor and maps.is_cpu and torch.is_inference_mode_enabled()
                and maps.shape[2] * maps.shape[3] <= _MOST_AT_ONCE):
            return torch.nn.functional.avg_pool2d(maps, maps.shape[2:]).flatten(1)
        return maps.mean((2, 3))
    return maps.mean(1) if maps.ndim == 3 else maps
