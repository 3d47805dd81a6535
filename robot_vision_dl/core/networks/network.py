"""A network split into backbone and head: one forward pass gives logits and penultimate features."""
import re
from dataclasses import replace
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Optional, Tuple, Union

import torch
from torch import nn

from ..errors import BundleError, ConfigError
from .architecture import Architecture, is_timm
from .architectures import (
    OWN,
    build_plain,
    check_architecture,
    dropout_before,
    first_convolution,
    is_auxiliary,
    last_layer,
    replace_module,
)
from .stages import StageOutputs
from .state_file import read_state_file
from .torch_private import state_like
from .weights import in_place, is_weights_name, named_weights


class Prediction(NamedTuple):
    """What one forward pass gives.

    Attributes:
        logits: shape (B, C).
        features: what the head sees, shape (B, F); for SqueezeNet the mean of its last maps over the picture.
        stages: what each of ``architecture.stages`` gives, averaged over the picture, shape (B, F_s) each.
    """

    logits: torch.Tensor
    features: torch.Tensor
    stages: Tuple[torch.Tensor, ...] = ()


class Network(nn.Module):
    """Backbone, dropout, head.

    Built by :func:`build_network`. Weights are named ``backbone.*`` and ``head.*``. There are no branches on data, so
    ``torch.export`` and CUDA graphs work.

    Attributes:
        architecture: how to build the same network again.
        num_features: F.
        plain_head: dotted name of the head in the plain network, e.g. ``fc``.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        plain = build_plain(architecture)
        path, last = last_layer(plain, architecture.name)
        dropout_path, probability = dropout_before(plain, path)
        if dropout_path is not None:
            replace_module(plain, dropout_path, nn.Identity())
        self.architecture = architecture
        self.plain_head = path
        self.dropout = nn.Dropout(probability if architecture.dropout is None else architecture.dropout)
        if isinstance(last, nn.Conv2d):  # SqueezeNet
            self.num_features = last.in_channels
            self.backbone: nn.Module = plain.get_submodule('features')
            self.pool: nn.Module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head: nn.Module = nn.Sequential(last, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        else:
            self.num_features = last.in_features
            replace_module(plain, path, nn.Identity())
            self.backbone = plain
            self.pool = nn.Identity()
            self.head = last
        self.head_takes_maps = isinstance(last, nn.Conv2d)
        self._stages = StageOutputs(self.backbone, architecture)
        if architecture.head == 'linear':
            self.replace_head(architecture.num_classes)

    def forward(self, pixels: torch.Tensor) -> Prediction:
        """Logits (B, C), features (B, F) and stages of preprocessed pixels (B, in_channels, H, W)."""
        maps, features, stages = self.features_of(pixels)
        return Prediction(self.head(self.dropout(maps if self.head_takes_maps else features)), features, stages)

    def features_of(self, pixels: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor, Tuple[torch.Tensor, ...]]:
        """What the backbone ends with, the same averaged over the picture (B, F), and the stages."""
        with self._stages.collected() as stages:
            maps = self.backbone(pixels)
        return maps, self.pool(maps), tuple(stages)

    def replace_head(self, num_classes: int) -> None:
        """Put a fresh linear layer with bias in the head's place, for ``num_classes`` classes.

        It is made on the device and in the precision of the present head.
        """
        self.architecture = replace(self.architecture, num_classes=num_classes, head='linear')
        like = next(self.head.parameters())
        self.head = nn.Linear(self.num_features, num_classes, device=like.device, dtype=like.dtype)
        self.head_takes_maps = False


def build_network(
    architecture: Union[str, Architecture], num_classes: Optional[int] = None, *, in_channels: int = 3,
    head: str = 'native', dropout: Optional[float] = None, input_size: Optional[int] = None,
    weights: Union[None, str, Path] = None,
) -> Network:
    """Build a network by the name of its architecture, in evaluation mode, on the CPU, in float32.

    Args:
        architecture: a name (see ``architectures.list_architectures``), or a whole :class:`Architecture`, which then
            takes the place of the five arguments after it.
        num_classes: C; None: as many as ``weights`` have. If the weights have another number, the head is replaced by
            a fresh linear one, as for fine-tuning.
        in_channels: 1 for grey, 3 for RGB. For grey, the first convolution of RGB weights is summed over its colours,
            which gives the same maps as a grey picture in RGB.
        head: ``native`` or ``linear``, see :class:`Architecture`.
        dropout: probability before the head while training; None: as the architecture has it.
        input_size: see :class:`Architecture`.
        weights: None: random. ``DEFAULT`` or another name of torchvision's weights for this architecture, or
            ``DEFAULT`` for timm's: downloaded by these unless they are in their cache. A path: a state dict in the
            layout of torchvision or timm (``.pth``, read without running any code of it, or ``.safetensors``).

    Raises:
        ConfigError: a name or a value is not known.
        BundleError: weights cannot be had or do not fit.
    """
    if isinstance(architecture, Architecture):
        spec, wanted = architecture, architecture.num_classes
    else:
        if num_classes is None and weights is None:
            raise ConfigError(f'architecture {architecture}: num_classes is needed where there are no weights')
        spec = Architecture(architecture, num_classes or 1000, in_channels, head, dropout, input_size)
        wanted = num_classes or 0
    if weights is None:
        return Network(spec).eval()
    return network_from_weights(spec, weights, wanted).network


class FromWeights(NamedTuple):
    """A network with the weights of a file.

    Attributes:
        network: in evaluation mode.
        outputs: of the head that the weights have; 0: they have none.
    """

    network: Network
    outputs: int


def network_from_weights(spec: Architecture, weights: Union[str, Path], num_classes: int = 0) -> FromWeights:
    """As :func:`build_network`, with what the head of the weights was.

    Args:
        spec: its ``num_classes`` does not count.
        weights: see :func:`build_network`.
        num_classes: that are wanted: of weights that have another number, or no head, it is replaced by a fresh linear
            one. 0: as the weights have it.

    Raises:
        ConfigError: a name or a value is not known.
        BundleError: weights cannot be had or do not fit, or they have no head and no number is wanted.
    """
    check_architecture(spec.name)
    if is_weights_name(weights):
        entry = named_weights(spec.name, str(weights))
        source, state = entry.source, entry.state
        if spec.input_size is None:
            spec = replace(spec, input_size=entry.input_size)
    else:
        source, state = str(weights), read_state_file(Path(weights))
    network = _blank_network(replace(spec, head='native'))
    shapes = _plain_shapes(network)
    state = in_place(state, shapes, network.plain_head, source, spec.name)
    head = f'{network.plain_head}.weight'
    outputs = len(state[head]) if head in state else 0
    if not outputs:
        if not num_classes:
            raise BundleError(f'{source}: has no {head}: these are weights of a {spec.name} without its last layer; '
                              '`robot-vision train` gives them a new one (network.pretrained)')
        state.update({key: torch.zeros(shape) for key, shape in shapes.items()
                      if key.rpartition('.')[0] == network.plain_head})
    elif outputs != spec.num_classes:  # what differs from the wish is the head, and that is replaced below
        network = _blank_network(replace(spec, num_classes=outputs, head='native'))
    _load_plain_state(network, state, source)
    if spec.head == 'linear' or num_classes not in (0, outputs):
        network.replace_head(num_classes or outputs)
    return FromWeights(network.eval(), outputs)


def restore_network(architecture: Architecture, state: Mapping[str, torch.Tensor]) -> Network:
    """Build a network around the tensors of ``Network.state_dict()``, without initialising it first.

    Raises:
        BundleError: names or shapes differ from what the architecture has.
    """
    network = _blank_network(architecture)
    _load_strictly(network, dict(state), architecture.name)
    return network.eval()


# DenseNet weights of 2017 name layers of a block "norm.1", which torch has not allowed since.
_OLD_DENSENET = re.compile(
    r'^(.*denselayer\d+\.(?:norm|conv))\.([12]\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$')


def _blank_network(architecture: Architecture) -> Network:
    """A network whose parameters are about to be assigned, so that they need not be allocated or initialised."""
    # Ours are small, and the meta device would import parts of torch for over a second. timm's have buffers that
    # weights do not fill.
    if architecture.name in OWN or is_timm(architecture.name):
        return Network(architecture)
    try:
        with torch.device('meta'):
            return Network(architecture)
    except NotImplementedError:  # RegNet computes its widths with tensors
        return Network(architecture)


def _plain_shapes(network: Network) -> Dict[str, torch.Size]:
    """Names and shapes of the plain network's tensors, as torchvision or timm has them."""
    shapes = {}
    for key, value in network.state_dict().items():
        part, _, rest = key.partition('.')
        if part == 'head':
            shapes[f'{network.plain_head}.{rest.rpartition(".")[2]}'] = value.shape
        else:
            shapes['features.' + rest if network.head_takes_maps else rest] = value.shape
    return shapes


