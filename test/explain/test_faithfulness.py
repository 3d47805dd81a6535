"""Measures of a map tell a right one from a wrong one."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.networks.evidence import LastMaps
from robot_vision_dl.core.networks.evidence_place import on_grid, points_inside
from robot_vision_dl.core.networks.network import Prediction, build_network
from robot_vision_dl.explain.faithfulness import (
    centre_map,
    deletion_insertion,
    likeness,
    randomised,
    sanity,
)


def left_edge(pixels: torch.Tensor) -> Prediction:
    """Class 0: texture in the left quarter."""
    part = pixels[:, :, :, :14]
    logits = torch.stack([40 * (part - part.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3)),
                          torch.full((len(pixels),), 5.0)], 1)
    return Prediction(logits, logits)


def picture() -> torch.Tensor:
    rows, columns = np.indices((56, 56))
    return torch.from_numpy(((rows // 2 + columns // 2) % 2).astype(np.float32))[None, None]


def test_right_map_falls_early_and_rises_early():
    right = np.zeros((14, 14), np.float32)
    right[:, :4] = 1
    good, bad = (deletion_insertion(left_edge, picture(), 0, values) for values in (right, -right))
    assert good.deletion < .5 < bad.deletion
    assert good.insertion > .5 > bad.insertion


def test_pointing():
    values = np.zeros((7, 7), np.float32)
    values[1, 5] = 1
    assert points_inside(values, (.7, .1, .9, .3)) and not points_inside(values, (.1, .1, .3, .3))
    assert points_inside(centre_map(), (.4, .4, .6, .6))


def test_likeness_is_spearmans():
    stats = pytest.importorskip('scipy.stats')
    random = np.random.default_rng(0)
    one, other = random.standard_normal((2, 9, 9))
    assert likeness(one, other) == pytest.approx(stats.spearmanr(one.ravel(), other.ravel()).statistic)
    assert likeness(one, one) == pytest.approx(1) and likeness(one, np.zeros((9, 9))) == 0


def test_randomised_layers_are_the_last_ones_and_of_a_copy():
    torch.manual_seed(0)
    network = build_network('lenet5', 10, in_channels=1)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    copy = randomised(network, 0.0)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    changed = {key for key, value in copy.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {'head.weight'}
    everything = randomised(network, 1.0)
    assert {key for key, value in everything.state_dict().items() if not torch.equal(value, before[key])} >= {
        'head.weight', 'backbone.c1.weight', 'backbone.c3.weight'}


def test_map_of_another_head_is_another():
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 10)
    pixels = torch.rand(1, 3, 32, 32)
    evidence = LastMaps(network, pixels).evidence(pixels, [3]).maps[0, 0].numpy()
    alone, whole = sanity(network, evidence, pixels, 3, (0.0, 1.0))
    assert abs(alone) < .9 and abs(whole) < .9


def test_grid_keeps_places():
    assert np.allclose(on_grid(np.eye(14, dtype=np.float32)), np.eye(14))
