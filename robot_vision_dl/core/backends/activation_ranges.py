"""Ranges of activations for int8, from what a float32 model gives for pictures.

A range that holds every value makes the steps as coarse as the largest outlier wants; one that cuts some off has finer
steps. Which is better for a network is judged by what becomes of its probabilities (:mod:`.quantise`), not here.
"""
from dataclasses import dataclass
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

import numpy as np
import torch

from ..networks.onnx_graph import INPUT, import_onnx, make_session

BINS = 2048
HISTOGRAM_PICTURES = 96
"""Pictures that histograms rest on at most; smallest and largest values rest on all."""
LEVELS = 255
_LEAST_SHARE, _SHARES = 0.2, 81
Ranges = Dict[str, Tuple[float, float]]
"""Name of a tensor -> (lowest, highest) value that int8 can stand for, lowest <= 0 <= highest."""
Batches = Callable[[], Iterator[np.ndarray]]
"""Begins anew with each call: preprocessed pictures, float32 (B, channels, H, W) each."""


@dataclass(frozen=True)
class Observed:
    """Values of one tensor.

    Attributes:
        low, high: smallest and largest of all.
        counts: (BINS,) of the values of some pictures, in bins of one width from ``low`` to ``high``.
    """

    low: float
    high: float
    counts: np.ndarray

    @property
    def centres(self) -> np.ndarray:
        """(BINS,) middle of each bin."""
        edges = np.linspace(self.low, self.high, len(self.counts) + 1)
        return (edges[1:] + edges[:-1]) / 2


def observe(model: bytes, names: Sequence[str], batches: Batches, what: str) -> Dict[str, Observed]:
    """What tensors of a model hold over pictures.

    Args:
        model: float32, serialized.
        names: of the tensors, the input among them or not.
        batches: pictures; of those that come first the histograms are made.
        what: name of the model, for messages.
    """
    inner = [name for name in names if name != INPUT]
    session = make_session(with_outputs(model, inner), torch.get_num_threads(), what)

    def values(batch: np.ndarray) -> Iterable[Tuple[str, torch.Tensor]]:
        given = dict(zip(inner, session.run(inner, {INPUT: batch})))
        given[INPUT] = batch
        return ((name, torch.from_numpy(given[name])) for name in names)
    bounds: Dict[str, Tuple[float, float]] = {}
    for batch in batches():
        for name, tensor in values(batch):
            low, high = bounds.get(name, (np.inf, -np.inf))
            least, most = torch.aminmax(tensor)
            bounds[name] = (min(low, float(least)), max(high, float(most)))
    counts = {name: np.zeros(BINS) for name in names}
    seen = 0
    for batch in batches():
        if seen >= HISTOGRAM_PICTURES:
            break
        for name, tensor in values(batch):
            low, high = bounds[name]
            if high > low:
                counts[name] += torch.histc(tensor, BINS, low, high).numpy()
        seen += len(batch)
    return {name: Observed(*bounds[name], counts[name]) for name in names}


def min_max(observed: Mapping[str, Observed]) -> Ranges:
    """Ranges that hold every value."""
    return {name: (min(one.low, 0.0), max(one.high, 0.0)) for name, one in observed.items()}


def least_squares(observed: Mapping[str, Observed]) -> Ranges:
    """Ranges with the least squared error of rounding and cutting off, each tensor by itself."""
    return {name: _least_squares(one) for name, one in observed.items()}


def _least_squares(one: Observed) -> Tuple[float, float]:
    """Both ends in turn, each a share of the extreme value."""
    low, high = min(one.low, 0.0), max(one.high, 0.0)
    if high <= low or not one.counts.any():
        return low, high
    centres, shares = one.centres, np.linspace(_LEAST_SHARE, 1, _SHARES)
    kept = one.counts > 0
    centres, counts = centres[kept], one.counts[kept]

    def error(bottom: float, top: float) -> float:
        step = (top - bottom) / LEVELS
        zero = np.round(-bottom / step)
        levels = np.clip(np.round(centres / step) + zero, 0, LEVELS)
        return float(counts @ ((levels - zero) * step - centres)**2)
    bottom, top = low, high
    for _ in range(3):
        if high > 0:
            top = high * min(shares, key=lambda share: error(bottom, high * share))
        if low < 0:
            bottom = low * min(shares, key=lambda share: error(low * share, top))
    return float(bottom), float(top)


def with_outputs(model: bytes, names: Sequence[str]) -> bytes:
    """The model that gives tensors as outputs, too."""
    onnx = import_onnx()
    found = onnx.load_model_from_string(model)
    there = {output.name for output in found.graph.output}
    missing: List[str] = [name for name in dict.fromkeys(names) if name not in there]
    found.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in missing)
    serialized: bytes = found.SerializeToString()
    return serialized
