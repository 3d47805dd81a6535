"""Calibration errors against torchmetrics, simulations and by hand."""
import numpy as np
import pytest
from evaluation_samples import random_probabilities

from robot_vision_dl.core.metrics.calibration import (
    calibration_error_floor,
    equal_mass,
    equal_width,
    expected_calibration_error,
    floor_of_objects,
    reliability,
    top_label,
)


@pytest.mark.parametrize('seed', range(10))
def test_equal_width_is_that_of_torchmetrics(seed, agrees):
    functional = pytest.importorskip('torchmetrics.functional', reason='torchmetrics is the reference')
    import torch
    p = random_probabilities(500, 5, seed)
    targets = np.random.default_rng(seed).integers(0, 5, 500)
    ours = expected_calibration_error(*top_label(p, targets))
    theirs = functional.calibration_error(torch.from_numpy(p), torch.from_numpy(targets), 'multiclass', n_bins=15,
                                          num_classes=5)
    agrees('ECE, 15 bins', 'torchmetrics', ours, float(theirs), atol=1e-6)


def test_a_confidence_of_one_belongs_to_the_last_bin():
    # torchmetrics puts it in a bin of its own.
    answers = np.array([0.95, 1.0]), np.array([False, True])
    assert reliability(*answers).counts.tolist() == [0] * 14 + [2]
    assert expected_calibration_error(*answers) == pytest.approx(abs(0.975 - 0.5))


def test_equal_mass_by_hand_and_with_ties():
    confidence = np.linspace(0.1, 0.9, 30)
    index = equal_mass(confidence)
    assert np.bincount(index).tolist() == [2] * 15
    right = np.arange(30) % 2 == 0
    expected = np.mean([abs(right[2 * b:2 * b + 2].mean() - confidence[2 * b:2 * b + 2].mean()) for b in range(15)])
    assert expected_calibration_error(confidence, right, binning=equal_mass) == pytest.approx(expected)
    tied = np.array([0.5] * 20 + [0.8] * 10)
    assert len(set(equal_mass(tied)[:20].tolist())) == 1
    shuffle = np.random.default_rng(0).permutation(30)
    assert expected_calibration_error(tied[shuffle], right[shuffle], binning=equal_mass) == pytest.approx(
        expected_calibration_error(tied, right, binning=equal_mass))


@pytest.mark.parametrize('confidence, right, error', [
    ([], [], float('nan')), ([1.0], [True], 0.0), ([1.0], [False], 1.0), ([0.3], [True], 0.7), ([0.0], [False], 0.0)])
def test_degenerate(confidence, right, error):
    confidence, right = np.array(confidence, float), np.array(right, bool)
    for binning in (equal_width, equal_mass):
        assert expected_calibration_error(confidence, right, binning=binning) == pytest.approx(error, nan_ok=True)


def test_by_hand():
    p = np.array([[1.0, 0.0], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]])
    # One bin with confidence .75 and accuracy .5, and the last bin, which is right.
    assert expected_calibration_error(*top_label(p, np.array([0, 0, 0, 1, 1]))) == pytest.approx(0.25 * 4 / 5)


def test_reliability_bins():
    p = np.array([[0.95, 0.05], [0.55, 0.45], [0.52, 0.48], [1.0, 0.0]])
    found = reliability(*top_label(p, np.array([0, 0, 1, 0])), bins=10)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert found.accuracy[5] == 0.5 and found.accuracy[9] == 1.0 and found.confidence[9] == pytest.approx(0.975)


def test_floor_is_what_perfect_confidences_show():
    confidence = random_probabilities(300, 4, 1).max(axis=1)
    floor = calibration_error_floor(confidence, seed=3)
    assert floor == pytest.approx(calibration_error_floor(confidence, seed=4), rel=0.1)
    assert 0.03 < floor < 0.12
    assert calibration_error_floor(confidence, seed=3) == floor
    assert np.isnan(calibration_error_floor(np.zeros(0)))
    drawn = np.random.default_rng(3).random((200, 300)) < confidence
    assert floor == pytest.approx(np.mean([expected_calibration_error(confidence, right) for right in drawn]))


def test_frames_of_one_object_tell_as_little_as_one_of_them():
    """The floor of 25 alike frames of each of 40 objects is that of 40 frames, and not that of 1000."""
    confidence = np.random.default_rng(5).uniform(0.3, 1, 40)
    frames, objects = np.repeat(confidence, 25), np.repeat(np.arange(40) + 7, 25)
    alike = calibration_error_floor(frames, seed=3, groups=objects)
    assert alike == pytest.approx(calibration_error_floor(confidence, seed=4), rel=0.1)
    assert alike > 3 * calibration_error_floor(frames, seed=3)
    assert floor_of_objects(frames, objects, seed=3) == alike
    assert floor_of_objects(confidence, np.arange(40)) is None and floor_of_objects(confidence, None) is None


def test_floor_is_as_simulated_elsewhere():
    """Field figures for 15 bins: about .113 at n = 100 and .027 at 2 000."""
    confidence = np.random.default_rng(0).uniform(0.2, 1.0, 2000)
    assert calibration_error_floor(confidence[:100]) == pytest.approx(0.113, abs=0.03)
    assert calibration_error_floor(confidence) == pytest.approx(0.027, abs=0.006)
