"""Log-likelihood and Brier score against scikit-learn, torch, and by hand."""
import math

import numpy as np
import pytest
from evaluation_samples import random_probabilities

from robot_vision_dl.core.metrics.proper_scores import (
    brier,
    brier_scores,
    log_probability,
    negative_log_likelihood,
    of_target,
)


@pytest.mark.parametrize('seed', range(5))
def test_as_others_have_them(seed, agrees):
    metrics = pytest.importorskip('sklearn.metrics')
    import torch
    p, y = random_probabilities(200, 6, seed), np.random.default_rng(seed).integers(0, 6, 200)
    agrees('NLL', 'scikit-learn', negative_log_likelihood(p, y), metrics.log_loss(y, p, labels=range(6)), rtol=1e-9)
    agrees('NLL', 'torch', negative_log_likelihood(p, y),
           torch.nn.functional.nll_loss(torch.from_numpy(p).log(), torch.from_numpy(y)).item(), rtol=1e-9)
    agrees('Brier', 'numpy, by the definition', brier(p, y), np.mean(np.sum((p - np.eye(6)[y]) ** 2, axis=1)),
           rtol=1e-9)
    two = random_probabilities(200, 2, seed)
    right = y % 2
    agrees('Brier, two classes', 'scikit-learn', brier(two, right) / 2, metrics.brier_score_loss(right, two[:, 1]),
           rtol=1e-9)


def test_by_hand():
    p = np.array([[1.0, 0.0], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]])
    y = np.array([0, 0, 0, 1, 1])
    assert brier(p, y) == pytest.approx((0 + 2 * 2 * 0.0625 + 2 * 2 * 0.5625) / 5)
    assert brier_scores((p ** 2).sum(axis=1), of_target(p, y)) == pytest.approx([0, 0.125, 0.125, 1.125, 1.125])
    assert negative_log_likelihood(p, y) == pytest.approx(-(2 * math.log(0.75) + 2 * math.log(0.25)) / 5)


def test_certain_and_wrong_is_not_infinite():
    assert negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(708.4, abs=0.01)
    assert negative_log_likelihood(np.array([[1.0, 0.0]], np.float32), np.array([1])) == pytest.approx(708.4, abs=0.01)
    assert np.isnan(log_probability(np.array([np.nan, 1.0]))).tolist() == [True, False]
