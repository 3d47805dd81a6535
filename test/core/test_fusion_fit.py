"""Time constants come back from streams that were made with known ones."""
import numpy as np
import pytest

from robot_vision_dl.core.config import FusionConfig
from robot_vision_dl.core.errors import RobotVisionError
from robot_vision_dl.core.fusion_fit import Stream, change_time_s, fit_fusion, fused, fused_nll

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
    times = found._asdict()
    best = fused_nll(streams, FusionConfig(**times))
    for other in (0.0, found.correlation_time_s / 3, found.correlation_time_s * 3):
        assert best <= fused_nll(streams, FusionConfig(**{**times, 'correlation_time_s': other})) + 1e-9


def test_changes_are_counted_where_the_camera_was_watching():
    times = np.array([0, 1, 2, 3, 100, 101]) * SECOND // 2
    stream = Stream(times, np.full((6, 2), 0.5), np.array([0, 0, 1, 1, 0, 0]))
    assert change_time_s([stream]) == pytest.approx(2.0)  # 2 s watched, one change; the gap does not count
    assert change_time_s([Stream(times, stream.probabilities, np.zeros(6, int))]) == pytest.approx(2.0)


def test_fused_is_the_filter():
    stream = simulated(0.3, seconds=5)
    np.testing.assert_allclose(fused(stream, FusionConfig(enabled=False)), stream.probabilities, atol=1e-6)


def test_too_few_frames_are_refused():
    with pytest.raises(RobotVisionError, match='20 labelled frames at least, got 10'):
        fit_fusion([simulated(0.3, seconds=1)])
