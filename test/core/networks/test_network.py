"""Networks: one forward pass gives logits and features, for every architecture."""
import subprocess
import sys

import pytest
import torch
from torch import nn

from robot_vision_dl.core.errors import BundleError, ConfigError
from robot_vision_dl.core.networks.architecture import Architecture, did_you_mean
from robot_vision_dl.core.networks.architectures import OWN, build_plain, dropout_before, last_layer, list_architectures
from robot_vision_dl.core.networks.network import Network, build_network, restore_network
from robot_vision_dl.core.networks.state_file import read_state_file

torchvision = pytest.importorskip('torchvision')

# One of each family, the smallest.
FAMILIES = [
    'alexnet', 'convnext_tiny', 'densenet121', 'efficientnet_b0', 'efficientnet_v2_s', 'googlenet', 'inception_v3',
    'lenet5', 'maxvit_t', 'mnasnet0_5', 'mobilenet_v2', 'mobilenet_v3_small', 'regnet_x_400mf', 'regnet_y_400mf',
    'resnet18', 'resnet20_cifar', 'resnext50_32x4d', 'shufflenet_v2_x0_5', 'squeezenet1_0', 'squeezenet1_1', 'swin_t',
    'swin_v2_t', 'vgg11', 'vgg11_bn', 'vit_b_32', 'wide_resnet50_2',
]


def side_of(name):
    return 32 if name in ('lenet5', 'resnet20_cifar', 'resnet32_cifar', 'resnet56_cifar') else 224


def blank(architecture):
    """A network without memory, for shapes; RegNet needs memory while it is made."""
    try:
        with torch.device('meta'):
            return Network(architecture).eval()
    except NotImplementedError:
        return Network(architecture).to('meta').eval()


def check_shapes(name, head, channels):
    network = blank(Architecture(name, 7, channels, head))
    side = side_of(name)
    prediction = network(torch.zeros(2, channels, side, side, device='meta'))
    assert prediction.logits.shape == (2, 7)
    assert prediction.features.shape == (2, network.num_features)


@pytest.mark.parametrize('name', ['alexnet', 'lenet5', 'mobilenet_v3_small', 'regnet_x_400mf', 'resnet20_cifar',
                                  'squeezenet1_1', 'vit_b_32'])
@pytest.mark.parametrize('head', ['native', 'linear'])
@pytest.mark.parametrize('channels', [1, 3])
def test_shapes_of_some(name, head, channels):
    check_shapes(name, head, channels)


@pytest.mark.slow
@pytest.mark.parametrize('name', [n for n in list_architectures() if n not in ('regnet_y_128gf', 'regnet_y_32gf')])
@pytest.mark.parametrize('head', ['native', 'linear'])
@pytest.mark.parametrize('channels', [1, 3])
def test_shapes_of_all(name, head, channels):
    check_shapes(name, head, channels)


def test_torchvision_has_no_classification_network_that_is_not_listed():
    assert set(torchvision.models.list_models(module=torchvision.models)) <= set(list_architectures())
    assert set(OWN) <= set(list_architectures())


def same_as_torchvision(name, tmp_path):
    """Weights of torchvision's own network in its own layout give its logits, and the head applied to features does."""
    torch.manual_seed(0)
    if name in OWN and not name.startswith('squeezenet'):
        plain = build_plain(Architecture(name, 5)).eval()
    else:
        extra = {'aux_logits': True, 'init_weights': False} if name in ('googlenet', 'inception_v3') else {}
        plain = torchvision.models.get_model(name, num_classes=5, **extra).eval()
    for parameter in plain.parameters():  # some heads begin as zeros, which would make the test pass for nothing
        if parameter.ndim > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    torch.save(plain.state_dict(), tmp_path / 'weights.pth')
    network = build_network(name, weights=tmp_path / 'weights.pth')
    assert network.architecture.num_classes == 5
    assert not network.training
    pixels = torch.randn(2, 3, side_of(name), side_of(name))
    with torch.inference_mode():
        prediction = network(pixels)
        torch.testing.assert_close(prediction.logits, plain(pixels), rtol=1e-4, atol=1e-5)
        if not network.head_takes_maps:
            torch.testing.assert_close(network.head(prediction.features), prediction.logits)
        rebuilt = restore_network(network.architecture, network.state_dict())
        torch.testing.assert_close(rebuilt(pixels).logits, prediction.logits, rtol=0, atol=0)
    assert prediction.logits.std() > 0


