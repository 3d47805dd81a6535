"""Percentiles of times."""
import math

import numpy as np
import pytest

from robot_vision_dl.core.metrics.percentiles import percentiles


def test_by_hand():
    found = percentiles(float(ms) for ms in range(101))
    assert found == {'n': 101, 'p50': 50.0, 'p95': 95.0, 'p99': 99.0, 'max': 100.0}
    assert percentiles([3.0]) == {'n': 1, 'p50': 3.0, 'p95': 3.0, 'p99': 3.0, 'max': 3.0}
    values = np.random.default_rng(0).exponential(5, 1000)
    assert percentiles(values)['p99'] == pytest.approx(np.quantile(values, 0.99))


def test_of_nothing_there_are_none():
    found = percentiles([])
    assert found.pop('n') == 0 and all(math.isnan(value) for value in found.values())
