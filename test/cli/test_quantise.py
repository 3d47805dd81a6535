"""``quantise``: an int8 bundle out, calibrated as what it is, beside the float32 one; what deployments make of it."""
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from int8_samples import colour_bundle, write_pictures

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.backends import int8_choice, measurements
from robot_vision_dl.core.bundles.bundle import load_bundle, verify_bundle
from robot_vision_dl.core.bundles.score_origin import is_score_of_others
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import BundleError, ConfigError
from robot_vision_dl.core.networks import int8
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.evaluation.predict import run_bundle

pytestmark = pytest.mark.slow  # exports, quantises and calibrates: half a minute
for name in ('onnx', 'onnxruntime', 'onnxscript'):
    pytest.importorskip(name, reason='ONNX is an extra: pip install .[onnx]')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A float32 bundle calibrated on ``day1``, and ``model_int8`` of it, with what the command said."""
    root = tmp_path_factory.mktemp('quantise')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HOME', str(root / 'home'))
        patch.setenv('XDG_CACHE_HOME', str(root / 'xdg'))
        colour_bundle(root)
        assert not main(['calibrate', str(root / 'model'), str(root / 'day1'), '--reference', str(root / 'train'),
                         '--ood', 'knn'])
        assert not main(['quantise', str(root / 'model'), str(root / 'day1'), '--reference', str(root / 'train'),
                         '--test', str(root / 'day2'), '--ood-pictures', str(root / 'strange'), '--weight-bits', '7'])
    return root


@pytest.fixture(autouse=True)
def home(monkeypatch, made):
    monkeypatch.setenv('HOME', str(made / 'home'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(made / 'xdg'))


def test_what_is_written(made, capsys):
    float32, found = load_bundle(made / 'model'), load_bundle(made / 'model_int8')
    assert verify_bundle(made / 'model_int8') == []
    assert found.graph.weight_bits == 7 and found.precision == 'int8' and found.device == 'cpu' and found.has_head
    for name in ('class_names', 'preprocessing', 'abstain_cost', 'camera', 'fusion'):
        assert getattr(found, name) == getattr(float32, name)
    assert found.architecture.stages == float32.architecture.stages
    assert found.ood.all_parts == float32.ood.all_parts
    # What was fitted to other pictures than those of float32's calibration is kept, though there is a reference here.
    assert float32.provenance['score_fitted_to'] == 'data of --reference'
    for name, table in float32.ood.tensors.items():
        assert np.array_equal(table, found.ood.tensors[name])
    assert (found.laplace is None) == (float32.laplace is None) and found.density_aware is not None
    assert found.provenance['quantised_from'] == float32.identity
    one, other = found.metrics['float32'], found.metrics['int8']
    assert one['pictures'] == other['pictures'] > 100 and one['accuracy'] - other['accuracy'] <= 0.01
    assert set(other) >= {'nll', 'ece', 'ece_floor', 'ms', 'megabytes', 'pictures_lost', 'pictures_won'}
    assert other['expected_loss'] <= other['most_loss'] == 0.005
    assert other['fpr95']['strange'] <= 1 and other['foreign_pictures'] == {'strange': 30}
    card = (made / 'model_int8' / 'MODEL_CARD.md').read_text()
    assert 'Keep me.' in card and '## int8 beside float32' in card and '| FPR95, strange (30) |' in card
    main(['models', 'show', str(made / 'model_int8')])
    shown = capsys.readouterr().out
    assert 'int8 ONNX file, runs on ONNX Runtime, weights of 7 bits' in shown and ', at int8' in shown
    assert 'ms a pass, one thread' in shown


def test_the_network_is_that_of_the_bundle_in_fewer_bits(made):
    """Logits, features and stages are near those in float32, and logits are linear in the features to the last bits."""
    float32, found = load_bundle(made / 'model'), load_bundle(made / 'model_int8')
    network, other = float32.load_network(), found.load_network()
    pixels = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted, given = network(pixels), other(pixels)
        torch.testing.assert_close(other.head(given.features), given.logits, rtol=1e-4, atol=1e-4)
        for one, two in ((wanted.logits, given.logits), (wanted.features, given.features),
                         *zip(wanted.stages, given.stages)):
            assert one.shape == two.shape
            difference = float((one - two).norm() / one.norm())
            assert 1e-6 < difference < 0.2
    # Alone or in a batch: the sums are of integers.
    with torch.inference_mode():
        torch.testing.assert_close(torch.cat([other(one[None]).logits for one in pixels]), given.logits,
                                   rtol=1e-5, atol=1e-5)


def test_its_calibration_is_of_the_int8_network(made):
    found = load_bundle(made / 'model_int8')
    seen, _ = run_bundle(found, [str(made / 'day1')], every_s=0.2).each_once()
    np.testing.assert_allclose(np.sort(found.ood.scores_of(seen.known_pictures())), found.ood.scores, rtol=1e-3)
    of_float, _ = run_bundle(load_bundle(made / 'model'), [str(made / 'day1')], every_s=0.2).each_once()
    other = np.sort(found.ood.scores_of(of_float.known_pictures()))
    assert np.abs(other / found.ood.scores - 1).max() > 1e-3  # and of no other


def test_few_pictures_change_the_scaling_of_the_float32_bundle_only_if_they_show_a_better_one(made, tmp_path):
    float32, few = load_bundle(made / 'model'), write_pictures(tmp_path / 'few', 10, 7)
    assert main(['quantise', str(made / 'model'), str(few), '--test', str(made / 'day2'), '--out', str(tmp_path),
                 '--most-loss', '.1', '--tries', '1']) == 0
    found = load_bundle(tmp_path / 'model_int8')
    tried = found.metrics['calibration']['nll_by_scaling']
    stays = found.temperature == pytest.approx(float32.temperature)
    assert tried['as before'] > tried['temperature'] or stays


def test_a_score_that_was_fitted_to_pictures_of_the_calibration_is_fitted_anew(made):
    """They may be among the pictures that int8 is calibrated on, of which the score would then think too well."""
    float32 = load_bundle(made / 'model')
    assert is_score_of_others(float32)
    for provenance, kept in (({'calibrated_from': 'x'}, False), ({'trained': 'all layers'}, True), ({}, False),
                             ({'trained': 'all layers', 'calibrated_from': 'x'}, False)):
        assert is_score_of_others(replace(float32, provenance=provenance)) == kept
    assert not is_score_of_others(replace(float32, ood=None))


def test_it_runs_as_int8_whatever_the_default_says(made):
    found = load_bundle(made / 'model_int8')
    for precision in ('auto', 'float32', 'int8'):
        pipeline = Pipeline(found, ClassifierConfig(model=str(made / 'model_int8'), precision=precision))
        assert pipeline.precision == 'int8' and pipeline.backend.name == 'onnxruntime'
        assert not any('calibrated at' in warning for warning in pipeline.warnings)
    with pytest.raises(ConfigError, match='precision float16: model_int8 is an int8 network and runs at nothing else'):
        Pipeline(found, ClassifierConfig(model=str(made / 'model_int8'), precision='float16'))
    with pytest.raises(ConfigError, match='backend openvino: model_int8 is an int8 network, calibrated as onnxruntime'):
        Pipeline(found, ClassifierConfig(model=str(made / 'model_int8'), backend='openvino'))


@pytest.mark.parametrize(('float_ms', 'int8_ms', 'taken'), [(3.0, 1.0, 'int8'), (1.0, 0.95, 'float32')])
def test_auto_takes_the_quicker_one(made, monkeypatch, float_ms, int8_ms, taken):
    """What was measured on this machine decides, and it is not measured again."""
    float32, found = load_bundle(made / 'model'), load_bundle(made / 'model_int8')
    Pipeline(float32, ClassifierConfig(model='x', precision='int8'))  # measures really
    path = measurements.measurement_path(found, torch.get_num_threads(), 1)
    assert set(measurements.read_measurement(path).times_ms) == {'float32', 'int8'}
    measurements.write_measurement(path, measurements.Measurement({'float32': float_ms, 'int8': int8_ms}))
    monkeypatch.setattr(int8_choice, 'pass_ms', None)
    for precision in ('int8', 'auto'):
        pipeline = Pipeline(float32, ClassifierConfig(model='x', precision=precision))
        assert pipeline.precision == taken and pipeline.bundle.precision == taken
        assert f'float32 {float_ms:.1f} ms, int8 {int8_ms:.1f} ms' in pipeline.backend.reason
        assert pipeline.bundle.source == float32.source and not any('calibrated at' in one for one in pipeline.warnings)
    for beside in ({'precision': 'float32'}, {'backend': 'torch'}, {'backend': 'onnxruntime'}):
        pipeline = Pipeline(float32, ClassifierConfig(model='x', **beside))
        assert pipeline.precision == 'float32' and 'int8' not in pipeline.backend.reason
    path.unlink()


def test_auto_runs_float32_and_says_why_where_what_is_beside_it_cannot_run(made, tmp_path, monkeypatch):
    alone = shutil.copytree(made / 'model', tmp_path / 'alone')
    assert 'int8' not in Pipeline(load_bundle(alone), ClassifierConfig(model='x')).backend.reason
    other = shutil.copytree(made / 'model_int8', tmp_path / 'alone_int8')
    values = json.loads((other / 'bundle.json').read_text())

    def reason(changed=None):
        if changed:
            (other / 'bundle.json').write_text(json.dumps(changed))
        pipeline = Pipeline(load_bundle(alone), ClassifierConfig(model='x'))
        assert pipeline.precision == 'float32' and pipeline.bundle.identity == load_bundle(alone).identity
        return pipeline.backend.reason
    assert 'was made of the bundle 0123456789ab' in reason(
        {**values, 'provenance': {**values['provenance'], 'quantised_from': '0123456789ab'}})
    assert 'tells other classes than' in reason({**values, 'class_names': values['class_names'][::-1]})
    assert 'sees other parts of a picture' in reason(
        {**values, 'preprocessing': {**values['preprocessing'], 'resize': 40}})
    # Measured before, and broken since: the float32 network runs all the same.
    (other / 'bundle.json').write_text(json.dumps(values))
    assert Pipeline.load(ClassifierConfig(model=str(alone))).precision in ('int8', 'float32')
    with monkeypatch.context() as broken:
        broken.setattr(int8_choice, '_measured', lambda *_: {'float32': 2.0, 'int8': 1.0})
        assert Pipeline.load(ClassifierConfig(model=str(alone))).precision == 'int8'
        warm_up = Pipeline.warm_up

        def fails_in_int8(pipeline):
            if pipeline.precision == 'int8':
                raise MemoryError('too little of it')
            warm_up(pipeline)
        with broken.context() as failing:
            failing.setattr(Pipeline, 'warm_up', fails_in_int8)
            loaded = Pipeline.load(ClassifierConfig(model=str(alone)))
            assert loaded.precision == 'float32' and 'not in int8: too little of it' in loaded.backend.reason
        (other / 'head.safetensors').write_bytes(b'damaged')
        loaded = Pipeline.load(ClassifierConfig(model=str(alone)))
        assert loaded.precision == 'float32' and loaded.backend.reason.startswith('not in int8: ')
        assert loaded.named.identity == loaded.bundle.identity
    shutil.copy(made / 'model_int8' / 'head.safetensors', other / 'head.safetensors')
    monkeypatch.setattr(int8_choice, 'adds_exactly', lambda: False)
    assert 'need a processor with VNNI' in reason({**values, 'graph': {**values['graph'], 'weight_bits': 8}})
    (other / 'bundle.json').write_text('{')
    assert reason().startswith('not in int8: ') and 'DATA --overwrite` makes it' in reason()
    (other / 'bundle.json').unlink()  # half copied
    assert reason().startswith('not in int8: ')


@pytest.fixture(scope='module')
def openvino(made, tmp_path_factory):
    """A bundle that OpenVINO runs, beside both others."""
    pytest.importorskip('openvino', reason='OpenVINO is an extra: pip install .[openvino]')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HOME', str(made / 'home'))
        patch.setenv('XDG_CACHE_HOME', str(made / 'xdg'))
        assert not main(['quantise', str(made / 'model'), str(made / 'day1'), '--reference', str(made / 'train'),
                         '--test', str(made / 'day2'), '--weight-bits', '7', '--tries', '0', '--runtime', 'openvino'])
    yield load_bundle(made / 'model_int8_openvino')
    shutil.rmtree(made / 'model_int8_openvino')


def test_openvino_runs_int8_calibrated_as_it_runs_there(made, openvino, capsys):
    import openvino as reference
    assert openvino.graph.runtime == 'openvino' and verify_bundle(openvino.folder) == []
    pixels = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    core = reference.Core()
    compiled = core.compile_model(core.read_model(openvino.graph_file), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    wanted = compiled({'pixels': pixels.numpy()})
    with torch.inference_mode():
        given = openvino.load_network()(pixels)
    np.testing.assert_allclose(given.logits, wanted['logits'], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(given.features, wanted['features'], rtol=1e-5, atol=1e-5)
    seen, _ = run_bundle(openvino, [str(made / 'day1')], every_s=0.2).each_once()
    np.testing.assert_allclose(np.sort(openvino.ood.scores_of(seen.known_pictures())), openvino.ood.scores, rtol=1e-3)
    float32 = load_bundle(made / 'model')
    pipeline = Pipeline(float32, ClassifierConfig(model='x', precision='int8', backend='openvino'))
    assert pipeline.backend.name == 'openvino' and pipeline.precision == 'int8'
    assert pipeline.bundle.identity == openvino.identity
    with pytest.raises(ConfigError, match='calibrated as openvino runs it, and others round otherwise'):
        Pipeline(openvino, ClassifierConfig(model='x', backend='onnxruntime'))
    main(['models', 'show', str(openvino.folder)])
    assert 'int8 ONNX file, runs on OpenVINO, weights of 7 bits' in capsys.readouterr().out


def test_auto_takes_the_quicker_runtime_of_int8(made, openvino):
    float32, found = load_bundle(made / 'model'), load_bundle(made / 'model_int8')
    path = measurements.measurement_path(found, torch.get_num_threads(), 1)
    for times, name in (((3.0, 2.0, 1.0), 'openvino'), ((3.0, 1.0, 2.0), 'onnxruntime')):
        measurements.write_measurement(path, measurements.Measurement(
            dict(zip(('float32', 'int8', 'int8 by openvino'), times))))
        pipeline = Pipeline(float32, ClassifierConfig(model='x', precision='int8'))
        assert pipeline.precision == 'int8' and pipeline.backend.name == name
    path.unlink()


def test_a_broken_int8_bundle_does_not_take_the_sound_one_along(made, openvino, tmp_path, monkeypatch):
    for name in ('model', 'model_int8', 'model_int8_openvino'):
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.setattr(int8_choice, '_measured', lambda _, found, *__: {
        'float32': 3.0, **{int8_choice._name(one): 1.0 for one in found}})
    for broken, name in (('model_int8', 'openvino'), ('model_int8_openvino', 'onnxruntime')):
        content = (tmp_path / broken / 'bundle.json').read_bytes()
        (tmp_path / broken / 'bundle.json').write_text('{')
        backend = Pipeline.load(ClassifierConfig(model=str(tmp_path / 'model'))).backend
        assert backend.name == name and 'not in int8: ' in backend.reason and f'{broken}' in backend.reason
        (tmp_path / broken / 'bundle.json').write_bytes(content)


def test_int8_is_wanted_and_cannot_be(made, tmp_path):
    alone = shutil.copytree(made / 'model', tmp_path / 'alone')
    wish = ClassifierConfig(model='x', precision='int8')
    with pytest.raises(ConfigError, match='there is no .*alone_int8; `robot-vision quantise .*alone DATA` makes it'):
        Pipeline(load_bundle(alone), wish)
    other = shutil.copytree(made / 'model_int8', tmp_path / 'alone_int8')
    assert Pipeline(load_bundle(alone), ClassifierConfig(model='x', precision='int8', backend='onnxruntime')
                    ).precision == 'int8'
    values = json.loads((other / 'bundle.json').read_text())
    values['provenance']['quantised_from'] = '0123456789ab'
    (other / 'bundle.json').write_text(json.dumps(values))
    with pytest.raises(ConfigError, match='was made of the bundle 0123456789ab, and model is [0-9a-f]{12}'):
        Pipeline(load_bundle(alone), wish)
    with pytest.raises(ConfigError, match='backend is torch; set backend to auto or one of these'):
        Pipeline(load_bundle(made / 'model'), ClassifierConfig(model='x', precision='int8', backend='torch'))
    with pytest.raises(ConfigError, match='precision int8: model is not an int8 network; `robot-vision quantise'):
        run_bundle(load_bundle(made / 'model'), [str(made / 'day1')], precision='int8')


def test_a_processor_that_adds_in_16_bits(made, monkeypatch, tmp_path):
    """Weights of 7 bits run everywhere; those of 8 bits are refused where sums would be cut off."""
    monkeypatch.setattr(int8, 'adds_exactly', lambda: False)
    load_bundle(made / 'model_int8').load_network()
    eight = shutil.copytree(made / 'model_int8', tmp_path / 'eight')
    values = json.loads((eight / 'bundle.json').read_text())
    values['graph']['weight_bits'] = 8
    (eight / 'bundle.json').write_text(json.dumps(values))
    with pytest.raises(BundleError, match='have 8 bits, and this processor .* quantise it with `--weight-bits 7`'):
        load_bundle(eight).load_network()
    values['graph']['weight_bits'] = 6
    (eight / 'bundle.json').write_text(json.dumps(values))
    with pytest.raises(BundleError, match='weight_bits must be 7 or 8, or not there, got 6'):
        load_bundle(eight)


def test_what_cannot_be_quantised(made, tmp_path, capsys):
    write_pictures(tmp_path / 'few', 12, 5)
    code = main(['quantise', str(made / 'model'), str(tmp_path / 'few'), '--out', str(tmp_path), '--tries', '0'])
    assert code == 2 and 'are fewer than 20; give more DATA, or other labelled data to judge on with --test' in (
        capsys.readouterr().err)
    assert not (tmp_path / 'model_int8').exists()
    for bundle, said in ((made / 'model_int8', 'is an int8 network already'),
                         (f'ensemble:{made / "model"},{made / "model"}', 'quantise each of its members')):
        assert main(['quantise', str(bundle), str(made / 'day1'), '--name', 'x', '--out', str(tmp_path)]) == 2
        assert said in capsys.readouterr().err


def test_pictures_to_judge_on_that_took_part_are_told(made, tmp_path):
    assert not main(['quantise', str(made / 'model'), str(made / 'day1'), '--reference', str(made / 'day2'), '--test',
                     str(made / 'day2'), '--weight-bits', '7', '--out', str(tmp_path), '--tries', '0'])
    card = ' '.join((tmp_path / 'model_int8' / 'MODEL_CARD.md').read_text().split())
    assert 'look like ones that it was trained on (perceptual hash), which flatters both' in card
    assert 'which flatters both' not in (made / 'model_int8' / 'MODEL_CARD.md').read_text()


def test_calibrated_again_it_stays_int8(made, tmp_path):
    target = tmp_path / 'again'
    assert not main(['calibrate', str(made / 'model_int8'), str(made / 'day2'), '--reference', str(made / 'train'),
                     '--into', str(target)])
    found = load_bundle(target)
    assert found.precision == 'int8' and found.graph.weight_bits == 7
    assert found.provenance['quantised_from'] == load_bundle(made / 'model').identity
