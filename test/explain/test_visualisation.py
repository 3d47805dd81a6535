"""A picture that is made for a class drives that class up, and no other."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.explain.targets import named_targets
from robot_vision_dl.explain.visualisation import Target, visualise


def test_class_is_driven_up_and_chosen():
    """Trained weights; the picture goes the way of any other picture, at the size that the network is for."""
    bundle = load_bundle('waste_sorter')
    network = bundle.load_network()
    targets = named_targets(network, bundle.class_names, ['glass', 'paper'])
    glass, paper = visualise(network, bundle.preprocessing, targets, steps=24)
    for one in (glass, paper):
        assert one.end > one.start + 10 and one.best == one.target.index
        with torch.no_grad():
            logits = network(Preprocessor(bundle.preprocessing, 'cpu')([Picture(one.picture, ColorOrder.BGR)])).logits
        assert int(logits.argmax()) == one.target.index


def test_the_same_twice_and_grey():
    torch.manual_seed(0)
    network = build_network('lenet5', 10, in_channels=1)
    spec = Preprocessing(0, (32, 32), (.5,), (.5,))
    targets = [Target('three', 3), Target('c3:2', 2, 'c3')]
    first, again, other = (visualise(network, spec, targets, 5, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(one.picture, same.picture) for one, same in zip(first, again))
    assert not np.array_equal(first[0].picture, other[0].picture)
    assert (first[0].picture == first[0].picture[..., :1]).all() and first[0].end > first[0].start
    assert first[1].end > first[1].start and first[1].picture.shape == (32, 32, 3)


def test_what_is_not_there_is_told():
    network = build_network('lenet5', 2, in_channels=1)
    for name, words in (('cap', "did you mean 'cup'"), ('c9:1', 'has no layer'), ('c3:x', 'is neither'),
                        ('c3:' + '9' * 5000, 'is neither')):
        with pytest.raises(ConfigError, match=words):
            named_targets(network, ['cup', 'mug'], [name])
    spec = Preprocessing(0, (32, 32), (.5,), (.5,))
    for name, words in (('c3:16', 'channels 0 to 15'), ('f6:1', 'gives no maps')):
        with pytest.raises(ConfigError, match=words):
            visualise(network, spec, named_targets(network, [], [name]), 1)
