"""How much of the network is trained where that is left to the data."""
from types import SimpleNamespace

import numpy as np
import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.data.division import Part
from robot_vision_dl.data.labels.labels import LabelledFrame
from robot_vision_dl.training.config import NetworkConfig
from robot_vision_dl.training.trainable_layers import FEW_OBJECTS, extent_of


def prepared(objects: int, frames: int = 3, tracks: bool = True):
    """Training frames of two classes, ``objects`` of each in one recording each, and as many again in another part."""
    found = [LabelledFrame(f'{label}{number}', '/camera', index, label, f'track{number}' if tracks else None, index,
                           index, 'bag')
             for label in ('cup', 'mug') for number in range(2 * objects) for index in range(frames)]
    train = np.array([place for place, frame in enumerate(found) if int(frame.recording[3:]) < objects])
    return SimpleNamespace(store=SimpleNamespace(frames=found), class_names=('cup', 'mug'),
                           indices={Part.TRAIN: train, Part.TEST: np.arange(len(found))})


def test_of_few_objects_only_the_head_is_trained_and_it_is_said():
    extent = extent_of(NetworkConfig(), prepared(FEW_OBJECTS - 1))
    assert extent.train_from == 'head'
    assert f'{2 * (FEW_OBJECTS - 1)} objects of 2 classes' in extent.reason and 'train them, too' in extent.reason


@pytest.mark.parametrize('network, train_from', [
    ({}, 'after:blocks.4'), ({'architecture': 'resnet18', 'pretrained': 'DEFAULT'}, 'after:layer3'),
    ({'architecture': 'squeezenet1_1', 'pretrained': 'squeezenet1_1_imagenet'}, 'after:10'),
    ({'stages': ('blocks.2', 'blocks.3')}, 'after:blocks.3')])
def test_of_many_objects_what_comes_after_the_stages_is_trained_and_it_is_said(network, train_from):
    extent = extent_of(NetworkConfig(**network), prepared(FEW_OBJECTS))
    assert extent.train_from == train_from
    assert f'{2 * FEW_OBJECTS} objects' in extent.reason and 'up to there the network stays' in extent.reason


@pytest.mark.parametrize('network', [{'architecture': 'vit_b_16', 'pretrained': 'DEFAULT'}, {'stages': ()}])
def test_of_many_objects_all_layers_are_trained_where_there_are_no_stages(network):
    extent = extent_of(NetworkConfig(**network), prepared(FEW_OBJECTS))
    assert extent.train_from == 'all' and 'network.stages names none' in extent.reason


def test_many_frames_of_few_objects_are_few():
    assert extent_of(NetworkConfig(), prepared(3, frames=500)).train_from == 'head'


def test_without_tracks_a_class_in_a_recording_is_an_object():
    assert '10 objects of 2 classes' in extent_of(NetworkConfig(), prepared(5, tracks=False)).reason


@pytest.mark.parametrize('wish', ['all', 'head', '6'])
def test_what_is_asked_for_is_done_without_a_word(wish):
    assert extent_of(NetworkConfig(train_from=wish), prepared(2)) == (wish, '')


def test_random_weights_are_trained_as_a_whole():
    assert extent_of(NetworkConfig(pretrained=''), prepared(2)) == ('all', '')
    with pytest.raises(ConfigError, match='random weights must be trained'):
        NetworkConfig(pretrained='', train_from='head')
