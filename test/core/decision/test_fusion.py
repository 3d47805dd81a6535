"""The Bayes filter against matrices, closed forms and simulated streams."""
import numpy as np
import pytest

from robot_vision_dl.core.config import FusionConfig
from robot_vision_dl.core.decision.fusion import (
    BayesFilter,
    change_probability,
    correct,
    correlation,
    innovation,
    log_likelihood,
    predict,
)

SECOND = 1_000_000_000


def random_simplex(random, classes):
    return random.dirichlet(np.ones(classes))


@pytest.mark.parametrize('classes', [2, 3, 10, 1000])
@pytest.mark.parametrize('change', [0.0, 0.1, 0.5])
def test_predict_is_the_transition_matrix(classes, change):
    belief = random_simplex(np.random.default_rng(classes), classes)
    ones = np.ones((classes, classes))
    matrix = (1 - change) * np.eye(classes) + change / (classes - 1) * (ones - np.eye(classes))
    np.testing.assert_allclose(predict(belief, change), matrix.T @ belief, atol=1e-14)


def test_predict_never_remembers_by_contradiction():
    belief = np.array([0.9, 0.1])
    np.testing.assert_allclose(predict(belief, 0.99), [0.5, 0.5])


def test_correct_is_bayes_rule():
    random = np.random.default_rng(1)
    belief, p, prior = (random_simplex(random, 5) for _ in range(3))
    expected = belief * p / prior
    np.testing.assert_allclose(correct(belief, log_likelihood(p, prior)), expected / expected.sum(), rtol=1e-12)


def test_copy_of_a_frame_tells_nothing_and_an_independent_one_all():
    random = np.random.default_rng(2)
    belief, p, q = (random_simplex(random, 5) for _ in range(3))
    np.testing.assert_allclose(correct(belief, innovation(log_likelihood(p), log_likelihood(p), 1.0)), belief)
    np.testing.assert_allclose(innovation(log_likelihood(p), log_likelihood(q), 0.0), log_likelihood(p))


def test_sum_of_innovations_is_generalised_least_squares():
    """The log-likelihood ratio of Gaussian classes under AR(1) noise, computed with the full covariance."""
    random = np.random.default_rng(6)
    steps = np.sort(random.uniform(0, 2, 12))
    tau_s, spread = 0.7, 1.3
    covariance = np.exp(-np.abs(steps[:, None] - steps[None]) / tau_s)
    means = np.array([-1.0, 0.5, 2.0]) * spread
    x = random.normal(size=12)
    residuals = x[:, None] - means
    exact = -0.5 * np.einsum('ic,ij,jc->c', residuals, np.linalg.inv(covariance), residuals)
    single = -0.5 * residuals ** 2
    summed = single[0]
    for i in range(1, 12):
        summed = summed + innovation(single[i], single[i - 1], correlation(steps[i] - steps[i - 1], tau_s))
    np.testing.assert_allclose(summed - summed[0], exact - exact[0], rtol=1e-9)


def test_saturated_frame_rules_nothing_out_for_ever():
    certain = np.zeros(3)
    certain[0] = 1.0
    belief = np.full(3, 1 / 3)
    for _ in range(3):
        belief = correct(belief, log_likelihood(certain))
    other = np.array([0.0, 1.0, 0.0])
    for _ in range(4):
        belief = correct(belief, log_likelihood(other))
    assert np.isfinite(belief).all()
    assert belief.argmax() == 1


def test_frames_that_agree_count_as_the_effective_sample_size_of_an_ar1_process():
    # The variance of the mean of n >> 1 samples of an AR(1) process is sigma^2 / (n (1 - rho) / (1 + rho)).
    random = np.random.default_rng(3)
    dt_s, tau_s = 1 / 30, 0.3
    rho = np.exp(-dt_s / tau_s)
    steps, runs = 3000, 400
    noise = random.normal(size=(runs, steps)) * np.sqrt(1 - rho ** 2)
    samples = np.empty((runs, steps))
    samples[:, 0] = random.normal(size=runs)
    for i in range(1, steps):
        samples[:, i] = rho * samples[:, i - 1] + noise[:, i]
    effective = 1 / (samples.mean(axis=1).var() * steps)
    weight = innovation(np.ones(1), np.ones(1), correlation(dt_s, tau_s))[0]
    assert effective == pytest.approx(weight, rel=0.2)


def test_limits_of_correlation_and_change():
    assert correlation(0.0, 1.0) == 1.0
    assert correlation(1e9, 1.0) == 0.0
    assert correlation(0.1, 0.0) == 0.0
    assert change_probability(0.0, 1.0) == 0.0
    assert change_probability(1.0, 2.0) == pytest.approx(1 - np.exp(-0.5))


def test_first_frame_is_taken_as_it_is():
    p = np.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(BayesFilter(3, FusionConfig()).update(p, 0), p, atol=1e-6)


