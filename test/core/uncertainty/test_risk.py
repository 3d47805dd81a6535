"""Risk control: the exact limit against scipy, the promise by simulation."""
import numpy as np
import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.uncertainty.risk import binomial_cdf, one_of_each, threshold_for_risk, upper_limit


@pytest.mark.parametrize('errors, n', [(0, 30), (3, 100), (50, 400), (400, 5000), (5, 5)])
def test_limit_is_clopper_pearson(errors, n):
    stats = pytest.importorskip('scipy.stats')
    expected = 1.0 if errors == n else stats.beta.ppf(0.9, errors + 1, n - errors)
    assert upper_limit(errors, n, 0.1) == pytest.approx(expected, rel=1e-9)
    assert binomial_cdf(errors, n, 0.07) == pytest.approx(stats.binom.cdf(errors, n, 0.07), rel=1e-8)


def calibrated(n, seed):
    rng = np.random.default_rng(seed)
    confidence = rng.beta(6, 1, n)
    return confidence, rng.random(n) > confidence


def test_error_rate_is_held_as_often_as_promised():
    broken, coverages = 0, []
    for seed in range(200):
        found = threshold_for_risk(*calibrated(4000, seed), risk=0.05, delta=0.1)
        confidence, wrong = calibrated(20000, 1000 + seed)
        accepted = confidence >= found.threshold
        broken += accepted.any() and wrong[accepted].mean() > 0.05
        coverages.append(found.coverage)
        if found.accepted:
            assert found.risk <= found.bound <= 0.05
    assert broken <= 0.1 * 200 + 3 * np.sqrt(200 * 0.1 * 0.9)
    confidence, wrong = calibrated(100000, 1)
    order = np.argsort(-confidence)
    most = np.flatnonzero(np.cumsum(wrong[order]) / np.arange(1, 100001) <= 0.05).max() / 1e5
    assert np.mean(coverages) > 0.5 * most


def test_equal_confidences_are_not_parted():
    confidence = np.r_[np.full(500, 0.9), np.full(500, 0.5)]
    wrong = np.r_[np.zeros(500, bool), np.ones(500, bool)]
    found = threshold_for_risk(confidence, wrong, 0.02)
    assert (found.threshold, found.coverage, found.risk) == (0.9, 0.5, 0)


def test_too_few_or_too_bad_frames_accept_nothing():
    for confidence, wrong in ((np.ones(10), np.zeros(10, bool)), (np.linspace(0, 1, 500), np.ones(500, bool))):
        found = threshold_for_risk(confidence, wrong, 0.01)
        assert (found.accepted, found.coverage, found.threshold) == (0, 0, float('inf'))
    with pytest.raises(ConfigError, match=r'risk must be in \(0, 1\), got 0'):
        threshold_for_risk(np.ones(10), np.zeros(10, bool), 0)


def test_what_is_called_unknown_is_accepted_by_no_threshold():
    """However few errors there are: the lowest threshold is the least confidence of the others."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 1, 500)
    unknown = rng.random(500) < 0.1
    confidence[unknown] = -1.0
    found = threshold_for_risk(confidence, np.zeros(500, bool), 0.1)
    assert found.threshold == confidence[~unknown].min() and found.accepted == (~unknown).sum()
    assert found.coverage == pytest.approx((~unknown).mean()) and found.pictures == 500
    none = threshold_for_risk(np.full(500, -1.0), np.zeros(500, bool), 0.1)
    assert not none.accepted and none.threshold > 1


def test_the_promise_holds_for_objects_that_are_in_view_for_long():
    """Frames of one object are right or wrong together, so that one of each decides."""
    rng, kept, broken, trials = np.random.default_rng(1), 0, 0, 60
    for _ in range(trials):
        objects = np.repeat(np.arange(150), 20)
        confidence = np.repeat(rng.uniform(0.3, 1, 150), 20)
        wrong = np.repeat(rng.uniform(0, 1, 150) > confidence[::20] ** 0.15, 20)
        drawn = one_of_each(objects)
        assert len(drawn) == 150 and sorted(objects[drawn]) == list(range(150))
        found = threshold_for_risk(confidence[drawn], wrong[drawn], 0.06, 0.1)
        if found.accepted:
            other = rng.uniform(0.3, 1, 20_000)
            accepted = other >= found.threshold
            kept += 1
            broken += (rng.uniform(0, 1, 20_000) > other ** 0.15)[accepted].mean() > 0.06
    assert kept > 5 and broken <= 0.1 * trials + 4
