"""How far the weights of a network are from those that its training began with, layer by layer.

The distance is relative, ||w - w0|| / ||w0|| over the weights of a layer: 0 where it was frozen, about 1.4 where the
two have nothing to do with each other and are of one size.
"""
from dataclasses import dataclass
from typing import List, Tuple

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.named_start import named_start
from ..core.errors import BundleError, ConfigError
from ..core.networks.network import Network, build_network
from ..core.networks.weights import is_weights_name

ROUNDING = 1e-3
"""Relative distance up to which weights differ by no more than float16 rounds."""


@dataclass(frozen=True)
class LayerDistance:
    """A layer with weights.

    Attributes:
        name: dotted name of its module.
        numbers: of its weights, without biases.
        distance: relative, see above.
    """

    name: str
    numbers: int
    distance: float

    @property
    def is_same(self) -> bool:
        """Whether the two differ by no more than rounding."""
        return self.distance <= ROUNDING


@dataclass(frozen=True)
class WeightDistances:
    """All layers.

    Attributes:
        start: what the training began with, for people.
        layers: in the order of the network: convolutions and linear layers.
        note: what could not be compared, and why; empty: nothing is missing.
    """

    start: str
    layers: Tuple[LayerDistance, ...]
    note: str = ''


def distances_to_start(bundle: Bundle, network: Network, frozen: str = '') -> WeightDistances:
    """Compare with what the bundle's provenance names.

    Args:
        bundle: of the model.
        network: its own.
        frozen: name of the bundle that it was trained from; empty: as the provenance has it.

    Returns:
        No layers, and a note, where nothing is known of a start or it cannot be had.

    Raises:
        BundleError, ConfigError: of ``frozen``, which cannot be had or is of another architecture.
    """
    name, identity = (frozen, '') if frozen else named_start(bundle)
    if not name:
        return WeightDistances('', (), f'nothing is known of what {bundle.name} was trained from; --frozen names it')
    if name == 'random':
        return WeightDistances('', (), f'{bundle.name} was trained from random weights, to which there is no distance '
                               'worth telling')
    try:
        start, now = _start_of(bundle, name)
    except (BundleError, ConfigError) as error:
        if frozen:
            raise
        return WeightDistances('', (), f'the weights that {bundle.name} was trained from ({name}) cannot be had: '
                               f'{error}; --frozen names another bundle')
    note = (f'{name} has changed since: the training began with {identity}, and there is {now}'
            if identity and now and identity != now else '')
    return WeightDistances(name, tuple(_layers(network, start)), note)


def _start_of(bundle: Bundle, name: str) -> Tuple[Network, str]:
    """The network, and its identity; empty: it has none."""
    if is_weights_name(name):
        return build_network(bundle.architecture.name, weights=name, in_channels=bundle.architecture.in_channels), ''
    found = load_bundle(name)
    network = found.load_single_network()
    if not isinstance(network, Network) or found.architecture.name != bundle.architecture.name:
        raise ConfigError(f'{name} is of {found.architecture.name}, and {bundle.name} of {bundle.architecture.name}')
    return network, found.identity


def _layers(network: Network, start: Network) -> List[LayerDistance]:
    before = dict(start.named_parameters())
    found = []
    for path, weight in network.named_parameters():
        first = before.get(path)
        if weight.ndim < 2 or first is None or first.shape != weight.shape:
            continue  # biases and normalisations; and a head for other classes, which began anew
        apart = (weight.detach() - first.detach()).norm() / first.detach().norm().clamp_min(1e-12)
        found.append(LayerDistance(path.removesuffix('.weight').removeprefix('backbone.'), weight.numel(),
                                   float(apart)))
    return found
