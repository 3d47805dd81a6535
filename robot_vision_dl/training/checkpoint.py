"""Files that are whole whenever they are there: written beside, flushed to the disk, then renamed."""
import io
from pathlib import Path
from typing import Any, Dict, List, Tuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..core.errors import first_line, is_about_machine
from ..core.files.whole_files import write_whole
from ..core.networks.network import Network, restore_network
from .errors import TrainingError
from .history import EpochRecord, from_rows

LAST, BEST = 'last.ckpt', 'best.safetensors'
"""Files of a run's folder: what it goes on from, and the weights that are kept."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that after a crash at any moment there is the old one or the new one, never a part.

    Raises:
        OutputError: the disk is full or the folder cannot be written to; the old file is still there.
    """
    kept = f'the one written before is kept at {path}' if path.exists() else 'there was none before'
    write_whole(path, data, remedy=f'{kept}. Make room ({len(data) / 1e6:.1f} MB) and give the same command again: it '
                                   'goes on from there')


def save_checkpoint(path: Path, content: Dict[str, Any]) -> None:
    """Write plain values and tensors; see :func:`write_atomically`."""
    # In memory first: torch.save reports a full disk as a damaged archive.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path) -> Dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote; no code of the file is run.

    Raises:
        TrainingError: it is damaged.
    """
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged archive raises whatever its damage leads to
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and is_about_machine(error)):
            raise
        raise TrainingError(f'{path}: the checkpoint is damaged ({first_line(error)}); --restart begins anew'
                            ) from error


def save_weights(path: Path, state: Dict[str, torch.Tensor], notes: Dict[str, str]) -> None:
    """Write weights with a few words about them."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    write_atomically(path, save(tensors, notes))


def load_weights(path: Path) -> Tuple[Dict[str, torch.Tensor], Dict[str, str]]:
    """Read what :func:`save_weights` wrote.

    Raises:
        TrainingError: it is missing or damaged.
    """
    try:
        with safe_open(str(path), framework='pt') as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        if isinstance(error, OSError) and is_about_machine(error):
            raise
        raise TrainingError(f'{path}: cannot be read ({error}); --restart begins anew') from error


def interrupted_history(folder: Path, fingerprint: str) -> List[EpochRecord]:
    """Epochs of the run that the checkpoint in ``folder`` is of; none if there is none.

    Raises:
        TrainingError: it is of another run, or damaged.
    """
    path = folder / LAST
    if not path.exists():
        return []
    checkpoint = load_checkpoint(path)
    if checkpoint.get('fingerprint') != fingerprint:
        raise TrainingError(f'{path}: is of a run with other settings, data or software; --restart begins anew, or '
                            'choose another name')
    return from_rows(checkpoint['history'])


def training_folder(folder: Path, number: int) -> Path:
    """Where the checkpoints of a training of a run are; the first, number 1, has those in the run's own folder."""
    return folder if number == 1 else folder / f'training_{number}'


def best_network(network: Network, folder: Path, trainings: int = 1) -> Network:
    """The kept weights of a run, in a network like ``network``, in evaluation mode on the CPU.

    Of several trainings the mean of their weights, statistics of BatchNorm included; counters are those of the first.
    """
    states = [load_weights(training_folder(folder, number) / BEST)[0] for number in range(1, trainings + 1)]
    state = {key: value if not value.is_floating_point() else torch.stack([one[key] for one in states]).mean(dim=0)
             for key, value in states[0].items()}
    return restore_network(network.architecture, state)
