"""Ensembles: one vectorised pass gives what one after another gives; bundles run as one; parts add up."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import BundleError, ConfigError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture
from robot_vision_dl.core.uncertainty.ensemble import EnsembleNetwork
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration

PRE = Preprocessing(resize=32, crop=(32, 32))
NAMES = ('a', 'b', 'c')


def networks(count=3):
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        found.append(build_network('resnet20_cifar', 3))
        for module in found[-1].modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # as after training: statistics of their own
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    return found


def test_one_vectorised_pass_is_one_after_another():
    members, temperatures = networks(), [1.0, 2.0, 0.5]
    pixels = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        together = EnsembleNetwork(members, temperatures, vectorised=True)(pixels)
        apart = EnsembleNetwork(members, temperatures, vectorised=False)(pixels)
        for one, other in zip(together[:4], apart[:4]):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
        expected = sum(torch.softmax(n(pixels).logits / t, -1) for n, t in zip(members, temperatures)) / 3
    torch.testing.assert_close(torch.softmax(apart.logits, -1), expected)
    assert apart.features.shape == (4, 3 * 64)
    assert not EnsembleNetwork(members, temperatures).vectorised  # on a CPU


def test_members_need_not_have_one_architecture():
    members = [networks(1)[0], build_network('lenet5', 3, in_channels=3).eval()]
    with torch.inference_mode():
        assert EnsembleNetwork(members, [1, 1])(torch.zeros(1, 3, 32, 32)).members.shape == (2, 1, 3)
    with pytest.raises(BundleError, match='different architectures cannot run as one'):
        EnsembleNetwork(members, [1, 1], vectorised=True)
    with pytest.raises(BundleError, match='needs two networks at least'):
        EnsembleNetwork(members[:1], [1])


@pytest.fixture(scope='module')
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp('models')
    for number, network in enumerate(networks()):
        ood = OodCalibration('energy', np.linspace(-3 - number, 0, 99))
        save_bundle(folder / f'm{number}', network, NAMES, PRE, temperature=1.0 + number, ood=ood, conformal=(0.1, 0.9))
    return folder


def frame(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return Frame('camera', Header(seed + 1, ''), Picture(pixels, ColorOrder.RGB), 'rgb8')


def test_bundles_run_as_one_through_the_pipeline(bundles):
    paths = [str(bundles / f'm{i}') for i in range(3)]
    single = [Pipeline.load(ClassifierConfig(model=path)).process([frame()])[0].assessment for path in paths]
    result = Pipeline.load(ClassifierConfig(model=f'ensemble:{",".join(paths)}')).process([frame()])[0].assessment
    mean = np.mean([one.probabilities for one in single], axis=0)
    np.testing.assert_allclose(result.probabilities, mean, atol=1e-5)
    inner = np.mean([one.predictive_entropy for one in single])
    assert result.expected_entropy == pytest.approx(inner, abs=1e-5)
    assert result.mutual_information == pytest.approx(result.predictive_entropy - inner, abs=1e-5)
    assert result.ood.p_value == pytest.approx(min(1, 2 * np.mean([one.ood.p_value for one in single])))


def test_equal_members_disagree_about_nothing(bundles):
    path = str(bundles / 'm0')
    result = Pipeline.load(ClassifierConfig(model=f'ensemble:{path},{path}')).process([frame()])[0].assessment
    assert result.mutual_information == pytest.approx(0, abs=1e-6)


def test_what_is_for_one_network_refuses_an_ensemble(bundles):
    name = f'ensemble:{bundles}/m0,{bundles}/m1'
    with pytest.raises(ConfigError, match='dropout_samples is for a single network.*set it to 0'):
        Pipeline.load(ClassifierConfig(model=name, dropout_samples=4))
    with pytest.raises(BundleError, match='is an ensemble of 2 networks, and one is expected'):
        load_bundle(name).load_single_network()


def test_identity_depends_on_the_members(bundles):
    names = [f'ensemble:{bundles}/m0,{bundles}/m{other}' for other in (1, 2)]
    one, other = (load_bundle(name) for name in names)
    assert one.identity != other.identity
    assert one.calibrated
    assert one.precision == 'float32'


def test_members_that_do_not_fit_are_refused(bundles, tmp_path):
    save_bundle(tmp_path / 'x', networks(1)[0], ('a', 'b', 'd'), PRE, temperature=1.0)
    with pytest.raises(BundleError, match='x has other class names than m0'):
        load_bundle(f'ensemble:{bundles}/m0,{tmp_path}/x')
    with pytest.raises(BundleError, match='needs two bundles at least'):
        load_bundle(f'ensemble:{bundles}/m0')
