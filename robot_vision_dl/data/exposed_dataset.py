"""Frames of the classes with a fixed share of outliers in every batch (outlier exposure, Hendrycks et al. 2019)."""
from typing import Callable, List, Sequence

import torch

from ..core.types import Picture
from .cache import FrameStore
from .dataset import FrameDataset, Indices, Item, mixed_seed


class ExposedDataset(FrameDataset):
    """A data set whose batches end with outliers, of target :data:`~.dataset.NO_CLASS`.

    Which outliers a batch gets follows from seed, epoch and the frames in it, whatever the number of workers. Its
    length and its single items are those of the frames of the classes.

    Args:
        outliers: frames labelled ``unknown``, at least one.
        share: outliers for each frame of a class in a batch, rounded, at least one a batch.
    """

    def __init__(self, store: FrameStore, indices: Indices, class_names: Sequence[str],
                 transform: Callable[[Picture], torch.Tensor], seed: int, outliers: Sequence[FrameDataset],
                 share: float) -> None:
        super().__init__(store, indices, class_names, transform, seed)
        self.outliers = tuple(outliers)
        self.extra_share = share

    def set_epoch(self, epoch: int) -> None:
        """Choose which random transforms are drawn, and which outliers."""
        super().set_epoch(epoch)
        for one in self.outliers:
            one.set_epoch(epoch)

    def __getitems__(self, places: Sequence[int]) -> List[Item]:
        """A batch, the outliers last."""
        found = super().__getitems__(places)
        total = sum(map(len, self.outliers))
        chosen = [mixed_seed(self.seed, self.epoch, int(self.indices[places[number % len(places)]]), number) % total
                  for number in range(max(1, round(self.extra_share * len(places))))]
        first = 0
        for one in self.outliers:
            own = [place - first for place in chosen if first <= place < first + len(one)]
            found += one.__getitems__(own) if own else []
            first += len(one)
        return found
