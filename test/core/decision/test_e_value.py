"""E-values: their mean, their limits, and what they make of streams."""
import numpy as np
import pytest

from robot_vision_dl.core.decision.e_value import OodEvidence, e_value, unknown_probability

MS = 1_000_000


def test_mean_over_known_things_is_one():
    """The integral over (0, 1) is 1; conformal p-values are discrete and larger, so theirs is at most 1."""
    integrate = pytest.importorskip('scipy.integrate')
    # u = e^-x takes the peak at 0 apart.
    total, _ = integrate.quad(lambda x: e_value(np.exp(-x)) * np.exp(-x), 0, 700, limit=500)
    assert total == pytest.approx(1 - 1 / 700, abs=2e-3)  # 1/x of the integral lies beyond x
    for n in (9, 99, 999):
        assert np.mean([e_value((i + 1) / (n + 1)) for i in range(n + 1)]) <= 1


def test_falls_with_p_and_is_smooth_at_one():
    grid = np.r_[np.geomspace(1e-6, 0.9, 200), np.linspace(0.9, 1, 200)]
    values = [e_value(p) for p in grid]
    assert (np.diff(values) <= 1e-12).all()
    assert e_value(1.0) == 0.5
    assert e_value(0.9989) == pytest.approx(e_value(0.9991), abs=1e-4)
    assert e_value(0.0) == np.inf


@pytest.mark.parametrize('epsilon', [0.001, 0.01, 0.1])
def test_one_frame_is_unknown_exactly_below_epsilon(epsilon):
    for p in np.geomspace(1e-4, 1, 50):
        state = OodEvidence()
        state.update(p, 0, 0.1)
        assert (state.probability(epsilon) > 0.5) == (p < epsilon)


def test_extreme_rates():
    assert unknown_probability(1e9, 0.0) == 0
    assert unknown_probability(0.5, 1.0) == 1
    assert unknown_probability(None, 0.01) == 0
    assert unknown_probability(float('inf'), 0.01) == 1


def test_a_single_false_unknown_does_not_count_and_a_covered_lens_does_soon():
    state, n = OodEvidence(), 500

    def show(p, frames, start):
        found = []
        for i in range(frames):
            state.update(p, (start + i) * 33 * MS, 0.1)
            found.append(state.probability(0.01) > 0.5)
        return found
    assert not any(show(0.5, 30, 0))
    assert not any(show(0.008, 1, 30))
    assert not any(show(0.5, 30, 31))
    covered = show(1 / (n + 1), 10, 61)
    assert covered.index(True) <= 2  # the third frame, .1 s, with 500 calibration pictures
    assert all(covered[2:])
    uncovered = show(0.5, 30, 71)
    assert uncovered.index(False) <= 5
    assert not any(uncovered[5:])


def test_many_calibration_pictures_tell_a_covered_lens_at_once():
    state = OodEvidence()
    for i in range(30):
        state.update(0.5, i * 33 * MS, 0.1)
    state.update(1 / 3001, 30 * 33 * MS, 0.1)
    assert state.probability(0.01) > 0.5


def test_share_of_false_unknowns_stays_about_epsilon_with_fewer_changes():
    """Frames of known things whose p-values resemble their neighbours'."""
    scipy_stats = pytest.importorskip('scipy.stats')
    rng = np.random.default_rng(0)
    state, unknown, alone = OodEvidence(), [], []
    noise = rng.normal()
    for i in range(60000):
        noise = 0.9 * noise + np.sqrt(1 - 0.81) * rng.normal()
        p = float(scipy_stats.norm.cdf(noise))
        state.update(p, i * 33 * MS, 0.1)
        unknown.append(state.probability(0.01) > 0.5)
        alone.append(p < 0.01)
    assert np.mean(alone) == pytest.approx(0.01, rel=0.3)
    assert np.mean(unknown) <= 0.0125
    assert np.abs(np.diff(np.array(unknown, int))).sum() < 0.6 * np.abs(np.diff(np.array(alone, int))).sum()


def test_frames_without_time_stand_alone():
    state = OodEvidence()
    state.update(0.001, 0, 0.0)
    state.update(0.9, 33 * MS, 0.0)
    assert state.evidence == e_value(0.9)
    state.reset()
    assert state.probability(0.01) == 0
