"""The pipeline by way of a GPU: decisions, the check against the CPU, and the CPU that goes on. The driver is fake."""
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
import torch
from fake_gpu import LOST, OUT_OF_MEMORY, FakeGpu
from node_harness import raw_image

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import ConfigError, DeviceError
from robot_vision_dl.core.images.cdr import decode_image
from robot_vision_dl.core.networks import device as devices
from robot_vision_dl.core.networks.cuda import arithmetic, device_count, is_built_for, trouble_of
from robot_vision_dl.core.networks.device import ChosenDevice, choose_device, resolve_device
from robot_vision_dl.core.networks.gpu_driver import Trouble
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.runtime import gpu_path
from robot_vision_dl.core.runtime.engine import Engine
from robot_vision_dl.core.runtime.engine_thread import INFERENCE_FAILED, Received
from robot_vision_dl.core.runtime.gpu_outputs import GpuOutputs
from robot_vision_dl.core.runtime.gpu_path import ChosenGpu, GpuPath, chosen_gpu
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.runtime.self_check import LIMITS, photographs
from robot_vision_dl.core.types import Frame, Header, Picture
from robot_vision_dl.evaluation import predict

CAMERAS = ('left', 'right', 'rear')
CONFIG = ClassifierConfig(model='waste_sorter', cameras=CAMERAS, image_topics=('/l', '/r', '/b'), backend='torch')
GPU = pytest.mark.skipif(not device_count(), reason='no GPU')


@pytest.fixture(scope='module')
def bundle():
    return load_bundle('waste_sorter')


@pytest.fixture
def driver():
    return FakeGpu()


@pytest.fixture
def on_gpu(bundle, driver, monkeypatch):
    """A pipeline whose network runs by way of the fake."""
    def chosen(bundle, config, threads):
        return ChosenGpu(torch.device('cpu'), '', GpuPath(bundle, bundle.load_network(), config.precision,
                                                          min(len(config.cameras), config.max_batch), threads, driver))
    monkeypatch.setattr(gpu_path, 'chosen_gpu', chosen)
    return Pipeline.load(CONFIG, bundle)


def frames(number, count=3):
    """Of as many cameras, photographs that move a little from frame to frame."""
    return [Frame(camera, Header((number + 1) * 33_000_000, ''), Picture(np.roll(one.pixels, 4 * number, 0), one.order),
                  'bgr8') for camera, one in zip(CAMERAS[:count], photographs())]


def said(results):
    return [(result.frame.camera, result.decision.label, result.decision.outcome) for result in results]


def test_decisions_are_those_of_the_cpu(on_gpu, driver, bundle):
    expected = Pipeline.load(CONFIG, bundle)  # chosen_gpu is replaced there, too, so by another fake
    expected.gpu = None
    expected.preprocess = Preprocessor(bundle.preprocessing, 'cpu')
    for number, count in enumerate((3, 1, 2, 3)):
        found, wanted = on_gpu.process(frames(number, count)), expected.process(frames(number, count))
        assert said(found) == said(wanted)
        for one, other in zip(found, wanted):
            np.testing.assert_allclose(one.assessment.probabilities, other.assessment.probabilities, atol=1e-4)
            assert set(one.stage_ms) == set(other.stage_ms)
    assert not on_gpu.fault and on_gpu.gpu.difference < 1e-4 and not on_gpu.gpu.notes


def test_a_batch_is_one_upload_one_graph_one_download_and_one_wait(on_gpu, driver):
    on_gpu.process(frames(0))
    driver.asked.clear()
    on_gpu.process(frames(1))
    assert driver.asked == {'copy': 2, 'replay': 1, 'wait': 1}


def test_a_thread_that_begins_to_run_it_warms_all_sizes_first(on_gpu, driver):
    driver.replayed.clear()
    thread = Thread(target=on_gpu.claim_thread)
    thread.start()
    thread.join()
    assert driver.replayed == [3, 2, 1]
    on_gpu.claim_thread()
    on_gpu.claim_thread()
    assert driver.replayed == [3, 2, 1]  # this thread did when it loaded, and does it once


