"""Calibration as a whole, on data whose truth is known."""
import numpy as np
import pytest
import torch

from robot_vision_dl.core.errors import RobotVisionError
from robot_vision_dl.core.uncertainty.calibrate import (
    calibrate,
    cross_fitted_metrics,
    halves,
    softmax,
)
from robot_vision_dl.core.uncertainty.ood.base import LinearHead


def overconfident(n=4000, classes=5, temperature=3.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    labels = np.array([rng.choice(classes, p=row) for row in softmax(logits, 1.0)])
    return logits * temperature, rng.normal(size=(n, 8)), labels


def test_finds_the_temperature_and_says_how_much_it_helps():
    logits, features, labels = overconfident()
    result = calibrate(logits, features, labels)
    assert result.temperature == pytest.approx(3.0, rel=0.05)
    m = result.metrics
    assert m['nll'] < m['nll_plain']
    assert m['brier'] < m['brier_plain']
    assert m['ece'] < 0.03 < m['ece_plain']
    assert m['ece'] == pytest.approx(m['ece_floor'], abs=0.015)
    assert m['conformal_coverage'] == pytest.approx(0.9, abs=0.02)
    assert m['pictures'] == 4000
    assert len(result.ood.scores) == 4000


def test_a_fitted_score_is_calibrated_on_other_pictures():
    logits, features, labels = overconfident(n=101)
    result = calibrate(logits, features, labels, ood='knn')
    assert result.ood.tensors['bank'].shape == (50, 8)
    assert len(result.ood.scores) == 51
    assert result.ood.scores.min() > 0  # no picture met itself
    assert calibrate(logits, features, labels, ood=None).ood is None
    with pytest.raises(RobotVisionError, match='needs 20 pictures at least, got 19'):
        calibrate(logits[:19], features[:19], labels[:19])


def test_halves_are_two_and_the_same_every_time():
    first, second = halves(101, seed=3)
    assert sorted([*first, *second]) == list(range(101))
    assert np.array_equal(halves(101, seed=3)[0], first)


def test_metrics_of_a_network_that_is_calibrated_already():
    logits, _, labels = overconfident(temperature=1.0, seed=1)
    m = cross_fitted_metrics(logits, labels, alpha=0.1)
    assert m['nll'] == pytest.approx(m['nll_plain'], abs=2e-3)


def test_fewer_pictures_than_classes_have_no_laplace_approximation():
    logits, features, labels = overconfident(n=60, classes=40)
    head = LinearHead(torch.ones(40, 8), torch.zeros(40))
    result = calibrate(logits, features, labels, ood=None, head=head)
    assert result.laplace is None and 'nll_laplace' not in result.metrics
    assert result.notes == ('no Laplace approximation: 30 pictures to fit it to are fewer than the 40 classes',)
    assert calibrate(*overconfident(n=80, classes=40), ood=None, head=head).laplace is not None
