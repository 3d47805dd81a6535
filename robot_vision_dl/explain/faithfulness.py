"""Whether a map says what the network uses: measures of Petsiuk 2018, Adebayo 2018 and Zhang 2018, with controls.

- Deletion and insertion: the places that a map calls most important are blurred, or laid open in a blurred picture, one
  after another. A map that is right makes the class fall early, or rise early.
- Randomised weights: a map of a network that knows nothing must not look like that of the one that does.
- Pointing game: is the highest place inside the object?
"""
from copy import deepcopy
from typing import Callable, List, NamedTuple, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate

from ..core.networks.evidence import LastMaps
from ..core.networks.evidence_place import CELLS, on_grid
from ..core.networks.network import Network
from .occlusion import blurred


class Curves(NamedTuple):
    """Areas under the curves of a class's probability over the share of places, in [0, 1].

    Attributes:
        deletion: lower is better.
        insertion: higher is better.
    """

    deletion: float
    insertion: float


def deletion_insertion(network: Callable[..., object], pixels: torch.Tensor, index: int, values: np.ndarray,
                       steps: int = 14) -> Curves:
    """Blur and lay open by a map.

    Args:
        network: in evaluation mode.
        pixels: float32 (1, C, H, W), preprocessed.
        index: of the class.
        values: float32 (h, w), compared on a grid of 14 x 14 places.
        steps: of equal size, from none to all places.
    """
    order = np.argsort(-on_grid(values).ravel(), kind='stable')
    background = blurred(pixels, 0.2)
    counts = [round(place * len(order) / steps) for place in range(steps + 1)]
    masks = torch.zeros(len(counts), 1, CELLS * CELLS)
    for row, count in enumerate(counts):
        masks[row, 0, order[:count].copy()] = 1
    masks = interpolate(masks.view(-1, 1, CELLS, CELLS), pixels.shape[2:], mode='nearest')
    with torch.inference_mode():
        deleted = network(pixels * (1 - masks) + background * masks).logits  # type: ignore[attr-defined]
        inserted = network(background * (1 - masks) + pixels * masks).logits  # type: ignore[attr-defined]
    return Curves(_area(deleted, index), _area(inserted, index))


def centre_map() -> np.ndarray:
    """The control that knows only that people point cameras at things: higher towards the middle."""
    axis = np.linspace(-1, 1, CELLS)
    return np.asarray(-(axis[:, None] ** 2 + axis[None] ** 2), np.float32)


def _area(logits: torch.Tensor, index: int) -> float:
    p = logits.float().softmax(1)[:, index].numpy()
    return float(((p[1:] + p[:-1]) / 2).mean())


def randomised(network: Network, share: float, seed: int = 0) -> Network:
    """A copy whose last layers have random weights.

    Args:
        network: to be copied.
        share: of the layers with weights, from the end; 1: all.
        seed: of the weights, which have the mean and spread of those that they take the place of.
    """
    copy = deepcopy(network)
    layers = [module for module in copy.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    generator = torch.Generator().manual_seed(seed)
    for layer in layers[len(layers) - max(1, round(share * len(layers))):]:
        with torch.no_grad():
            weight = layer.weight
            weight.copy_(torch.randn(weight.shape, generator=generator) * weight.std() + weight.mean())
    return copy


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation (Spearman) of two maps; 0 where one of them is flat."""
    first, second = (np.argsort(np.argsort(values.ravel(), kind='stable'), kind='stable').astype(np.float64)
                     for values in (one, other))
    if one.std() < 1e-12 or other.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def sanity(network: Network, evidence: np.ndarray, pixels: torch.Tensor, index: int, shares: Sequence[float],
           seed: int = 0) -> List[float]:
    """Likeness of a class's map, ``evidence`` (h, w), to that with randomised layers, for each share of them."""
    return [likeness(evidence, LastMaps(copy, pixels).evidence(pixels, [index]).maps[0, 0].numpy())
            for copy in (randomised(network, share, seed) for share in shares)]
