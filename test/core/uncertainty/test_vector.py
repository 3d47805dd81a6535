"""Vector scaling against scikit-learn's logistic regression and planted scalings."""
import numpy as np
import pytest

from robot_vision_dl.core.metrics.proper_scores import negative_log_likelihood
from robot_vision_dl.core.uncertainty.scaling import softmax
from robot_vision_dl.core.uncertainty.temperature import fit_temperature
from robot_vision_dl.core.uncertainty.vector import VectorScaling, fit_vector_scaling


def planted(weight, bias, n=6000, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, len(weight)))
    centred = logits - logits.mean(1, keepdims=True)
    p = np.exp(centred * weight + bias)
    p /= p.sum(1, keepdims=True)
    return logits, (p.cumsum(1) < rng.random((n, 1))).sum(1)


def test_finds_a_planted_scaling():
    weight, bias = np.array([0.5, 1.0, 1.5, 0.8]), np.array([0.5, -0.5, 0.0, 0.0])
    logits, labels = planted(weight, bias, n=20000)
    found = fit_vector_scaling(logits, labels, fit_temperature(logits, labels), decay=0.0)
    np.testing.assert_allclose(found.weight, weight, rtol=0.08)
    np.testing.assert_allclose(found.bias - found.bias.mean(), bias - bias.mean(), atol=0.08)


def test_two_classes_are_logistic_regression(agrees):
    linear_model = pytest.importorskip('sklearn.linear_model')
    logits, labels = planted(np.array([0.7, 0.7]), np.array([0.4, -0.4]), n=500, seed=1)
    found = fit_vector_scaling(logits, labels, 1.0, decay=0.0)
    # With two classes (z - mean z) is half the difference d, so p(1) = sigmoid(-(w0 + w1) d / 2 + b1 - b0).
    reference = linear_model.LogisticRegression(C=1e9, tol=1e-10).fit(logits[:, :1] - logits[:, 1:], labels)
    agrees('vector scaling, weight', 'scikit-learn (logistic)', -found.weight.sum() / 2, reference.coef_[0, 0],
           rtol=1e-3)
    agrees('vector scaling, offset', 'scikit-learn (logistic)', found.bias[1] - found.bias[0], reference.intercept_[0],
           atol=1e-3)


def test_is_at_least_as_good_as_a_temperature_where_it_was_fitted():
    logits, labels = planted(np.array([0.3, 1.2, 1.0]), np.array([0.0, 0.3, 0.0]), seed=2)
    temperature = fit_temperature(logits, labels)
    scaled = fit_vector_scaling(logits, labels, temperature)(logits)
    assert (negative_log_likelihood(softmax(scaled, 1.0), labels)
            < negative_log_likelihood(softmax(logits, temperature), labels) - 0.01)


def test_a_constant_added_to_the_logits_changes_nothing():
    scaling = VectorScaling(np.array([0.5, 2.0], np.float32), np.array([0.1, 0.2], np.float32))
    z = np.array([[1.0, 3.0]])
    np.testing.assert_allclose(scaling(z + 50), scaling(z), atol=1e-4)


def test_a_class_that_is_always_right_does_not_run_away():
    logits = np.eye(3)[np.arange(300) % 3] * 5
    found = fit_vector_scaling(logits, np.arange(300) % 3, 1.0)
    assert found.weight.max() < 20
    assert np.abs(found.bias).max() < 5
