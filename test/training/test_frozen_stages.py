"""Layers up to a stage that stay as the weights have them: what is frozen, by architecture, and that it stays so."""
import copy
from dataclasses import replace

import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.stages import usual_stages
from robot_vision_dl.training.config import NetworkConfig, OptimizerConfig, TrainConfig
from robot_vision_dl.training.ema import WeightAverage
from robot_vision_dl.training.freeze import frozen_parameters, set_trained
from robot_vision_dl.training.initial_weights import starting_network
from robot_vision_dl.training.lightning_module import ClassificationModule
from robot_vision_dl.training.optimise import build_optimizer

# Architecture -> the first parameter that is trained, and one or two that must not be.
FIRST = {
    'efficientnet_lite0': ('blocks.5.0.conv_pw.weight', ('conv_stem.weight', 'bn1.weight', 'blocks.4.2.bn3.bias')),
    'resnet18': ('layer4.0.conv1.weight', ('conv1.weight', 'bn1.weight', 'layer3.1.bn2.bias')),
    'resnext50_32x4d': ('layer4.0.conv1.weight', ('layer3.5.bn3.bias',)),
    'squeezenet1_1': ('11.squeeze.weight', ('0.weight', '10.expand3x3.bias')),
    'squeezenet1_0': ('12.squeeze.weight', ('10.expand3x3.bias',)),
    'mobilenet_v2': ('features.14.conv.0.0.weight', ('features.13.conv.3.bias',)),
    'mobilenet_v3_small': ('features.9.block.0.0.weight', ('features.0.1.weight', 'features.8.block.3.1.bias')),
    'mobilenet_v3_large': ('features.13.block.0.0.weight', ('features.12.block.3.1.bias',)),
    'efficientnet_b0': ('features.6.0.block.0.0.weight', ('features.5.2.block.3.1.bias',)),
    'densenet121': ('features.denseblock4.denselayer1.norm1.weight', ('features.norm0.weight',
                                                                      'features.transition3.conv.weight')),
    'convnext_tiny': ('features.6.0.weight', ('features.5.8.layer_scale', 'features.5.8.block.5.bias')),
    'regnet_y_400mf': ('trunk_output.block4.block4-0.proj.0.weight', ('stem.0.weight',)),
    'googlenet': ('inception5a.branch1.conv.weight', ('conv1.conv.weight', 'inception4e.branch4.1.bn.bias')),
}
TRAINED = ('efficientnet_lite0', 'resnet18', 'squeezenet1_1', 'mobilenet_v3_small', 'efficientnet_b0')


def staged(name: str):
    torch.manual_seed(0)
    return build_network(Architecture(name, 4, stages=usual_stages(name)))


def after_last(network) -> str:
    return f'after:{network.architecture.stages[-1]}'


@pytest.mark.parametrize('name', FIRST)
def test_the_last_stage_is_the_last_that_is_frozen(name):
    network = staged(name)
    set_trained(network, after_last(network), head_only=False)
    named = dict(network.backbone.named_parameters())
    trained = [key for key, parameter in named.items() if parameter.requires_grad]
    first, frozen = FIRST[name]
    assert trained[0] == first and not set(trained) & set(frozen)
    assert list(named)[-len(trained):] == trained
    assert all(parameter.requires_grad for parameter in network.head.parameters())


@pytest.mark.parametrize('name', TRAINED)
def test_no_gradient_is_kept_for_stages_and_training_leaves_them_as_they_were(name):
    network = staged(name).to(memory_format=torch.channels_last)
    pixels = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, state = network(pixels), copy.deepcopy(network.state_dict())
    set_trained(network, after_last(network), head_only=False)
    optimizer = build_optimizer(network, OptimizerConfig(learning_rate=0.01))
    average = WeightAverage(network, 0.5)
    for _ in range(2):
        found = network(pixels)
        assert not any(stage.requires_grad for stage in found.stages) and found.logits.requires_grad
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(found.logits, torch.arange(4)).backward()
        optimizer.step()
        average.update(network)
    own = {id(parameter) for group in optimizer.param_groups for parameter in group['params']}
    assert own == {id(parameter) for parameter in network.parameters() if parameter.requires_grad}
    assert {id(parameter) for parameter in optimizer.state} <= own
    for trained in (network.eval(), average.network):
        with torch.no_grad():
            after = trained(pixels)
        assert len(after.stages) == len(before.stages)
        assert all(torch.equal(one, other) for one, other in zip(after.stages, before.stages))
        assert not torch.allclose(after.features, before.features) and not torch.equal(after.logits, before.logits)
    frozen = {id(parameter) for parameter in frozen_parameters(network, after_last(network))}
    names = [name for name, parameter in network.named_parameters() if id(parameter) in frozen]
    assert names and all(torch.equal(network.state_dict()[name], state[name]) for name in names)


@pytest.mark.parametrize('batch_norm', ['trained', 'frozen'])
def test_statistics_of_layers_that_are_trained_follow_the_pictures_or_stay(batch_norm):
    network = build_network('resnet18', 4)
    config = TrainConfig(network=NetworkConfig('resnet18', 'DEFAULT', train_from='layer3', batch_norm=batch_norm))
    module = ClassificationModule(network, config, None, 1)  # which puts the network into training mode
    before = copy.deepcopy(network.state_dict())
    module.network(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))).logits.sum().backward()
    after = network.state_dict()
    moved = {name for name in after if 'running' in name and not torch.equal(after[name], before[name])}
    assert moved == ({name for name in after if 'running' in name and name.startswith(('backbone.layer3',
                                                                                       'backbone.layer4'))}
                     if batch_norm == 'trained' else set())
    scale = dict(network.named_parameters())['backbone.layer4.1.bn2.weight']
    assert scale.grad is not None and float(scale.grad.abs().sum()) > 0


def test_a_layer_that_is_none_is_told():
    with pytest.raises(ConfigError, match="resnet20_cifar has no layer 'layer9'; did you mean"):
        frozen_parameters(build_network('resnet20_cifar', 2), 'after:layer9')


@pytest.mark.parametrize('stages, wanted', [
    (('auto',), ('blocks.2', 'blocks.3', 'blocks.4')), ((), ()), (('blocks.1',), ('blocks.1',))])
def test_the_network_that_is_trained_gives_the_stages(stages, wanted):
    config = NetworkConfig('efficientnet_lite0', 'efficientnet_lite0_imagenet', stages=stages, dropout=0.3)
    network = starting_network(config, ['a', 'b', 'c'], 3).network
    assert network.architecture.stages == wanted and network.dropout.p == 0.3
    module = ClassificationModule(network, TrainConfig(network=replace(config, train_from='head')), None, 1)
    with torch.inference_mode():
        found = module.kept(torch.zeros(1, 3, 64, 64))
    assert len(found.stages) == len(wanted) and found.logits.shape == (1, 3)


def test_random_weights_have_no_stages_unless_they_are_named():
    assert starting_network(NetworkConfig('resnet20_cifar', ''), ['a', 'b'], 3).network.architecture.stages == ()
    named = NetworkConfig('resnet20_cifar', '', stages=('layer1',))
    assert starting_network(named, ['a', 'b'], 3).network.architecture.stages == ('layer1',)
