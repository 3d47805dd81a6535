"""Several processes that train together, as ``torchrun`` starts them."""
import os
from typing import NamedTuple

from ..core.errors import ConfigError


class Processes(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: 0..count-1; 0 reports and writes.
        count: 1 without torchrun.
        here: on this machine.
    """

    rank: int
    count: int
    here: int


def processes() -> Processes:
    """As the environment says, which torchrun sets."""
    values = [os.environ.get(name) for name in ('RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE')]
    if None in values:
        return Processes(0, 1, 1)
    return Processes(*map(int, values))


def check_batch_size(batch_size: int, among: Processes) -> None:
    """Raise :class:`ConfigError` unless the processes can share a batch evenly."""
    if batch_size % among.count:
        raise ConfigError(f'run.batch_size: {batch_size} pictures cannot be shared evenly by {among.count} processes')
