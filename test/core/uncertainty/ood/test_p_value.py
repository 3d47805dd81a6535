"""OOD scores and their p-values against brute force."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.errors import BundleError, ConfigError, RobotVisionError
from robot_vision_dl.core.uncertainty.ood.base import LinearHead
from robot_vision_dl.core.uncertainty.ood.energy import energy
from robot_vision_dl.core.uncertainty.ood.knn import KNearestNeighbours
from robot_vision_dl.core.uncertainty.ood.p_value import OOD_METHODS, OodCalibration, OodDetector, ood_method

GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(40, 9, generator=GENERATOR)
HEAD = LinearHead(torch.randn(6, 9, generator=GENERATOR) * 2, torch.randn(6, generator=GENERATOR))
LOGITS = FEATURES @ HEAD.weight.T + HEAD.bias


def test_energy_by_hand():
    assert energy(np.array([[0.0, 0.0]])).item() == pytest.approx(-np.log(2))
    assert energy(np.array([[3.0, 1.0]]), temperature=2.0).item() == pytest.approx(
        -2 * np.log(np.exp(1.5) + np.exp(0.5)))
    assert energy(np.array([[1000.0, 0.0]])).item() == -1000


def test_largest_logit_and_probability_by_hand():
    z = torch.tensor([[3.0, 1.0, 0.0]])
    assert ood_method('max_logit')()(z, FEATURES).item() == -3
    assert ood_method('max_softmax')()(z, FEATURES).item() == pytest.approx(-np.exp(3) / (np.exp(3) + np.exp(1) + 1))


@pytest.mark.parametrize('k', [1, 3, 40])
def test_knn_is_the_kth_smallest_distance(k):
    score = KNearestNeighbours.fit(LOGITS, FEATURES, k=k)
    new = torch.randn(5, 9, generator=GENERATOR) * 7
    bank = (FEATURES / FEATURES.norm(dim=1, keepdim=True)).double()
    for one, found in zip(new, score(LOGITS[:5], new)):
        distances = (bank - (one / one.norm()).double()).norm(dim=1).sort().values
        assert found.item() == pytest.approx(distances[k - 1].item(), abs=1e-5)
    with pytest.raises(RobotVisionError, match=r'known pictures at least are needed, got 40'):
        KNearestNeighbours.fit(LOGITS, FEATURES, k=41)


def test_of_few_pictures_all_stand_for_themselves_and_of_many_their_means():
    alone = KNearestNeighbours.fit_means(FEATURES, 40, seed=0)
    np.testing.assert_array_equal(alone.bank, KNearestNeighbours.fit(LOGITS, FEATURES).bank)
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(12, 30, generator=generator)
    features = (centres[torch.arange(600) % 12] + 0.2 * torch.randn(600, 30, generator=generator)) * 3
    score = KNearestNeighbours.fit_means(features, 30, seed=0)
    np.testing.assert_allclose(np.linalg.norm(score.bank, axis=1), 1, atol=1e-5)
    assert score.bank.shape == (30, 30) and int(score.k) == 1
    drawn = KNearestNeighbours.fit(features, features[torch.randperm(600, generator=generator)[:30]], k=1)
    assert score(features, features).mean() < 0.9 * drawn(features, features).mean()
    np.testing.assert_array_equal(score.bank, KNearestNeighbours.fit_means(features, 30, seed=0).bank)


@pytest.mark.parametrize('method', sorted(OOD_METHODS))
def test_scores_are_stored_and_come_back(method):
    kind = ood_method(method)
    score = kind.fit(LOGITS, FEATURES, head=HEAD)
    scores = score(LOGITS, FEATURES)
    assert scores.shape == (40,)
    calibration = OodCalibration.of(score, method, scores)
    np.testing.assert_array_equal(calibration.build_score()(LOGITS, FEATURES), scores)
    assert scores.dtype == np.float32
    results = OodDetector(calibration)(LOGITS, FEATURES)
    for one, result in zip(scores.tolist(), results):
        assert result.method == method
        assert result.score == pytest.approx(one)
        assert result.p_value == pytest.approx((1 + sum(s >= one for s in scores.tolist())) / 41)


def test_p_value_counts_ties_and_stays_within_its_range():
    calibration = OodCalibration('energy', np.array([3.0, 1.0, 2.0, 2.0]))
    assert calibration.p_value(np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 9.0])).tolist() == pytest.approx(
        [1, 1, 4 / 5, 4 / 5, 2 / 5, 2 / 5, 1 / 5])
    assert float(calibration.p_value(float('nan'))) == pytest.approx(1 / 5)
    assert float(calibration.p_value(float('inf'))) == pytest.approx(1 / 5)
    assert float(calibration.p_value(float('-inf'))) == 1


def test_float64_scores_tie_with_their_float32_selves():
    values = np.random.default_rng(0).normal(size=1000)
    calibration = OodCalibration('energy', values)
    # Whatever the calibration pictures' own scores are given as, each counts itself.
    assert np.array_equal(calibration.p_value(values), calibration.p_value(values.astype(np.float32)))
    assert calibration.p_value(values).min() == pytest.approx(2 / 1001)


def test_share_below_epsilon_is_epsilon_for_known_pictures():
    rng = np.random.default_rng(0)
    calibration = OodCalibration('energy', rng.normal(size=2000))
    p = calibration.p_value(rng.normal(size=20000))
    for epsilon in (0.01, 0.05, 0.2):
        assert (p < epsilon).mean() == pytest.approx(epsilon, rel=0.35)


def test_without_scores_there_are_no_p_values():
    calibration = OodCalibration('energy')
    assert OodDetector(calibration)(LOGITS, FEATURES)[0].p_value is None
    with pytest.raises(ConfigError, match='no calibration scores'):
        calibration.p_value(0.0)


def test_wrong_calibrations_are_refused():
    with pytest.raises(ConfigError, match="no OOD method 'magic'; there are energy, knn"):
        OodCalibration('magic')
    for scores in (np.array([]), np.array([1.0, np.nan]), np.zeros((2, 2))):
        with pytest.raises(BundleError, match='finite numbers'):
            OodCalibration('energy', scores)
    with pytest.raises(BundleError, match=r"knn needs the tensors \['bank', 'k'\], got \[\]"):
        OodCalibration('knn').build_score()
