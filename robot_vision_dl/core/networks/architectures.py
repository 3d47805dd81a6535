"""Names of network architectures -> plain networks, and where their first convolution and their head are.

torchvision and timm are imported only when one of their architectures is asked for.
"""
from functools import lru_cache, partial
from types import ModuleType
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

from torch import nn

from ..errors import ConfigError
from ..text.printable import printable
from .architecture import Architecture, did_you_mean, is_timm
from .efficientnet_lite import EfficientNetLite
from .lenet import LeNet5
from .resnet_small import SmallResNet
from .squeezenet import SqueezeNet
from .timm_networks import build_timm, check_timm, timm_head

OWN: Dict[str, Callable[..., nn.Module]] = {
    **{f'efficientnet_lite{version}': partial(EfficientNetLite, version=version) for version in range(5)},
    'lenet5': LeNet5,
    'resnet20_cifar': partial(SmallResNet, blocks=3),
    'resnet32_cifar': partial(SmallResNet, blocks=5),
    'resnet56_cifar': partial(SmallResNet, blocks=9),
    'squeezenet1_0': partial(SqueezeNet, version='1_0'),
    'squeezenet1_1': partial(SqueezeNet, version='1_1'),
}
# Auxiliary classifiers help only while training from scratch; the keys of their weights are dropped when loading.
_AUXILIARY = {'googlenet': ('aux1.', 'aux2.'), 'inception_v3': ('AuxLogits.',)}


def torchvision_models() -> ModuleType:
    """The module ``torchvision.models``.

    Raises:
        ConfigError: torchvision is not installed or does not fit the installed torch.
    """
    try:
        import torchvision.models
    # A torchvision that was built for another torch fails with RuntimeError (operator torchvision::nms does not exist).
    except (ImportError, RuntimeError) as error:
        raise ConfigError(f'torchvision cannot be imported ({error}); install torch and torchvision together from the '
                          'same place: `pip install torch torchvision`') from error
    return torchvision.models


@lru_cache(maxsize=None)
def list_architectures() -> Tuple[str, ...]:
    """All names that :func:`build_plain` knows, sorted."""
    models = torchvision_models()
    return tuple(sorted({*OWN, *models.list_models(module=models)}))


def check_architecture(name: str) -> None:
    """Raise :class:`ConfigError`, with the nearest names, unless ``name`` is an architecture."""
    if is_timm(name):
        check_timm(name)
    elif name not in OWN and name not in list_architectures():
        nearest = did_you_mean(name, list(list_architectures()))
        raise ConfigError(f'no architecture {printable(repr(name), 100)}{nearest} '
                          '(`robot-vision models architectures` lists all)')


def build_plain(architecture: Architecture) -> nn.Module:
    """The network as its authors wrote it, with random weights, for ``architecture.in_channels`` channels.

    Auxiliary classifiers are left out, and so is torchvision's ``transform_input`` of GoogLeNet and Inception: that
    only turns ImageNet's normalisation into mean .5 and std .5, which is a matter of preprocessing.

    Raises:
        ConfigError: the name is not known.
    """
    name = architecture.name
    if is_timm(name):
        return build_timm(name, architecture.num_classes, architecture.in_channels, architecture.input_size)
    check_architecture(name)
    if name in OWN:
        return OWN[name](num_classes=architecture.num_classes, in_channels=architecture.in_channels)
    kwargs: Dict[str, Any] = {'num_classes': architecture.num_classes}
    if name in _AUXILIARY:
        kwargs.update(aux_logits=False, transform_input=False, init_weights=True)
    if architecture.input_size is not None:
        if name.startswith('vit_'):
            kwargs['image_size'] = architecture.input_size
        elif name.startswith('maxvit_'):
            kwargs['input_size'] = (architecture.input_size, architecture.input_size)
        else:
            raise ConfigError(f'architecture {name}: input_size does not apply, its weights fit any size; got '
                              f'{architecture.input_size}')
    plain: nn.Module = torchvision_models().get_model_builder(name)(**kwargs)
    if architecture.in_channels != 3:
        path, old = first_convolution(plain)
        replace_module(plain, path, nn.Conv2d(
            architecture.in_channels, old.out_channels, _pair(old.kernel_size), _pair(old.stride),
            old.padding if isinstance(old.padding, str) else _pair(old.padding), _pair(old.dilation),
            old.groups, old.bias is not None, old.padding_mode))
    return plain


def _pair(sides: Tuple[int, ...]) -> Tuple[int, int]:
    height, width = sides
    return height, width


def first_convolution(plain: nn.Module) -> Tuple[str, nn.Conv2d]:
    """Dotted name and module of the convolution that sees the picture: in all known networks the first one."""
    return next((path, module) for path, module in plain.named_modules() if isinstance(module, nn.Conv2d))


def last_layer(plain: nn.Module, name: str = '') -> Tuple[str, Union[nn.Linear, nn.Conv2d]]:
    """Dotted name and module of the layer with one output a class.

    It is the last ``nn.Linear`` in all known networks but SqueezeNet, where it is a 1x1 convolution; timm's networks
    (by their ``name``) tell it themselves.
    """
    if is_timm(name):
        return timm_head(name, plain)
    layers = [(path, module) for path, module in plain.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    return layers[-1]


def dropout_before(plain: nn.Module, path: str) -> Tuple[Optional[str], float]:
    """Dotted name and probability of the dropout directly before the layer ``path``; (None, 0) where there is none."""
    parent_path, _, name = path.rpartition('.')
    parent = plain.get_submodule(parent_path)
    if isinstance(parent, nn.Sequential):
        names = list(dict(parent.named_children()))
        before = names[names.index(name) - 1] if names.index(name) else ''
    else:
        before = 'dropout'  # GoogLeNet and Inception
    module = getattr(parent, before, None) if before else None
    if not isinstance(module, nn.Dropout):
        return None, 0.0
    return f'{parent_path}.{before}'.lstrip('.'), module.p


def replace_module(plain: nn.Module, path: str, module: nn.Module) -> None:
    """Put ``module`` in the place of the one with the dotted name ``path``."""
    parent_path, _, name = path.rpartition('.')
    setattr(plain.get_submodule(parent_path), name, module)


def is_auxiliary(name: str, key: str) -> bool:
    """Whether the weight ``key`` of the architecture ``name`` belongs to an auxiliary classifier."""
    return key.startswith(_AUXILIARY.get(name, ('\0',)))


def normalisation(name: str, mean: Tuple[float, ...], std: Tuple[float, ...]) -> Mapping[str, Tuple[float, ...]]:
    """Mean and std that torchvision's weights of ``name`` see, given those that torchvision states for them."""
    if name in _AUXILIARY:  # see build_plain on transform_input
        return {'mean': (0.5,) * 3, 'std': (0.5,) * 3}
    return {'mean': tuple(mean), 'std': tuple(std)}
