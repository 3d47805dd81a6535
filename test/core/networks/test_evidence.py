"""Class activation maps: sums are logits, and other people's code gives the same maps."""
from copy import deepcopy
from functools import lru_cache

import pytest
import torch
from torch import nn

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.evidence import Head, LastMaps
from robot_vision_dl.core.networks.network import Network, build_network

LINEAR = ('efficientnet_lite0', 'resnet18', 'densenet121', 'mobilenet_v2', 'googlenet')
OTHER = ('mobilenet_v3_small', 'alexnet', 'convnext_tiny')


@lru_cache(maxsize=None)
def network(name: str, channels: int = 3) -> Network:
    """Random weights whose activations have ordinary sizes: running statistics are those of random pictures."""
    torch.manual_seed(0)
    made = build_network(name, 7, in_channels=channels)
    norms = [module for module in made.modules() if isinstance(module, nn.BatchNorm2d)]
    if norms:
        for module in norms:
            module.momentum = None
            module.reset_running_stats()
        made.train()
        with torch.no_grad():
            for _ in range(2):
                made(pixels(channels=channels, count=4, side=96))
        made.eval()
    return made


def pixels(count: int = 2, channels: int = 3, side: int = 128) -> torch.Tensor:
    """Coarse random pictures, so that positions differ."""
    coarse = torch.randn(count, channels, 5, 5)
    return nn.functional.interpolate(coarse, size=(side, side), mode='bilinear')


@pytest.mark.parametrize('name', LINEAR)
def test_sum_of_a_map_is_the_logit_without_its_bias(name):
    made, shown = network(name), pixels()
    last = LastMaps(made, shown)
    found = last.evidence(shown, [0, 6, 2])
    assert last.head is Head.LINEAR and found.exact and found.maps.shape == (2, 3, *last.shape[1:])
    assert found.maps.std() > 1e-4
    bias = made.head.bias[[0, 6, 2]]
    torch.testing.assert_close(found.maps.sum((2, 3)) + bias, found.logits[:, [0, 6, 2]], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.logits, made(shown).logits)


def test_map_of_squeezenet_sums_up_to_the_logit():
    made, shown = network('squeezenet1_1'), pixels()
    last = LastMaps(made, shown)
    found = last.evidence(shown, range(7))
    assert last.head is Head.CONVOLUTION and found.exact
    torch.testing.assert_close(found.maps.sum((2, 3)), found.logits, rtol=1e-4, atol=1e-6)


