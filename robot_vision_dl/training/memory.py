"""What is said when there is not enough memory."""
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import torch

from .errors import TrainingError

_CPU = "can't allocate memory"  # torch's allocator for the CPU has no exception of its own


@contextmanager
def told_when_full(checkpoint: Path, batch_size: int) -> Iterator[None]:
    """Turn want of memory, on a CPU or a GPU, into a message with what is kept and what can be done.

    Args:
        checkpoint: of the last epoch, if there is one.
        batch_size: the present one.

    Raises:
        TrainingError: there was not enough memory for what was done in here.
    """
    try:
        yield
    except (MemoryError, torch.cuda.OutOfMemoryError, RuntimeError) as error:
        if not isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) and _CPU not in str(error):
            raise
        kept = 'the last epoch is kept, and the same command goes on from there' if checkpoint.exists() else \
            'no epoch was finished'
        detail = (str(error).splitlines() or ['no detail'])[0][:160]
        raise TrainingError(
            f'out of memory with run.batch_size {batch_size} ({detail}); {kept}. Close what else takes memory; or '
            'choose a smaller batch_size, which is another run: --restart, or another name') from error
