"""Channels that do nothing are found, by pictures and by weights, and no others."""
import pytest
import torch

from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.explain.dead_channels import ChannelWatch


@pytest.fixture(scope='module')
def network():
    """Channel 3 of a layer is shut by its ReLU, channel 5 at one value above it; of the sum after it 7 is shut."""
    torch.manual_seed(0)
    network = build_network('resnet18', 10).train()
    with torch.no_grad():
        for one in network.modules():
            if isinstance(one, torch.nn.BatchNorm2d):
                one.momentum = 1.0
        network(torch.randn(16, 3, 64, 64))  # statistics with which no other channel is shut
    network.eval()
    inner, last = network.backbone.layer2[1].bn1, network.backbone.layer4[1].bn2
    with torch.no_grad():
        inner.weight[3], inner.bias[3] = 1e-6, -1
        inner.weight[5], inner.bias[5] = 0, .5
        last.weight[7], last.bias[7] = 0, -1e3
    return network


def test_over_pictures(network):
    watch = ChannelWatch(network, (3, 64, 64))
    torch.manual_seed(1)
    found = {one.name: one for one in watch.over([torch.randn(8, 3, 64, 64), torch.randn(3, 3, 64, 64)])}
    assert (found['layer2.1.conv1'].zero, found['layer2.1.conv1'].constant) == ((3,), (5,))
    assert 7 in found['layer4.1'].zero  # what is rectified is the sum of the block's paths
    assert all(not one.zero and not one.constant for name, one in found.items()
               if name not in ('layer2.1.conv1', 'layer4.1', 'layer4.1.conv2'))
    assert found['layer4.1.conv2'].constant == (7,)
    assert sum(one.channels for one in found.values()) == sum(
        one.out_channels for one in network.modules() if isinstance(one, torch.nn.Conv2d)) + 2 * (64 + 128 + 256 + 512)


def test_by_weights(network):
    found = {one.name: one for one in ChannelWatch(network, (3, 64, 64)).by_weights()}
    assert (found['layer2.1.conv1'].zero, found['layer2.1.conv1'].constant) == ((3,), (5,))
    assert found['layer4.1.conv2'].constant == (7,)
    assert sum(len(one.zero) + len(one.constant) for one in found.values()) == 3


def test_without_normalisation_the_filter_tells():
    network = build_network('lenet5', 10, in_channels=1)
    with torch.no_grad():
        network.backbone.c3.weight[4] = 0
    watch = ChannelWatch(network, (1, 32, 32))
    assert {one.name: one.constant for one in watch.by_weights()}['c3'] == (4,)
    assert {one.name: one.constant for one in watch.over([torch.randn(2, 1, 32, 32)])}['c3'] == (4,)
