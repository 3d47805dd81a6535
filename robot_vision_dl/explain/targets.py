"""Which classes and channels are visualised: those that are named, or a few that say something."""
from typing import List, Sequence

import numpy as np
from torch import nn

from ..core.errors import ConfigError
from ..core.networks.evidence import Head, LastMaps
from ..core.networks.network import Network
from ..core.suggestions import did_you_mean
from ..core.text.printable import printable
from .activations import stages_of
from .visualisation import Target

_CLASSES = 4
_OF_CLASSES = 2


def named_targets(network: Network, class_names: Sequence[str], names: Sequence[str]) -> List[Target]:
    """Targets as they are named on the command line.

    Args:
        names: of classes, or ``LAYER:CHANNEL`` with the dotted name of a module of the backbone.

    Raises:
        ConfigError: there is no such class or layer.
    """
    modules = dict(network.backbone.named_modules())
    found = []
    for name in names:
        layer, colon, channel = name.rpartition(':')
        layer = layer.removeprefix('backbone.')
        if name in class_names:
            found.append(Target(name, list(class_names).index(name)))
        elif colon and channel.isdecimal() and len(channel) < 10:
            if layer not in modules or not layer:
                raise ConfigError(f'--visualise {printable(name)}: {network.architecture.name} has no layer '
                                  f'{printable(repr(layer))}; {did_you_mean(layer, [one for one in modules if one])}')
            found.append(Target(f'{layer}:{channel}', int(channel), layer))
        else:
            raise ConfigError(f'--visualise {printable(name)}: is neither a class nor LAYER:CHANNEL; '
                              f'{did_you_mean(name, class_names)}')
    return found


def usual_targets(network: Network, class_names: Sequence[str], last: LastMaps) -> List[Target]:
    """A few classes, for each of the first of them the channel that speaks most for it, and channels on the way."""
    places = np.unique(np.linspace(0, len(class_names) - 1, _CLASSES).round().astype(int)).tolist()
    found = [Target(class_names[place], place) for place in places]
    if last.head is Head.LINEAR and isinstance(network.head, nn.Linear) and last.layer:
        weights = network.head.weight.detach()
        for place in places[:_OF_CLASSES]:
            channel = int(weights[place].argmax())
            found.append(Target(f'{last.layer}:{channel}', channel, last.layer,
                                f'speaks most for {class_names[place]}'))
    return found + _on_the_way(network)


def _on_the_way(network: Network) -> List[Target]:
    """The channel in the middle of two stages: any will do, to show what such a layer reads."""
    modules = dict(network.backbone.named_modules())
    found = []
    for layer in stages_of(network)[1:3]:
        widths = [one.out_channels for one in modules[layer].modules() if isinstance(one, nn.Conv2d)]
        if widths:
            place = widths[-1] // 2
            found.append(Target(f'{layer}:{place}', place, layer, f'one of {widths[-1]}'))
    return found
