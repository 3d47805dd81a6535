"""An OOD score as a module of torch, for a GPU: its tables lie there, and its formula is the score's ``on_device``."""
from typing import List, Sequence, Union

import numpy as np
import torch
from torch import nn

from .combined import Combined, FrameScore


class _Tables(nn.Module):
    """Every array that a score has as an attribute, as a buffer of the same name."""

    def __init__(self, part: FrameScore) -> None:
        super().__init__()
        for name, value in vars(part.score).items():
            if isinstance(value, np.ndarray):
                self.register_buffer(name, torch.from_numpy(value.copy()))


class DeviceScore(nn.Module):
    """Logits, features and stages -> scores of each part, (B, P), where the tables are.

    Args:
        score: a part, or several combined.
    """

    def __init__(self, score: Union[FrameScore, Combined]) -> None:
        super().__init__()
        self._parts: List[FrameScore] = score.parts if isinstance(score, Combined) else [score]
        self.tables = nn.ModuleList(map(_Tables, self._parts))

    def forward(self, logits: torch.Tensor, features: torch.Tensor, stages: Sequence[torch.Tensor] = ()
                ) -> torch.Tensor:
        """float32 (B, P), of float32 logits (B, C), features (B, F) and stages (B, F_s) each."""
        return torch.cat([part.on_device(tables, logits, features, stages)
                          for part, tables in zip(self._parts, self.tables)], dim=1)
