"""One callable from levels to the packed array, beside today's assessor in numpy; on a GPU that is not there."""
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from graph_samples import CLASSES, FEATURES, SIDE, program_file, small_net
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.cuda import arithmetic, device_count
from robot_vision_dl.core.networks.graph_facts import GraphFacts
from robot_vision_dl.core.networks.graph_network import restore_graph
from robot_vision_dl.core.networks.network import Prediction, build_network
from robot_vision_dl.core.networks.precision import dtype_of
from robot_vision_dl.core.networks.preprocess import HostPixels, Preprocessing, Preprocessor
from robot_vision_dl.core.networks.stages import usual_stages
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.core.runtime.packed_runner import PackedRunner
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.core.uncertainty.assess import Assessor
from robot_vision_dl.core.uncertainty.ood.base import LinearHead
from robot_vision_dl.core.uncertainty.ood.combined import FrameScore, fit_parts
from robot_vision_dl.core.uncertainty.ood.device_score import DeviceScore
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration
from robot_vision_dl.core.uncertainty.ood.part import OOD_METHODS, parse_parts
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures
from robot_vision_dl.core.uncertainty.packed import PackedOutputs, PackedProducts
from robot_vision_dl.data.pictures import read_picture

SHIPPED = ('waste_sorter', 'efficientnet_lite0_imagenet', 'squeezenet1_1_imagenet')
ENSEMBLE = 'ensemble:waste_sorter,waste_sorter'


