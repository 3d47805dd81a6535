"""The network that a bundle was trained from, as its provenance names it."""
from typing import Tuple

from .bundle import Bundle


def named_start(bundle: Bundle) -> Tuple[str, str]:
    """Name of the bundle or of the weights, and their identity (empty: not told); both empty: nothing is known.

    ``efficientnet_lite0_imagenet (ea794dbc27dc)`` is written there for a bundle, ``DEFAULT`` for weights of torchvision
    or timm, ``random`` for none.
    """
    name, _, identity = str(bundle.provenance.get('start', '')).partition(' (')
    return name, identity.removesuffix(')')
