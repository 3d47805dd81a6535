"""Where a picture has to be covered for a class to lose its evidence (Zeiler and Fergus 2014).

What covers is the picture itself, blurred until nothing of that size can be made out (Fong and Vedaldi 2017): a patch
of one colour would be an object with edges of its own, which the network classifies too.

It asks the network and needs nothing of its inside, so it works for any network, also where no map can be had, and it
is a check of the maps: what they call evidence must cost the class something when it is covered.
"""
from typing import Callable, List, NamedTuple, Sequence

import cv2
import numpy as np
import torch

from ..core.networks.network import Prediction

_BATCH = 4  # half the CPU time of 32 on one core: maps of so few stay in its cache


class Occlusion(NamedTuple):
    """What covering costs.

    Attributes:
        maps: float32 (K, n, n): by how much the logit of each of K classes falls, the mean over all patches that cover
            the cell; negative where it rises.
        patch: side of the patch that covers, as a share of the picture's.
    """

    maps: torch.Tensor
    patch: float


def occlusion(forward: Callable[[torch.Tensor], Prediction], pixels: torch.Tensor, classes: Sequence[int],
              cells: int = 14, patch: int = 3) -> Occlusion:
    """Blur one place after another.

    Args:
        forward: a network, or what a backend runs it by.
        pixels: float32 (1, C, H, W), preprocessed.
        classes: K indices.
        cells: n; (n - patch + 1)² passes are made.
        patch: side of what covers, in cells.
    """
    height, width = pixels.shape[2:]
    rows = [round(place * height / cells) for place in range(cells + 1)]
    columns = [round(place * width / cells) for place in range(cells + 1)]
    corners = [(row, column) for row in range(cells - patch + 1) for column in range(cells - patch + 1)]
    background = blurred(pixels, patch / cells)
    with torch.inference_mode():
        whole = forward(pixels).logits[0, list(classes)].float().cpu()
        drops: List[torch.Tensor] = []
        for begin in range(0, len(corners), _BATCH):
            some = corners[begin:begin + _BATCH]
            covered = pixels.repeat(len(some), 1, 1, 1)
            for one, (row, column) in zip(covered, some):
                place = slice(rows[row], rows[row + patch]), slice(columns[column], columns[column + patch])
                one[:, place[0], place[1]] = background[0, :, place[0], place[1]]
            drops.append(whole - forward(covered).logits[:, list(classes)].float().cpu())
    drop = torch.cat(drops)
    total, count = torch.zeros(len(classes), cells, cells), torch.zeros(cells, cells)
    for one, (row, column) in zip(drop, corners):
        total[:, row:row + patch, column:column + patch] += one[:, None, None]
        count[row:row + patch, column:column + patch] += 1
    return Occlusion(total / count, patch / cells)


def blurred(pixels: torch.Tensor, share: float) -> torch.Tensor:
    """The picture with a standard deviation of ``share`` of its shorter side."""
    sigma = share * min(pixels.shape[2:])
    channels = [cv2.GaussianBlur(channel, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
                for channel in pixels[0].float().cpu().numpy()]
    return torch.from_numpy(np.stack(channels))[None].to(pixels)
