"""torch where it is there already, and nothing where it is not.

A node whose network another runtime runs does without torch, which is half a gigabyte of memory and seconds of a start.
So what is on its way asks for torch by these functions, which do not import it. What needs torch imports it where it is
used, and then all is as if it had been there from the beginning.
"""
import sys
import warnings
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ContextManager, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

_GPU_FILES = ('nvidiactl', 'nvidia0', 'nvhost-ctrl', 'nvhost-ctrl-gpu', 'nvmap', 'kfd', 'dxg')
"""Of the drivers of NVIDIA (Jetson's too) and AMD, and of Windows beside a Linux."""


class HostDevice(NamedTuple):
    """The CPU, where there is no ``torch.device`` to name it."""

    type: str = 'cpu'

    def __str__(self) -> str:
        return self.type


def is_loaded() -> bool:
    """Whether this process has imported torch."""
    return 'torch' in sys.modules


def may_have_gpu() -> bool:
    """Whether torch might find a GPU here; False is certain, True is not."""
    return sys.platform != 'linux' or any(Path('/dev', name).exists() for name in _GPU_FILES)


def set_threads(count: int) -> None:
    """How many threads torch takes for a pass on the calling thread."""
    if is_loaded():
        import torch
        torch.set_num_threads(count)


def without_gradients() -> ContextManager[object]:
    """torch's inference mode, where that is of use and not on already: to enter it costs 20 us with cold caches."""
    if not is_loaded():
        return nullcontext()
    import torch
    return nullcontext() if torch.is_inference_mode_enabled() else torch.inference_mode()


def tensor_of(values: np.ndarray) -> 'torch.Tensor':
    """A tensor that shares the array's memory, unless that is mirrored; it must not be written to."""
    import torch
    _accept_read_only_arrays()
    try:
        return torch.from_numpy(values)
    except ValueError:  # a mirrored view
        return torch.from_numpy(np.ascontiguousarray(values))


@lru_cache(maxsize=None)
def _accept_read_only_arrays() -> None:
    """PyTorch warns once in a process of read-only memory in a tensor, which we do not write to; this is that once."""
    import torch
    array = np.zeros(1, np.uint8)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.from_numpy(array)