@torch.inference_mode()
def test_batches_that_overlap_keep_their_pictures(on_gpu):
    first, second = on_gpu.prepare(frames(0)), on_gpu.prepare(frames(5, 2))
    on_gpu.infer(first)
    third = on_gpu.prepare(frames(9))
    on_gpu.infer(second)
    on_gpu.infer(third)
    logits = [[one.logits for one in on_gpu.gpu.assess(batch.packed)] for batch in (first, second, third)]
    alone = [[one.logits for one in on_gpu.assess(some)] for some in (frames(0), frames(5, 2), frames(9))]
    for found, expected in zip(logits, alone):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('where', ['copy', 'replay', 'wait'])
def test_the_cpu_goes_on_where_the_gpu_fails_and_no_frame_is_lost(on_gpu, driver, where):
    before = on_gpu.process(frames(0))
    driver.failures = {where: [LOST]}
    after = on_gpu.process(frames(1))  # the very batch that met it
    assert len(after) == 3 and [one.decision.label for one in after] == [one.decision.label for one in before]
    assert 'illegal memory access' in on_gpu.fault and 'nvidia-smi' in on_gpu.fault and 'CPU goes on' in on_gpu.fault
    driver.asked.clear()
    assert len(on_gpu.process(frames(2, 2))) == 2
    assert not driver.asked  # it is not asked again


def test_want_of_memory_loses_no_frame(on_gpu, driver):
    driver.failures = {'replay': [OUT_OF_MEMORY]}
    assert len(on_gpu.process(frames(0))) == 3 and not on_gpu.fault


class Burst:
    """A source that gives frames one by one and tells that others were replaced, so that batches overlap."""

    def __init__(self, count):
        self._left = count
        self._closed = Event()

    def take(self, limit, wait=True):
        if not self._left:
            if wait:
                self._closed.wait()
                return None
            return []
        self._left -= 1
        message = raw_image((50 - self._left) * 1_000_000_000, 64, 48)
        return [('left', Received(decode_image, message, replaced=1))]

    def close(self):
        self._closed.set()


@pytest.mark.parametrize('failures, dropped', [
    ({}, 0), ({'replay': [None, LOST]}, 0), ({'replay': [None, OUT_OF_MEMORY]}, 0),
    ({'replay': [None, OUT_OF_MEMORY, OUT_OF_MEMORY]}, 1)])
def test_each_frame_is_decided_or_dropped_for_a_reason(on_gpu, driver, failures, dropped):
    """On the engine's two threads, where batches overlap."""
    decided, drops, all_done = [], [], Event()

    def note(where, what):
        where.append(what)
        if len(decided) + len(drops) == 12:
            all_done.set()
    engine = Engine(on_gpu, CONFIG, Burst(12), lambda: 60_000_000_000, lambda result, _: note(decided, result),
                    lambda *drop: note(drops, drop))
    driver.failures = {'replay': [*[None] * 3, *failures.get('replay', [])]}  # the thread warms three sizes first
    engine.start()
    assert all_done.wait(60)
    engine.stop()
    account = engine.account('left')
    assert (len(decided), len(drops)) == (12 - dropped, dropped) and account.decided == 12 - dropped
    assert account.received == account.decided + sum(account.dropped.values())
    if dropped:
        assert account.dropped[INFERENCE_FAILED] == 1 and 'not enough memory for a batch of 1' in drops[0][2]
    assert bool(on_gpu.fault) is (LOST in failures.get('replay', []))


def other_weights(bundle, factor):
    network = bundle.load_network()
    with torch.no_grad():
        network.head.weight.mul_(factor)
    return network


