"""Conformal sets against the definition and by simulation."""
import numpy as np
import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.uncertainty.conformal import lac_quantile, lac_set


def test_quantile_is_the_rank_of_the_definition():
    true = np.array([0.9, 0.5, 0.7, 0.8, 0.6, 0.95, 0.4, 0.3, 0.2])  # n = 9
    p = np.stack([true, 1 - true], axis=1)
    labels = np.zeros(9, int)
    scores = np.sort(1 - true)
    for alpha, rank in ((0.1, 9), (0.2, 8), (0.5, 5), (0.3, 7)):
        assert lac_quantile(p, labels, alpha) == scores[rank - 1], alpha
    assert lac_quantile(p, labels, 0.05) == 1.0  # nine pictures cannot promise this


def test_set_is_ordered_and_never_empty():
    p = np.array([0.1, 0.6, 0.25, 0.05])
    assert lac_set(p, 0.8) == ((1, 2), False)
    assert lac_set(p, 1.0) == ((1, 2, 0, 3), False)
    assert lac_set(p, 0.4) == ((1,), False)
    assert lac_set(p, 0.3) == ((1,), True)


def test_promised_share_of_sets_holds_the_true_class():
    rng = np.random.default_rng(0)

    def draw(n):
        p = rng.dirichlet(np.full(6, 0.5), n)
        return p, np.array([rng.choice(6, p=row) for row in p])

    quantile = lac_quantile(*draw(4000), alpha=0.1)
    p, labels = draw(4000)
    hit = np.mean([label in lac_set(row, quantile)[0] for row, label in zip(p, labels)])
    assert hit == pytest.approx(0.9, abs=0.02)


def test_error_rate_must_be_a_rate():
    with pytest.raises(ConfigError, match=r'alpha must be in \(0, 1\), got 1'):
        lac_quantile(np.ones((3, 1)), np.zeros(3, int), 1)
