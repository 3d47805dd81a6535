"""The filter of a centre, against the same filter in matrices."""
from math import exp

import numpy as np
import pytest

from robot_vision_dl.core.regions.motion import FADING_S, Motion


def test_against_a_kalman_filter_in_matrices():
    rng = np.random.default_rng(0)
    size, jitter, acceleration, first = 80.0, 0.05, 7.0, 5.0
    x, y = rng.uniform(0, 500, 2)
    motion = Motion.first(x, y, size)
    state = np.array([[x, y], [0, 0]])
    covariance = np.diag([(jitter * size) ** 2, (first * size) ** 2])
    for _ in range(30):
        dt, size = rng.uniform(0.01, 0.7), rng.uniform(60, 100)
        x, y = rng.uniform(0, 500, 2)
        fade = exp(-dt / FADING_S)
        step = np.array([[1, FADING_S * (1 - fade)], [0, fade]])
        push = np.array([[dt ** 2 / 2], [dt]]) * acceleration * size
        state, covariance = step @ state, step @ covariance @ step.T + push @ push.T
        assert motion.after(dt) == pytest.approx(tuple(state[0]))
        gain = covariance[:, :1] / (covariance[0, 0] + (jitter * size) ** 2)
        state = state + gain @ (np.array([[x, y]]) - state[:1])
        covariance = (np.eye(2) - gain @ np.array([[1, 0]])) @ covariance
        motion.seen(x, y, size, dt)
        assert (motion.x, motion.y, motion.vx, motion.vy) == pytest.approx(tuple(state.ravel()))
        assert (motion.place, motion.both, motion.speed) == pytest.approx(
            (covariance[0, 0], covariance[0, 1], covariance[1, 1]))


@pytest.mark.parametrize('hz', [2, 10, 30])
def test_a_velocity_is_learned_at_any_rate_and_fades_where_nothing_is_seen(hz):
    motion = Motion.first(0, 0, 50)
    for frame in range(1, 2 * hz + 1):
        motion.seen(100 * frame / hz, -40 * frame / hz, 50, 1 / hz)
    assert (motion.vx, motion.vy) == pytest.approx((100, -40), rel=0.2)
    assert motion.after(0) == pytest.approx((motion.x, motion.y))
    way = motion.after(0.2)[0] - motion.x
    assert way == pytest.approx(motion.vx * 0.2, rel=0.06)
    assert motion.after(1000)[0] - motion.x == pytest.approx(motion.vx * FADING_S)
