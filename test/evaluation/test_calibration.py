"""Calibration errors against torchmetrics, the core's own, and by hand."""
import numpy as np
import pytest
from evaluation_samples import random_probabilities

from robot_vision_dl.core.uncertainty.calibrate import calibration_error_floor, expected_calibration_error
from robot_vision_dl.evaluation.calibration import equal_mass, equal_width, error_floor, in_bins


def widths(confidence, right):
    return in_bins(confidence, right, equal_width(confidence)).error


@pytest.mark.parametrize('seed', range(10))
def test_equal_width_is_that_of_torchmetrics_and_of_the_core(seed, agrees):
    functional = pytest.importorskip('torchmetrics.functional', reason='torchmetrics is the reference')
    import torch
    p = random_probabilities(500, 5, seed)
    targets = np.random.default_rng(seed).integers(0, 5, 500)
    ours = widths(p.max(axis=1), p.argmax(axis=1) == targets)
    assert ours == pytest.approx(expected_calibration_error(p, targets), abs=1e-12)
    theirs = functional.calibration_error(torch.from_numpy(p), torch.from_numpy(targets), 'multiclass', n_bins=15,
                                          num_classes=5)
    agrees('ECE, 15 bins', 'torchmetrics', ours, float(theirs), atol=1e-6)


def test_a_confidence_of_one_belongs_to_the_last_bin():
    # torchmetrics puts it in a bin of its own.
    bins = in_bins(np.array([0.95, 1.0]), np.array([False, True]), equal_width(np.array([0.95, 1.0])))
    assert bins.count.tolist() == [0] * 14 + [2]
    assert bins.error == pytest.approx(abs(0.975 - 0.5))


def test_equal_mass_by_hand_and_with_ties():
    confidence = np.linspace(0.1, 0.9, 30)
    index = equal_mass(confidence)
    assert np.bincount(index).tolist() == [2] * 15
    right = np.arange(30) % 2 == 0
    expected = np.mean([abs(right[2 * b:2 * b + 2].mean() - confidence[2 * b:2 * b + 2].mean()) for b in range(15)])
    assert in_bins(confidence, right, index).error == pytest.approx(expected)
    tied = np.array([0.5] * 20 + [0.8] * 10)
    assert len(set(equal_mass(tied)[:20].tolist())) == 1
    shuffle = np.random.default_rng(0).permutation(30)
    assert in_bins(tied[shuffle], right[shuffle], equal_mass(tied[shuffle])).error == pytest.approx(
        in_bins(tied, right, equal_mass(tied)).error)


@pytest.mark.parametrize('confidence, right, error', [
    ([], [], float('nan')), ([1.0], [True], 0.0), ([1.0], [False], 1.0), ([0.3], [True], 0.7), ([0.0], [False], 0.0)])
def test_degenerate(confidence, right, error):
    confidence, right = np.array(confidence, float), np.array(right, bool)
    for index in (equal_width(confidence), equal_mass(confidence)):
        assert in_bins(confidence, right, index).error == pytest.approx(error, nan_ok=True)


def test_floor_is_what_perfect_confidences_show():
    p = random_probabilities(300, 4, 1)
    floor = error_floor(p.max(axis=1), seed=3)
    assert floor == pytest.approx(calibration_error_floor(p, seed=4), rel=0.1)
    assert 0.03 < floor < 0.12
    assert error_floor(p.max(axis=1), seed=3) == floor
    assert np.isnan(error_floor(np.zeros(0)))
