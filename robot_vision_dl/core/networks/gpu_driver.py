"""The boundary to a GPU: all that the graph runner asks of one, so that it can be tested against another."""
from enum import Enum
from typing import Callable, Protocol, Sequence

import torch

Replay = Callable[[], None]
"""Asks for a recorded pass."""


class Trouble(Enum):
    """What an error means for those that go on."""

    MEMORY = 'out of memory'
    LOST = 'the device cannot be used any more in this process'
    OTHER = 'anything else'


class Event(Protocol):
    """A mark in the stream."""

    def synchronize(self) -> None: ...  # noqa: D102


class Driver(Protocol):
    """One GPU and one stream: what is asked for is done in that order, some time later; only :meth:`wait` waits."""

    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def host(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor: ...  # noqa: D102
    def memory(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor: ...  # noqa: D102
    def copy(self, into: torch.Tensor, source: torch.Tensor) -> None: ...  # noqa: D102
    def run(self, function: Callable[[], object]) -> None: ...  # noqa: D102
    def warm(self, function: Callable[[], object]) -> None: ...  # noqa: D102
    def capture(self, function: Callable[[], object]) -> Replay: ...  # noqa: D102
    def mark(self) -> Event: ...  # noqa: D102
    def wait(self, event: Event) -> None: ...  # noqa: D102
    def free(self) -> None: ...  # noqa: D102
    def trouble(self, error: BaseException) -> Trouble: ...  # noqa: D102
