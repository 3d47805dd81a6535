"""Probabilities that claim less where a frame is unusual."""
import numpy as np
import pytest

from robot_vision_dl.core.errors import BundleError, RobotVisionError
from robot_vision_dl.core.metrics.proper_scores import negative_log_likelihood
from robot_vision_dl.core.uncertainty.calibrate import calibrate
from robot_vision_dl.core.uncertainty.density_aware import DensityAware, Judged, fit_density_aware, tempered
from robot_vision_dl.core.uncertainty.entropy import normalised_entropy
from robot_vision_dl.core.uncertainty.ood.pictures import Pictures
from robot_vision_dl.core.uncertainty.temperature import below_highest, calibrated_softmax, softmax_and_entropy


def pictures(n, noise, seed):
    """Pictures of 5 classes whose logits are as sure as ever while noise takes over; the score tells how much."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n)
    logits = 4.0 * np.eye(5)[labels] + rng.normal(0, 1 + noise, (n, 5))
    return Judged(calibrated_softmax(logits, 1.2), rng.gamma(2, 1, n) + 6 * noise, labels)


def test_it_is_a_temperature_that_depends_on_the_score():
    logits = np.random.default_rng(0).normal(0, 3, (4, 6)).astype(np.float32)
    found = DensityAware(1.0, 2.0, 1.5)
    scores = np.array([0.5, 1.0, 3.0, 7.0])
    tau = found.tau(scores)
    assert tau == pytest.approx([1, 1, 2 ** 1.5, 4 ** 1.5])
    wanted = np.stack([calibrated_softmax(row[None], 1.3 * float(one))[0] for row, one in zip(logits, tau)])
    assert found(calibrated_softmax(logits, 1.3), scores) == pytest.approx(wanted, abs=1e-6)


def test_where_pictures_get_worse_the_fit_makes_them_less_sure_and_others_hardly():
    clean, worse = pictures(2000, 0.0, 1), pictures(2000, 2.0, 2)
    found = fit_density_aware(clean, worse)
    assert found.exponent > 0.1
    again_clean, again_worse = pictures(2000, 0.0, 3), pictures(2000, 2.0, 4)

    def loss(one, scaled):
        p = found(one.probabilities, one.scores) if scaled else one.probabilities
        return negative_log_likelihood(p, one.labels)
    assert loss(again_worse, True) < loss(again_worse, False) - 0.08
    assert loss(again_clean, True) < loss(again_clean, False) + 0.05


def test_a_score_that_tells_nothing_changes_nothing():
    clean = pictures(2000, 0.0, 1)
    found = fit_density_aware(clean, pictures(2000, 0.0, 2))
    assert found.exponent < 0.15


def test_the_order_of_classes_stays_and_rows_sum_to_one_however_far_out():
    p = np.array([[0.7, 0.2, 0.1, 0.0], [1.0, 0.0, 0.0, 0.0]], np.float32)
    found = DensityAware(0.0, 1.0, 4.0)(p, np.array([1e6, np.nan]))
    assert found.dtype == np.float32 and np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert (np.argsort(-found, axis=1, kind='stable')[0] == [0, 1, 2, 3]).all()
    assert found.max() < 0.3
    assert tempered(p, np.ones(2)) == pytest.approx(p, abs=1e-6)


@pytest.mark.parametrize('values', [(0.0, 0.0, 1.0), (0.0, 1.0, -1.0), (0.0, 1.0, 9.0), (float('nan'), 1.0, 1.0),
                                    ('0', 1.0, 1.0), (0.0, True, 1.0)])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(BundleError, match='density_aware: '):
        DensityAware(*values)


def test_it_needs_pictures():
    with pytest.raises(RobotVisionError, match='got 10 and 0'):
        fit_density_aware(pictures(10, 0, 1), pictures(0, 0, 1))


def test_a_calibration_with_corrupted_pictures_publishes_less_sure_probabilities_where_they_are_far_out():
    rng = np.random.default_rng(0)

    def outputs(n, noise):
        labels = rng.integers(0, 4, n)
        features = np.eye(4)[labels] + rng.normal(0, 0.3 + noise, (n, 4))
        return (6 * features).astype(np.float32), features.astype(np.float32), labels
    z, f, y = outputs(600, 0)
    worse_z, worse_f, worse_y = outputs(600, 0.8)
    reference = Pictures.of(*outputs(600, 0))
    found = calibrate(z, f, y, ood='mahalanobis', reference=reference, corrupted=Pictures.of(worse_z, worse_f, worse_y))
    without = calibrate(z, f, y, ood='mahalanobis', reference=reference)
    assert found.density_aware is not None and found.density_aware.exponent > 0
    assert without.density_aware is None
    again_z, again_f, again_y = outputs(600, 0.8)
    loss = [negative_log_likelihood(one.probabilities(again_z, again_f), again_y) for one in (found, without)]
    assert loss[0] < loss[1] - 0.1
    before, after = found.metrics['nll_corrupted']
    assert after < before and found.metrics['corrupted_pictures'] == 600
    # Sets hold at the probabilities that are published.
    covered = found.conformal.inside(found.probabilities(z, f))[np.arange(len(y)), y].mean()
    assert covered >= 1 - found.conformal.alpha


def test_a_softmax_that_claims_less_is_the_tempered_one():
    z = np.random.default_rng(0).normal(scale=40, size=(4, 9)).astype(np.float32)
    tau = [1.0, 1.7, 12.0, 1e4]
    below = below_highest(z)
    p, entropy = softmax_and_entropy(below, 1.5, tau)
    expected = tempered(softmax_and_entropy(below, 1.5)[0], np.array(tau))
    np.testing.assert_allclose(p, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(entropy, normalised_entropy(expected), rtol=1e-4)
