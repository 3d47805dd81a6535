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


def test_of_many_objects_all_layers_are_trained_and_it_is_said():
    extent = extent_of(NetworkConfig(), prepared(FEW_OBJECTS))
    assert extent.train_from == 'all' and f'{2 * FEW_OBJECTS} objects' in extent.reason


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
