"""Backends against torch: the same logits and features, and clear words where they cannot be had."""
import dataclasses
import hashlib
import os
import sys

import numpy as np
import pytest
import torch

from robot_vision_dl.core.backends import choice, comparison, measurements, onnx_conversion, onnx_export, onnx_model
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import BACKENDS, ClassifierConfig
from robot_vision_dl.core.errors import BundleError, ConfigError, OutputError
from robot_vision_dl.core.files.whole_files import write_own
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.onnx_graph import parse_onnx
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration

RUNTIMES = ['onnxruntime', 'openvino']


def small(folder, seed=0):
    torch.manual_seed(seed)
    network = build_network('resnet20_cifar', 3).train()
    for _ in range(3):
        network(torch.randn(8, 3, 32, 32))  # statistics of BatchNorm that are not 0 and 1
    return save_bundle(folder, network.eval(), ['a', 'b', 'c'], Preprocessing(36, (32, 32)), temperature=1.5,
                       ood=OodCalibration('energy', np.linspace(-100, 100, 200).astype(np.float32)))


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    """A cache of the tests' own: exporting takes seconds."""
    pytest.importorskip('onnxscript', reason='ONNX is an extra: pip install .[onnx]')
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    return small(tmp_path_factory.mktemp('models') / 'three')


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))


def frames(count):
    random = np.random.default_rng(count)
    return [Frame(f'camera{index}', Header(10 ** 9, 'lens'),
                  Picture(random.integers(0, 256, (48, 64, 3), np.uint8), ColorOrder.BGR), 'bgr8')
            for index in range(count)]


@pytest.mark.parametrize('name', RUNTIMES)
def test_decisions_and_trust_are_those_of_torch(name, bundle):
    pytest.importorskip(name, reason=f'{name} is an extra')
    ours = Pipeline.load(ClassifierConfig(model=str(bundle.folder), device='cpu', backend=name))
    torchs = Pipeline.load(ClassifierConfig(model=str(bundle.folder), device='cpu', backend='torch'))
    assert ours.backend.name == name and 0 < ours.backend.difference < 1e-4 and torchs.backend.name == 'torch'
    assert not ours.warnings
    for count in (1, 4, 2):
        for got, expected in zip(ours.process(frames(count)), torchs.process(frames(count))):
            np.testing.assert_allclose(got.assessment.logits, expected.assessment.logits, atol=1e-4)
            assert got.assessment.ood.score == pytest.approx(expected.assessment.ood.score, abs=1e-4)
            assert got.decision.outcome is expected.decision.outcome
    first = ours.network(torch.zeros(1, 3, 32, 32)).features
    ours.network(torch.ones(1, 3, 32, 32))
    torch.testing.assert_close(first, ours.network(torch.zeros(1, 3, 32, 32)).features)


@pytest.fixture
def any_network_is_worth_it(monkeypatch):
    monkeypatch.setattr(choice, 'LEAST_MS', 0.0)


@pytest.mark.usefixtures('any_network_is_worth_it')
def test_auto_takes_the_quickest_and_says_what_it_measured(bundle):
    backend = choice.choose_backend('auto', bundle, bundle.load_network(), batch=2)
    assert backend.name in BACKENDS and 'a batch of 2 takes torch ' in backend.reason
    for name in RUNTIMES:
        assert f'{name} ' in backend.reason


@pytest.mark.usefixtures('any_network_is_worth_it')
def test_auto_goes_on_without_what_is_not_installed(bundle, monkeypatch):
    monkeypatch.setattr(choice.importlib.util, 'find_spec', lambda name: None)
    backend = choice.choose_backend('auto', bundle, bundle.load_network(), batch=3)
    assert backend.name == 'torch'
    assert 'onnxruntime is not installed' in backend.reason and 'openvino is not installed' in backend.reason


def test_what_torch_does_in_no_time_is_left_to_it(bundle, monkeypatch):
    monkeypatch.setattr(choice, 'LEAST_MS', 1e6)
    monkeypatch.setattr(onnx_export, 'export_apart', lambda bundle: pytest.fail('seconds for nothing'))
    backend = choice.choose_backend('auto', bundle, bundle.load_network(), batch=4)
    assert backend.name == 'torch' and 'others are tried from' in backend.reason


@pytest.fixture
def measured(bundle):
    """Writes what an earlier start is to have measured; returns what the backend is then."""
    def choose(batch, times_ms, left_out=()):
        path = measurements.measurement_path(bundle, torch.get_num_threads(), batch)
        measurements.write_measurement(path, measurements.Measurement(times_ms, left_out))
        return choice.choose_backend('auto', bundle, bundle.load_network(), batch)
    return choose


