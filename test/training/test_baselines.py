"""Baselines against brute force and scikit-learn's definitions."""
import numpy as np
import pytest
import torch
from torch import nn

from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.data.division import Part
from robot_vision_dl.training.baselines import linear_probe, majority, nearest_neighbours
from robot_vision_dl.training.features import PartFeatures, start_head


def clouds(n: int, seed: int, spread: float = 1.0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 2, (3, 6))
    y = np.arange(n) % 3
    return (centres[y] + rng.normal(0, spread, (n, 6))).astype(np.float32), y


def test_majority():
    assert majority(np.array([2, 1, 2, 0]), 3).tolist() == [2, 2, 2]


def test_neighbours_as_by_brute_force():
    x, y = clouds(60, 1, 2.0)
    test, _ = clouds(40, 2, 2.0)
    expected = []
    for row in test:
        cosine = x @ row / (np.linalg.norm(x, axis=1) * np.linalg.norm(row))
        near = y[np.argsort(-cosine)[:5]]
        counts = [(near == label).sum() for label in range(3)]
        expected.append(next(label for label in near if counts[label] == max(counts)))
    assert nearest_neighbours(x, y, test).tolist() == expected


def test_probe_minimises_its_objective():
    x, y = clouds(90, 1, 2.0)
    weight, bias, decay = linear_probe(x, y, None, 3)
    scale = x.std(axis=0, dtype=np.float64) + 1e-6
    w = torch.tensor(weight * scale, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(bias + weight @ x.mean(axis=0), dtype=torch.float64, requires_grad=True)
    standard = torch.from_numpy((x - x.mean(axis=0, dtype=np.float64)) / scale)
    loss = nn.functional.cross_entropy(standard @ w.T + b, torch.from_numpy(y)) + decay * (w ** 2).sum()
    loss.backward()
    assert w.grad.abs().max() < 1e-3 and b.grad.abs().max() < 1e-3


def test_probe_chooses_its_decay_by_the_early_stop_split():
    x, y = clouds(12, 1, 3.0)  # few and noisy: strong decay is better
    judge = clouds(300, 2, 3.0)
    few = linear_probe(x, y, judge, 3)[2]
    many = linear_probe(*clouds(3000, 1, 1.0), judge=clouds(300, 2, 1.0), classes=3)[2]
    assert few > many


def test_probe_on_features_far_from_unit_scale():
    x, y = clouds(90, 1)
    weight, bias, _ = linear_probe(x * 1e3 + 1e4, y, None, 3)
    assert np.mean(((x * 1e3 + 1e4) @ weight.T + bias).argmax(axis=1) == y) > 0.9


@pytest.mark.parametrize('count', [40, 100])
def test_probe_of_few_pictures_is_not_sure_of_others(count):
    """Features that are hardly ever active: what is nearly constant in a few pictures is not in others."""
    rng = np.random.default_rng(0)
    scale = rng.choice([0.02, 1.0], 600, p=[0.3, 0.7])
    means = rng.normal(-2.5, 0.8, (4, 600))

    def draw(n):
        targets = rng.integers(0, 4, n)
        return (np.maximum(0, means[targets] + rng.normal(0, 1, (n, 600))) * scale).astype(np.float32), targets
    features, targets = draw(count)
    weight, bias, _ = linear_probe(features, targets, draw(40), 4)
    others, truth = draw(400)
    others = others + (rng.random(others.shape) < 0.02) * np.float32(0.3)  # as augmentation adds
    logits = torch.from_numpy(others @ weight.T + bias)
    assert float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(truth))) < np.log(4)
    assert float((logits.argmax(dim=1).numpy() == truth).mean()) > 0.7


def test_head_starts_as_the_probe():
    network = build_network('lenet5', 3)
    x = np.random.default_rng(0).normal(size=(60, network.num_features)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0.5)
    accuracy, _ = start_head(network, {Part.TRAIN: PartFeatures(x, y)})
    with torch.inference_mode():
        called = network.head(torch.from_numpy(x)).argmax(dim=1).numpy()
    assert np.mean(called == y) == pytest.approx(accuracy) and accuracy > 0.9
