"""What the usual weights of an architecture expect of a picture, and the names of ImageNet's classes."""
from typing import Tuple

from ..errors import ConfigError
from ..networks.architectures import OWN
from ..networks.efficientnet_lite import INPUT_SIZES
from ..networks.preprocess import Preprocessing
from ..networks.weights import torchvision_weights
from .torchvision_facts import torchvision_facts

_SMALL_SIDE = 32  # of the networks for small pictures
_HALF = (0.5, 0.5, 0.5)
_WITH_IMAGENET_NAMES = 'squeezenet1_1'


def stated_input(name: str, entry: str = 'DEFAULT') -> Preprocessing:
    """What the usual weights of an architecture expect of a picture.

    Args:
        name: of an architecture.
        entry: of torchvision's weights.

    Raises:
        ConfigError: there is no such architecture, or torchvision no such weights.
    """
    for version, (resize, crop) in INPUT_SIZES.items():
        if name == f'efficientnet_lite{version}' and entry == 'DEFAULT':
            return Preprocessing(resize, (crop, crop), _HALF, _HALF)
    try:
        return torchvision_facts(name, torchvision_weights(name, entry))[1]
    except ConfigError:
        if name not in OWN or entry != 'DEFAULT':
            raise
        return Preprocessing(_SMALL_SIDE, (_SMALL_SIDE, _SMALL_SIDE))


def imagenet_names() -> Tuple[str, ...]:
    """Names of ImageNet's 1 000 classes in the usual order, as torchvision has them, made unique."""
    return torchvision_facts(_WITH_IMAGENET_NAMES, torchvision_weights(_WITH_IMAGENET_NAMES))[0]
