"""The network that training starts from, and what it expects of a picture."""
from dataclasses import replace
from pathlib import Path
from typing import Optional

from ..core.bundle import Bundle, load_bundle, torchvision_facts
from ..core.errors import ConfigError
from ..core.network import Network, build_network
from ..core.preprocess import Preprocessing
from ..core.weights import is_weights_name, torchvision_weights
from .config import InputConfig, NetworkConfig

_OWN_SIDE = 32  # of the networks for small pictures, which torchvision knows nothing about


def starting_preprocessing(network: NetworkConfig, config: InputConfig) -> Preprocessing:
    """What the weights expect, with the config's choices.

    Mean and standard deviation are those of the weights; where they are to be those of the data, they are not yet
    known and are replaced once they are.
    """
    bundle = _bundle(network)
    if bundle is not None:
        base = bundle.preprocessing
    else:
        entry = network.pretrained if is_weights_name(network.pretrained) else 'DEFAULT'
        try:
            base = torchvision_facts(network.architecture, torchvision_weights(network.architecture, entry))[1]
        except ConfigError:
            if is_weights_name(network.pretrained):
                raise
            base = Preprocessing(resize=_OWN_SIDE, crop=(_OWN_SIDE, _OWN_SIDE))
    if config.channels != base.channels:
        if config.channels == 3:
            raise ConfigError(f'input.channels: {network.pretrained} takes grey pictures, got 3')
        base = replace(base, mean=(sum(base.mean) / 3,), std=(sum(base.std) / 3,))
    crop = base.crop if config.crop < 1 else (config.crop, config.crop)
    size = base.resize if config.resize < 0 else config.resize
    if config.resize < 0 and size and size < max(crop):
        size = max(crop)
    return replace(base, crop=crop, resize=size)


def starting_network(config: NetworkConfig, num_classes: int, channels: int) -> Network:
    """The network with its weights and a head for ``num_classes``.

    The head of the weights is kept only if it has as many outputs; else it is replaced by a fresh linear layer, drawn
    from torch's global generator.

    Raises:
        ConfigError, BundleError: there are no such weights, or they are of another architecture.
    """
    dropout = None if config.dropout < 0 else config.dropout
    bundle = _bundle(config)
    if bundle is None:
        weights = config.pretrained or None
        if weights is not None and not is_weights_name(weights):
            weights = Path(weights).expanduser()
        return build_network(config.architecture, num_classes, in_channels=channels, head=config.head,
                             dropout=dropout, weights=weights)
    own = bundle.architecture
    if own.name != config.architecture:
        raise ConfigError(f'network.pretrained: {config.pretrained} is of {own.name}, but network.architecture is '
                          f'{config.architecture}')
    if own.in_channels != channels:
        raise ConfigError(f'network.pretrained: {config.pretrained} takes {own.in_channels} channel(s), but '
                          f'input.channels is {channels}; a file of weights can be turned to grey, a bundle cannot')
    network = bundle.load_network()
    if dropout is not None:
        network.dropout.p = dropout
        network.architecture = replace(network.architecture, dropout=dropout)
    if num_classes != own.num_classes or (config.head == 'linear' and own.head == 'native'):
        network.replace_head(num_classes)
    return network


def starting_identity(config: NetworkConfig) -> str:
    """What the weights were, for provenance."""
    bundle = _bundle(config)
    if bundle is not None:
        return f'{bundle.name} ({bundle.identity})'
    return config.pretrained or 'random'


def _bundle(config: NetworkConfig) -> Optional[Bundle]:
    """The bundle that is named as weights, if it is one."""
    name = config.pretrained
    if not name or is_weights_name(name) or Path(name).suffix in ('.pth', '.pt', '.safetensors'):
        return None
    return load_bundle(name)
