"""Evidence for overlays: the same by whatever runs the network, of the very pass that decides, and only if watched."""
from dataclasses import replace
from itertools import count

import cv2
import numpy as np
import pytest
import torch
from fake_gpu import FakeGpu
from node_harness import small_bundle

from robot_vision_dl.core.backends.onnx_maps import with_last_maps
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import CameraFaultConfig, ClassifierConfig, DecisionConfig, OverlayConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.evidence import LastMaps, PassMaps
from robot_vision_dl.core.networks.preprocess import Preprocessor
from robot_vision_dl.core.runtime import gpu_path
from robot_vision_dl.core.runtime.evidence_choice import chosen_evidence
from robot_vision_dl.core.runtime.gpu_path import ChosenGpu, GpuPath
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.runtime.self_check import photographs
from robot_vision_dl.core.types import CameraCheck, CameraFault, ColorOrder, Frame, Header, Outcome, Picture

CAMERAS = ('left', 'right', 'rear')
STAMPS = count(10 ** 9, 10 ** 9 * 60)  # so far apart that nothing is fused
TOLERANCE = 1e-3
"""Of a map from that of torch in float32, relative to its largest value; docs/how-to/explain.md states it."""
INT8_CORRELATION = 0.9
"""Least of a map by int8 with that in float32, of the best class; stated there as well."""
NEVER_UNKNOWN = DecisionConfig(false_unknown_rate=0.0)


def config(model, mode='winner', **settings):
    return ClassifierConfig(model=str(model), cameras=CAMERAS, image_topics=('/l', '/r', '/b'), device='cpu',
                            overlay=OverlayConfig(mode),
                            camera_faults=CameraFaultConfig(enabled=False), **settings)


def frames(pictures):
    now = next(STAMPS)
    return [Frame(camera, Header(now, ''), picture, 'bgr8') for camera, picture in zip(CAMERAS, pictures)]


@pytest.fixture(scope='module')
def pictures():
    """Real photographs, which come with the package."""
    return photographs()


def maps_of(pipeline, pictures):
    """What the pass of a deployment keeps, for all classes, (B, C, h, w), and its logits."""
    with torch.inference_mode():
        batch = pipeline.prepare(frames(pictures))
        pipeline.watch(batch, range(len(pictures)))
        pipeline.infer(batch)
    return batch.maps.of(range(len(pipeline.bundle.class_names))).numpy(), batch.prediction.logits.numpy()


@pytest.fixture(scope='module')
def torch_pipeline():
    return Pipeline.load(config('waste_sorter', backend='torch'))


@pytest.fixture(scope='module')
def in_torch(torch_pipeline, pictures):
    return maps_of(torch_pipeline, pictures)


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_runtimes_give_the_maps_of_torch_and_the_logits_of_a_pass_that_nobody_watches(name, pictures, in_torch, agrees):
    pytest.importorskip(name, reason=f'{name} is an extra')
    pytest.importorskip('onnxscript', reason='ONNX is an extra')
    pipeline = Pipeline.load(config('waste_sorter', backend=name))
    maps, logits = maps_of(pipeline, pictures)
    largest = np.abs(in_torch[0]).max()
    agrees(f'evidence by {name}, of the largest', 'torch', maps / largest, in_torch[0] / largest, atol=TOLERANCE)
    np.testing.assert_array_equal([one.logits for one in pipeline.assess(frames(pictures))], logits)


def test_maps_in_torch_are_class_activation_maps_and_their_pass_decides(torch_pipeline, pictures, in_torch):
    bundle = torch_pipeline.bundle
    pixels = Preprocessor(bundle.preprocessing, 'cpu')(pictures)
    found = LastMaps(bundle.load_network(), pixels).evidence(pixels, range(6))
    np.testing.assert_allclose(in_torch[0], found.maps.numpy(), atol=1e-5 * float(found.maps.abs().max()))
    np.testing.assert_array_equal([one.logits for one in torch_pipeline.assess(frames(pictures))], in_torch[1])


