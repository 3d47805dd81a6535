"""What the usual weights of an architecture expect of a picture."""
from ..errors import ConfigError
from ..networks.architecture import is_timm
from ..networks.architectures import OWN
from ..networks.efficientnet_lite import INPUT_SIZES
from ..networks.preprocess import Preprocessing
from ..networks.weights import torchvision_weights
from .timm_facts import timm_facts
from .torchvision_facts import torchvision_facts

_SMALL_SIDE = 32  # of the networks for small pictures
_HALF = (0.5, 0.5, 0.5)


def stated_input(name: str, entry: str = 'DEFAULT') -> Preprocessing:
    """What the usual weights of an architecture expect of a picture.

    Args:
        name: of an architecture.
        entry: of torchvision's weights; timm's are part of the name.

    Raises:
        ConfigError: there is no such architecture, or no such weights.
    """
    for version, (resize, crop) in INPUT_SIZES.items():
        if name == f'efficientnet_lite{version}' and entry == 'DEFAULT':
            return Preprocessing(resize, (crop, crop), _HALF, _HALF)
    if is_timm(name):
        return timm_facts(name).preprocessing
    try:
        return torchvision_facts(name, torchvision_weights(name, entry))[1]
    except ConfigError:
        if name not in OWN or entry != 'DEFAULT':
            raise
        return Preprocessing(_SMALL_SIDE, (_SMALL_SIDE, _SMALL_SIDE))
