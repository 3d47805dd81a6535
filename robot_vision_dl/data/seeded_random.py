"""Random numbers, one at a time, from a generator of the thread's own or, without one, from torch's global one."""
import threading
from contextlib import contextmanager
from typing import Iterator, Sequence

import torch

_own = threading.local()


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Draw from this one in here, in this thread."""
    before = getattr(_own, 'generator', None)
    _own.generator = generator
    try:
        yield
    finally:
        _own.generator = before


def share() -> float:
    """A draw from 0..1."""
    return float(torch.rand((), generator=getattr(_own, 'generator', None)))


def uniform(limit: float) -> float:
    """A draw from -limit..limit."""
    return limit * (2 * share() - 1)


def chance(probability: float) -> bool:
    """Whether it happens."""
    return share() < probability


def normal(shape: Sequence[int]) -> torch.Tensor:
    """Draws of the standard normal distribution; float32."""
    return torch.randn(tuple(shape), generator=getattr(_own, 'generator', None))