def test_int8_shows_the_same_map_as_float32(torch_pipeline, tmp_path, shared_data):
    """Of waste, with ranges of 24 other pictures, for the class that both give."""
    pytest.importorskip('onnxruntime', reason='ONNX is an extra')
    pytest.importorskip('onnxscript', reason='ONNX is an extra')
    from robot_vision_dl.core.backends.quantise import quantise
    bundle = torch_pipeline.bundle
    files = [sorted((shared_data / 'trashnet' / name).glob('*.jpg')) for name in bundle.class_names]
    read = [[Picture(cv2.imread(str(path)), ColorOrder.BGR) for path in some[:6]] for some in files]
    fitted = Preprocessor(bundle.preprocessing, 'cpu')([one for some in read for one in some[:4]])
    network = quantise(bundle, lambda: iter(fitted), tries=0).network
    int8 = save_bundle(tmp_path / 'int8', network, bundle.class_names, bundle.preprocessing, temperature=1.0)
    pipeline, correlations, apart = Pipeline.load(config(int8.folder)), [], []
    shown = [one for some in read for one in some[4:]]
    for begin in range(0, len(shown), 3):
        (wanted, float_logits), (given, int8_logits) = (maps_of(one, shown[begin:begin + 3])
                                                        for one in (torch_pipeline, pipeline))
        for row, best in enumerate(float_logits.argmax(1)):
            if best == int8_logits[row].argmax():
                one, other = wanted[row, best], given[row, best]
                correlations.append(np.corrcoef(one.ravel(), other.ravel())[0, 1])
                places = np.array([np.unravel_index(found.argmax(), found.shape) for found in (one, other)])
                apart.append(np.abs(places[0] - places[1]).max())
    assert len(correlations) >= 9
    assert min(correlations) >= INT8_CORRELATION, correlations
    assert np.median(apart) == 0, apart


def test_nothing_is_worked_out_for_cameras_that_nobody_watches(torch_pipeline, pictures, monkeypatch):
    """And for the one that is, it is what it would be alone."""
    passes, asked = [], []
    evidence, of = torch_pipeline._settings.evidence, PassMaps.of
    monkeypatch.setattr(torch_pipeline, '_settings', replace(torch_pipeline._settings, evidence=lambda pixels: (
        passes.append(len(pixels)) or evidence(pixels))))
    monkeypatch.setattr(PassMaps, 'of', lambda maps, classes, row=None: asked.append(row) or of(maps, classes, row))
    assert all(result.evidence is None for result in torch_pipeline.process(frames(pictures)))
    assert not passes and not asked
    results = torch_pipeline.process(frames(pictures), watched=['right'])
    assert passes == [3] and asked == [1]
    assert [result.evidence is not None for result in results] == [False, True, False]
    torch_pipeline.reset()
    alone, = torch_pipeline.process([replace(frames(pictures)[1], camera='left')], watched=['left'])
    np.testing.assert_allclose(alone.evidence.values, results[1].evidence.values,
                               atol=1e-4 * np.abs(alone.evidence.values).max())
    torch_pipeline.reset()


