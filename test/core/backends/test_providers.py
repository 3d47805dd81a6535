"""What ONNX Runtime computes with: by its list, and by what a session really runs. There is no GPU here."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from node_harness import small_bundle

from robot_vision_dl.core.backends import providers
from robot_vision_dl.core.backends.choice import choose_backend
from robot_vision_dl.core.backends.onnx_runtime import OnnxRuntimeNetwork
from robot_vision_dl.core.backends.providers import CPU, CUDA, HOST, TENSORRT, providers_for, running, said_of
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.runtime.gpu_path import for_onnx_runtime
from robot_vision_dl.core.runtime.pipeline import Pipeline

onnxruntime = pytest.importorskip('onnxruntime', reason='ONNX Runtime is not installed')
GPU = torch.device('cuda:1')


def network_input(bundle):
    return bundle.architecture.in_channels, *bundle.preprocessing.crop


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return load_bundle(small_bundle(tmp_path_factory.mktemp('models') / 'small'))


def test_on_a_cpu_the_cpu_runs(bundle):
    assert providers_for(HOST) == [CPU]
    network = OnnxRuntimeNetwork(bundle, 1)
    assert network.provider == CPU


@pytest.mark.skipif(CUDA in providers.available(), reason='this ONNX Runtime has the provider')
def test_without_a_provider_a_gpu_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match=f'no provider for cuda:1 .*{CPU}.*install onnxruntime-gpu'):
        providers_for(GPU)
    auto = for_onnx_runtime(ClassifierConfig(), GPU)
    assert auto.device.type == auto.onnx_device.type == 'cpu' and 'install onnxruntime-gpu' in auto.reason
    with pytest.raises(ConfigError, match='no provider for cuda:1'):
        for_onnx_runtime(ClassifierConfig(device='cuda:1'), GPU)


def test_float32_on_a_gpu_is_not_tf32(monkeypatch):
    monkeypatch.setattr(providers, 'available', lambda: [TENSORRT, CUDA, CPU])
    assert providers_for(GPU) == [(CUDA, {'device_id': 1, 'use_tf32': 0, 'cudnn_conv_algo_search': 'HEURISTIC'}), CPU]
    assert for_onnx_runtime(ClassifierConfig(device='cuda:1'), GPU).onnx_device == GPU
    assert TENSORRT not in said_of(CUDA) and 'TensorRT is there' in said_of(CUDA) and said_of(CPU) == CPU
    with pytest.raises(ConfigError, match='ONNX Runtime runs in float32 on cuda:1; set precision to float32'):
        for_onnx_runtime(replace(ClassifierConfig(), device='cuda', precision='float16'), GPU)


@pytest.mark.skipif(CUDA in providers.available(), reason='this ONNX Runtime has the provider')
def test_a_provider_that_is_listed_and_does_not_run_is_told(bundle, monkeypatch):
    """As where the libraries of CUDA are missing: ONNX Runtime takes the CPU, or raises, and never in silence."""
    monkeypatch.setattr(providers, 'available', lambda: [CUDA, CPU])
    with pytest.raises(ConfigError, match=f'(runs {CPU}|ONNX Runtime refuses).*set (device|backend) to'):
        OnnxRuntimeNetwork(bundle, 1, GPU)


@pytest.mark.skipif(CUDA in providers.available(), reason='this ONNX Runtime has the provider')
def test_auto_takes_the_cpu_where_the_provider_does_not_run(bundle, monkeypatch):
    monkeypatch.setattr(providers, 'available', lambda: [CUDA, CPU])
    with pytest.raises(ConfigError):
        choose_backend('onnxruntime', bundle, bundle.load_network(), onnx_device=GPU)
    found = choose_backend('onnxruntime', bundle, bundle.load_network(), onnx_device=GPU, or_cpu=True)
    assert found.name == 'onnxruntime' and found.forward.provider == CPU and not found.device
    assert '; not on cuda:1: ' in found.reason


def test_the_cpu_goes_on_where_a_gpu_fails_while_it_runs(bundle):
    """Frames would fail one after another: what CUDA has said once it says again until the process ends."""
    class Lost:
        def run(self, names, given):
            raise RuntimeError('CUDA failure 700: an illegal memory access was encountered ; GPU=0\nmore')
    loaded = Pipeline.load(ClassifierConfig(model=str(bundle.folder), device='cpu', backend='onnxruntime'))
    network = loaded.network
    pixels = np.random.default_rng(0).normal(size=(1, *network_input(bundle))).astype(np.float32)
    expected, session = network(pixels), network._session
    assert not loaded.fault
    network._session, network.provider, network._device = Lost(), CUDA, GPU
    with pytest.raises(Exception, match='Got invalid dimensions|INVALID_ARGUMENT'):
        network(pixels[:, :, :-1])  # which the CPU refuses as well: no fault of the GPU
    assert not loaded.fault and network.provider == CUDA
    found = network(pixels)
    np.testing.assert_array_equal(found.logits, expected.logits)
    assert network.provider == CPU and network._session is not session
    assert loaded.fault.startswith('cuda:1 fails in ONNX Runtime (CUDA failure 700: an illegal memory access was')
    np.testing.assert_array_equal(network(pixels).logits, expected.logits)


def test_what_really_runs_is_the_first_of_the_session():
    class Session:
        def get_providers(self):
            return [CUDA, CPU]
    assert running(Session(), GPU) == CUDA