def test_what_was_measured_before_is_not_measured_again(measured, monkeypatch):
    pytest.importorskip('onnxruntime', reason='onnxruntime is an extra')
    monkeypatch.setattr(choice, 'pass_ms', lambda *arguments: pytest.fail('measured again'))
    assert measured(5, {'torch': 20.0, 'onnxruntime': 5.0}).name == 'onnxruntime'
    assert measured(5, {'torch': 5.0, 'onnxruntime': 4.9}).name == 'torch'  # which is not worth it
    backend = measured(5, {'torch': 5.0}, ('onnxruntime is not installed',))
    assert backend.name == 'torch' and backend.reason == 'a batch of 5 takes torch 5.0 ms; onnxruntime is not installed'


def test_a_pipe_in_the_cache_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    assert measurements.read_measurement(tmp_path / 'pipe') is None
    assert comparison.read_comparison(tmp_path / 'pipe') == {}
    measurements.write_measurement(tmp_path / 'pipe', measurements.Measurement({'torch': 1.0}))  # done without
    assert 'is no file' in str(comparison.add_comparison(tmp_path / 'pipe', 'onnxruntime', 0.0))
    for path in (tmp_path / 'network.onnx', tmp_path / 'network.onnx.sha256'):
        os.mkfifo(path)
        with pytest.raises(OutputError, match=f'{path.name}: is no file, and a file is to be written; remove it'):
            write_own(path, b'')


def test_what_cannot_be_loaded_any_more_gives_way_to_the_next(measured, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    backend = measured(6, {'torch': 20.0, 'onnxruntime': 5.0})
    assert backend.name == 'torch' and 'onnxruntime is not installed' in backend.reason


@pytest.mark.parametrize('text', [
    '', '{', '[]', '{"times_ms": {}, "left_out": []}', '{"times_ms": {"torch": -1}, "left_out": []}',
    '{"times_ms": {"torch": 1, "other": 2}, "left_out": []}', '{"times_ms": {"torch": 1}, "left_out": [1]}',
    '{"times_ms": {"onnxruntime": 1}, "left_out": []}'])
def test_measurement_that_cannot_be_read_is_made_anew(bundle, text, monkeypatch):
    monkeypatch.setattr(choice, 'LEAST_MS', 1e6)
    path = measurements.measurement_path(bundle, torch.get_num_threads(), 7)
    path.write_text(text)
    assert choice.choose_backend('auto', bundle, bundle.load_network(), batch=7).name == 'torch'
    assert list(measurements.read_measurement(path).times_ms) == ['torch']


def test_what_the_exporter_refuses_is_told(bundle, tmp_path):
    changed = dataclasses.replace(bundle, weights='0' * 64)
    with pytest.raises(ConfigError, match='three: was changed while it was turned into ONNX; start again'):
        onnx_export.export_apart(changed)
    with pytest.raises(ConfigError, match='none'):
        onnx_export.export_apart(dataclasses.replace(bundle, folder=tmp_path / 'none'))


def test_nothing_is_imported_from_the_working_directory(bundle, tmp_path, monkeypatch):
    """And stages that are wanted in memory alone, as while a bundle is calibrated, are exported."""
    bundle = dataclasses.replace(bundle, architecture=dataclasses.replace(bundle.architecture, stages=('layer1',)))
    for name in ('onnx', 'random', 'robot_vision_dl'):
        (tmp_path / f'{name}.py').write_text('raise SystemExit(7)')
    monkeypatch.chdir(tmp_path)
    model = onnx_export.export_apart(bundle)
    monkeypatch.undo()
    assert [one.name for one in parse_onnx(model, 'model').graph.output] == ['logits', 'features', 'stage_layer1']


def test_calibration_does_not_change_what_belongs_to_the_weights(bundle, tmp_path):
    torch.manual_seed(0)
    again = load_bundle(bundle.folder)
    other = small(tmp_path / 'other', seed=1)
    tempered = save_bundle(tmp_path / 'tempered', bundle.load_network(), ['a', 'b', 'c'], Preprocessing(36, (32, 32)),
                           temperature=3.0)
    assert onnx_model.cached_path(again) == onnx_model.cached_path(bundle) == onnx_model.cached_path(tempered)
    assert tempered.identity != bundle.identity
    assert onnx_model.cached_path(other) != onnx_model.cached_path(bundle)
    assert measurements.measurement_path(bundle, 1, 1) not in (
        measurements.measurement_path(bundle, 2, 1), measurements.measurement_path(bundle, 1, 2),
        measurements.measurement_path(other, 1, 1))


def test_cache_keeps_the_models_that_were_used_last(bundle, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(onnx_export, 'export_apart', lambda bundle: b'model')
    monkeypatch.setattr(onnx_model, 'MOST_CACHED', 3)
    folder = onnx_model.cache_folder()
    folder.mkdir(parents=True)
    for age in range(4):
        (folder / f'{age}.onnx').write_bytes(b'old')
        os.utime(folder / f'{age}.onnx', (1e9 - age, 1e9 - age))
    onnx_model.cached_onnx(bundle)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ['0.onnx', '1.onnx', onnx_model.cached_path(bundle).name, onnx_model.cached_path(bundle).name + '.sha256'])


@pytest.mark.parametrize('name', RUNTIMES)
def test_what_is_not_installed_is_told_with_the_remedy(name, bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)  # which makes its import fail
    with pytest.raises(ConfigError, match=f'backend {name} is not installed.*pip install'):
        choice.choose_backend(name, bundle, bundle.load_network())


def test_model_that_gives_other_results_is_refused(bundle, tmp_path):
    pytest.importorskip('onnxruntime', reason='onnxruntime is an extra')
    other = small(tmp_path / 'other', seed=1)
    put_into_cache(other, onnx_model.cached_onnx(bundle))
    with pytest.raises(BundleError, match='onnxruntime gives other results than torch.*allowed 0.001'):
        choice.choose_backend('onnxruntime', other, other.load_network())
    put_into_cache(other, b'no model')
    with pytest.raises(ConfigError, match='; set backend to torch'):
        choice.choose_backend('onnxruntime', other, other.load_network())


def put_into_cache(bundle, model):
    path = onnx_model.cached_path(bundle)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model)
    path.with_name(path.name + '.sha256').write_text(hashlib.sha256(model).hexdigest() + '\n')


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(path.read_bytes().replace(b'\0', b'\1', 1)),
    lambda path: path.with_name(path.name + '.sha256').unlink(),
    lambda path: path.with_name(path.name + '.sha256').write_bytes(b'\xff')])
