"""timm's networks by name: split as timm splits them, fed as timm feeds them, refused with a remedy."""
import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_search import check_source
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.bundles.stated_input import stated_input
from robot_vision_dl.core.bundles.torchvision_facts import imagenet_names
from robot_vision_dl.core.errors import BundleError, ConfigError
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.network import build_network, network_from_weights, restore_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.networks.stages import usual_stages

timm = pytest.importorskip('timm', reason='timm is not installed: pip install timm')

# The smallest of each kind; dla46x_c has a 1x1 convolution as its head.
FAMILIES = [
    'convnext_atto', 'densenet121', 'dla46x_c', 'edgenext_xx_small', 'efficientnet_lite0', 'ghostnet_050',
    'mixer_s32_224', 'mobilenetv3_small_050', 'mobilevit_xxs', 'poolformer_s12', 'regnetx_002', 'resnet18',
    'vit_tiny_patch16_224',
    *(pytest.param(name, marks=pytest.mark.slow) for name in (
        'coatnet_pico_rw_224', 'repvgg_a0', 'swin_tiny_patch4_window7_224', 'xcit_nano_12_p16_224'))]


@pytest.mark.parametrize('name', FAMILIES)
def test_features_and_logits_are_timms(name, tmp_path):
    torch.manual_seed(0)
    plain = timm.create_model(name, num_classes=5).eval()
    classifier = plain.get_classifier()
    torch.nn.init.normal_(classifier.weight, std=0.1)  # of some it begins as zeros
    torch.save(plain.state_dict(), tmp_path / 'w.pth')
    network = build_network(f'timm:{name}', weights=tmp_path / 'w.pth')
    assert network.architecture.num_classes == 5 and isinstance(network.head, torch.nn.Linear)
    pixels = torch.randn(2, *timm.data.resolve_model_data_config(plain)['input_size'])
    with torch.inference_mode():
        logits, features = network(pixels)[:2]
        theirs = plain.forward_head(plain.forward_features(pixels), pre_logits=True)
        torch.testing.assert_close(features, theirs.flatten(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(logits, plain(pixels), rtol=1e-4, atol=1e-5)
        rebuilt = restore_network(network.architecture, network.state_dict())
        torch.testing.assert_close(rebuilt(pixels).logits, logits, rtol=0, atol=0)
    assert features.shape == (2, network.num_features) and logits.std() > 0


@pytest.mark.parametrize('name', ['levit_128s', 'deit_tiny_distilled_patch16_224'])
def test_a_head_that_is_no_linear_layer_is_refused(name):
    with pytest.raises(ConfigError, match=f'architecture timm:{name}: its last layer is no single linear layer but .*; '
                                          'choose another network'):
        build_network(f'timm:{name}', 3)


@pytest.mark.parametrize('name, stages', (
    ('resnet18', ('layer1', 'layer2', 'layer3')), ('tf_efficientnet_lite0', ('blocks.1', 'blocks.2', 'blocks.4')),
    ('vit_tiny_patch16_224', ('blocks.2', 'blocks.5', 'blocks.8')), ('regnetx_002', ('s1', 's2', 's3')),
    pytest.param('swin_tiny_patch4_window7_224', ('layers.0', 'layers.1', 'layers.2'), marks=pytest.mark.slow)))
def test_stages_are_those_that_timm_takes_features_from(name, stages):
    assert usual_stages(f'timm:{name}') == stages
    plain = timm.create_model(name, num_classes=3).eval()
    network = build_network(Architecture(f'timm:{name}', 3, stages=stages))
    network.backbone.load_state_dict(plain.state_dict(), strict=False)
    pixels = torch.randn(2, 3, 224, 224)
    places = [one['module'] for one in plain.feature_info].index
    with torch.inference_mode():
        given = network.eval()(pixels).stages
        maps = plain.forward_intermediates(pixels, indices=[places(stage) for stage in stages], intermediates_only=True)
    for ours, theirs in zip(given, maps):  # timm gives maps (B, F, H, W), without a class token
        if not name.startswith('vit'):
            torch.testing.assert_close(ours, theirs.mean((2, 3)), rtol=1e-4, atol=1e-5)
        assert ours.shape == theirs.shape[:2]


def test_grey_dropout_size_and_a_new_head(tmp_path):
    network = build_network('timm:resnet18', 4, in_channels=1, dropout=0.4)
    assert network.dropout.p == 0.4 and network.backbone.conv1.in_channels == 1
    assert build_network('timm:vit_tiny_patch16_224', 2, input_size=64)(torch.rand(1, 3, 64, 64)).logits.shape == (1, 2)
    with pytest.raises(ConfigError, match='architecture timm:resnet18: input_size does not apply.* got 64'):
        build_network('timm:resnet18', 4, input_size=64)
    colour = timm.create_model('resnet18', num_classes=4)
    torch.save(colour.state_dict(), tmp_path / 'w.pth')
    grey = build_network('timm:resnet18', 2, in_channels=1, weights=tmp_path / 'w.pth')
    picture = torch.rand(2, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(grey(picture).features, build_network('timm:resnet18', weights=tmp_path / 'w.pth')(
            picture.expand(-1, 3, -1, -1)).features, rtol=1e-4, atol=1e-5)
    assert grey.head.out_features == 2


def test_safetensors_and_files_without_a_head(tmp_path):
    from safetensors.torch import save_file
    plain = timm.create_model('regnetx_002', num_classes=6)
    save_file(plain.state_dict(), str(tmp_path / 'w.safetensors'))
    assert build_network('timm:regnetx_002', weights=tmp_path / 'w.safetensors').architecture.num_classes == 6
    save_file(timm.create_model('regnetx_002', num_classes=0).state_dict(), str(tmp_path / 'none.safetensors'))
    with pytest.raises(BundleError, match=r'none.safetensors: has no head.fc.weight: these are weights of a '
                                          'timm:regnetx_002 without its last layer; `robot-vision train`'):
        build_network('timm:regnetx_002', weights=tmp_path / 'none.safetensors')
    network, outputs = network_from_weights(Architecture('timm:regnetx_002', 3), tmp_path / 'none.safetensors', 3)
    assert outputs == 0 and network.head.weight.shape == (3, 368) and network.head.weight.any()


@pytest.mark.parametrize('name', ['resnet18', 'resnet18.tv_in1k', 'convnext_atto', 'vit_base_patch16_224.augreg_in21k',
                                  'efficientnet_b0.ra_in1k', 'swin_tiny_patch4_window7_224', 'inception_v3.tf_in1k'])
def test_pictures_are_as_timm_wants_them(name):
    ours = stated_input(f'timm:{name}')
    config = timm.data.resolve_data_config(pretrained_cfg=timm.models.get_pretrained_cfg(name).to_dict())
    transform = timm.data.create_transform(**config)
    assert (ours.mean, ours.std) == (tuple(config['mean']), tuple(config['std']))
    assert ours.interpolation == config['interpolation']
    assert [ours.resize, ours.crop] == [transform.transforms[0].size, tuple(transform.transforms[1].size)]


def test_what_is_seen_is_what_timm_sees():
    """Timm resizes by PIL, so a level of 255 here and there differs."""
    import numpy as np
    from PIL import Image

    from robot_vision_dl.core.networks.preprocess import Preprocessor
    from robot_vision_dl.core.types import ColorOrder, Picture
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (40, 52, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    config = timm.data.resolve_data_config(pretrained_cfg=timm.models.get_pretrained_cfg('resnet18').to_dict())
    theirs = timm.data.create_transform(**config)(Image.fromarray(pixels))
    spec = stated_input('timm:resnet18')
    ours = Preprocessor(spec, 'cpu')([Picture(pixels, ColorOrder.RGB)])[0]
    linear = Preprocessor(Preprocessing(spec.resize, spec.crop, spec.mean, spec.std), 'cpu')(
        [Picture(pixels, ColorOrder.RGB)])[0]
    level = 1 / 255 / min(spec.std)
    assert (ours - theirs).abs().max() < 2.5 * level < (linear - theirs).abs().max()


def test_as_a_model_by_name(tmp_path):
    check_source('timm:resnet18')
    bundle = load_bundle('timm:resnet18')
    assert bundle.class_names == imagenet_names() and not bundle.calibrated
    assert bundle.identity == 'timm:resnet18@DEFAULT'
    assert dict(bundle.provenance) == {'weights': 'timm/resnet18.a1_in1k', 'license': 'apache-2.0'}
    with pytest.raises(BundleError, match="model 'timm:resnet_18': timm .* has no network 'resnet_18'; did you mean "
                                          r'timm:resnet18.*\(`robot-vision models architectures timm:` lists all\)'):
        load_bundle('timm:resnet_18')
    with pytest.raises(BundleError, match="has no weights 'x' of resnet18; there are a1_in1k, "):
        load_bundle('timm:resnet18.x')
    with pytest.raises(BundleError, match='dinov2.*no classes that timm names; train a last layer'):
        load_bundle('timm:vit_small_patch14_dinov2')
    with pytest.raises(ConfigError, match='timm has no weights IMAGENET1K_V1; give DEFAULT'):
        build_network('timm:resnet18', weights='IMAGENET1K_V1')


def test_a_bundle_keeps_the_name_and_the_interpolation(tmp_path):
    network = build_network('timm:mobilenetv3_small_050', 3)
    spec = Preprocessing(64, (64, 64), interpolation='bicubic')
    save_bundle(tmp_path / 'm', network, ['a', 'b', 'c'], spec)
    bundle = load_bundle(str(tmp_path / 'm'))
    assert bundle.architecture.name == 'timm:mobilenetv3_small_050' and bundle.preprocessing == spec
    pixels = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(bundle.load_single_network()(pixels).logits, network(pixels).logits)
    exported = torch.export.export(network, (pixels,)).module()
    torch.testing.assert_close(exported(pixels).features, network(pixels).features)


def test_weights_that_cannot_be_had_name_the_file(monkeypatch):
    hub = pytest.importorskip('huggingface_hub')
    monkeypatch.setattr(hub.constants, 'ENDPOINT', 'http://127.0.0.1:9')
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', False)
    with pytest.raises(BundleError, match=r'timm:resnet10t: the weights cannot be had \(http://127.0.0.1:9 cannot be '
                                          r'reached: .*\); without a network, fetch https://huggingface.co/timm/'
                                          r'resnet10t.*/resolve/main/model.safetensors .*and name the file'):
        build_network('timm:resnet10t', weights='DEFAULT')
