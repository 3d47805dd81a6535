"""Stages of the networks."""
import copy
import threading

import pytest
import torch

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.architectures import list_architectures
from robot_vision_dl.core.networks.network import Network, build_network
from robot_vision_dl.core.networks.stages import averaged, usual_stages

PIXELS = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def staged(name='resnet18', stages=('layer1', 'layer3')):
    torch.manual_seed(0)
    return build_network(Architecture(name, 4, stages=stages))


@torch.inference_mode()
def test_a_stage_is_the_mean_of_its_maps_and_changes_nothing_else():
    network = staged()
    plain = build_network(Architecture('resnet18', 4))
    plain.load_state_dict(network.state_dict())
    found, without = network(PIXELS), plain(PIXELS)
    assert torch.equal(found.logits, without.logits) and torch.equal(found.features, without.features)
    assert without.stages == ()
    backbone = network.backbone
    maps = backbone.layer1(backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(PIXELS)))))
    first, second = found.stages
    torch.testing.assert_close(first, maps.mean((2, 3)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(second, backbone.layer3(backbone.layer2(maps)).mean((2, 3)), rtol=1e-5, atol=1e-6)


@torch.inference_mode()
def test_what_calls_the_backbone_itself_collects_nothing():
    network = staged()
    assert torch.equal(network.backbone(PIXELS), network(PIXELS).features)


@torch.inference_mode()
def test_a_copy_has_stages_of_its_own():
    network = staged()
    other = copy.deepcopy(network)
    for parameter in other.parameters():
        parameter.mul_(2)
    found, copied = network(PIXELS), other(PIXELS)
    assert len(found.stages) == len(copied.stages) == 2
    assert not torch.equal(found.stages[0], copied.stages[0])


def test_threads_do_not_mix():
    network = staged()
    pictures = [torch.full((1, 3, 64, 64), float(value)) for value in range(8)]
    with torch.inference_mode():
        wanted = [network(one).stages for one in pictures]
    found = [None] * 8

    def run(place):
        with torch.inference_mode():
            for _ in range(5):
                found[place] = network(pictures[place]).stages
    threads = [threading.Thread(target=run, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, theirs in zip(found, wanted):
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(ours, theirs))


def test_it_exports():
    network = staged()
    program = torch.export.export(network, (PIXELS,), strict=False).module()
    with torch.inference_mode():
        for ours, theirs in zip(network(PIXELS).stages, program(PIXELS).stages):
            assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize('stages, message', [
    (('layer9',), "has no stage 'layer9'; did you mean 'layer"), (('layer1', 'layer1'), 'different names'),
    ('layer1', 'different names'), ((3,), 'different names'), (('',), 'different names')])
def test_what_is_no_stage_is_refused(stages, message):
    with pytest.raises(ConfigError, match=message):
        staged(stages=stages)


@torch.inference_mode()
def test_the_usual_stages_are_there():
    for name in list_architectures():
        stages = usual_stages(name)
        if stages and name.startswith(('efficientnet_lite', 'squeezenet1', 'resnet18', 'mobilenet', 'densenet121',
                                       'googlenet', 'regnet_y_400', 'convnext_tiny', 'efficientnet_b0', 'resnext50')):
            found = Network(Architecture(name, 2, stages=stages)).eval()(torch.randn(1, 3, 64, 64)).stages
            assert len(found) == len(stages), name
            assert all(one.ndim == 2 and torch.isfinite(one).all() for one in found), name


@pytest.mark.parametrize('shape', [(3, 40, 28, 28), (1, 7, 14, 14), (2, 5, 1, 1), (1, 3, 65, 64), (1, 4, 7, 9)])
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
def test_the_quick_mean_of_the_live_path_is_the_mean(shape, memory_format):
    maps = torch.rand(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=memory_format)
    expected = maps.double().mean((2, 3)).float()
    with torch.inference_mode():
        torch.testing.assert_close(averaged(maps), expected, rtol=1e-5, atol=0)
        turned = maps.permute(0, 2, 3, 1).contiguous()
        torch.testing.assert_close(averaged(turned, channels_last=True), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(averaged(maps), expected, rtol=1e-5, atol=0)