def test_a_head_that_needs_a_gradient_is_followed_in_the_pass_that_decides(tmp_path, pictures):
    bundle = load_bundle(small_bundle(tmp_path / 'lenet'))
    pipeline = Pipeline.load(config(bundle.folder, backend='torch', decision=NEVER_UNKNOWN))
    result, = pipeline.process(frames(pictures[:1]), watched=CAMERAS)
    pixels = Preprocessor(bundle.preprocessing, 'cpu')(pictures[:1])
    best = result.decision.class_index
    second = int(np.argsort(-result.posterior)[1])
    found = LastMaps(bundle.load_network(), pixels).evidence(pixels, [best, second])
    wanted = found.maps[0, 0] - found.maps[0, 1] if result.evidence.over else found.maps[0, 0]
    np.testing.assert_allclose(result.evidence.values, wanted.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(result.assessment.logits, pipeline.assess(frames(pictures[:1]))[0].logits)


def test_what_cannot_be_shown_is_said_and_decisions_go_on(pictures):
    model, why = 'ensemble:waste_sorter,waste_sorter', 'an ensemble has as many maps as members'
    pipeline = Pipeline.load(config(model, backend='torch'))
    assert why in pipeline.no_evidence and pipeline.no_evidence in pipeline.warnings
    result, = pipeline.process(frames(pictures[:1]), watched=CAMERAS)
    assert result.evidence.values is None and why in result.evidence.note
    pipeline.configure(config(model, 'none', backend='torch'))
    assert not pipeline.no_evidence and pipeline.process(frames(pictures[:1]), watched=CAMERAS)[0].evidence is None


def test_an_onnx_model_whose_head_is_no_mean_is_refused():
    onnx = pytest.importorskip('onnx', reason='ONNX is an extra')
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node('Flatten', ['pixels'], ['features']), helper.make_node('Relu', ['features'], ['logits'])],
        'network', [helper.make_tensor_value_info('pixels', kind, [1, 3, 2, 2])],
        [helper.make_tensor_value_info(name, kind, [1, 12]) for name in ('logits', 'features')])
    with pytest.raises(ConfigError, match='mine: neither its logits nor its features are a mean over positions'):
        with_last_maps(helper.make_model(graph).SerializeToString(), 'mine')


def test_a_gpu_gives_the_maps_beside_its_packed_array(monkeypatch, pictures, in_torch):
    """Launch by launch, in the pass that decides; when it fails the CPU goes on, without maps."""
    driver = FakeGpu()

    def chosen(bundle, config, threads):
        return ChosenGpu(torch.device('cpu'), '', GpuPath(bundle, bundle.load_network(), 'float32', 3, 1, driver))
    monkeypatch.setattr(gpu_path, 'chosen_gpu', chosen)
    pipeline = Pipeline.load(config('waste_sorter', backend='torch'))
    results = pipeline.process(frames(pictures), watched=CAMERAS)
    for row, result in enumerate(results):
        wanted = in_torch[0][row, result.decision.class_index]
        if result.evidence.over:
            wanted = wanted - in_torch[0][row, result.class_names.index(result.evidence.over)]
        np.testing.assert_allclose(result.evidence.values, wanted, atol=TOLERANCE * np.abs(in_torch[0]).max())
        np.testing.assert_allclose(result.assessment.logits, in_torch[1][row], rtol=1e-3, atol=1e-3)
    driver.failures['run'] = [RuntimeError('CUDA error: an illegal memory access was encountered')]
    failed, = pipeline.process(frames(pictures[:1]), watched=CAMERAS)
    assert pipeline.fault and failed.evidence.values is None and not failed.evidence.note


def test_which_classes_are_shown_follows_from_the_decision(torch_pipeline, pictures):
    result = torch_pipeline.process(frames(pictures[:1]))[0]
    maps = PassMaps(torch.arange(2 * 6 * 4, dtype=torch.float32).view(2, 6, 2, 2) ** 2, None)
    posterior = np.array([0.1, 0.5, 0.0, 0.3, 0.1, 0.0], np.float32)

    def shown(mode, outcome, **changes):
        decision = replace(result.decision, outcome=outcome, class_index=1)
        return chosen_evidence(mode, replace(result, posterior=posterior, decision=decision, **changes), maps, 1)
    names, terms = result.class_names, maps.maps[1].numpy() / 4
    for mode, outcome, over in (('winner', Outcome.ACCEPTED, ''), ('winner', Outcome.UNKNOWN, ''),
                                ('winner', Outcome.UNCERTAIN, names[3]), ('difference', Outcome.ACCEPTED, names[3])):
        found = shown(mode, outcome)
        assert (found.name, found.over) == (names[1], over)
        np.testing.assert_array_equal(found.values, terms[1] - terms[3] if over else terms[1])
    assert shown('winner', Outcome.UNKNOWN, camera=CameraCheck(CameraFault.COVERED, 'covered')) is None
