"""Frames on their way through the network, and how long each stage of it took."""
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Dict, FrozenSet, Optional, Sequence, Union

import numpy as np

from ..types import Frame
from ..uncertainty.assess import AnyPrediction
from ..uncertainty.camera.statistics import Look

if TYPE_CHECKING:
    import torch

    from ..networks.evidence import PassMaps
    from .evidence_pass import EvidencePass


@dataclass
class Batch:
    """Frames on their way through the network.

    Attributes:
        frames: B frames.
        pixels: the network's input (B, C, H, W), an array where a runtime takes one; for a GPU levels
            (B, H, W, C), see :class:`.gpu_path.GpuPath`.
        prediction: what it said, once it has.
        packed: on a GPU, what came back in its place.
        watched: places of the frames whose evidence is to be shown.
        evidence: what works it out, or why it cannot be; None: nobody watches, or it is not wished for.
        maps: what it follows from, once the network has run.
        mc_logits: logits (M, B, C) of Monte Carlo dropout, where that is asked for.
        stage_ms: milliseconds that each stage took, as far as they are done.
        looks: at the pictures, for faults of their cameras; empty: that is not asked.
    """

    frames: Sequence[Frame]
    pixels: 'Union[np.ndarray, torch.Tensor]'
    prediction: Optional[AnyPrediction] = None
    mc_logits: 'Optional[torch.Tensor]' = None
    stage_ms: Dict[str, float] = field(default_factory=dict)
    looks: Sequence[Look] = ()
    packed: Optional[np.ndarray] = None
    watched: FrozenSet[int] = frozenset()
    evidence: 'Union[EvidencePass, str, None]' = None
    maps: 'Optional[PassMaps]' = None


class StopWatch:
    """Wall time of a stage. It does not wait for a GPU: what ``forward`` fetches, it has waited for."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def elapsed_ms(self) -> float:
        """Since the watch was made."""
        return (time.perf_counter() - self._began) * 1e3
