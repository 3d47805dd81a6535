"""Energy of what the head says of rectified features."""
from typing import Optional

import numpy as np
import torch

from .base import LinearHead, OodScore, on_host, require_head
from .energy import energy

PERCENTILE = 90.0


class ReAct(OodScore):
    """Energy of the head's logits of min(f, c), c a percentile of known features (Sun et al. 2021).

    Tensors:
        weight, bias: of the head.
        threshold: c, shape ().
    """

    fitted = True
    needs_head = True

    weight: torch.Tensor
    bias: torch.Tensor
    threshold: torch.Tensor
    _weight_t: torch.Tensor

    def __init__(self, weight: Optional[torch.Tensor] = None, bias: Optional[torch.Tensor] = None,
                 threshold: Optional[torch.Tensor] = None) -> None:
        super().__init__()
        self.register_buffer('weight', torch.empty(0, 0) if weight is None else weight)
        self.register_buffer('bias', torch.empty(0) if bias is None else bias)
        self.register_buffer('threshold', torch.tensor(0.0) if threshold is None else threshold)
        # In this order a row times it takes half the time.
        self.register_buffer('_weight_t', self.weight.T.contiguous(), persistent=False)

    @classmethod
    def fit(cls, logits: torch.Tensor, features: torch.Tensor, labels: Optional[torch.Tensor] = None,
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

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> np.ndarray:
        """Scores (B,)."""
        return energy(on_host(self._rectified_logits(features)))

    def on_device(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, where the tables are."""
        return -torch.logsumexp(self._rectified_logits(features), dim=1)

    def _rectified_logits(self, features: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, torch.minimum(features, self.threshold), self._weight_t)
