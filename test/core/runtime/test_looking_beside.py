"""Cameras looked at on another core while a runtime has the network."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.runtime import pipeline as module
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.runtime.self_check import photographs
from robot_vision_dl.core.types import CameraFault, ColorOrder, Frame, Header, Outcome, Picture

MODEL = 'waste_sorter'


def frames():
    pictures = photographs()[0], Picture(np.full((480, 640, 3), 255, np.uint8), ColorOrder.BGR)
    return [Frame(f'camera{place}', Header(10 ** 9, 'lens'), picture, 'bgr8')
            for place, picture in enumerate(pictures)]


@pytest.fixture(scope='module')
def of_runtime():
    for name in ('onnxruntime', 'onnxscript'):
        pytest.importorskip(name, reason='ONNX Runtime comes where there are wheels')
    return Pipeline.load(ClassifierConfig(model=MODEL, device='cpu', backend='onnxruntime', threads=1))


@torch.inference_mode()
def decided(pipeline, beside):
    pipeline.reset()
    batch = pipeline.prepare(frames(), beside=beside)
    pipeline.infer(batch)
    return pipeline.finish(batch), batch


@pytest.mark.skipif(len(module.os.sched_getaffinity(0)) < 2, reason='there is one core')
def test_decisions_are_those_of_looking_first(of_runtime):
    (first, before), (then, after) = decided(of_runtime, False), decided(of_runtime, True)
    assert before.looking is None and after.looking is not None
    assert after.stage_ms['camera'] > 0
    for one, other in zip(first, then):
        assert one.decision == other.decision and one.camera == other.camera
    assert then[0].camera.fault is None
    assert then[1].camera.fault is CameraFault.OVEREXPOSED and then[1].decision.outcome is Outcome.UNKNOWN


@pytest.mark.skipif(len(module.os.sched_getaffinity(0)) < 2, reason='there is one core')
def test_what_goes_wrong_there_is_raised_where_it_is_needed(of_runtime, monkeypatch):
    monkeypatch.setattr(module, 'look', lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        decided(of_runtime, True)
    monkeypatch.undo()
    decided(of_runtime, True)


def test_torch_is_not_made_to_wait_for_the_lock():
    pipeline = Pipeline.load(ClassifierConfig(model=MODEL, device='cpu', backend='torch', threads=1))
    assert decided(pipeline, True)[1].looking is None


def test_no_core_is_taken_that_the_network_has(monkeypatch):
    pytest.importorskip('onnxruntime', reason='ONNX Runtime comes where there are wheels')
    pytest.importorskip('onnxscript', reason='ONNX Runtime comes where there are wheels')
    cores = len(module.os.sched_getaffinity(0))
    pipeline = Pipeline.load(ClassifierConfig(model=MODEL, device='cpu', backend='onnxruntime', threads=cores))
    assert decided(pipeline, True)[1].looking is None
