"""Templates of a linear classifier: the weights of each class as a picture that others are compared to.

A classifier whose logits are W x + b says of a picture how much it looks like each row of W (as in Stanford's CS231n).
Where a model itself is such a one, its rows are found by asking it for one pixel at a time. Of any other one is fitted
to small versions of labelled pictures: what it gets right can be told by colour and layout alone, and its templates
show by which.
"""
from dataclasses import dataclass
from typing import Callable, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch

from ..core.networks.network import Prediction
from ..core.networks.preprocess import Preprocessing
from ..core.runtime.overlay import to_bgr
from ..data.cache import FrameStore
from ..evaluation.predict import spread
from ..training.baselines import linear_probe, majority

SIDE = 32  # of the pictures that one is fitted to, as CIFAR-10 has them
_MOST = 2000  # pictures
_DECAY = 0.1  # strong: templates then are smooth
_HELD_OUT = 4  # every so many
_MOST_PIXELS = 200_000  # a pass for each
_CLOSE = 1e-4
_BATCH = 64


@dataclass(frozen=True)
class Templates:
    """One a class.

    Attributes:
        names: of the classes.
        weights: float32 (K, C, h, w): how much a class's logit rises with each value of the normalised input.
        accuracy: share of the held-out pictures whose class is right; None: the model itself is linear.
        most_frequent: the same for the class that most pictures are of.
        held_out, fitted: pictures.
        by_recording: whether whole recordings are held out.
    """

    names: Tuple[str, ...]
    weights: np.ndarray
    accuracy: Optional[float] = None
    most_frequent: float = 0.0
    held_out: int = 0
    fitted: int = 0
    by_recording: bool = False


@torch.inference_mode()
def own_templates(forward: Callable[[torch.Tensor], Prediction], shape: Sequence[int], names: Sequence[str]
                  ) -> Optional[Templates]:
    """Those of a model that is linear in its pixels; None: it is not.

    Args:
        forward: a network, or what a backend runs it by.
        shape: (C, H, W) of its input.
        names: of its classes.
    """
    random = torch.Generator().manual_seed(0)
    one, other = torch.randn((2, *shape), generator=random)
    zero = torch.zeros(shape)
    logits = torch.cat([forward(pixels[None]).logits.float().cpu() for pixels in (one, other, one + other, zero)])
    apart = (logits[0] + logits[1] - logits[2] - logits[3]).abs().max()
    size = float((logits[:3] - logits[3]).abs().max())
    if not size or apart > _CLOSE * size or zero.numel() > _MOST_PIXELS:  # a head of zeros is not worth a template
        return None
    columns: List[torch.Tensor] = []
    for begin in range(0, zero.numel(), _BATCH):
        places = torch.arange(begin, min(begin + _BATCH, zero.numel()))
        pixels = torch.zeros(len(places), zero.numel())
        pixels[torch.arange(len(places)), places] = 1
        columns.append(forward(pixels.view(-1, *shape)).logits.float().cpu() - logits[3])
    return Templates(tuple(names), torch.cat(columns).T.reshape(-1, *shape).numpy())


def fitted_templates(store: FrameStore, preprocessing: Preprocessing, names: Sequence[str]) -> Optional[Templates]:
    """Those of a linear classifier (multinomial logistic regression) that is fitted to small pictures.

    A quarter of the recordings is held out, or where there are few, a quarter of the pictures.

    Args:
        store: pictures with labels; of many, evenly spread ones are taken.
        preprocessing: whose normalisation and channels are used.
        names: of the classes.

    Returns:
        None: there are not two classes with pictures to fit to.
    """
    known = np.array([place for place, frame in enumerate(store.frames) if frame.label in names], np.int64)
    places = spread(known, _MOST)
    if len(places) < _HELD_OUT:
        return None
    labels = [store.frames[place].label for place in places.tolist()]
    there = [name for name in names if name in labels]
    targets = np.array([there.index(label) for label in labels], np.int64)
    recordings = [store.frames[place].recording for place in places.tolist()]
    order = list(dict.fromkeys(recordings))
    by_recording = len(order) >= 2 * _HELD_OUT
    numbers = np.array([order.index(one) for one in recordings]) if by_recording else np.arange(len(places))
    out = numbers % _HELD_OUT == _HELD_OUT - 1
    if len(set(targets[~out])) < 2 or not out.any():
        return None
    pixels = np.stack([_small(store, place, preprocessing) for place in places.tolist()])
    rows = pixels.reshape(len(pixels), -1)
    weights, bias, _ = linear_probe(rows[~out], targets[~out], None, len(there), _DECAY)
    right = (rows[out] @ weights.T + bias).argmax(1) == targets[out]
    frequent = majority(targets[~out], int(out.sum())) == targets[out]
    return Templates(tuple(there), weights.reshape(len(there), *pixels.shape[1:]), float(right.mean()),
                     float(frequent.mean()), int(out.sum()), int((~out).sum()), by_recording)


def _small(store: FrameStore, place: int, preprocessing: Preprocessing) -> np.ndarray:
    """Float32 (C, SIDE, SIDE), RGB or grey, normalised."""
    small = cv2.resize(to_bgr(store.picture(place)), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    colours = small[..., ::-1] if preprocessing.channels == 3 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)[..., None]
    normal = (colours.astype(np.float32) / 255 - preprocessing.mean) / preprocessing.std
    return np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32)


def template_tile(weights: np.ndarray, side: int = 128) -> np.ndarray:
    """A template as a picture: grey is 0, a bright channel adds to the logit; uint8 (side, side, 3), BGR.

    Args:
        weights: float32 (C, h, w), RGB or grey.
        side: in pixels.
    """
    limit = max(float(np.quantile(np.abs(weights), 0.995)), 1e-12)
    colours = weights if len(weights) == 3 else np.repeat(weights[:1], 3, axis=0)
    grey = np.clip(127.5 + 127.5 * colours / limit, 0, 255).astype(np.uint8)
    return cv2.resize(np.ascontiguousarray(grey.transpose(1, 2, 0)[..., ::-1]), (side, side),
                      interpolation=cv2.INTER_NEAREST)
