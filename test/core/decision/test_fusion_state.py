"""What the filter knows beside its frames: priors from elsewhere, other cameras, the unknown, times from a bundle."""
import numpy as np
import pytest

from robot_vision_dl.core.config import FALLBACK_CHANGE_TIME_S, ClassifierConfig, FusionConfig, camera_groups
from robot_vision_dl.core.decision.fusion import (
    FALLBACK_TIMES,
    BayesFilter,
    correct,
    expected_from,
    log_likelihood,
    predict,
)
from robot_vision_dl.core.errors import ConfigError

SECOND = 1_000_000_000
NAMES = ('stop_sign', 'yield', 'tree')


def simplex(seed, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes))


def test_times_are_the_deployment_s_or_the_bundle_s_or_the_fallback():
    assert FusionConfig().resolved(0.7, 5.0).correlation_time_s == 0.7
    assert FusionConfig(correlation_time_s=0.0).resolved(0.7, 5.0).correlation_time_s == 0.0
    assert FusionConfig(change_time_s=3.0).resolved(0.7, 5.0).change_time_s == 3.0
    assert BayesFilter(2, FusionConfig()).config.change_time_s == FALLBACK_CHANGE_TIME_S
    for name in ('correlation_time_s', 'change_time_s'):
        with pytest.raises(ConfigError, match=f'fusion.{name}: must be -1 .as the bundle says. or at least'):
            FusionConfig(**{name: -0.5})


def test_belief_drifts_to_what_is_expected():
    belief, expected = simplex(0), simplex(1)
    np.testing.assert_allclose(predict(belief, 0.4, expected), 0.4 * belief + 0.6 * expected)  # h = .4 * 3/2
    np.testing.assert_allclose(predict(belief, 1.0, expected), expected)
    np.testing.assert_allclose(predict(belief, 0.3, np.full(3, 1 / 3)), predict(belief, 0.3))


def test_prior_before_the_first_frame_is_bayes_rule():
    p, expected = simplex(2), simplex(3)
    belief = BayesFilter(3, FusionConfig())
    belief.expect(expected)
    np.testing.assert_allclose(belief.at(0), expected, rtol=1e-6)
    np.testing.assert_allclose(belief.update(p, 0), correct(expected, log_likelihood(p)), rtol=1e-6)


def test_prior_in_between_keeps_what_frames_have_told():
    p, first, second = simplex(4), simplex(5), simplex(6)
    early, late = BayesFilter(3, FusionConfig()), BayesFilter(3, FusionConfig())
    early.expect(second)
    early.update(p, 0)
    late.expect(first)
    late.update(p, 0)
    late.expect(second)
    np.testing.assert_allclose(late.at(0), early.at(0), rtol=1e-6)
    late.expect(None)
    np.testing.assert_allclose(late.at(0), p, rtol=1e-5)


def test_prior_holds_without_fusion_and_after_a_gap():
    p, expected = simplex(7), simplex(8)
    both = correct(expected, log_likelihood(p))
    alone = BayesFilter(3, FusionConfig(enabled=False))
    alone.expect(expected)
    np.testing.assert_allclose(alone.update(p, 0), both, rtol=1e-6)
    gone = BayesFilter(3, FusionConfig(reset_gap_s=1.0))
    gone.expect(expected)
    gone.update(simplex(9), 0)
    np.testing.assert_allclose(gone.update(p, 10 * SECOND), both, rtol=1e-6)


def test_partial_priors_leave_the_rest_to_the_others():
    np.testing.assert_allclose(expected_from({'yield': 0.5}, NAMES), [0.25, 0.5, 0.25])
    np.testing.assert_allclose(expected_from({'yield': 0.0}, NAMES), [0.5, 1e-6, 0.5], atol=1e-6)
    np.testing.assert_allclose(expected_from({'yield': 1.0}, NAMES), [1e-6, 1, 1e-6], atol=1e-5)
    np.testing.assert_allclose(expected_from(dict(zip(NAMES, (0.2, 0.3, 0.5))), NAMES), [0.2, 0.3, 0.5])
    for named, message in (({'yeild': 0.5}, "'yeild' is not a class of the model; did you mean 'yield'"),
                           ({'yield': 1.5}, 'must be in 0..1, got 1.5'), ({'yield': float('nan')}, 'must be in 0..1'),
                           ({'yield': 0.7, 'tree': 0.7}, 'sum to 1.400')):
        with pytest.raises(ConfigError, match=message):
            expected_from(named, NAMES)


