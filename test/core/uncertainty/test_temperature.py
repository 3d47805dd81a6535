"""Temperature scaling against closed forms and brute force."""
import math

import numpy as np
import pytest
import torch

from robot_vision_dl.core.errors import RobotVisionError
from robot_vision_dl.core.metrics.proper_scores import negative_log_likelihood
from robot_vision_dl.core.uncertainty.scaling import softmax
from robot_vision_dl.core.uncertainty.temperature import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    below_highest,
    calibrated_softmax,
    fit_temperature,
    softmax_and_entropy,
)


@pytest.mark.parametrize('gap', [0.5, 3.0, 40.0])
@pytest.mark.parametrize('right', [55, 80, 99])
def test_two_classes_have_a_closed_form(gap, right):
    """With logits (gap, 0) always and a share a right, the best T is gap / logit(a)."""
    logits = np.tile([gap, 0.0], (100, 1))
    labels = (np.arange(100) >= right).astype(int)
    expected = gap / math.log(right / (100 - right))
    if MIN_TEMPERATURE < expected < MAX_TEMPERATURE:
        assert fit_temperature(logits, labels) == pytest.approx(expected, rel=1e-9)
    else:
        assert fit_temperature(logits, labels) in (MIN_TEMPERATURE, MAX_TEMPERATURE)


@pytest.mark.parametrize('true_temperature', [0.2, 1.0, 5.0])
def test_no_temperature_on_a_fine_grid_is_better(true_temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (500, 10))
    p = np.exp(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    labels = np.array([rng.choice(10, p=row) for row in p])
    fitted = fit_temperature(logits * true_temperature, labels)
    assert fitted == pytest.approx(true_temperature, rel=0.2)
    best = negative_log_likelihood(softmax(logits * true_temperature, fitted), labels)
    for other in np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 400):
        assert best <= negative_log_likelihood(softmax(logits * true_temperature, other), labels) + 1e-12


def test_scaling_logits_scales_the_temperature_and_shifting_does_nothing():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 3, (200, 5)), rng.integers(0, 5, 200)
    logits[np.arange(150), labels[:150]] += 3
    fitted = fit_temperature(logits, labels)
    assert fit_temperature(logits * 3 + 1e4, labels) == pytest.approx(3 * fitted, rel=1e-6)


def test_agrees_with_other_minimisers(agrees):
    optimize = pytest.importorskip('scipy.optimize')
    linear_model = pytest.importorskip('sklearn.linear_model')
    rng = np.random.default_rng(3)
    for classes in (2, 6):
        logits, labels = rng.normal(0, 3, (400, classes)), rng.integers(0, classes, 400)
        logits[np.arange(250), labels[:250]] += 3
        z, y = torch.tensor(logits), torch.tensor(labels)
        best = optimize.minimize_scalar(
            lambda log_t, z=z, y=y: torch.nn.functional.cross_entropy(z / math.exp(log_t), y).item(), bounds=(-3, 3),
            method='bounded', options={'xatol': 1e-10})
        agrees('temperature', 'scipy (bounded Brent)', fit_temperature(logits, labels), math.exp(best.x), rtol=1e-6)
        if classes == 2:
            line = linear_model.LogisticRegression(C=1e12, tol=1e-12, fit_intercept=False).fit(
                logits[:, 1:] - logits[:, :1], labels)
            agrees('temperature', 'scikit-learn (logistic)', 1 / fit_temperature(logits, labels), line.coef_[0, 0],
                   rtol=1e-5)


def test_hopeless_and_perfect_networks_end_at_a_bound():
    logits = np.eye(4)[[0, 1, 2, 3] * 10] * 5
    labels = np.array([0, 1, 2, 3] * 10)
    assert fit_temperature(logits, labels) == MIN_TEMPERATURE
    assert fit_temperature(logits, (labels + 1) % 4) == MAX_TEMPERATURE


def test_likelihood_agrees_with_torch():
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(0, 30, (50, 7)), rng.integers(0, 7, 50)
    expected = torch.nn.functional.cross_entropy(torch.tensor(logits) / 2.5, torch.tensor(labels)).item()
    assert negative_log_likelihood(softmax(logits, 2.5), labels) == pytest.approx(expected, rel=1e-12)


def test_softmax_is_float32_and_plain_without_a_temperature():
    logits = np.array([[1000.0, 0.0, -1000.0], [1.0, 2.0, 3.0]], np.float16)
    assert calibrated_softmax(logits, 2.0).dtype == np.float32
    for temperature in (None, 2.0):
        expected = torch.softmax(torch.from_numpy(logits).float() / (temperature or 1), -1)
        np.testing.assert_allclose(calibrated_softmax(logits, temperature), expected, rtol=1e-6)
    assert calibrated_softmax(logits, 2.0)[0].tolist() == [1, 0, 0]


@pytest.mark.parametrize('classes', [1, 2, 1000])
def test_softmax_with_its_entropy_is_that_of_torch(classes):
    logits = np.random.default_rng(0).normal(0, 5, (4, classes)).astype(np.float32)
    logits[0] = 7
    p, entropy = softmax_and_entropy(below_highest(logits), 1.7)
    expected = torch.softmax(torch.from_numpy(logits).double() / 1.7, -1)
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    np.testing.assert_allclose(p, calibrated_softmax(logits, 1.7), rtol=1e-6)
    scale = np.log(classes) if classes > 1 else np.inf
    np.testing.assert_allclose(entropy, torch.special.entr(expected).sum(-1) / scale, atol=1e-5)
    assert all(0 <= value <= 1 for value in entropy)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(RobotVisionError, match=r'n > 0, got \(0, 3\)'):
        fit_temperature(np.empty((0, 3)), np.empty(0, int))
    with pytest.raises(RobotVisionError, match='not finite'):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))
    with pytest.raises(RobotVisionError, match=r'labels must be in 0..1, got 2..2'):
        fit_temperature(np.zeros((1, 2)), np.array([2]))
