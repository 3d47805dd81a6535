"""The pipeline with everything on: what it publishes about trust, groups, priors, costs, warnings."""
from dataclasses import replace

import numpy as np
import pytest
import torch
from camera_samples import any_picture

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.config import ClassifierConfig, DecisionConfig, FusionConfig
from robot_vision_dl.core.errors import ConfigError, RobotVisionError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.runtime.pipeline import Pipeline
from robot_vision_dl.core.types import ColorOrder, Frame, Header, Outcome, Picture
from robot_vision_dl.core.uncertainty.calibrate import FusionTimes, calibrate
from robot_vision_dl.core.uncertainty.laplace_fit import mean_probabilities
from robot_vision_dl.core.uncertainty.ood.base import linear_head

NAMES = ('a', 'b', 'c')
PRE = Preprocessing(resize=32, crop=(32, 32))
MS = 1_000_000


def frame(seed=0, camera='camera', time_ns=None):
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Frame(camera, Header((seed + 1) * 33 * MS if time_ns is None else time_ns, ''),
                 Picture(pixels, ColorOrder.RGB), 'rgb8')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A bundle of a random network, calibrated on what it says of noise, with the labels it would give itself."""
    torch.manual_seed(0)
    network = build_network('resnet20_cifar', 3, dropout=0.2)
    with torch.inference_mode():
        network.head.weight *= 3
        prediction = network(Preprocessor(PRE, 'cpu')([frame(1000 + i).picture for i in range(300)]))
    logits, features = prediction.logits.numpy(), prediction.features.numpy()
    p = torch.softmax(prediction.logits, -1).numpy()
    labels = (p.cumsum(1) < np.random.default_rng(0).random((300, 1))).sum(1).clip(0, 2)
    found = calibrate(logits, features, labels, ood='mahalanobis', head=linear_head(network.head))
    found = replace(found, fusion=FusionTimes(0.5, 7.0), camera=any_picture())
    path = tmp_path_factory.mktemp('models') / 'm'
    save_bundle(path, network, NAMES, PRE, calibration=found)
    return path


def load(folder, **changes):
    return Pipeline.load(ClassifierConfig(model=str(folder), **changes))


def test_entropy_has_its_parts(folder):
    pipeline = load(folder)
    assessments = [result.assessment for result in pipeline.process([frame(i) for i in range(6)])]
    for one in assessments:
        assert one.predictive_entropy == pytest.approx(one.expected_entropy + one.mutual_information)
        assert 0 < one.mutual_information <= one.predictive_entropy <= 1
        assert one.conformal_set
    alone = pipeline.process([frame(3)])[0].assessment
    assert alone.mutual_information == pytest.approx(assessments[3].mutual_information, rel=1e-3, abs=1e-6)


def test_laplace_gives_the_probabilities_where_the_bundle_says_so(folder):
    bundle = load_bundle(folder)
    bundle = replace(bundle, laplace=replace(bundle.laplace, gives_probabilities=True, tau=1.0))
    pipeline = Pipeline(bundle, ClassifierConfig(device='cpu'))
    with torch.inference_mode():
        prediction = pipeline.network(pipeline.preprocess([frame().picture]))
    found = pipeline.process([frame()])[0].assessment
    expected = mean_probabilities(bundle.laplace, prediction.logits.numpy(), prediction.features.numpy())[0]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


def test_dropout_gives_the_mutual_information_where_it_is_asked_for(folder):
    plain, mc_logits = (load(folder, dropout_samples=n).process([frame()])[0].assessment for n in (0, 16))
    np.testing.assert_allclose(plain.probabilities, mc_logits.probabilities, atol=1e-5)
    assert mc_logits.mutual_information != plain.mutual_information
    assert mc_logits.mutual_information > 0


def test_times_come_from_the_bundle_unless_the_deployment_says_other(folder):
    pipeline = load(folder)
    pipeline.process([frame()])
    belief = next(iter(pipeline._beliefs._filters.values()))
    assert (belief.config.correlation_time_s, belief.config.change_time_s) == (0.5, 7.0)
    pipeline.configure(ClassifierConfig(model=str(folder), fusion=FusionConfig(correlation_time_s=1.5)))
    assert (belief.config.correlation_time_s, belief.config.change_time_s) == (1.5, 7.0)


def test_cameras_of_a_group_share_a_belief(folder):
    cameras = ('front', 'left')
    together = load(folder, cameras=cameras, image_topics=cameras, fusion=FusionConfig(groups='front+left'),
                    decision=DecisionConfig(false_unknown_rate=0.0))
    apart = load(folder, cameras=cameras, image_topics=cameras, decision=DecisionConfig(false_unknown_rate=0.0))
    frames = [frame(1, 'front', MS), frame(2, 'left', MS)]
    shared, single = together.process(frames), apart.process(frames)
    p, q = (result.posterior.astype(float) for result in single)
    mean = np.sqrt(p * q)
    np.testing.assert_allclose(shared[1].posterior, mean / mean.sum(), rtol=1e-4)


def test_prior_moves_the_posterior_and_is_taken_back(folder):
    pipeline = load(folder, decision=DecisionConfig(false_unknown_rate=0.0), fusion=FusionConfig(enabled=False))
    plain = pipeline.process([frame()])[0].posterior
    pipeline.expect('camera', {'b': 0.98})
    assert pipeline.process([frame()])[0].posterior[1] > max(plain[1], 0.5)
    pipeline.expect('camera', {})
    np.testing.assert_allclose(pipeline.process([frame()])[0].posterior, plain, atol=1e-5)
    with pytest.raises(ConfigError, match="'d' is not a class"):
        pipeline.expect('camera', {'d': 0.5})


def test_what_was_accepted_before_a_gap_makes_nothing_easier_after_it(folder):
    alone = FusionConfig(enabled=False)
    pipeline = load(folder, fusion=alone, decision=DecisionConfig(false_unknown_rate=0.0, abstain_cost=1.0))
    seed = min(range(20), key=lambda seed: pipeline.process([frame(seed)])[0].posterior.max())
    accepted = pipeline.process([frame(seed, time_ns=1000 * MS)])[0]
    assert accepted.decision.outcome is Outcome.ACCEPTED
    needs_more = max(1.0 - float(accepted.posterior.max()) - 0.05, 0.0)  # by less than the hysteresis
    pipeline.configure(ClassifierConfig(model=str(folder), fusion=alone, decision=DecisionConfig(
        false_unknown_rate=0.0, abstain_cost=needs_more)))
    outcomes = [pipeline.process([frame(seed, time_ns=time_ms * MS)])[0].decision.outcome for time_ms in (1500, 99_000)]
    assert outcomes == [Outcome.ACCEPTED, Outcome.UNCERTAIN]


def test_foreign_pictures_become_unknown_and_single_frames_do_not(folder):
    pipeline = load(folder, decision=DecisionConfig(false_unknown_rate=0.02, abstain_cost=1.0))
    black = Picture(np.zeros((32, 32, 3), np.uint8), ColorOrder.RGB)
    results = []
    for i in range(60):
        one = frame(i)
        if i == 20 or i >= 40:
            one = replace(one, picture=black)
        results.append(pipeline.process([one])[0])
    unknown = [result.decision.outcome is Outcome.UNKNOWN for result in results]
    assert results[20].assessment.ood.p_value < 0.02
    assert not any(unknown[10:30])
    assert all(unknown[43:])
    assert results[-1].decision.confidence == results[-1].unknown_probability > 0.6


def test_costs_of_a_file_are_used_and_a_bad_file_changes_nothing(folder, tmp_path):
    file = tmp_path / 'costs.yaml'
    file.write_text('costs: {a: {c: 100000000}, b: {c: 100000000}}\n')
    pipeline = load(folder, decision=DecisionConfig(costs_file=str(file), false_unknown_rate=0.0))
    assert pipeline.policy(ClassifierConfig(model=str(folder))).costs is None
    assert {pipeline.process([frame(i)])[0].decision.class_index for i in range(5)} == {2}
    file.write_text('costs: {z: {c: 100}}')
    with pytest.raises(ConfigError, match='costs: is not a class'):
        pipeline.configure(ClassifierConfig(model=str(folder), decision=DecisionConfig(costs_file=str(file))))
    assert pipeline.process([frame(9)])[0].decision.class_index == 2


@pytest.mark.parametrize('change, message', [
    ({'precision': 'bfloat16'}, 'was calibrated at bfloat16 but runs at float32'),
    ({'device': 'cuda'}, 'was calibrated on cuda but runs on cpu'),
    ({'temperature': None}, 'is not calibrated'),
])
def test_calibration_at_another_precision_or_device_is_warned_about(folder, change, message):
    bundle = load_bundle(folder)
    assert Pipeline(bundle, ClassifierConfig(device='cpu')).warnings == []
    warnings = Pipeline(replace(bundle, **change), ClassifierConfig(device='cpu')).warnings
    assert len(warnings) == 1
    assert message in warnings[0]


def test_logits_that_are_not_numbers_are_an_error(folder):
    pipeline = load(folder, backend='torch')
    with torch.no_grad():
        pipeline.network.head.bias[0] = float('nan')
    with pytest.raises(RobotVisionError, match='gave logits that are not numbers at float32'):
        pipeline.process([frame()])


def test_a_model_that_takes_over_brings_its_own_change_parameters(folder):
    """Beliefs are carried over; how frames differ across a change is a matter of the model that sees them."""
    bundle = load_bundle(folder)
    config = ClassifierConfig(device='cpu')
    old, new = FusionTimes(0.5, 7.0, 8.0, 2.5), FusionTimes(3.0, 2.0, -1.0, 0.5)
    frames = [frame(i) for i in range(12)]
    for before, after in ((old, new), (new, old), (old, None), (None, old), (old, FusionTimes(1.0, 2.0))):
        first, second = (Pipeline(replace(bundle, fusion=times), config) for times in (before, after))
        first.process(frames[:6])
        belief = first._beliefs._belief_of('camera')._belief.copy()
        second.adopt_beliefs(first)
        np.testing.assert_array_equal(second._beliefs._belief_of('camera')._belief, belief)
        found = [second.process([one])[0].posterior for one in frames[6:]]
        # The same with a pipeline that had the new parameters, and the same belief, from the start.
        third = Pipeline(replace(bundle, fusion=after), config)
        third.process(frames[:6])
        third._beliefs._belief_of('camera')._belief = belief
        one, other = (each._beliefs._belief_of('camera') for each in (first, third))
        other._ood_evidence, other._ood_source = one._ood_evidence, one._ood_source
        expected = [third.process([one])[0].posterior for one in frames[6:]]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_unknown_is_said_at_the_smallest_rate_with_a_warning_unless_a_deployment_wants_it_never(folder):
    bundle = load_bundle(folder)
    few = replace(bundle, ood=replace(bundle.ood, scores=bundle.ood.scores[::14]))
    n = len(few.ood.scores)
    black = Picture(np.zeros((32, 32, 3), np.uint8), ColorOrder.RGB)
    frames = [frame(i) for i in range(20)] + [replace(frame(i), picture=black) for i in range(20, 40)]
    never = Pipeline(few, ClassifierConfig(device='cpu', decision=DecisionConfig(smallest_reachable_rate=False)))
    assert len(never.warnings) == 1 and f'{n} calibration pictures' in never.warnings[0] and '99' in never.warnings[0]
    assert never.unknown_rate == 0
    assert not any(never.process([one])[0].decision.outcome is Outcome.UNKNOWN for one in frames)
    allowed = ClassifierConfig(device='cpu')
    sayer = Pipeline(few, allowed)
    unknown = [sayer.process([one])[0].decision.outcome is Outcome.UNKNOWN for one in frames]
    assert sum(unknown[:20]) <= 2 and all(unknown[28:])
    assert 'smallest rate that can be reached' in sayer.warnings[0]
    never.configure(allowed)  # a parameter may change while the node runs
    assert never.unknown_rate == sayer.unknown_rate > 1 / (n + 1)
