"""EfficientNet-Lite: timm's names, timm's numbers, TensorFlow's padding, and the weights that ship."""
import subprocess
import sys

import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.stated_input import stated_input
from robot_vision_dl.core.bundles.torchvision_facts import imagenet_names
from robot_vision_dl.core.networks.efficientnet_lite import EfficientNetLite, SameConv2d
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessor
from robot_vision_dl.data.pictures import read_picture


@pytest.mark.parametrize('version', range(5))
def test_is_timms_network(version):
    timm = pytest.importorskip('timm', reason='timm, which it is compared with, is not installed')
    torch.manual_seed(version)
    theirs = timm.create_model(f'tf_efficientnet_lite{version}', num_classes=7).eval()
    for module in theirs.modules():  # as after training, so that each layer counts
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
            torch.nn.init.normal_(module.running_mean, std=0.2)
    ours = EfficientNetLite(7, version=version).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for size in ((64, 64), (65, 97), (70, 33)):
        pixels = torch.randn(2, 3, *size)
        with torch.inference_mode():
            torch.testing.assert_close(ours(pixels), theirs(pixels), rtol=1e-5, atol=1e-5)


def test_sizes():
    # The authors' table: 4.7, 5.4, 6.1, 8.2 and 13.0 million weights.
    def millions(version):
        with torch.device('meta'):
            return sum(p.numel() for p in EfficientNetLite(version=version).parameters()) / 1e6
    assert [round(millions(version), 1) for version in range(5)] == [4.7, 5.4, 6.1, 8.2, 13.0]


@pytest.mark.parametrize('side', [3, 5])
@pytest.mark.parametrize('stride', [1, 2])
def test_same_padding_is_tensorflows(side, stride):
    """Outputs are ceil(size / stride), and output i sees input i * stride - total // 2 and what follows."""
    convolution = SameConv2d(1, 1, side, stride, bias=False)
    torch.nn.init.ones_(convolution.weight)
    for height, width in ((8, 9), (7, 12), (1, 2), (5, 5)):
        pixels = torch.rand(1, 1, height, width, dtype=torch.float64)
        out = convolution.double()(pixels)[0, 0]
        assert out.shape == (-(-height // stride), -(-width // stride))

        def taps(size, index):
            total = max((-(-size // stride) - 1) * stride + side - size, 0)
            first = index * stride - total // 2
            return slice(max(first, 0), first + side)
        for row in range(out.shape[0]):
            for column in range(out.shape[1]):
                seen = pixels[0, 0, taps(height, row), taps(width, column)]
                torch.testing.assert_close(out[row, column], seen.sum())


def test_the_weights_that_ship_fit_and_know_a_picture(shared_data):
    weights = shared_data / 'weights/tf_efficientnet_lite0_imagenet_fp16.pth'
    network = build_network('efficientnet_lite0', weights=weights)
    assert (network.num_features, network.dropout.p, network.plain_head) == (1280, 0.2, 'classifier')
    assert all(torch.equal(mine, theirs.float()) for mine, theirs in zip(
        load_bundle('efficientnet_lite0_imagenet').load_single_network().parameters(), network.parameters()))
    photo = shared_data / 'ood/everyday_pictures/n01484850_great_white_shark.jpg'
    pixels = Preprocessor(stated_input('efficientnet_lite0'), 'cpu')([read_picture(photo)])
    with torch.inference_mode():
        assert imagenet_names()[network(pixels).logits.argmax()] == 'great white shark'


def test_exports_with_its_padding_as_constants(tmp_path):
    network = build_network('efficientnet_lite0', 4)
    pixels = torch.randn(2, 3, 64, 65)
    program = torch.export.export(network, (pixels,), dynamic_shapes=({0: torch.export.Dim('batch')},))
    one = torch.randn(1, 3, 64, 65)
    torch.testing.assert_close(program.module()(one).logits, network(one).logits)
    pads = [node.args[1] for node in program.graph.nodes if 'pad' in str(node.target)]
    assert len(pads) == 5 and all(isinstance(value, int) for pad in pads for value in pad)


def test_learns():
    torch.manual_seed(0)
    network = build_network('efficientnet_lite0', 2).train()
    pixels, labels = torch.randn(8, 3, 32, 32), torch.arange(8) % 2
    optimiser = torch.optim.SGD(network.parameters(), 0.05)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(network(pixels).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_needs_neither_timm_nor_torchvision():
    code = ('import sys; from robot_vision_dl.core.networks.network import build_network; '
            'build_network("efficientnet_lite0", 3); sys.exit("torchvision" in sys.modules or "timm" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_what_its_pictures_are_like():
    small, large = (stated_input(f'efficientnet_lite{version}') for version in (0, 4))
    assert (small.resize, small.crop, small.mean, small.std) == (256, (224, 224), (0.5,) * 3, (0.5,) * 3)
    assert (large.resize, large.crop) == (413, (380, 380))
    assert stated_input('lenet5').crop == (32, 32)
    assert stated_input('resnet18').mean == (0.485, 0.456, 0.406)