def test_rate_of_the_camera_does_not_matter():
    p = np.array([0.6, 0.3, 0.1])
    beliefs = []
    for rate in (5, 60):
        belief = BayesFilter(3, FusionConfig())
        for i in range(2 * rate + 1):
            posterior = belief.update(p, i * SECOND // rate)
        beliefs.append(posterior)
    np.testing.assert_allclose(beliefs[0], beliefs[1], atol=0.01)


def test_relabelling_classes_relabels_the_posterior():
    random = np.random.default_rng(4)
    order = random.permutation(6)
    one, other = BayesFilter(6, FusionConfig()), BayesFilter(6, FusionConfig())
    for i in range(20):
        p = random_simplex(random, 6)
        a, b = one.update(p, i * SECOND // 10), other.update(p[order], i * SECOND // 10)
        np.testing.assert_allclose(a[order], b, rtol=1e-5)


def test_gap_and_jump_back_start_afresh():
    p, q = np.array([0.9, 0.1]), np.array([0.4, 0.6])
    for then in (10 * SECOND, -10 * SECOND):
        belief = BayesFilter(2, FusionConfig())
        for i in range(10):
            belief.update(p, i * SECOND // 10)
        np.testing.assert_allclose(belief.update(q, SECOND + then), q, atol=1e-6)


def test_moments_without_a_usable_frame_fade_and_count_as_a_gap():
    config = FusionConfig(change_time_s=1.0, reset_gap_s=1.0)
    belief = BayesFilter(2, config)
    belief.update(np.array([0.9, 0.1]), 0)
    faded = belief.at(SECOND // 2)
    assert 0.5 < faded[0] < 0.9
    assert belief.at(100 * SECOND)[0] == pytest.approx(0.5, abs=1e-6)
    q = np.array([0.3, 0.7])
    np.testing.assert_allclose(belief.update(q, 2 * SECOND), q, atol=1e-6)
    assert BayesFilter(2, config).at(5)[0] == 0.5


def test_disabled_filter_passes_frames_through():
    belief = BayesFilter(2, FusionConfig(enabled=False))
    belief.update(np.array([0.9, 0.1]), 0)
    np.testing.assert_allclose(belief.update(np.array([0.2, 0.8]), SECOND // 30), [0.2, 0.8], atol=1e-7)


def test_tempering_beats_the_naive_product_on_correlated_frames():
    """Frames whose errors are an AR(1) process: log-loss of the fused posterior after 60 frames."""
    random = np.random.default_rng(5)
    classes, frames, tracks, tau_s, dt_s = 5, 60, 600, 0.3, 1 / 30
    rho = np.exp(-dt_s / tau_s)
    losses = {tau_s: [], 0.0: []}
    for _ in range(tracks):
        label = random.integers(classes)
        # Logits of a calibrated Gaussian classifier: mean d^2 for the true class, noise of variance d^2.
        d = 1.0
        noise = random.normal(size=classes)
        filters = {tau: BayesFilter(classes, FusionConfig(correlation_time_s=tau, change_time_s=3600.0))
                   for tau in losses}
        for i in range(frames):
            noise = rho * noise + np.sqrt(1 - rho ** 2) * random.normal(size=classes) if i else noise
            logits = d * noise
            logits[label] += d ** 2
            p = np.exp(logits - logits.max())
            p /= p.sum()
            for belief in filters.values():
                posterior = belief.update(p, int(i * dt_s * SECOND))
        for tau, belief in filters.items():
            posterior = belief.at(int((frames - 1) * dt_s * SECOND))
            losses[tau].append(-np.log(max(posterior[label], 1e-6)))
    assert np.mean(losses[tau_s]) < 0.5 * np.mean(losses[0.0])


@pytest.mark.parametrize('enabled', [True, False])
def test_what_a_camera_saw_that_is_gone_is_not_held_against_the_others(enabled):
    config = FusionConfig(enabled=enabled, reset_gap_s=1.0)
    shared, alone = BayesFilter(3, config), BayesFilter(3, config)
    for i in range(10):
        shared.update_ood(0.001, i * SECOND // 10, 'right')  # then it is covered, or unplugged
        shared.update_ood(0.6, i * SECOND // 10, 'left')
        alone.update_ood(0.6, i * SECOND // 10, 'left')
    both = shared.unknown_probability(0.01)
    assert (both > 0.5) == enabled and alone.unknown_probability(0.01) < 0.5
    for i in range(10, 30):
        for belief in (shared, alone):
            belief.update_ood(0.6, i * SECOND // 10, 'left')
    assert shared.unknown_probability(0.01) == alone.unknown_probability(0.01)
    shared.update_ood(0.001, 3 * SECOND, 'right')  # it is back
    assert shared.unknown_probability(0.01) > 0.5
