"""Batches in an order that follows from seed and epoch alone."""
import shutil
import tempfile
from typing import Iterator, Optional, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from ..core.errors import ConfigError
from ..data.dataset import FrameDataset, Item, Items, drawn, shuffled

SHARED_MEMORY = '/dev/shm'


def collate(items: Sequence[Item]) -> Items:
    """A batch of items, its pictures in ``torch.channels_last``, as most networks take them quickest on a CPU."""
    pictures = torch.stack([item.picture.permute(1, 2, 0) for item in items]).permute(0, 3, 1, 2)
    return Items(pictures, torch.tensor([item.target for item in items]), torch.tensor([item.frame for item in items]))


class EpochSampler(Sampler[int]):
    """Places of a data set in the order of an epoch; sets the epoch of the data set, too.

    Args:
        dataset: whose transforms depend on the epoch as well.
        seed: of the order.
        weights: float64 (n,): draw with replacement in proportion to them; None: every place once.
        rank, processes: this process takes every ``processes``-th place, from ``rank`` on.
    """

    def __init__(self, dataset: FrameDataset, seed: int, weights: Optional[np.ndarray] = None, rank: int = 0,
                 processes: int = 1) -> None:
        self.dataset = dataset
        self.seed = seed
        self.weights = weights
        self.rank, self.processes = rank, processes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; Lightning calls this before each epoch but the first one of a run."""
        self.epoch = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset) // self.processes

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        order = (shuffled(count, self.seed, self.epoch) if self.weights is None
                 else drawn(self.weights, count, self.seed, self.epoch))
        return iter(order[self.rank:len(self) * self.processes:self.processes])


def training_loader(dataset: FrameDataset, batch_size: int, seed: int, weights: Optional[np.ndarray], workers: int,
                    first_epoch: int, rank: int = 0, processes: int = 1) -> DataLoader[Item]:
    """Whole batches only, unless there is not even one: BatchNorm cannot do with a rest of one picture.

    Several processes share each batch, so that together they see the same pictures in the same steps as one would.

    Args:
        batch_size: of all processes together, a multiple of their number.
        first_epoch: the epoch that comes first. Lightning asks for the first batch before it sets the epoch.

    Raises:
        ConfigError: there is no room in /dev/shm, through which workers hand over pictures.
    """
    if workers:
        _check_shared_memory(dataset, batch_size // processes, workers)
    sampler = EpochSampler(dataset, seed, weights, rank, processes)
    sampler.set_epoch(first_epoch)
    return DataLoader(dataset, min(batch_size // processes, len(sampler)), sampler=sampler, drop_last=True,
                      collate_fn=collate, num_workers=workers, persistent_workers=workers > 0,
                      pin_memory=torch.cuda.is_available())


def _check_shared_memory(dataset: FrameDataset, batch_size: int, workers: int) -> None:
    """Without room the kernel would end a worker (SIGBUS) at some batch."""
    # torch keeps two batches a worker ready
    needed = (2 * workers + 1) * batch_size * (1 + dataset.extra_share) * dataset[0].picture.nbytes
    remedy = ('start the container with --shm-size=2g or --ipc=host, or set run.workers to 0, with which this process '
              'reads pictures itself')
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
        with tempfile.NamedTemporaryFile(dir=SHARED_MEMORY):
            pass
    except OSError as error:
        raise ConfigError(f'run.workers is {workers}, and workers hand over pictures through {SHARED_MEMORY}, which '
                          f'cannot be used here ({error.strerror}); {remedy}') from error
    if free < needed:
        raise ConfigError(f'run.workers is {workers}, and their pictures take {needed / 1e6:.0f} MB in '
                          f'{SHARED_MEMORY}, which has {free / 1e6:.0f} MB free; {remedy}')


def judging_loader(dataset: FrameDataset, batch_size: int, workers: int) -> DataLoader[Item]:
    """All pictures in their order."""
    return DataLoader(dataset, batch_size, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0,
                      pin_memory=torch.cuda.is_available())
