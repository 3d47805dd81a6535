"""Whether there is room on the disk for a run, asked before its first epoch."""
import shutil
from pathlib import Path

from ..core.errors import OutputError
from ..core.networks.network import Network
from .config import TrainConfig

_STATES = {'sgd': 1, 'nesterov': 1, 'rmsprop': 1, 'adagrad': 1, 'adam': 2, 'adamw': 2}
"""Numbers that an optimiser keeps for each weight, at most."""


def needed_bytes(network: Network, config: TrainConfig) -> int:
    """What a run writes at most: checkpoint and best weights, each beside the one before, and the bundle."""
    weights = sum(tensor.numel() * 4 for tensor in network.state_dict().values())
    average = 1 if config.run.average_decay else 0
    checkpoint = weights * (1 + _STATES[config.optimizer.name] + average)
    return 2 * checkpoint + 2 * weights + weights + (config.run.trainings - 1) * (checkpoint + weights)


def check_room(folder: Path, network: Network, config: TrainConfig, resumes: bool) -> None:
    """Raise :class:`OutputError` where the disk of ``folder`` is too full; of a run that resumes half is there."""
    needed = needed_bytes(network, config) // (2 if resumes else 1)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(f'{folder}: {free / 1e6:.0f} MB are free, and the checkpoints of a network of this size take '
                          f'{needed / 1e6:.0f} MB; make room, or give another folder as output.runs')
