"""What moves the weights: optimisers, freezing, averaging; and where they start."""
import copy

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.training.config import InputConfig, NetworkConfig, OptimizerConfig
from robot_vision_dl.training.ema import WeightAverage
from robot_vision_dl.training.errors import TrainingError
from robot_vision_dl.training.freeze import set_trained
from robot_vision_dl.training.initial_weights import starting_network, starting_preprocessing
from robot_vision_dl.training.optimise import OPTIMIZERS, build_optimizer
from robot_vision_dl.training.sanity import check_memorises, check_start


@pytest.fixture
def resnet():
    torch.manual_seed(0)
    return build_network('resnet20_cifar', 4)


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 3, 32, 32, generator=generator), torch.arange(8) % 4


def step(network, optimizer):
    pictures, targets = batch()
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network(pictures).logits, targets).backward()
    optimizer.step()


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_every_optimiser_lowers_the_loss(resnet, name):
    optimizer = build_optimizer(resnet, OptimizerConfig(name=name, learning_rate=0.003))
    pictures, targets = batch()
    resnet.train()
    losses = []
    for _ in range(8):
        losses.append(torch.nn.functional.cross_entropy(resnet(pictures).logits, targets).item())
        step(resnet, optimizer)
    assert losses[-1] < losses[0]


def test_norms_and_biases_are_not_decayed_and_the_backbone_is_slower(resnet):
    optimizer = build_optimizer(resnet, OptimizerConfig(learning_rate=0.01, backbone_factor=0.1, weight_decay=0.5))
    where = {id(parameter): group for group in optimizer.param_groups for parameter in group['params']}
    assert len(where) == len(list(resnet.parameters()))
    for name, parameter in resnet.named_parameters():
        group = where[id(parameter)]
        assert group['weight_decay'] == (0.5 if parameter.ndim > 1 else 0.0), name
        assert group['lr'] == pytest.approx(0.01 if name.startswith('head.') else 0.001), name


def changed(before: dict, network) -> set:
    return {key for key, value in network.state_dict().items() if not value.equal(before[key])}


def test_frozen_layers_keep_weights_and_statistics(resnet):
    names = list(dict(resnet.backbone.named_children()))
    middle = [name for name in names if list(resnet.backbone.get_submodule(name).parameters())][2]
    before = copy.deepcopy(resnet.state_dict())
    optimizer = build_optimizer(resnet, OptimizerConfig(learning_rate=0.01))
    set_trained(resnet, middle, head_only=False)
    step(resnet, optimizer)
    moved = changed(before, resnet)
    first = [key for key in before if key.startswith(f'backbone.{middle}.')]
    frozen = list(before)[:list(before).index(first[0])]
    assert moved and moved.isdisjoint(frozen)
    assert {key for key in first if 'running' in key or 'weight' in key} <= moved


def test_head_only_then_all(resnet):
    before = copy.deepcopy(resnet.state_dict())
    optimizer = build_optimizer(resnet, OptimizerConfig(learning_rate=0.01))
    set_trained(resnet, 'all', head_only=True)
    step(resnet, optimizer)
    assert changed(before, resnet) == {'head.weight', 'head.bias'}
    set_trained(resnet, 'all', head_only=False)
    step(resnet, optimizer)
    assert len(changed(before, resnet)) == len(before)


def test_unknown_layer_is_told(resnet):
    with pytest.raises(ConfigError, match="resnet20_cifar has no layer 'layer9'; did you mean"):
        set_trained(resnet, 'layer9', head_only=False)


def test_average_is_torchs_once_warmed_up(resnet):
    ours = WeightAverage(resnet, 0.5)
    ours.updates.fill_(1000)
    reference = AveragedModel(resnet, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    reference.update_parameters(resnet)  # the first one copies
    optimizer = build_optimizer(resnet, OptimizerConfig(learning_rate=0.01))
    resnet.train()
    for _ in range(3):
        step(resnet, optimizer)
        ours.update(resnet)
        reference.update_parameters(resnet)
    for key, value in reference.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(ours.network.state_dict()[key], value)


def test_average_forgets_its_start_quickly(resnet):
    average = WeightAverage(resnet, 0.999)
    start = average.network.head.weight.clone()
    with torch.no_grad():
        resnet.head.weight.add_(1.0)
    left = 1.0
    for n in range(20):
        average.update(resnet)
        left *= (1 + n) / (10 + n)
    moved = 1 - (average.network.head.weight - start).mean().item()
    assert moved == pytest.approx(left, abs=1e-4)


def test_sanity_checks_pass_a_sound_network_and_stop_what_is_not(resnet):
    pictures, targets = batch()
    assert check_start(resnet, pictures, targets, has_fresh_head=True, is_random=True) == pytest.approx(1.386, abs=1.0)
    steps, loss = check_memorises(resnet, pictures, targets, 'all', is_random=True)
    assert 0 < steps < 80 and loss < 0.3
    with pytest.raises(TrainingError, match='should be near ln 4 = 1.386'):
        check_start(resnet, pictures * 1e6, targets, has_fresh_head=True, is_random=False)
    with pytest.raises(TrainingError, match='8 pictures could not be learned by heart'):
        check_memorises(resnet, pictures[:1].expand(8, -1, -1, -1), targets, 'all', is_random=True)


def test_start_from_a_bundle_keeps_its_head_for_its_own_classes_only(resnet, tmp_path):
    save_bundle(tmp_path / 'b', resnet, ['a', 'b', 'c', 'd'], Preprocessing(40, (32, 32)))
    config = NetworkConfig(architecture='resnet20_cifar', pretrained=str(tmp_path / 'b'))
    same = starting_network(config, ['a', 'b', 'c', 'd'], 3)
    assert not same.has_fresh_head and same.network.head.weight.equal(resnet.head.weight)
    other = starting_network(config, ['a', 'b', 'x', 'd'], 3)
    assert other.has_fresh_head and not other.network.head.weight.equal(resnet.head.weight)
    assert other.network.backbone.conv1.weight.equal(resnet.backbone.conv1.weight)
    assert starting_preprocessing(config, InputConfig()) == Preprocessing(40, (32, 32))
    assert starting_preprocessing(config, InputConfig(crop=64)).resize == 64
    with pytest.raises(ConfigError, match='is of resnet20_cifar, but network.architecture is lenet5'):
        starting_network(NetworkConfig(architecture='lenet5', pretrained=str(tmp_path / 'b')), ['a', 'b'], 3)
    with pytest.raises(ConfigError, match='takes 3 channel'):
        starting_network(config, ['a', 'b'], 1)


def test_start_from_a_file_of_weights(tmp_path):
    torch.manual_seed(0)
    plain = build_network('resnet20_cifar', 7)
    state = {key.replace('backbone.', '').replace('head.', f'{plain.plain_head}.'): value
             for key, value in plain.state_dict().items()}
    torch.save(state, tmp_path / 'w.pth')
    start = starting_network(NetworkConfig(architecture='resnet20_cifar', pretrained=str(tmp_path / 'w.pth')),
                             ['a', 'b'], 3)
    assert start.has_fresh_head and start.network.architecture.num_classes == 2
    assert start.network.backbone.conv1.weight.equal(plain.backbone.conv1.weight)