def test_independent_cameras_add_their_evidence_and_others_share_it():
    p, q = simplex(10), simplex(11)
    added, shared = BayesFilter(3, FusionConfig()), BayesFilter(3, FusionConfig())
    for belief, share in ((added, 1.0), (shared, 0.5)):
        belief.update(p, 0, 'front', share)
        belief.update(q, 0, 'left', share)
    np.testing.assert_allclose(added.at(0), p * q / (p * q).sum(), rtol=1e-5)
    mean = np.sqrt(p * q)
    np.testing.assert_allclose(shared.at(0), mean / mean.sum(), rtol=1e-5)


def test_copy_of_a_camera_changes_nothing_where_cameras_may_be_wrong_together():
    one, two = BayesFilter(3, FusionConfig()), BayesFilter(3, FusionConfig())
    for i in range(20):
        p, time_ns = simplex(i), i * SECOND // 20
        a = one.update(p, time_ns)
        two.update(p, time_ns, 'front', 0.5)
        b = two.update(p, time_ns, 'left', 0.5)
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_frames_of_several_cameras_may_come_a_little_out_of_order():
    belief = BayesFilter(2, FusionConfig())
    certain = np.array([0.95, 0.05])
    for i in range(10):
        belief.update(certain, i * SECOND // 10, 'front', 0.5)
        belief.update(certain, i * SECOND // 10 - SECOND // 20, 'left', 0.5)
    assert belief.at(SECOND)[0] > 0.7
    before = belief.at(SECOND)[0]
    belief.update(np.array([0.5, 0.5]), SECOND, 'front', 0.5)
    assert belief.at(SECOND)[0] == pytest.approx(before, abs=0.2)  # not started afresh
    np.testing.assert_allclose(belief.update(np.array([0.3, 0.7]), -100 * SECOND, 'front'), [0.3, 0.7], atol=1e-5)


def test_groups_of_cameras_are_read_and_checked():
    cameras = ('front', 'left', 'rear')
    assert camera_groups('', cameras) == {name: (name,) for name in cameras}
    groups = camera_groups(' front + left ,', cameras)
    assert groups == {'front': ('front', 'left'), 'left': ('front', 'left'), 'rear': ('rear',)}
    for text, message in (('front+top', "'top' is not a camera; there are front, left, rear"),
                          ('front+left, left+rear', "'left' is named more than once")):
        with pytest.raises(ConfigError, match=message):
            ClassifierConfig(cameras=cameras, image_topics=cameras, fusion=FusionConfig(groups=text))


def test_unknown_is_the_mean_over_the_cameras_of_a_group():
    belief = BayesFilter(2, FusionConfig(unknown_time_s=0.0))
    assert belief.unknown_probability(0.01) == 0
    belief.update_ood(0.001, 0, 'front')
    alone = belief.unknown_probability(0.01)
    belief.update_ood(0.9, 0, 'left')
    assert alone > 0.8
    assert alone > belief.unknown_probability(0.01) > 0.5


def test_unknown_starts_afresh_after_a_gap():
    belief = BayesFilter(2, FusionConfig(unknown_time_s=10.0, reset_gap_s=1.0))
    for i in range(30):
        belief.update_ood(0.5, i * SECOND // 10)
    belief.update_ood(0.005, 3 * SECOND)
    assert belief.unknown_probability(0.01) < 0.5
    belief.update_ood(0.005, 13 * SECOND)
    assert belief.unknown_probability(0.01) > 0.5


def test_a_still_scene_is_not_forgotten_faster_than_it_is_learnt():
    """By the fallback: frames that all say the same leave the belief at least as sure as one of them is."""
    p = np.array([0.7, 0.2, 0.1])
    belief = BayesFilter(3, FusionConfig(), times=FALLBACK_TIMES)
    posteriors = [belief.update(p, n * 100_000_000) for n in range(300)]
    assert posteriors[0][0] == pytest.approx(0.7)
    assert min(one[0] for one in posteriors) > 0.69
    blind = BayesFilter(3, FusionConfig())  # nothing tells it a change from an error
    assert blind.update(p, 0)[0] == pytest.approx(0.7)
    assert [blind.update(p, n * 100_000_000) for n in range(1, 300)][-1][0] < 0.6


def test_a_change_is_seen_at_once_by_the_fallback():
    belief = BayesFilter(3, FusionConfig(), times=FALLBACK_TIMES)
    for n in range(100):
        belief.update(np.array([0.96, 0.02, 0.02]), n * 100_000_000)
    after = [belief.update(np.array([0.02, 0.96, 0.02]), (100 + n) * 100_000_000)[1] for n in range(3)]
    assert after[0] > 0.7
    assert after[-1] > 0.9
