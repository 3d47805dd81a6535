"""What a picture is like: the training frames nearest to it, in what the network makes of it and in pixels.

The two side by side show what the network has learned to leave out: in pixels neighbours share background and pose, in
features they should share the class.
"""
from dataclasses import dataclass
from typing import Callable, FrozenSet, Iterator, List, Sequence, Set, Tuple

import cv2
import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.runtime.overlay import to_bgr
from ..core.text.progress import Progress
from ..core.types import Picture
from ..data.cache import FrameStore, cached_pixels
from ..evaluation.predict import Predictor
from .frame_address import Address, FrameAddresses, things

_SMALL = 32  # side of the pictures that are compared in pixels, as CIFAR-10 has them
_TILE = 112
_NEAR = 20.0  # levels: what of the same picture may differ after it was made small in two steps instead of one
_SAME = 2.0  # levels: the mean difference that storing as JPEG makes of the same pixels


@dataclass(frozen=True)
class Neighbour:
    """A training frame.

    Attributes:
        label: its class, or ``unknown``.
        where: it can be seen again.
        closeness: cosine of the features, or in pixels 1 minus the root mean square of the differences over 255; 1 is
            the same.
        tile: uint8 (h, w, 3), BGR, small.
    """

    label: str
    where: Address
    closeness: float
    tile: np.ndarray


@dataclass(frozen=True)
class Neighbourhood:
    """Where a picture lies.

    Attributes:
        by_features, by_pixels: the nearest first, one of each thing, without the picture itself.
        itself: where the picture itself is among the frames.
        place: (x, y) of the picture among the training frames, first two principal axes of the features.
    """

    by_features: Tuple[Neighbour, ...]
    by_pixels: Tuple[Neighbour, ...]
    itself: Tuple[Address, ...]
    place: Tuple[float, float]


class TrainingFrames:
    """Frames with labels that pictures are held against.

    Attributes:
        labels: of each frame.
        things: number of the thing that each shows, see :func:`~.frame_address.things`.
        places: float32 (n, 2), the first two principal axes of the L2-normalised features.
        explained: share of the variance of the features that lies in these two.
    """

    def __init__(self, bundle: Bundle, store: FrameStore) -> None:
        """Run the network over a store of frames."""
        self._predictor = Predictor.of_bundle(bundle, 'cpu')
        self._store, self._spec, self._addresses = store, bundle.preprocessing, FrameAddresses()
        self.labels = tuple(frame.label for frame in store.frames)
        self.things = things(store.frames)
        with Progress('looking for what it is like', 'frames', len(store)) as done:
            small: List[np.ndarray] = []
            outputs = self._predictor.pictures(_noted(store, small, done))
        self._features = _unit(outputs.features)
        self._small = np.stack(small)
        self._mean = self._features.mean(0)
        _, spread, axes = np.linalg.svd(self._features - self._mean, full_matrices=False)
        self._axes = axes[:2]
        self.explained = float((spread[:2] ** 2).sum() / max(float((spread ** 2).sum()), 1e-12))
        self.places = (self._features - self._mean) @ self._axes.T

    def around(self, pictures: Sequence[Picture], most: int = 6) -> Iterator[Neighbourhood]:
        """The neighbourhood of each picture."""
        features = _unit(self._predictor.pictures(pictures).features)
        for picture, feature in zip(pictures, features):
            cosine = self._features @ feature
            apart = np.sqrt(((self._small - _small(picture)) ** 2).mean((1, 2, 3))) / 255
            x, y = (feature - self._mean) @ self._axes.T
            itself = self.same_as(picture)
            yield Neighbourhood(
                self._nearest(cosine, most, itself), self._nearest(1 - apart, most, itself),
                tuple(self._addresses.of(self._store.frames[place]) for place in sorted(itself)), (float(x), float(y)))

    def same_as(self, picture: Picture) -> FrozenSet[int]:
        """Frames that are the picture itself, pixel for pixel as they are stored."""
        pixels = cached_pixels(picture, self._spec).astype(np.int16)
        most = _SAME if self._store.is_jpeg else 0
        small = np.abs(self._small - _small(picture)).mean((1, 2, 3))
        return frozenset(
            place for place in np.flatnonzero(small < _NEAR).tolist()
            if tuple(self._store.shapes[place]) == pixels.shape
            and np.abs(self._store.pixels(place) - pixels).mean() <= most)

    def _nearest(self, closeness: np.ndarray, most: int, without: FrozenSet[int]) -> Tuple[Neighbour, ...]:
        found: List[Neighbour] = []
        shown: Set[int] = set()
        for place in np.argsort(-closeness, kind='stable').tolist():
            if place in without or self.things[place] in shown:
                continue
            shown.add(self.things[place])
            frame = self._store.frames[place]
            found.append(Neighbour(frame.label, self._addresses.of(frame), float(closeness[place]),
                                   _tile(self._store.picture(place))))
            if len(found) == most:
                break
        return tuple(found)


def _noted(store: FrameStore, small: List[np.ndarray], done: Callable[[int], None]) -> Iterator[Picture]:
    """The pictures, each decoded once; small ones are put into ``small``."""
    for place in range(len(store)):
        picture = store.picture(place)
        small.append(_small(picture))
        yield picture
        done(place + 1)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _small(picture: Picture) -> np.ndarray:
    return cv2.resize(to_bgr(picture), (_SMALL, _SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)


def _tile(picture: Picture) -> np.ndarray:
    whole = to_bgr(picture)
    height, width = whole.shape[:2]
    scale = _TILE / min(height, width)
    large = cv2.resize(whole, (max(_TILE, round(width * scale)), max(_TILE, round(height * scale))),
                       interpolation=cv2.INTER_AREA)
    top, left = (large.shape[0] - _TILE) // 2, (large.shape[1] - _TILE) // 2
    return large[top:top + _TILE, left:left + _TILE]
