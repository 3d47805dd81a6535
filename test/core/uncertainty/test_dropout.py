"""Monte Carlo dropout: the backbone runs once where that is enough, BatchNorm does not move, figures repeat."""
import pytest
import torch
from torch import nn

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.uncertainty.dropout import DropoutSampler, dropout_layers
from robot_vision_dl.core.uncertainty.entropy import normalised_entropies


def counted(network):
    """Frames that go through the backbone."""
    seen = []
    network.backbone.register_forward_hook(lambda module, given, _: seen.append(len(given[0])))
    return seen


@pytest.mark.parametrize('name, head', [('resnet20_cifar', 'linear'), ('squeezenet1_1', 'native')])
def test_dropout_before_the_head_runs_the_backbone_once(name, head):
    torch.manual_seed(0)
    network = build_network(name, 5, head=head, dropout=0.5)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    pixels = torch.randn(2, 3, 64, 64)
    seen = counted(network)
    sampler = DropoutSampler(network, 8)
    assert sampler.is_head_only
    with torch.inference_mode():
        plain, members = sampler(pixels)
        assert seen == [2]
        torch.testing.assert_close(plain.logits, network(pixels).logits)
        again = sampler(pixels)[1]
    assert members.shape == (8, 2, 5)
    assert torch.equal(members, again)
    assert not torch.equal(members[0], members[1])
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert normalised_entropies(torch.softmax(members, -1).numpy()).mutual_information.min() > 0


def test_dropout_in_the_backbone_runs_all_copies_as_one_batch():
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 5)
    network.backbone.layer1 = nn.Sequential(network.backbone.layer1, nn.Dropout2d(0.3))
    seen = counted(network.eval())
    sampler = DropoutSampler(network, 4)
    statistics = network.backbone.bn1.running_mean.clone()
    with torch.inference_mode():
        plain, members = sampler(torch.randn(3, 3, 32, 32))
    assert not sampler.is_head_only
    assert seen == [3, 12]
    assert members.shape == (4, 3, 5)
    assert torch.equal(statistics, network.backbone.bn1.running_mean)
    assert members.std(0).min() > 0


def test_mean_of_the_thinned_heads_is_the_head():
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 5, dropout=0.3)
    with torch.inference_mode():
        plain, members = DropoutSampler(network, 4000)(torch.randn(1, 3, 32, 32))
    error = members.std(0) / 4000 ** 0.5
    assert ((members.mean(0) - plain.logits).abs() < 5 * error).all()


def test_sampling_does_not_disturb_other_random_numbers():
    network = build_network('resnet20_cifar', 3, dropout=0.3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch.inference_mode():
        DropoutSampler(network, 2)(torch.zeros(1, 3, 32, 32))
    assert torch.equal(torch.rand(3), expected)


def test_networks_without_dropout_are_refused():
    with pytest.raises(ConfigError, match='resnet20_cifar has no dropout layer that drops anything'):
        DropoutSampler(build_network('resnet20_cifar', 3), 8)
    with pytest.raises(ConfigError, match='two at least are needed, got 1'):
        DropoutSampler(build_network('resnet20_cifar', 3, dropout=0.1), 1)
    assert len(dropout_layers(build_network('squeezenet1_1', 3))[0]) == 1
