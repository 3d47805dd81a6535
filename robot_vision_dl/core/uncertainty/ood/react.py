"""Energy of what the head says of rectified features."""
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from .base import LinearHead, OodScore, Values, require_head, table_of
from .energy import energy

if TYPE_CHECKING:
    import torch

PERCENTILE = 90.0


class ReAct(OodScore):
    """Energy of the head's logits of min(f, c), c a percentile of known features (Sun et al. 2021).

    Tensors:
        weight, bias: of the head.
        threshold: c, shape ().
    """

    fitted = True
    needs_head = True

    stored = {'weight': (2, np.float32), 'bias': (1, np.float32), 'threshold': (0, np.float32)}

    def __init__(self, weight: Optional[Values] = None, bias: Optional[Values] = None,
                 threshold: Optional[Values] = None) -> None:
        self.weight, self.bias, self.threshold = table_of(weight, 2), table_of(bias, 1), table_of(threshold, 0)
        # In this order a row times it takes half the time.
        self._weight_t = self.weight.T.copy()

    @classmethod
    def fit(cls, logits: 'torch.Tensor', features: 'torch.Tensor', labels: 'Optional[torch.Tensor]' = None,
            head: Optional[LinearHead] = None, percentile: float = PERCENTILE) -> 'ReAct':
        """Take the threshold from features (n, F) of known pictures."""
        head = require_head('react', head)
        values = features.float().flatten().sort().values
        # Linear between the two nearest, as numpy.percentile; torch.quantile stops at 16 million values.
        place = percentile / 100 * (len(values) - 1)
        low = int(place)
        high = min(low + 1, len(values) - 1)
        threshold = values[low] + (place - low) * (values[high] - values[low])
        return cls(head.weight.float().contiguous(), head.bias.float(), threshold)

    def forward(self, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (B,)."""
        return energy(np.minimum(features, self.threshold) @ self._weight_t + self.bias)

    def on_device(self, tables: Any, logits: 'torch.Tensor', features: 'torch.Tensor') -> 'torch.Tensor':
        """As :meth:`forward`, where the tables are."""
        rectified = features.minimum(tables.threshold)
        scores: 'torch.Tensor' = -(rectified @ tables._weight_t + tables.bias).logsumexp(1)
        return scores
