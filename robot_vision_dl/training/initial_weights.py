"""The network that training starts from, and what it expects of a picture."""
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Optional, Sequence, Tuple

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.bundle_files import hash_file
from ..core.bundles.bundle_format import MODEL
from ..core.bundles.stated_input import stated_input
from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.networks.architecture import Architecture, is_timm
from ..core.networks.network import Network, build_network, network_from_weights, restore_network
from ..core.networks.preprocess import Preprocessing
from ..core.networks.stages import usual_stages
from ..core.networks.state_file import SUFFIXES
from ..core.networks.weights import is_weights_name
from ..data.learned_pictures import LearnedPictures, learned_pictures
from .config import InputConfig, NetworkConfig

AUTO = 'auto'


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
        base = stated_input(network.architecture, entry)
    if config.channels != base.channels:
        if config.channels == 3:
            raise ConfigError(f'input.channels: {network.pretrained} takes grey pictures, got 3')
        base = replace(base, mean=(sum(base.mean) / 3,), std=(sum(base.std) / 3,))
    crop = base.crop if config.crop < 1 else (config.crop, config.crop)
    size = base.resize if config.resize < 0 else config.resize
    if config.resize < 0 and size and size < max(crop):
        size = max(crop)
    return replace(base, crop=crop, resize=size)


class Start(NamedTuple):
    """Where training starts.

    Attributes:
        network: in evaluation mode, on the CPU.
        has_fresh_head: the head is random; else it is that of the weights and knows the classes already.
        note: why the head of the weights is not kept; empty where it is.
    """

    network: Network
    has_fresh_head: bool
    note: str = ''


def starting_network(config: NetworkConfig, class_names: Sequence[str], channels: int) -> Start:
    """The network with its weights.

    The head of the weights is kept if it is for the same classes: for a bundle these names in this order, for a file
    and for torchvision's weights as many. Else it is replaced by a linear layer drawn from torch's global generator.

    Raises:
        ConfigError, BundleError: there are no such weights, or they are of another architecture.
    """
    dropout, note = None if config.dropout < 0 else config.dropout, ''
    bundle = _bundle(config)
    if not config.pretrained:
        plain = build_network(config.architecture, len(class_names), in_channels=channels, head=config.head,
                              dropout=dropout)
        return Start(_with_stages(plain, stages_of(config)), True)
    if bundle is None:
        weights = config.pretrained if is_weights_name(config.pretrained) else user_path(config.pretrained)
        spec = Architecture(config.architecture, len(class_names), channels, dropout=dropout)
        network, outputs = network_from_weights(spec, weights, len(class_names))
        is_fresh = outputs != len(class_names)
        if is_fresh:
            had = (f'the head of {config.pretrained} has {outputs} outputs' if outputs
                   else f'{config.pretrained} has no head')
            note = f'{had}, and {len(class_names)} classes are wanted: a fresh one takes its place'
        return Start(_with_stages(network, stages_of(config)), is_fresh, note)
    network = _network_of(bundle, config, channels)
    is_fresh = bundle.class_names != tuple(class_names)
    if dropout is not None:
        network.dropout.p = dropout
        network.architecture = replace(network.architecture, dropout=dropout)
    if is_fresh:
        note = f'the head of {config.pretrained} is for other classes: a fresh one takes its place'
        network.replace_head(len(class_names))
    return Start(_with_stages(network, stages_of(config)), is_fresh, note)


def stages_of(config: NetworkConfig) -> Tuple[str, ...]:
    """The layers in the middle that the network gives: what ``network.stages`` comes to."""
    if config.stages != (AUTO,):
        return config.stages
    bundle = _bundle(config)
    if bundle is not None and bundle.architecture.stages:
        return bundle.architecture.stages
    return usual_stages(config.architecture) if config.pretrained else ()


def _with_stages(network: Network, stages: Tuple[str, ...]) -> Network:
    """The network, which gives these stages and no others."""
    if network.architecture.stages == stages:
        return network
    return restore_network(replace(network.architecture, stages=stages), network.state_dict())


def _network_of(bundle: Bundle, config: NetworkConfig, channels: int) -> Network:
    own = bundle.architecture
    if bundle.graph is not None:
        raise ConfigError(f'network.pretrained: {config.pretrained} is a file ({own.name}), which runs but cannot be '
                          'trained further; start from weights (a state dict), or from a bundle that was trained here')
    if own.name != config.architecture and not (
            is_timm(own.name) and own.name.startswith(f'{config.architecture}.')):
        raise ConfigError(f'network.pretrained: {config.pretrained} is of {own.name}, but network.architecture is '
                          f'{config.architecture}')
    if own.in_channels != channels:
        raise ConfigError(f'network.pretrained: {config.pretrained} takes {own.in_channels} channel(s), but '
                          f'input.channels is {channels}; a file of weights can be turned to grey, a bundle cannot')
    network = bundle.load_single_network()
    assert isinstance(network, Network)
    return network


def starting_identity(config: NetworkConfig) -> str:
    """What the weights were: the same wherever their file lies."""
    bundle = _bundle(config)
    if bundle is not None:
        return f'{bundle.name} ({bundle.identity})'
    if not config.pretrained or is_weights_name(config.pretrained):
        return config.pretrained or 'random'
    file = Path(user_path(config.pretrained))
    return f'{file.name} (SHA-256 {hash_file(file)})'


def starting_pictures(config: NetworkConfig) -> LearnedPictures:
    """What the weights were trained on, as far as a bundle says; what calibrated them does not matter any more."""
    bundle = _bundle(config)
    found = None if bundle is None else learned_pictures(bundle)
    return LearnedPictures.of() if found is None else LearnedPictures.of(found.trained_on)


def starting_weights(config: NetworkConfig) -> str:
    """What weights and inputs follow from: the same where only the calibration of a bundle is another."""
    bundle = _bundle(config)
    if bundle is None or bundle.folder is None or not (bundle.folder / MODEL).is_file():
        return starting_identity(config)
    return f'{bundle.architecture} {bundle.preprocessing} (SHA-256 {hash_file(bundle.folder / MODEL)})'


def _bundle(config: NetworkConfig) -> Optional[Bundle]:
    """The bundle that is named as weights, if it is one."""
    name = config.pretrained
    if not name or is_weights_name(name) or Path(name).suffix in SUFFIXES:
        return None
    return load_bundle(name)