def _load_plain_state(network: Network, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Load a state dict in the layout of the plain network (torchvision's) into a network with its native head."""
    renamed = {}
    for key, value in state.items():
        if is_auxiliary(network.architecture.name, key):
            continue
        key = _OLD_DENSENET.sub(r'\1\2', key)
        path, _, kind = key.rpartition('.')
        if path == network.plain_head:
            key = f'head.0.{kind}' if network.head_takes_maps else f'head.{kind}'
            if value.ndim == 4 and not network.head_takes_maps:  # a 1x1 convolution over one pixel, as timm has some
                value = value.flatten(1)
        else:
            key = 'backbone.' + (key[len('features.'):] if network.head_takes_maps else key)
        renamed[key] = value.float() if value.is_floating_point() else value
    conv_path, conv = first_convolution(network.backbone)
    conv_key = f'backbone.{conv_path}.weight'
    if conv.in_channels == 1 and conv_key in renamed and renamed[conv_key].shape[1] == 3:
        renamed[conv_key] = renamed[conv_key].sum(1, keepdim=True)
    for key, value in network.state_dict().items():
        if key.endswith('.num_batches_tracked'):  # which files of old do not have, and nothing reads
            renamed.setdefault(key, torch.zeros(value.shape, dtype=value.dtype))
    _load_strictly(network, renamed, source)


def _load_strictly(module: nn.Module, state: Dict[str, torch.Tensor], source: str) -> None:
    """``load_state_dict`` that takes the tensors over, with a short message for what does not fit."""
    own = module.state_dict()
    missing = [key for key in own if key not in state]
    surplus = [key for key in state if key not in own]
    shapes = [f'{key} has the shape {tuple(state[key].shape)} instead of {tuple(own[key].shape)}'
              for key in own if key in state and state[key].shape != own[key].shape]
    shapes += [f'{key} holds {state[key].dtype} instead of {own[key].dtype}' for key in own
               if key in state and state[key].is_floating_point() != own[key].is_floating_point()]
    shapes += [f'{key} holds variances below 0' for key in own
               if key.endswith('running_var') and key in state and bool((state[key] < 0).any())]
    problems = ([f'no {key}' for key in missing] + shapes + [f'{key} is not part of it' for key in surplus])
    if problems:
        more = f' and {len(problems) - 3} more' if len(problems) > 3 else ''
        raise BundleError(f'{source}: weights do not fit the architecture: {"; ".join(problems[:3])}{more}')
    try:
        module.load_state_dict(state_like(own, state), strict=True, assign=True)
    except RuntimeError as error:
        raise BundleError(f'{source}: weights do not fit the architecture: {error}') from error

