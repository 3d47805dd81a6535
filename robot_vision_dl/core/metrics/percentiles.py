"""Percentiles of times."""
from typing import Dict, Iterable

import numpy as np


def percentiles(milliseconds: Iterable[float]) -> Dict[str, float]:
    """n, p50, p95, p99 and max of times in ms; NaN where there are none."""
    values = np.asarray(list(milliseconds), np.float64)
    if not len(values):
        return {'n': 0, 'p50': float('nan'), 'p95': float('nan'), 'p99': float('nan'), 'max': float('nan')}
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {'n': len(values), 'p50': float(p50), 'p95': float(p95), 'p99': float(p99), 'max': float(values.max())}
