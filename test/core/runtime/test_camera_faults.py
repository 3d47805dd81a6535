"""A camera at fault in the pipeline: unknown at once, with the reason, and nothing is learned from its frames."""
import json

import numpy as np
import pytest
from camera_samples import any_picture
from node_harness import small_bundle

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.config import CameraFaultConfig, ClassifierConfig, DecisionConfig
from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.runtime.result_values import uncertainty_values
from robot_vision_dl.core.types import CameraFault, ColorOrder, Frame, Header, Outcome, Picture

MS = 1_000_000


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """The folder of a bundle that has no bounds of its own."""
    from dataclasses import replace
    path = small_bundle(tmp_path_factory.mktemp('models') / 'small')
    return replace(load_bundle(path), camera=None)


def scene(seed):
    """A picture as cameras give it: edges, some noise."""
    rng = np.random.default_rng(seed)
    pixels = np.full((120, 160, 3), 90.0)
    for _ in range(12):
        top, left = rng.integers(0, 100), rng.integers(0, 130)
        pixels[top:top + 25, left:left + 40] = rng.uniform(30, 220, 3)
    return Picture(np.clip(pixels + rng.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8), ColorOrder.BGR)


def shown(picture, time_ms, camera='camera'):
    return Frame(camera, Header(1_000 * MS + time_ms * MS, ''), picture, 'bgr8')


WHITE = Picture(np.full((120, 160, 3), 255, np.uint8), ColorOrder.BGR)
CONFIG = ClassifierConfig(device='cpu', decision=DecisionConfig(abstain_cost=1.0))


def test_unknown_at_once_and_the_belief_goes_on_without(model):
    pipeline, without = Pipeline(model, CONFIG), Pipeline(model, CONFIG)
    before = [pipeline.process([shown(scene(0), 100 * i)])[0] for i in range(5)]
    for i in range(5):
        without.process([shown(scene(0), 100 * i)])
    assert before[-1].decision.outcome is Outcome.ACCEPTED and before[-1].camera.fault is None
    first, second = (pipeline.process([shown(WHITE, time_ms)])[0] for time_ms in (500, 600))
    assert first.decision.outcome is Outcome.UNKNOWN and first.decision.confidence == first.unknown_probability == 1
    assert first.decision.reason == 'camera overexposed: 100 % of the values at the limit'
    assert (second.camera.state, second.camera.fault) == ('overexposed since 0.1 s, 2 frames', CameraFault.OVEREXPOSED)
    values = uncertainty_values(second)
    assert values['camera_fault'] == 'overexposed' and values['camera_fault_frames'] == 2
    after, never_blind = (one.process([shown(scene(1), 700)])[0] for one in (pipeline, without))
    np.testing.assert_array_equal(after.posterior, never_blind.posterior)
    assert after.decision == never_blind.decision and after.decision.outcome is Outcome.ACCEPTED


def test_a_frozen_camera_and_its_neighbour(model):
    pipeline = Pipeline(model, ClassifierConfig(device='cpu', cameras=('left', 'right'), image_topics=('l', 'r'),
                                                decision=DecisionConfig(abstain_cost=1.0)))
    left, right = [], []
    for i in range(15):
        results = pipeline.process([shown(scene(0), 100 * i, 'left'), shown(scene(i), 100 * i, 'right')])
        left.append(results[0].decision.outcome)
        right.append(results[1].camera.fault)
    assert left == [Outcome.ACCEPTED] * 10 + [Outcome.UNKNOWN] * 5
    assert right == [None] * 15
    pipeline.forget('left')
    assert pipeline.process([shown(scene(0), 1500, 'left')])[0].decision.outcome is Outcome.ACCEPTED


def test_settings_take_effect_while_running(model):
    pipeline = Pipeline(model, CONFIG)
    assert pipeline.process([shown(WHITE, 0)])[0].decision.outcome is Outcome.UNKNOWN
    pipeline.configure(ClassifierConfig(device='cpu', camera_faults=CameraFaultConfig(enabled=False)))
    result = pipeline.process([shown(WHITE, 100)])[0]
    assert result.camera is None and 'camera_state' not in uncertainty_values(result)
    assert not result.decision.reason.startswith('camera')
    assert 'camera' not in result.stage_ms


def test_in_thirds_and_frame_by_frame_the_same_is_said(model):
    pictures = [scene(0), WHITE, WHITE, scene(1)]
    batched = Pipeline(model, CONFIG).process([shown(one, 100 * i) for i, one in enumerate(pictures)])
    single = Pipeline(model, CONFIG)
    offline = Pipeline(model, CONFIG)
    for i, together in enumerate(batched):
        alone = single.process([shown(pictures[i], 100 * i)])[0]
        assessed = offline.assess([shown(pictures[i], 100 * i)])
        evaluated, = offline.conclude([shown(pictures[i], 100 * i)], assessed)
        assert together.camera == alone.camera == evaluated.camera
        assert together.decision.label == alone.decision.label == evaluated.decision.label


def test_a_bundle_keeps_its_bounds_and_broken_ones_are_refused(tmp_path):
    path = small_bundle(tmp_path / 'small')
    bundle = load_bundle(path)
    assert bundle.camera == any_picture()
    assert Pipeline(bundle, CONFIG).process([shown(WHITE, 0)])[0].camera.fault is None  # it has seen such
    values = json.loads((path / 'bundle.json').read_text())
    values['camera']['bounds']['noise'] = -1
    (path / 'bundle.json').write_text(json.dumps(values))
    with pytest.raises(BundleError, match='camera: bounds.noise: -1 is on the wrong side .* copy the bundle again'):
        load_bundle(path)
