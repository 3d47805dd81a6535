"""How much of a pretrained network is trained, where that is left to the data."""
from dataclasses import replace
from typing import NamedTuple

from ..core.networks.network import Network
from ..data.division import Part
from .config import NetworkConfig, TrainConfig
from .freeze import AFTER, ALL, HEAD, frozen_parameters
from .initial_weights import AUTO, stages_of
from .training_data import TrainingData

FEW_OBJECTS = 50
"""Objects a class, on average, below which ``auto`` trains the head alone.

From so few, training all layers makes the network no better than a classifier of the features that it comes with, and
wipes out what these know of everything else: things of no class are then accepted several times as often.
"""


class Extent(NamedTuple):
    """What is trained.

    Attributes:
        train_from: as in the config, but not ``auto``.
        reason: a sentence, where it was left to the data; else empty.
    """

    train_from: str
    reason: str


def extent_of(config: NetworkConfig, data: TrainingData) -> Extent:
    """What ``network.train_from`` comes to with these training frames.

    An object is a track of a recording; of frames without tracks those of one class in one recording count as one, or
    in one picture that they are cut out of.
    """
    if config.train_from != AUTO:
        return Extent(config.train_from, '')
    if not config.pretrained:
        return Extent(ALL, '')
    frames = (data.store.frames[index] for index in data.indices[Part.TRAIN])
    objects = len({(frame.recording, frame.topic, frame.track or frame.picture, frame.label) for frame in frames})
    classes = len(data.class_names)
    found = f'{objects} objects of {classes} classes are trained on'
    if objects < FEW_OBJECTS * classes:
        return Extent(HEAD, f'network.train_from: auto: the head alone, for {found}, fewer than {FEW_OBJECTS} a class; '
                            'other layers would forget what the weights know of other things (all: train them, too)')
    stages = stages_of(config)
    if not stages:
        return Extent(ALL, f'network.train_from: auto: all layers, for {found}, and network.stages names none of '
                           f'{config.architecture} to stop before')
    return Extent(AFTER + stages[-1], f'network.train_from: auto: what comes after {stages[-1]}, for {found}; up to '
                                      'there the network stays as the weights have it, and so does what they know of '
                                      'other things (all: train all layers)')


def describe_extent(network: Network, extent: Extent) -> str:
    """What is trained and why, how much stays frozen, and which stages the network gives; for the log and the card."""
    frozen = sum(parameter.numel() for parameter in frozen_parameters(network, extent.train_from))
    total = sum(parameter.numel() for parameter in network.parameters())
    stages = ', '.join(network.architecture.stages) or 'none'
    return (f'{extent.reason or f"network.train_from: {extent.train_from}"}; {frozen} of {total} weights stay as they '
            f'were; stages: {stages}')


def with_extent(config: TrainConfig, extent: Extent) -> TrainConfig:
    """The config with what ``network.train_from`` comes to."""
    return replace(config, network=replace(config.network, train_from=extent.train_from))