def test_gradient_gives_the_same_where_the_head_is_linear():
    made, shown = network('resnet18'), pixels()
    last = LastMaps(made, shown)
    found = last._by_gradient(shown)[0].of([3])
    torch.testing.assert_close(found, last.evidence(shown, [3]).maps, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', OTHER)
def test_other_heads_are_said_to_be_no_exact_sums(name):
    made, shown = network(name), pixels()
    before = {key: value.clone() for key, value in made.state_dict().items()}
    last = LastMaps(made, shown)
    found = last.evidence(shown, [1, 4])
    assert last.head is Head.OTHER and not found.exact and found.maps.abs().max() > 0
    assert all(value.grad is None for value in made.parameters())
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
    assert torch.is_grad_enabled()


def test_evidence_is_where_the_maps_are():
    """A head that reads one channel, and a picture that lights it in one corner."""
    made, shown = deepcopy(network('resnet18')), pixels()
    last = LastMaps(made, shown)
    with torch.no_grad():
        made.head.weight.zero_()
        made.head.weight[2, 5] = 1.0
    maps, _ = last.maps_of(shown)
    torch.testing.assert_close(last.evidence(shown, [2]).maps[:, 0], maps[:, 5] / (maps.shape[2] * maps.shape[3]))


def test_lenet_and_grey_pictures():
    made, shown = network('lenet5', channels=1), pixels(channels=1, side=32)
    assert LastMaps(made, shown).evidence(shown, [0]).maps.shape == (2, 1, 5, 5)


def test_transformer_of_tokens_is_refused():
    with pytest.raises(ConfigError, match='vit_b_32: ends in no maps.*occlusion'):
        LastMaps(build_network('vit_b_32', 3), torch.zeros(1, 3, 224, 224))


@pytest.mark.parametrize('name', [*LINEAR, *OTHER])
def test_same_as_captum(name, agrees):
    attr = pytest.importorskip('captum.attr', reason='captum is not installed (extra reference)')
    made, shown = network(name), pixels()
    last = LastMaps(made, shown)
    # The activation that follows the layer as a function is within captum's gradient, and within our maps.
    layer = made.backbone.get_submodule(last.layer) if last.layer else made.backbone
    method = attr.LayerGradientXActivation(lambda x: made(x).logits, layer)
    theirs = torch.stack([method.attribute(shown, target=c).sum(1) for c in (0, 5)], 1).detach()
    ours = last.evidence(shown, [0, 5]).maps
    if name == 'efficientnet_lite0':  # ReLU6 cuts at 6: there captum's gradient is 0, and our map keeps what is read
        inside = last.maps_of(shown)[0].amax(1, keepdim=True) < 6
        assert inside.float().mean() > .5
        ours, theirs = ours * inside, theirs * inside
    agrees('evidence maps', 'captum', ours, theirs, rtol=1e-3, atol=1e-5 * float(theirs.abs().max()) + 1e-7)


@pytest.mark.parametrize('name', ['resnet18', 'densenet121', 'mobilenet_v2', 'googlenet', 'alexnet', 'convnext_tiny'])
def test_same_as_pytorch_grad_cam(name, agrees):
    grad_cam = pytest.importorskip('pytorch_grad_cam', reason='pytorch-grad-cam is not installed (extra reference)')
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    made, shown = network(name), pixels()
    last = LastMaps(made, shown)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = made

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x).logits

    layer = made.backbone.get_submodule(last.layer)
    with grad_cam.HiResCAM(model=Logits(), target_layers=[layer]) as method:
        targets = [ClassifierOutputTarget(4)] * len(shown)
        outputs = method.activations_and_grads(shown)
        sum(target(output) for target, output in zip(targets, outputs)).backward()
        hooks = method.activations_and_grads
        maps, gradients = hooks.activations[0].numpy(), hooks.gradients[0].numpy()
        theirs = torch.from_numpy(method.get_cam_image(shown, layer, targets, maps, gradients, False))
    ours = last.evidence(shown, [4]).maps[:, 0]
    agrees('evidence maps', 'pytorch-grad-cam (HiResCAM)', ours, theirs, rtol=1e-3,
           atol=1e-5 * float(theirs.abs().max()) + 1e-7)


class ChannelsLast(nn.Module):
    """A layer that gives (B, h, w, F), as Swin's do, before its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 24, 16, 16)
        self.norm = nn.LayerNorm(24)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.norm(self.convolution(pixels).permute(0, 2, 3, 1)).mean((1, 2))


@pytest.mark.parametrize('head, kind', [
    (nn.Linear(24, 7), Head.LINEAR), (nn.Sequential(nn.Linear(24, 9), nn.ReLU(), nn.Linear(9, 7)), Head.OTHER)])
def test_maps_with_their_channels_last_are_laid_out_as_pictures(head, kind):
    made = deepcopy(network('resnet18'))
    made.backbone, made.head, made._tapped = ChannelsLast(), head, ()
    made.eval()
    shown = pixels()
    last = LastMaps(made, shown)
    found = last.evidence(shown, range(7))
    assert last.head is kind and last.shape == (24, 8, 8) and found.maps.shape == (2, 7, 8, 8)
    torch.testing.assert_close(found.logits, made(shown).logits)
    # The layers see one place each: where a picture changes, there alone its map does.
    changed = shown.clone()
    changed[:, :, 32:48, 80:96] += 1
    where = (last.maps_of(changed)[0] - last.maps_of(shown)[0]).abs().sum(1) > 1e-6
    assert where.nonzero().tolist() == [[0, 2, 5], [1, 2, 5]]
    if kind is Head.LINEAR:
        torch.testing.assert_close(found.maps.sum((2, 3)) + head.bias, found.logits, rtol=1e-4, atol=1e-5)