@pytest.mark.parametrize('name', ['lenet5', 'mnasnet0_5', 'mobilenet_v3_small', 'resnet20_cifar', 'shufflenet_v2_x0_5',
                                  'squeezenet1_0', 'squeezenet1_1'])
def test_same_logits_as_the_plain_network(name, tmp_path):
    same_as_torchvision(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', FAMILIES)
def test_same_logits_as_the_plain_network_of_each_family(name, tmp_path):
    same_as_torchvision(name, tmp_path)


def test_squeezenet_features_are_the_mean_of_the_last_maps():
    network = build_network('squeezenet1_1', 5)
    pixels = torch.randn(2, 3, 96, 96)
    features = network(pixels).features
    torch.testing.assert_close(features, network.backbone(pixels).mean((2, 3)))
    assert network.num_features == 512
    network.replace_head(3)
    assert network(pixels).logits.shape == (2, 3)
    torch.testing.assert_close(network(pixels).features, features)
    assert network.architecture == Architecture('squeezenet1_1', 3, head='linear')


def test_grey_network_sees_what_the_colour_network_sees_of_a_grey_picture(tmp_path):
    torch.save(torchvision.models.squeezenet1_1(num_classes=5).state_dict(), tmp_path / 'w.pth')
    colour = build_network('squeezenet1_1', weights=tmp_path / 'w.pth')
    grey = build_network('squeezenet1_1', weights=tmp_path / 'w.pth', in_channels=1)
    picture = torch.randn(2, 1, 96, 96)
    torch.testing.assert_close(grey(picture).logits, colour(picture.expand(-1, 3, -1, -1)).logits, rtol=1e-4, atol=1e-5)


def test_another_number_of_classes_replaces_the_head_and_keeps_the_rest(tmp_path):
    plain = torchvision.models.resnet18(num_classes=5)
    torch.save(plain.state_dict(), tmp_path / 'w.pth')
    network = build_network('resnet18', 3, weights=tmp_path / 'w.pth')
    assert network.architecture.head == 'linear'
    assert network.head.weight.shape == (3, 512)
    torch.testing.assert_close(network.backbone.conv1.weight, plain.conv1.weight)


def test_dropout_lies_before_the_head_and_only_acts_while_training():
    assert dropout_before(torchvision.models.mobilenet_v2(), 'classifier.1') == ('classifier.0', 0.2)
    network = build_network('mobilenet_v2', 4, dropout=0.9)
    assert network.dropout.p == 0.9
    assert not any(isinstance(m, nn.Dropout) for m in network.backbone.modules())
    pixels = torch.randn(2, 3, 64, 64)
    assert torch.equal(network(pixels).logits, network(pixels).logits)
    network.dropout.train()
    assert not torch.equal(network(pixels).logits, network(pixels).logits)
    assert torch.equal(network(pixels).features, network(pixels).features)


def test_exports():
    network = build_network('squeezenet1_1', 4)
    pixels = torch.randn(1, 3, 64, 64)
    exported = torch.export.export(network, (pixels,)).module()
    torch.testing.assert_close(exported(pixels).features, network(pixels).features)


def test_sizes_of_our_own_networks():
    def parameters(name, channels=3):
        return sum(p.numel() for p in build_network(name, 10, in_channels=channels).parameters())
    # He et al. 2016, table 6: .27, .46 and .85 million.
    assert [round(parameters(f'resnet{n}_cifar') / 1e6, 2) for n in (20, 32, 56)] == [0.27, 0.46, 0.85]
    # LeCun 1998: 156 + 12 + (16 * (6 * 25 + 1)) + 32 + 48 120 + 10 164, and 850 for a linear output.
    assert parameters('lenet5', channels=1) == 156 + 12 + 2416 + 32 + 48120 + 10164 + 850


def test_unknown_names_and_values_are_refused_with_a_remedy():
    with pytest.raises(ConfigError, match=r"no architecture 'resnet_50'; did you mean resnet50"):
        build_network('resnet_50', 3)
    with pytest.raises(ConfigError, match='num_classes is needed'):
        build_network('resnet18')
    with pytest.raises(ConfigError, match='in_channels must be 1 or 3, got 4'):
        build_network('resnet18', 3, in_channels=4)
    with pytest.raises(ConfigError, match="head must be one of native, linear, got 'mlp'"):
        build_network('resnet18', 3, head='mlp')
    with pytest.raises(ConfigError, match='input_size does not apply'):
        build_network('resnet18', 3, input_size=64)
    with pytest.raises(ConfigError, match='no weights IMAGENET for resnet18; there are DEFAULT, IMAGENET1K_V1'):
        build_network('resnet18', weights='IMAGENET')
    with pytest.raises(ConfigError, match='torchvision has no weights for lenet5'):
        build_network('lenet5', weights='DEFAULT')
    assert did_you_mean('zzz', ['resnet18']) == ''


def test_weights_of_another_architecture_are_refused(tmp_path):
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / 'w.pth')
    with pytest.raises(BundleError, match=r'w\.pth: weights do not fit the architecture: no backbone.* and \d+ more'):
        build_network('resnet34', weights=tmp_path / 'w.pth')
    with pytest.raises(BundleError, match=r'does not fit vgg11: there is no classifier\.6\.weight'):
        build_network('vgg11', weights=tmp_path / 'w.pth')


