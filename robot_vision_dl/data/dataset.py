"""Decoded frames as a torch data set, the same whatever the number of workers, and after a resume."""
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from ..core.networks.preprocess import Preprocessing, Preprocessor
from ..core.types import UNKNOWN, ColorOrder, Picture
from .cache import FrameStore
from .seeded_random import drawing_from

Indices = Union[Sequence[int], np.ndarray]
"""Of frames in a store."""
NO_CLASS = -1
"""Target of ``unknown``: none of the classes. Such frames test and tune, but cannot be learned from as a class."""


class Item(NamedTuple):
    """What the data set gives.

    Attributes:
        picture: as the transform makes it: float32, shape (C, H, W).
        target: index of the class, or :data:`NO_CLASS`.
        frame: its index in the store.
    """

    picture: torch.Tensor
    target: int
    frame: int


class Items(NamedTuple):
    """B of them.

    Attributes:
        pictures: shape (B, C, H, W).
        targets: int64, shape (B,).
        frames: int64, shape (B,).
    """

    pictures: torch.Tensor
    targets: torch.Tensor
    frames: torch.Tensor


class FrameDataset(Dataset[Item]):
    """Some frames of a store.

    Random transforms draw by :mod:`.seeded_random`, or from torch's global generator, which is put back afterwards;
    either is seeded for each item by (seed, epoch, frame): what a frame becomes does not depend on threads, on
    workers, on batches or on which process asks.

    Args:
        store: the decoded frames.
        indices: of the frames, in the order of the data set.
        class_names: in the order of the network's outputs.
        transform: makes a tensor of a :class:`~..core.types.Picture`; see :mod:`.augment` and :class:`EvalTransform`.
        seed: of the random transforms.

    Attributes:
        extra_share: how many more pictures a batch has than were asked for, as a share.
    """

    extra_share: float = 0.0

    def __init__(self, store: FrameStore, indices: Indices, class_names: Sequence[str],
                 transform: Callable[[Picture], torch.Tensor], seed: int = 0) -> None:
        numbers = {name: number for number, name in enumerate(class_names)}
        self.store = store
        self.indices = np.asarray(indices, np.int64)
        self.class_names = tuple(class_names)
        self.transform = transform
        self.seed = seed
        self.targets = np.array([NO_CLASS if store.frames[index].label == UNKNOWN
                                 else numbers[store.frames[index].label] for index in self.indices], np.int64)
        self._epoch = torch.zeros((), dtype=torch.int64)
        # Shared, so that workers which stay alive from epoch to epoch see it change.
        with suppress(RuntimeError):  # without /dev/shm there can be no workers, and none is needed
            self._epoch.share_memory_()

    @property
    def epoch(self) -> int:
        """Whose random transforms are drawn."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose which random transforms are drawn; to be called before each epoch."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> Item:
        state = torch.get_rng_state()
        try:
            # Seeds only the CPU's generator; torch.manual_seed would also initialise a GPU in each worker.
            return self._item(place, torch.default_generator)
        finally:
            torch.set_rng_state(state)

    def __getitems__(self, places: Sequence[int]) -> List[Item]:
        """A batch, for ``DataLoader``; in as many threads as torch has, where the transform allows it."""
        threads = torch.get_num_threads()  # 1 in a worker
        if threads == 1 or not getattr(self.transform, 'is_thread_safe', False):
            return [self[place] for place in places]
        # A share for each thread, one of them this one.
        shares = [places[first::threads] for first in range(threads)]
        others = [_pool(threads).submit(self._items, share) for share in shares[1:]]
        # In turn, as the shares were made.
        made = [self._items(shares[0]), *(other.result() for other in others)]
        return [made[at % threads][at // threads] for at in range(len(places))]

    def _items(self, places: Sequence[int]) -> List[Item]:
        generator = torch.Generator()
        return [self._item(place, generator) for place in places]

    def _item(self, place: int, generator: torch.Generator) -> Item:
        index = int(self.indices[place])
        generator.manual_seed(mixed_seed(self.seed, self.epoch, index))
        with drawing_from(generator):
            picture = self.transform(self.store.picture(index))
        return Item(picture, int(self.targets[place]), index)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    cv2.setNumThreads(1)  # within each of these; its own would only get in their way
    return ThreadPoolExecutor(threads - 1, thread_name_prefix='frames')


def mixed_seed(*numbers: int) -> int:
    """A 63 bit seed in which every bit depends on all numbers (the finisher of splitmix64)."""
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


class EvalTransform:
    """What the live node does with a picture: resize (done already in the store), cut, scale, normalise."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessor = Preprocessor(preprocessing, 'cpu')

    def __call__(self, picture: Picture) -> torch.Tensor:
        """float32, shape (C, crop height, crop width)."""
        return self._preprocessor([picture])[0]


def picture_tensor(picture: Picture, channels: int) -> torch.Tensor:
    """A stored picture as uint8, shape (channels, H, W): RGB, or grey as the live node makes it."""
    pixels = torch.from_numpy(np.array(picture.pixels))
    if picture.order is ColorOrder.MONO:
        return pixels.expand(channels, -1, -1)
    if channels == 3:
        return pixels.permute(2, 0, 1)
    red, green, blue = pixels.unbind(-1)
    grey = red.mul(0.2989).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return grey.to(torch.uint8)[None]


def known(store: FrameStore, indices: Indices) -> np.ndarray:
    """Those of ``indices`` whose frames are of a class, not ``unknown``; int64."""
    return np.array([index for index in indices if store.frames[index].label != UNKNOWN], np.int64)


def targets_of(store: FrameStore, indices: Indices, class_names: Sequence[str]) -> np.ndarray:
    """Class indices of frames that are of a class; int64 (n,)."""
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers[store.frames[index].label] for index in indices], np.int64)


def shuffled(count: int, seed: int, epoch: int) -> List[int]:
    """The order of an epoch; the same for a seed and an epoch wherever it is asked for."""
    generator = torch.Generator()
    generator.manual_seed(mixed_seed(seed, epoch))
    return torch.randperm(count, generator=generator).tolist()


def drawn(weights: Union[Sequence[float], np.ndarray], count: int, seed: int, epoch: int) -> List[int]:
    """``count`` places drawn with replacement, in proportion to ``weights``; as reproducible as :func:`shuffled`."""
    generator = torch.Generator()
    generator.manual_seed(mixed_seed(seed, epoch))
    return torch.multinomial(torch.as_tensor(weights, dtype=torch.float64), count, True, generator=generator).tolist()


def stack(dataset: FrameDataset, most: Optional[int] = None) -> Tuple[torch.Tensor, torch.Tensor]:
    """The first ``most`` items as (pictures (N, C, H, W), targets (N,)): for sanity checks and small sets."""
    items = [dataset[place] for place in range(len(dataset) if most is None else min(most, len(dataset)))]
    return torch.stack([item.picture for item in items]), torch.tensor([item.target for item in items])