def test_a_cached_model_that_was_damaged_is_made_anew(damage, bundle, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    put_into_cache(bundle, b'as it\0was')
    assert onnx_model.cached_onnx(bundle) == b'as it\0was'
    damage(onnx_model.cached_path(bundle))
    monkeypatch.setattr(onnx_export, 'export_apart', lambda bundle: b'made anew')
    assert onnx_model.cached_onnx(bundle) == b'made anew'
    monkeypatch.setattr(onnx_export, 'export_apart', None)
    assert onnx_model.cached_onnx(bundle) == b'made anew'


@pytest.mark.parametrize('changes, said', [
    ({'precision': 'bfloat16'}, 'bfloat16, which only torch'),
    ({'dropout_samples': 2}, 'Monte Carlo dropout'),
])
def test_what_only_torch_can_do(bundle, changes, said):
    with pytest.raises(ConfigError, match=f'backend onnxruntime: .*{said}.*set backend to torch'):
        Pipeline.load(ClassifierConfig(model=str(bundle.folder), device='cpu', backend='onnxruntime', **changes))


def test_ensemble_runs_in_torch(bundle):
    source = f'ensemble:{bundle.folder},{bundle.folder}'
    together = load_bundle(source)
    backend = choice.choose_backend('auto', together, together.load_network())
    assert backend.name == 'torch' and 'ensemble' in backend.reason
    with pytest.raises(ConfigError, match='an ensemble'):
        onnx_conversion.to_onnx(together)


def test_model_is_made_once_also_where_the_cache_cannot_be_written(bundle, tmp_path, monkeypatch, capsys):
    first = onnx_model.cached_onnx(bundle)
    monkeypatch.setattr(onnx_export, 'export_apart', lambda bundle: b'made anew')
    assert onnx_model.cached_onnx(bundle) == first
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert onnx_model.cached_onnx(bundle) == b'made anew'
    assert 'cannot be kept' in capsys.readouterr().err
    monkeypatch.setattr(onnx_export, 'export_apart', None)  # once in a process
    assert onnx_model.cached_onnx(bundle) == b'made anew'


def test_parameter_names_the_backends_there_are():
    assert set(BACKENDS) == {'torch', *choice.RUNTIMES, 'auto'}
