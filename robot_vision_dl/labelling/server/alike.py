"""Look-alikes: intervals by the likeness of their features."""
from typing import Dict, Sequence

import numpy as np

_BLOCK = 4096


class Alike:
    """Features of all intervals of a queue."""

    def __init__(self, features: np.ndarray, ids: Sequence[int]) -> None:
        """Features float16 (n, F) of length 1, and the interval of each row."""
        self._features = features
        self.ids = list(ids)
        self._row: Dict[int, int] = {interval: row for row, interval in enumerate(self.ids)}

    def similarity(self, interval: int) -> np.ndarray:
        """Cosine of each interval with one, float32 (n,), by row."""
        one = self._features[self._row[interval]].astype(np.float32)
        return np.concatenate([self._features[begin:begin + _BLOCK].astype(np.float32) @ one
                               for begin in range(0, len(self._features), _BLOCK)])

    def rows(self, intervals: Sequence[int]) -> np.ndarray:
        """Rows of intervals, int64."""
        return np.array([self._row[interval] for interval in intervals], np.int64)

    def features(self, intervals: Sequence[int]) -> np.ndarray:
        """Features of intervals, float32 (len(intervals), F)."""
        return self._features[self.rows(intervals)].astype(np.float32)
