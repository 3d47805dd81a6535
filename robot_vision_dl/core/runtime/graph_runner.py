"""Batches through a GPU: one upload, one CUDA graph, one download, and one wait.

A pass of a small network is hundreds of launches, each of which costs the host some microseconds, more than it costs
the GPU to run it. A CUDA graph is all of them as one launch, for memory that stays where it is. There is one for each
batch size, recorded from the largest to the smallest, so that they share one pool of memory.
"""
from functools import partial
from threading import Lock
from typing import Callable, Dict, List, Optional, Sequence
from weakref import ReferenceType, ref

import numpy as np
import torch

from ..errors import DeviceError, first_line
from ..networks.gpu_driver import Driver, Replay, Trouble

SLOTS = 2
"""One batch is being prepared while another is in work, never more."""


class DeviceLost(DeviceError):
    """The GPU cannot be used any more in this process."""


class GraphRunner:
    """Runs ``runner`` on batches of up to ``most`` as CUDA graphs, and on larger ones launch by launch.

    Not for several threads at once but for :meth:`take`, which another thread may call.

    Args:
        runner: tensor (B, ...) on the device -> float32 (B, K) there, without branches on data.
        driver: of the GPU.
        most: largest batch that has a graph.
        shape, dtype: of one item of what goes in.

    Attributes:
        most: as asked for, or less where memory did not suffice.
        notes: what is not as it was asked for, a sentence each.

    Raises:
        DeviceError: not even single frames have the memory that they need.
        DeviceLost: the GPU fails.
    """

    def __init__(self, runner: Callable[[torch.Tensor], torch.Tensor], driver: Driver, most: int,
                 shape: Sequence[int], dtype: torch.dtype = torch.uint8) -> None:
        self._runner, self._driver = runner, driver
        self._shape, self._dtype = tuple(shape), dtype
        self._lock = Lock()
        self.notes: List[str] = []
        self.most = most
        while not self._is_built():
            self._forget()
            if self.most == 1:
                raise DeviceError(_no_memory(driver, 1))
            self.most //= 2
            self.notes = [f'{driver.device} has too little memory for batches of {most}; those of up to {self.most} '
                          'have a CUDA graph. `nvidia-smi` shows who has it; a smaller max_batch needs less']

    def _is_built(self) -> bool:
        """Build all; False: there is not the memory.

        What is given back has to be given back after this has returned: until then the error holds on to the frames
        that it came through, and these to the maps of the pass and to the graph that was recorded.
        """
        try:
            self._build()
            return True
        except Exception as error:  # noqa: B902 - of torch, CUDA and their libraries
            trouble = self._driver.trouble(error)
            if trouble is Trouble.LOST:
                raise DeviceLost(_lost(self._driver, error)) from error
            if trouble is not Trouble.MEMORY:
                raise
            return False

    @torch.inference_mode()
    def _build(self) -> None:
        driver = self._driver
        self._replays: Dict[int, Replay] = {}
        with torch.inference_mode(False):  # so that they may be written to outside of it
            self._input = driver.memory((self.most, *self._shape), self._dtype)
            self._slots = [_Slot(driver.host((self.most, *self._shape), self._dtype)) for _ in range(SLOTS)]
        found: List[torch.Tensor] = []
        driver.run(lambda: found.append(self._runner(self._input)))
        driver.wait(driver.mark())
        self.width = found.pop().shape[1]
        with torch.inference_mode(False):
            self._output = driver.memory((self.most, self.width), torch.float32)
            self._result = driver.host((self.most, self.width), torch.float32)
        sizes = range(self.most, 0, -1)
        try:
            for size in sizes:
                driver.warm(partial(self._pass, size))
            # What the passes before took is not there for those that are recorded, which take as much again.
            driver.free()
            for size in sizes:
                self._replays[size] = driver.capture(partial(self._pass, size))
            driver.free()
        except Exception as error:  # noqa: B902 - of torch, CUDA and their libraries
            if driver.trouble(error) is not Trouble.OTHER:
                raise
            self._replays.clear()
            self.notes.append('this network runs without CUDA graphs, launch by launch, which takes longer: '
                              f'{first_line(error)}')

    def _forget(self) -> None:
        self._replays = {}
        for name in ('_input', '_output', '_result', '_slots'):
            vars(self).pop(name, None)
        self._driver.free()

    @property
    def has_graphs(self) -> bool:
        """Whether batches run as CUDA graphs."""
        return bool(self._replays)

    def take(self, count: int) -> Optional[torch.Tensor]:
        """Page-locked memory for a batch, to be filled and given to :meth:`run`; None where all of it is in use.

        It is free again after :meth:`run`, or when nobody has it any more.
        """
        with self._lock:
            slot = next((slot for slot in self._slots if slot.free), None)
            if slot is None or count > self.most:
                return None
            taken = slot.pixels[:count]
            slot.user = ref(taken)
            return taken

    def warm_up(self) -> None:
        """Run a batch of each size on the calling thread, so that it meets nothing for the first time."""
        for size in range(self.most, 0, -1):
            self.run(torch.zeros((size, *self._shape), dtype=self._dtype))

    def run(self, batch: torch.Tensor, graphs: bool = True) -> np.ndarray:
        """The packed array, float32 (B, K), of a batch (B, ...) on the host.

        Args:
            batch: best in memory of :meth:`take`, which is not copied again.
            graphs: False: launch by launch, for comparison.

        Raises:
            DeviceError: there is not enough memory, even for half of it.
            DeviceLost: the GPU fails.
        """
        try:
            return self._once(batch, graphs)
        except Exception as error:  # noqa: B902 - of torch, CUDA and their libraries
            self._judge(error)
        self._driver.free()  # not while the error is there, which holds on to the maps of the pass
        half = (len(batch) + 1) // 2
        try:
            return np.concatenate([self._once(some, graphs) for some in batch.split(half)])
        except Exception as error:  # noqa: B902
            self._judge(error)
            raise DeviceError(_no_memory(self._driver, half)) from error
        finally:
            self._release(batch)

    def _judge(self, error: Exception) -> None:
        """Raise all but a lack of memory."""
        trouble = self._driver.trouble(error)
        if trouble is Trouble.LOST:
            raise DeviceLost(_lost(self._driver, error)) from error
        if trouble is not Trouble.MEMORY:
            raise error

    def _once(self, batch: torch.Tensor, graphs: bool) -> np.ndarray:
        driver, count = self._driver, len(batch)
        replay: Optional[Replay]
        if count > self.most:
            into, output, result, replay = self._large(count)
        else:
            into, output, result = self._input[:count], self._output[:count], self._result[:count]
            replay = self._replays.get(count) if graphs else None
        driver.copy(into, batch)
        if replay is not None:
            replay()
        else:
            driver.run(lambda: output.copy_(self._runner(into)))
        driver.copy(result, output)
        driver.wait(driver.mark())
        self._release(batch)
        return np.array(result.numpy())  # a copy: the next batch comes to the same place

    def _large(self, count: int) -> 'tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]':
        driver = self._driver
        return (driver.memory((count, *self._shape), self._dtype), driver.memory((count, self.width), torch.float32),
                driver.host((count, self.width), torch.float32), None)

    def _release(self, batch: torch.Tensor) -> None:
        with self._lock:
            for slot in self._slots:
                if slot.user is not None and slot.user() is batch:
                    slot.user = None

    def _pass(self, size: int) -> None:
        self._output[:size].copy_(self._runner(self._input[:size]))


class _Slot:
    """Page-locked memory for a batch, and who has it."""

    def __init__(self, pixels: torch.Tensor) -> None:
        self.pixels = pixels
        self.user: 'Optional[ReferenceType[torch.Tensor]]' = None

    @property
    def free(self) -> bool:
        return self.user is None or self.user() is None


def _lost(driver: Driver, error: BaseException) -> str:
    return (f'{driver.device} fails ({first_line(error)}), and no process that used it can go on with it; see '
            '`nvidia-smi` and `sudo dmesg | grep -i -e xid -e nvrm`, then start the node again')


def _no_memory(driver: Driver, count: int) -> str:
    return (f'{driver.device} has not enough memory for a batch of {count}; `nvidia-smi` shows who has it: end that, '
            'set max_batch lower or precision to float16, take a smaller network, or set device to cpu')