def photographs():
    """The photographs of the repository, and parts of them: three sizes and orders of channels."""
    whole = read_picture(Path(share_directory()) / 'config' / 'demo' / 'unknown_object.jpg').pixels
    mistakes = read_picture(Path(share_directory()) / 'models' / 'waste_sorter' / 'card' / 'mistakes.jpg').pixels
    height, width = whole.shape[:2]
    return [Picture(whole, ColorOrder.BGR), Picture(whole[:, :width // 2], ColorOrder.BGR),
            Picture(whole[height // 3:, ::-1], ColorOrder.RGB), Picture(mistakes, ColorOrder.RGB),
            Picture(np.ascontiguousarray(whole[..., 1]), ColorOrder.MONO)]


@pytest.fixture(scope='module', params=[*SHIPPED, ENSEMBLE])
def bundle(request):
    return load_bundle(request.param)


@torch.inference_mode()
def test_the_packed_array_says_what_the_assessor_says(bundle):
    network, pictures = bundle.load_network(), photographs()
    products = PackedProducts(bundle)
    packed = PackedRunner(network, bundle.preprocessing, products)(HostPixels(bundle.preprocessing)(pictures))
    assert packed.dtype is torch.float32 and packed.shape[0] == len(pictures)
    assessor = Assessor(bundle)
    found = assessor.of_products(products.unpack(packed.numpy()))
    expected = assessor(network(Preprocessor(bundle.preprocessing, 'cpu')(pictures)))
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.logits, other.logits, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-3, atol=1e-6)
        assert one.predictive_entropy == pytest.approx(other.predictive_entropy, rel=1e-3, abs=1e-5)
        assert (one.mutual_information is None) == (other.mutual_information is None)
        if one.mutual_information is not None:
            assert one.mutual_information == pytest.approx(other.mutual_information, rel=1e-2, abs=1e-5)
        assert one.ood.method == other.ood.method and one.ood.part == other.ood.part
        assert one.ood.score == pytest.approx(other.ood.score, rel=1e-3, abs=1e-4)
        assert one.ood.p_value == pytest.approx(other.ood.p_value, abs=0.02)
        assert one.conformal_set == other.conformal_set
        assert (one.fault_sums is None) == (other.fault_sums is None) == (bundle.name != 'waste_sorter')
        if one.fault_sums is not None:
            np.testing.assert_allclose(one.fault_sums, other.fault_sums, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_the_input_has_the_bits_of_the_preprocessing(bundle):
    runner = PackedRunner(bundle.load_network(), bundle.preprocessing, PackedOutputs())
    pictures = photographs()
    levels = HostPixels(bundle.preprocessing)(pictures)
    expected = Preprocessor(bundle.preprocessing, 'cpu')(pictures)
    found = runner.normalised(levels)
    assert torch.equal(found, expected) and found.is_contiguous(memory_format=torch.channels_last)
    assert levels.dtype is torch.uint8  # what came is not written to


@torch.inference_mode()
def test_what_is_fitted_to_comes_back_whole():
    bundle = load_bundle('waste_sorter')
    network, products = bundle.load_network(), PackedOutputs()
    pictures = photographs()
    packed = PackedRunner(network, bundle.preprocessing, products)(HostPixels(bundle.preprocessing)(pictures))
    prediction = network(Preprocessor(bundle.preprocessing, 'cpu')(pictures))
    for one, other in zip(products.unpack(packed.numpy()),
                          (prediction.logits, prediction.features, *prediction.stages), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def samples(seed=0, n=120, features=24, classes=5):
    rng = torch.Generator().manual_seed(seed)
    f = torch.randn(n, features, generator=rng).abs()
    weight, bias = torch.randn(classes, features, generator=rng), torch.randn(classes, generator=rng)
    return Pictures(f @ weight.T + bias, f, torch.arange(n) % classes), LinearHead(weight, bias)


@pytest.mark.parametrize('method', sorted(OOD_METHODS))
def test_each_score_is_the_same_on_the_device(method):
    known, head = samples()
    score = OOD_METHODS[method].fit(known.logits, known.features, known.labels, head)
    other, _ = samples(1, 9)
    features = torch.cat([other.features, torch.zeros(1, 24)])  # what has no length, too
    logits = features @ head.weight.T + head.bias
    with torch.inference_mode():
        found = DeviceScore(FrameScore(score))(logits, features)[:, 0]
        np.testing.assert_allclose(found.numpy(), score(logits, features), rtol=1e-4, atol=1e-4)


def test_a_combination_of_all_scores_is_the_same_on_the_device():
    known, head = samples()
    parts = parse_parts('+'.join(sorted(OOD_METHODS)))
    calibration = OodCalibration.of_parts(parts, fit_parts(parts, known, head=head), np.arange(50.0))
    bundle = replace(load_bundle('waste_sorter'), ood=calibration, laplace=None, members=(), density_aware=None,
                     camera=None)
    other, _ = samples(2, 7)
    prediction = Prediction(other.features @ head.weight.T + head.bias, other.features)
    products, assessor = PackedProducts(bundle), Assessor(bundle)
    with torch.inference_mode():
        found = products.unpack(products(prediction).numpy())
        assert found.scores.shape == (7, len(OOD_METHODS)) and found.scales is None
        expected = assessor._detector(prediction.logits, prediction.features)
    for one, other in zip(assessor._detector.of_scores(found.scores), expected):
        assert (one.method, one.part) == (other.method, other.part)
        assert one.score == pytest.approx(other.score, rel=1e-3)


# On a GPU that is not there: fake tensors know device and shape, and refuse what mixes devices or asks for a value.

class FromDevice(TorchDispatchMode):
    """Counts copies from the GPU to the host."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name == '_to_copy':
            self.count += args[0].device.type == 'cuda' and result.device.type == 'cpu'
        elif name == 'copy_':
            self.count += args[1].device.type == 'cuda' and args[0].device.type == 'cpu'
        return result


def on_fake_gpu(module, mode):
    """Names -> its parameters and buffers on a GPU that is not there."""
    tensors = {name: value.detach() for name, value in [*module.named_parameters(), *module.named_buffers()]}
    with mode:
        return {name: mode.from_tensor(value).to('cuda') for name, value in tensors.items()}


def on_a_fake_gpu(runner, batch=2):
    """The packed array of a batch, and how many copies to the host it took."""
    mode = FakeTensorMode()
    tensors = on_fake_gpu(runner, mode)
    with mode, torch.no_grad(), FromDevice() as copies:
        levels = torch.empty((batch, *runner.shape), dtype=torch.uint8).to('cuda')
        return functional_call(runner, tensors, (levels,)), copies.count


@pytest.mark.parametrize('precision', ['float32', 'float16', 'bfloat16'])
@pytest.mark.parametrize('batch', [1, 3])
def test_all_of_it_is_on_the_gpu_and_one_copy_comes_back(bundle, batch, precision):
    network = bundle.load_network(dtype=dtype_of(precision))
    runner = PackedRunner(network, bundle.preprocessing, PackedProducts(bundle), precision)
    real = runner(HostPixels(bundle.preprocessing)(photographs()[:1]))
    mode = FakeTensorMode()
    tensors = on_fake_gpu(runner, mode)
    with mode, torch.no_grad(), FromDevice() as copies:
        levels = torch.empty((batch, *runner.shape), dtype=torch.uint8).to('cuda')
        packed = functional_call(runner, tensors, (levels,))
        assert packed.device.type == 'cuda' and packed.dtype is torch.float32
        assert packed.shape == (batch, real.shape[1])
        assert copies.count == 0
        packed.cpu()
    assert copies.count == 1


SOME = ('resnet18', 'vit_b_32', 'efficientnet_lite0')
OTHERS = ('mobilenet_v3_small', 'swin_t', 'swin_v2_t', 'maxvit_t', 'googlenet', 'densenet121', 'convnext_tiny',
          'regnet_y_400mf', 'shufflenet_v2_x0_5', 'mnasnet0_5', 'inception_v3', 'resnet20_cifar')


@pytest.mark.parametrize('name', [*SOME, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_networks_of_other_kinds_are_on_the_gpu_as_a_whole(name):
    network = build_network(Architecture(name, 7, stages=usual_stages(name)))
    packed, copies = on_a_fake_gpu(PackedRunner(network, Preprocessing(0, (224, 224)), PackedOutputs()))
    assert packed.device.type == 'cuda' and packed.shape[0] == 2 and copies == 0


@pytest.mark.skipif(not hasattr(torch.export, 'Dim') or torch.__version__ < '2.8', reason='programs need torch 2.8')
def test_a_program_of_a_file_is_on_the_gpu_as_a_whole(tmp_path):
    file = program_file(tmp_path / 'net.pt2', small_net())
    architecture = Architecture('torch.export', CLASSES)
    network = restore_graph(architecture, GraphFacts(FEATURES), file, None, (SIDE, SIDE))
    packed, copies = on_a_fake_gpu(PackedRunner(network, Preprocessing(0, (SIDE, SIDE)), PackedOutputs()))
    assert packed.device.type == 'cuda' and packed.shape == (2, CLASSES + FEATURES) and copies == 0


@pytest.mark.skipif(not device_count(), reason='no GPU')
@torch.inference_mode()
def test_a_real_gpu_gives_what_the_cpu_gives(bundle):
    levels = HostPixels(bundle.preprocessing)(photographs())
    expected = PackedRunner(bundle.load_network(), bundle.preprocessing, PackedProducts(bundle))(levels)
    runner = PackedRunner(bundle.load_network(), bundle.preprocessing, PackedProducts(bundle), 'float32', arithmetic)
    with FromDevice() as copies:
        found = runner.to('cuda')(levels.to('cuda'))
        assert copies.count == 0
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max()))


def test_a_table_that_was_left_on_the_host_is_found():
    """The test above fails where it should."""
    bundle = load_bundle('waste_sorter')
    runner = PackedRunner(bundle.load_network(), bundle.preprocessing, PackedProducts(bundle))
    mode = FakeTensorMode()
    tensors = on_fake_gpu(runner, mode)
    with mode, torch.no_grad():
        name = next(name for name in tensors if name.startswith('products.') and name.endswith('.whitening'))
        tensors[name] = tensors[name].to('cpu')
        with pytest.raises(RuntimeError, match='cpu'):
            functional_call(runner, tensors, (torch.empty((1, *runner.shape), dtype=torch.uint8).to('cuda'),))
    with FakeTensorMode(), pytest.raises(Exception, match='_local_scalar_dense'):  # to ask for a value is to wait
        float(torch.empty(1, device='cuda'))