def test_files_that_are_no_state_dict_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return print, ('this must not be printed',)

    cases = {'evil.pth': {'fc.weight': Evil()}, 'model.pth': nn.Linear(2, 2), 'list.pth': [torch.zeros(2)]}
    for name, content in cases.items():
        torch.save(content, tmp_path / name)
    (tmp_path / 'text.pth').write_text('hello')
    (tmp_path / 'text.safetensors').write_text('hello')
    for name in [*cases, 'text.pth', 'text.safetensors']:
        with pytest.raises(BundleError, match=f'{name}.*state dict'):
            read_state_file(tmp_path / name)
    with pytest.raises(BundleError, match='no such file'):
        read_state_file(tmp_path / 'missing.pth')


def test_checkpoints_and_data_parallel_prefixes_are_understood(tmp_path):
    state = torchvision.models.squeezenet1_1(num_classes=3).state_dict()
    torch.save({'epoch': 3, 'state_dict': {f'module.{k}': v.half() for k, v in state.items()}}, tmp_path / 'w.pth')
    network = build_network('squeezenet1_1', weights=tmp_path / 'w.pth')
    torch.testing.assert_close(network.head[0].weight, state['classifier.1.weight'].half().float())


def test_old_names_of_densenet_are_understood(tmp_path):
    import re
    state = torchvision.models.densenet121(num_classes=3).state_dict()
    old = {re.sub(r'(denselayer\d+\.(?:norm|conv))([12])\.', r'\1.\2.', k): v for k, v in state.items()}
    assert set(old) != set(state)
    torch.save(old, tmp_path / 'w.pth')
    network = build_network('densenet121', weights=tmp_path / 'w.pth')
    name = 'features.denseblock1.denselayer1.norm2.weight'
    assert torch.equal(network.state_dict()['backbone.' + name], state[name])


def test_last_layer_has_one_output_a_class():
    for name in ('vgg11', 'resnet18', 'squeezenet1_0', 'vit_b_32'):
        with torch.device('meta'):
            path, layer = last_layer(build_plain(Architecture(name, 11)))
        assert layer.weight.shape[0] == 11, path


def test_the_shipped_network_does_not_need_torchvision():
    code = ('import sys; from robot_vision_dl.core.networks.network import build_network; '
            'build_network("squeezenet1_1", 3); sys.exit("torchvision" in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_nothing_imports_timm_unless_it_is_asked_for():
    code = ('import sys; sys.modules["timm"] = None\n'
            'from robot_vision_dl.core.networks.network import build_network\n'
            'from robot_vision_dl.core.errors import ConfigError\n'
            'build_network("resnet18", 3)\n'
            'try:\n    build_network("timm:resnet18", 3)\n'
            'except ConfigError as error:\n    sys.exit(str(error))')
    done = subprocess.run([sys.executable, '-c', code], check=False, capture_output=True, text=True)
    assert "timm is not installed: `python3 -m pip install 'timm>=1.0'`" in done.stderr