def test_a_gpu_that_says_something_else_is_refused_with_value_limit_and_remedy(bundle):
    with pytest.raises(DeviceError, match=r'cpu: the self-check fails: logits of a batch of 2 differ from those of the '
                       r'CPU by 0\.\d+ of the largest, and at float32 by 0\.001 at most they may\. Set device to cpu'):
        GpuPath(bundle, other_weights(bundle, 1.1), 'float32', 2, driver=FakeGpu())
    with pytest.raises(DeviceError, match='Set precision to float32'):
        GpuPath(bundle, other_weights(bundle, 1.1), 'tf32', 2, driver=FakeGpu())


def test_the_check_sees_one_batch_size_that_is_wrong(bundle):
    class Wrong(FakeGpu):
        def capture(self, function):
            replay = super().capture(function)
            return (lambda: None) if function.args[0] == 2 else replay  # what was there before stays
    with pytest.raises(DeviceError, match='of a batch of 2 differ'):
        GpuPath(bundle, bundle.load_network(), 'float32', 3, driver=Wrong())


def test_an_input_that_differs_is_refused(bundle, monkeypatch):
    class Other(gpu_path.PackedRunner):
        def normalised(self, levels):
            return super().normalised(levels) * (1 if self.products.scales is None else 1.0000005)
    made = []
    monkeypatch.setattr(gpu_path, 'PackedRunner', lambda *args: made.append(
        (Other if not made else gpu_path_runner)(*args)) or made[-1])
    gpu_path_runner = Other.__mro__[1]
    with pytest.raises(DeviceError, match='normalises pictures to other values'):
        GpuPath(bundle, bundle.load_network(), 'float32', 1, driver=FakeGpu())


@pytest.mark.parametrize('precision', ['float16', 'bfloat16'])
def test_limits_have_room_for_what_rounding_does(bundle, precision):
    network = bundle.load_network(dtype=getattr(torch, precision))
    path = GpuPath(bundle, network, precision, 1, driver=FakeGpu())
    assert 1e-4 < path.difference < LIMITS[precision] / 1.5


def test_what_calibrates_gets_what_the_network_says(bundle):
    driver = FakeGpu()
    outputs = GpuOutputs(bundle, bundle.load_network(), 'float32', 2, driver)
    pixels = Preprocessor(bundle.preprocessing, 'cpu')(photographs())
    driver.replayed.clear()
    with torch.inference_mode():
        found, expected = outputs(pixels), bundle.load_network()(pixels)
    assert driver.replayed == [2, 1]
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.features, expected.features, rtol=1e-4, atol=1e-4)
    assert len(found.stages) == len(expected.stages) > 0
    for one, other in zip(found.stages, expected.stages):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


# Which device.

def test_auto_takes_the_cpu_where_the_gpu_fails_and_says_why(bundle, monkeypatch):
    monkeypatch.setattr(gpu_path, 'choose_device', lambda name: ChosenDevice(torch.device('cuda:0')))
    monkeypatch.setattr(gpu_path, 'GpuPath', lambda *args: (_ for _ in ()).throw(DeviceError('cuda:0: the self-check '
                                                                                             'fails: ...')))
    monkeypatch.setattr(type(bundle), 'load_network', lambda *args: torch.nn.Identity())
    found = chosen_gpu(bundle, CONFIG, 1)
    assert found.device.type == 'cpu' and found.gpu is None and found.reason == 'cuda:0: the self-check fails: ...'
    with pytest.raises(DeviceError, match='self-check'):
        chosen_gpu(bundle, replace(CONFIG, device='cuda'), 1)


def test_why_the_cpu_was_taken_is_among_the_warnings(bundle, monkeypatch):
    found = ChosenGpu(torch.device('cpu'), 'a convolution fails', None)
    monkeypatch.setattr(gpu_path, 'chosen_gpu', lambda *args: found)
    for one in (bundle, replace(bundle, temperature=None)):  # the usual first try is a model that is not calibrated
        loaded = Pipeline.load(CONFIG, one)
        assert 'runs on cpu, not on the GPU: a convolution fails' in loaded.warnings
        assert one.calibrated or 'is not calibrated' in loaded.warnings[0]


