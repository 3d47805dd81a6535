"""What holds a network near its start: by hand, and that it does."""
import copy

import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.network import Prediction, build_network
from robot_vision_dl.training.config import OptimizerConfig
from robot_vision_dl.training.config_file import parse_config
from robot_vision_dl.training.freeze import set_trained
from robot_vision_dl.training.optimise import build_optimizer
from robot_vision_dl.training.starting_point import StartingPoint, feature_distance, squared_distance


def test_the_distance_of_features_is_one_minus_the_cosine():
    now = torch.tensor([[1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    then = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    found = feature_distance(Prediction(now, now, ()), Prediction(then, then, ()))
    assert found.item() == pytest.approx((1 - 0.5**0.5) / 2)
    stage = torch.tensor([[0.0, -1.0], [0.0, -1.0]])
    opposite = torch.tensor([[0.0, 1.0], [0.0, 1.0]], requires_grad=True)
    both = feature_distance(Prediction(now, now, (opposite,)), Prediction(then, then, (stage,)))
    assert both.item() == pytest.approx((found.item() + 2) / 2)
    frozen = feature_distance(Prediction(now, now, (opposite.detach(),)), Prediction(then, then, (stage,)))
    assert frozen.item() == pytest.approx(found.item())
    assert feature_distance(Prediction(now, now.detach()), Prediction(then, then)).item() == 0


def test_the_gradient_of_l2_sp_is_the_way_from_the_start():
    weight = torch.nn.Parameter(torch.tensor([3.0, -1.0]))
    start = torch.tensor([1.0, 1.0])
    distance = squared_distance([(weight, start)])
    distance.backward()
    assert distance.item() == 4.0 and weight.grad.tolist() == [2.0, -2.0]


def network():
    torch.manual_seed(0)
    return build_network(Architecture('resnet20_cifar', 4, stages=('layer2', 'layer3')))


def trained(distill: float, l2_sp: float, steps: int = 12):
    """The network after some steps on noise, its starting point, and pictures."""
    net = network()
    set_trained(net, 'layer2', head_only=False)
    start, reference = StartingPoint(net, distill, l2_sp), copy.deepcopy(net).eval()
    start.to(torch.device('cpu'))
    optimizer = build_optimizer(net, OptimizerConfig(learning_rate=0.003, l2_sp=l2_sp))
    pictures = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        found = net(pictures)
        loss = torch.nn.functional.cross_entropy(found.logits, torch.arange(16) % 4)
        for penalty in start.penalties(pictures, found):
            loss = loss + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net, reference, pictures


def test_distillation_keeps_features_near_the_start():
    distances = []
    for weight in (0.0, 100.0):
        net, reference, pictures = trained(weight, 0.0)
        with torch.no_grad():
            now, then = net(pictures), reference(pictures)
        distances.append(1 - torch.nn.functional.cosine_similarity(now.features, then.features).mean().item())
    assert distances[1] < 0.5 * distances[0]


@pytest.mark.parametrize(('name', 'train_from', 'is_shared'), [
    ('efficientnet_lite0', 'after:blocks.4', True), ('resnet18', 'after:layer3', True), ('resnet18', 'layer2', True),
    ('squeezenet1_1', 'after:10', True), ('mobilenet_v3_small', 'after:features.8', True),
    ('vgg11', 'features.11', True), ('googlenet', 'inception4a', True), ('densenet121', 'features.denseblock4', True),
    ('resnet18', 'all', False), ('alexnet', 'after:features.10', True), ('alexnet', 'after:classifier.1', True),
    ('maxvit_t', 'after:blocks.1', True)])
def test_what_is_frozen_is_run_once_for_both_networks(name, train_from, is_shared):
    torch.manual_seed(0)
    side = 224 if name == 'maxvit_t' else 64
    net = build_network(Architecture(name, 4))
    set_trained(net, train_from, head_only=False)
    start, whole = StartingPoint(net, 1.0, 0.0), copy.deepcopy(net).eval()
    with torch.no_grad():
        for parameter in net.parameters():  # a step of training
            if parameter.requires_grad:
                parameter.mul_(1.2)
    for seed in range(3):
        pictures = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
        found = net(pictures)
        penalty, = start.penalties(pictures, found)
        with torch.no_grad():
            expected = feature_distance(found, whole(pictures))
        assert penalty.item() == pytest.approx(expected.item(), abs=1e-5)
    assert (start._tail is not None) == is_shared
    if is_shared:  # layers before the cut are not there
        assert len(list(start._tail.parameters())) < len(list(net.parameters()))


def test_a_stage_after_the_frozen_layers_is_compared_with_its_own():
    torch.manual_seed(0)
    net = build_network(Architecture('resnet18', 4, stages=('layer2', 'layer3', 'layer4')))
    set_trained(net, 'after:layer2', head_only=False)
    start, whole = StartingPoint(net, 1.0, 0.0), copy.deepcopy(net).eval()
    with torch.no_grad():
        net.backbone.layer4[1].bn2.weight.mul_(-1)
    for _ in range(2):
        pictures = torch.randn(2, 3, 64, 64)
        found = net(pictures)
        penalty, = start.penalties(pictures, found)
        with torch.no_grad():
            assert penalty.item() == pytest.approx(feature_distance(found, whole(pictures)).item(), abs=1e-5)


def test_l2_sp_keeps_the_backbone_near_the_start_and_leaves_the_head_alone():
    moved = []
    for weight in (0.0, 10.0):
        net, reference, _ = trained(0.0, weight)
        moved.append(sum((now - then).square().sum().item() for now, then in
                         zip(net.backbone.parameters(), reference.backbone.parameters())))
        assert not torch.equal(net.head.weight, reference.head.weight)
    assert 0 < moved[1] < 0.5 * moved[0]


def test_what_is_held_near_its_start_is_not_decayed():
    groups = build_optimizer(network(), OptimizerConfig(weight_decay=0.3, l2_sp=0.1)).param_groups
    decayed = [parameter for group in groups for parameter in group['params'] if group['weight_decay']]
    assert [tuple(parameter.shape) for parameter in decayed] == [(4, 64)]  # the head's matrix


@pytest.mark.parametrize('text', ('loss: {distill: 1.0}', 'optimizer: {l2_sp: 0.1}'))
def test_random_weights_are_no_start_to_be_held_near(text):
    with pytest.raises(ConfigError, match='hold a network near pretrained weights'):
        parse_config(f'network: {{architecture: resnet20_cifar, pretrained: ""}}\n{text}', 't')
