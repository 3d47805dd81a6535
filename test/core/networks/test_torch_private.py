"""With torch's private functions and without them."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.networks.network import build_network, restore_network
from robot_vision_dl.core.networks.torch_private import gamma_draws, lerp_all


@pytest.mark.parametrize('gone', [False, True])
def test_averages_are_the_same(gone, monkeypatch):
    if gone:
        monkeypatch.delattr(torch, '_foreach_lerp_')
    own, other = [torch.zeros(3), torch.ones(2, 2)], [torch.ones(3), torch.zeros(2, 2)]
    lerp_all(own, other, 0.25)
    assert torch.equal(own[0], torch.full((3,), 0.25)) and torch.equal(own[1], torch.full((2, 2), 0.75))


@pytest.mark.parametrize('gone', [False, True])
def test_draws_have_their_mean_and_follow_the_generator(gone, monkeypatch):
    if gone:
        monkeypatch.delattr(torch, '_standard_gamma')
    draws = gamma_draws(0.7, 20_000, torch.Generator().manual_seed(1))
    assert np.mean(draws) == pytest.approx(0.7, abs=0.03) and np.var(draws) == pytest.approx(0.7, abs=0.06)
    assert draws == gamma_draws(0.7, 20_000, torch.Generator().manual_seed(1))
    assert draws != gamma_draws(0.7, 20_000, torch.Generator().manual_seed(2))


def test_a_state_keeps_the_versions_of_its_modules():
    network = build_network('mnasnet0_5', 3)
    restored = restore_network(network.architecture, dict(network.state_dict()))
    assert all(torch.equal(value, restored.state_dict()[key]) for key, value in network.state_dict().items())