def test_what_calibrates_goes_where_the_node_goes(bundle, monkeypatch, capsys):
    """By ``auto`` to the CPU, which is said, where the GPU that is there fails."""
    monkeypatch.setattr(predict, 'resolve_device', lambda name: torch.device('cuda:0'))
    monkeypatch.setattr(predict, 'check_precision', lambda *args: None)
    load = type(bundle).load_network

    def loaded(self, device='cpu', dtype=None):
        if torch.device(device).type == 'cuda':
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB\nmore')
        return load(self, device, dtype)
    monkeypatch.setattr(type(bundle), 'load_network', loaded)
    given = predict.Predictor.of_bundle(bundle).pictures(photographs())
    assert 'not on the GPU: CUDA out of memory. Tried to allocate 2.00 GiB\n' in capsys.readouterr().err
    expected = load(bundle)(Preprocessor(bundle.preprocessing, 'cpu')(photographs())).logits.detach().numpy()
    np.testing.assert_allclose(given.logits, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        predict.Predictor.of_bundle(bundle, 'cuda')


def test_a_gpu_is_checked_where_dropout_is_drawn_too(bundle, monkeypatch):
    """Nothing that is drawn anew in each pass can be a graph; what the network says is compared all the same."""
    monkeypatch.setattr(gpu_path, 'choose_device', lambda name: ChosenDevice(torch.device('cuda:0')))
    monkeypatch.setattr(type(bundle), 'load_network', lambda *args: torch.nn.Identity())
    made = []
    monkeypatch.setattr(gpu_path, 'GpuPath', lambda *args: made.append(args))
    found = chosen_gpu(bundle, replace(CONFIG, dropout_samples=4), 1)
    assert len(made) == 1 and found == ChosenGpu(torch.device('cuda:0'), '', None)


def test_dropout_on_a_gpu_runs_in_the_precision_that_was_asked_for(tmp_path, monkeypatch):
    network = build_network('squeezenet1_1', 3)
    save_bundle(tmp_path / 'drops', network, ('a', 'b', 'c'), Preprocessing(0, (64, 64)), temperature=1.0)
    loaded = Pipeline.load(replace(CONFIG, device='cpu', dropout_samples=2), load_bundle(tmp_path / 'drops'))
    settings, seen = torch.backends.cudnn, []
    sampler = loaded._dropout
    monkeypatch.setattr(loaded, '_dropout', lambda pixels: seen.append(settings.allow_tf32) or sampler(pixels))
    monkeypatch.setattr(settings, 'allow_tf32', True)
    loaded.process(frames(0))
    monkeypatch.setattr(loaded, 'device', torch.device('cuda:0'))
    loaded.process(frames(1))
    assert seen == [True, False] and settings.allow_tf32


def test_auto_tries_the_gpu_out(monkeypatch):
    monkeypatch.setattr(devices, 'device_count', lambda: 2)
    monkeypatch.setattr(devices, 'why_unusable', lambda index: '' if index else 'a convolution on cuda:0 fails: no')
    assert choose_device('auto') == (torch.device('cuda:1'), 'a convolution on cuda:0 fails: no')
    with pytest.raises(DeviceError, match="device 'cuda': a convolution on cuda:0 fails: no; `robot-vision doctor`"):
        resolve_device('cuda')
    monkeypatch.setattr(devices, 'why_unusable', lambda index: 'no kernel image')
    assert choose_device('auto') == (torch.device('cpu'), 'no kernel image; no kernel image')


def test_tf32_is_for_gpus():
    with pytest.raises(ConfigError, match='precision tf32: only NVIDIA GPUs have it, and this runs on cpu; set precis'):
        Pipeline.load(replace(CONFIG, precision='tf32', device='cpu'))


@pytest.mark.parametrize('capability, architectures, runs', [
    ((8, 6), ['sm_80', 'sm_90'], True), ((8, 0), ['sm_86'], False), ((9, 0), ['sm_80', 'sm_86'], False),
    ((9, 0), ['sm_80', 'compute_80'], True), ((7, 5), ['sm_80', 'compute_80'], False), ((12, 0), ['sm_120'], True),
    ((9, 0), ['sm_90a'], True), ((10, 3), ['sm_100a'], False), ((10, 3), ['sm_100f'], True), ((9, 0), [], False),
    ((9, 0), ['gfx90a'], True)])
def test_the_architecture_of_a_card_must_be_in_the_build(capability, architectures, runs):
    assert is_built_for(capability, architectures) is runs


@pytest.mark.parametrize('error, trouble', [
    (OUT_OF_MEMORY, Trouble.MEMORY), (RuntimeError('CUDA error: out of memory'), Trouble.MEMORY),
    (RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'), Trouble.MEMORY),
    (LOST, Trouble.LOST), (RuntimeError('CUDA error: uncorrectable ECC error encountered'), Trouble.LOST),
    (RuntimeError('CUDA error: operation failed due to a previous error during capture'), Trouble.OTHER),
    (RuntimeError('shapes cannot be multiplied'), Trouble.OTHER), (ValueError('CUDA error: said by another'),
                                                                   Trouble.OTHER)])
def test_what_an_error_of_a_gpu_means(error, trouble):
    assert trouble_of(error) is trouble


def test_float32_is_float32_and_what_was_set_is_put_back():
    settings = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [one.allow_tf32 for one in settings]
    for precision, expected in (('float32', False), ('tf32', True), ('float16', False)):
        with arithmetic(precision):
            assert [one.allow_tf32 for one in settings] == [expected] * 2
        assert [one.allow_tf32 for one in settings] == before


def test_the_arithmetic_of_one_thread_is_not_put_back_by_another():
    """A model is loaded while another runs: the settings are of the process."""
    setting = torch.backends.cudnn
    before, within, left = setting.allow_tf32, Event(), Event()

    def load():
        with arithmetic('tf32'):
            within.set()
            left.wait(10)

    def run():
        within.wait(10)
        with arithmetic('float32'):
            found.append((left.is_set(), setting.allow_tf32))
    found = []
    threads = [Thread(target=load), Thread(target=run)]
    for one in threads:
        one.start()
    within.wait(10)
    threads[1].join(.3)  # it has to wait; what it says is the same however long this takes
    left.set()
    for one in threads:
        one.join(10)
    assert found == [(True, False)] and setting.allow_tf32 == before


@GPU
@pytest.mark.parametrize('precision', ['float32', 'tf32', 'float16', 'bfloat16'])
def test_a_real_gpu_decides_as_the_cpu_does(bundle, precision):
    real = Pipeline.load(replace(CONFIG, device='cuda', precision=precision), bundle)
    cpu = Pipeline.load(replace(CONFIG, device='cpu'), bundle)
    assert real.gpu.difference <= LIMITS[precision]
    if precision == 'float32':
        for number in range(3):
            assert said(real.process(frames(number))) == said(cpu.process(frames(number)))
    torch.cuda.set_sync_debug_mode('error')
    try:
        real.process(frames(4))
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_one_file_asks_torch_for_cuda():
    """What is not there can be tested without a GPU."""
    from pathlib import Path

    import robot_vision_dl
    root = Path(robot_vision_dl.__file__).parent
    found = {str(path.relative_to(root)) for room in ('core', 'data', 'evaluation', 'ros')
             for path in (root / room).rglob('*.py') if 'torch.cuda' in path.read_text()}
    assert found == {'core/networks/cuda.py', 'core/machine.py'}
