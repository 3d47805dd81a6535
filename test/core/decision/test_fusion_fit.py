"""Time constants come back from streams that were made with known ones."""
import numpy as np
import pytest

from robot_vision_dl.core.config import FusionConfig
from robot_vision_dl.core.decision.fusion import FALLBACK_TIMES, change_evidence, dissimilarity
from robot_vision_dl.core.decision.fusion_fit import (
    Stream,
    change_time_s,
    fit_fusion,
    fused,
    fused_nll,
    keep_fusion,
    logistic_line,
)
from robot_vision_dl.core.errors import RobotVisionError
from robot_vision_dl.core.uncertainty.calibrate import FusionTimes

SECOND = 1_000_000_000


def simulated(correlation_s, change_s=4.0, classes=4, seconds=400, rate=10, seed=0):
    """A calibrated Gaussian classifier whose errors are an AR(1) process; the class changes at random times."""
    rng = np.random.default_rng(seed)
    n, dt = seconds * rate, 1 / rate
    rho = np.exp(-dt / correlation_s) if correlation_s else 0.0
    label, noise, labels, p = rng.integers(classes), rng.normal(size=classes), [], []
    for _ in range(n):
        if rng.random() < 1 - np.exp(-dt / change_s):
            label = (label + 1 + rng.integers(classes - 1)) % classes
        noise = rho * noise + np.sqrt(1 - rho ** 2) * rng.normal(size=classes)
        logits = noise.copy()
        logits[label] += 1
        p.append(np.exp(logits) / np.exp(logits).sum())
        labels.append(label)
    return Stream(np.arange(n) * SECOND // rate, np.array(p), np.array(labels))


@pytest.mark.parametrize('correlation_s', [0.0, 0.3, 1.5])
def test_finds_the_times_that_streams_were_made_with(correlation_s):
    found = fit_fusion([simulated(correlation_s, seed=seed) for seed in range(2)])
    assert found.change_time_s == pytest.approx(4.0, rel=0.25)
    if correlation_s:
        assert found.correlation_time_s == pytest.approx(correlation_s, rel=0.6)
    else:
        assert found.correlation_time_s < 0.06


def test_what_is_found_is_better_than_its_neighbours_and_the_naive_product():
    streams = [simulated(0.8, seed=5)]
    found = fit_fusion(streams)

    def loss(correlation_s):
        return fused_nll(streams, FusionConfig(correlation_time_s=correlation_s, change_time_s=found.change_time_s),
                         found)
    for other in (0.0, found.correlation_time_s / 3, found.correlation_time_s * 3):
        assert loss(found.correlation_time_s) <= loss(other) + 1e-4


def test_changes_are_counted_where_the_camera_was_watching():
    times = np.array([0, 1, 2, 3, 100, 101]) * SECOND // 2
    stream = Stream(times, np.full((6, 2), 0.5), np.array([0, 0, 1, 1, 0, 0]))
    # 2 s watched, one change; the gap does not count; and one change in the 5 s that are usual.
    assert change_time_s([stream]) == pytest.approx(3.5)
    assert change_time_s([Stream(times, stream.probabilities, np.zeros(6, int))]) == pytest.approx(7.0)


def test_fused_is_the_filter():
    stream = simulated(0.3, seconds=5)
    np.testing.assert_allclose(fused(stream, FusionConfig(enabled=False)), stream.probabilities, atol=1e-6)


def restarting(seed, tracks=150, frames=30, classes=4):
    """Errors that stay nearly the same while a thing is in view and begin anew with the next, as in real recordings."""
    rng = np.random.default_rng(seed)
    p, labels = [], []
    for _ in range(tracks):
        label, error = rng.integers(classes), rng.normal(size=classes)
        for _ in range(frames):
            logits = 1.2 * error + 0.2 * rng.normal(size=classes)
            logits[label] += 1.5
            p.append(np.exp(logits) / np.exp(logits).sum())
            labels.append(label)
    return Stream(np.arange(len(p)) * SECOND // 10, np.array(p), np.array(labels))


def test_errors_that_begin_anew_with_each_thing_are_told_by_how_much_frames_differ():
    fitted, judged = [restarting(0)], [restarting(1)]
    found = fit_fusion(fitted)
    assert found.change_slope > 0
    config = FusionConfig(correlation_time_s=found.correlation_time_s, change_time_s=found.change_time_s)
    switching = fused_nll(judged, config, found)
    single = fused_nll(judged, FusionConfig(enabled=False))
    others = [fused_nll(judged, FusionConfig(correlation_time_s=tau, change_time_s=found.change_time_s))
              for tau in (0.0, 0.3, 1.0, 3.0, 10.0)]
    assert switching < min(others) - 0.02
    assert switching < single + 0.04  # there is nothing to be gained here, and much to be lost


def test_line_is_that_of_scikit_learn():
    linear_model = pytest.importorskip('sklearn.linear_model')
    rng = np.random.default_rng(0)
    for slope in (0.5, 3.0, 30.0):
        x = rng.normal(size=2000)
        y = (rng.random(2000) < 1 / (1 + np.exp(3 - slope * x))).astype(float)
        reference = linear_model.LogisticRegression(C=1e8, tol=1e-10, max_iter=1000).fit(x[:, None], y)
        expected = reference.intercept_[0], reference.coef_[0, 0]
        assert logistic_line(x, y, ridge=1e-8) == pytest.approx(expected, rel=1e-3)


def test_evidence_of_a_change_is_by_hand_and_grows_with_the_difference():
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    expected = np.log(1e-4 + 1 - np.sqrt(0.45) - np.sqrt(0.05))
    assert dissimilarity(p, q) == pytest.approx(expected)
    assert dissimilarity(p, p) == pytest.approx(np.log(1e-4))
    assert change_evidence(np.sqrt(p), np.sqrt(q), 3.0, 2.0) == pytest.approx(3 + 2 * expected)


def test_switching_filter_relabels_with_the_classes_and_sums_to_one():
    stream, order = restarting(2, tracks=10), np.array([2, 0, 3, 1])
    times = FusionTimes(5.0, 3.0, 8.0, 2.5)
    one = fused(stream, FusionConfig(), times)
    other = fused(Stream(stream.times_ns, stream.probabilities[:, order], stream.labels), FusionConfig(), times)
    np.testing.assert_allclose(other, one[:, order], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(one.sum(1), 1, atol=1e-6)


def test_too_few_frames_are_refused():
    with pytest.raises(RobotVisionError, match='20 labelled frames at least, got 10'):
        fit_fusion([simulated(0.3, seconds=1)])


def test_times_of_their_own_are_kept_where_another_recording_says_that_they_are_better():
    kept = keep_fusion([simulated(0.1, change_s=2.0, seconds=60, seed=seed) for seed in range(3)])
    assert kept.times is not None and not kept.note
    assert kept.nll < kept.nll_general
    assert kept.times.correlation_time_s < 1


def test_the_general_times_stay_where_few_frames_would_be_taken_too_seriously():
    """Of 20 random small sets of short recordings none gets times that are worse by cross-validation."""
    stayed = 0
    for seed in range(20):
        kept = keep_fusion([simulated((0.0, 0.3, 3.0)[seed % 3], change_s=3.0, seconds=2, rate=8, seed=10 * seed + i)
                            for i in range(3)])
        assert (kept.times is None) == (not kept.nll <= kept.nll_general) == bool(kept.note)
        stayed += kept.times is None
    assert 0 < stayed < 20
    single = keep_fusion([simulated(0.3, seconds=3, seed=4)])
    assert single.times is None and 'too few' in single.note
    assert np.isfinite(fused_nll([simulated(0.3, seconds=3)], FusionConfig(), FALLBACK_TIMES))
