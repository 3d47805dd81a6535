"""Several processes that train together, as ``torchrun`` starts them."""
import os
from typing import NamedTuple

from ..core.errors import ConfigError


class Processes(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: 0..world_size-1; 0 reports and writes.
        world_size: 1 without torchrun.
        here: on this machine.
    """

    rank: int
    world_size: int
    here: int


def processes() -> Processes:
    """As the environment says, which torchrun sets."""
    rank, world_size, here = (os.environ.get(name) for name in ('RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE'))
    if rank is None or world_size is None or here is None:
        return Processes(0, 1, 1)
    return Processes(int(rank), int(world_size), int(here))


def check_batch_size(batch_size: int, among: Processes) -> None:
    """Raise :class:`ConfigError` unless the processes can share a batch evenly."""
    if batch_size % among.world_size:
        raise ConfigError(f'run.batch_size: {batch_size} pictures cannot be shared evenly by {among.world_size} '
                          'processes')
