"""Work on its way to a Dask worker: bytes, which nobody but the worker takes apart.

A scheduler unpickles what it is to hand on. With the work itself that would load all that it is made of, torch among
it: hundreds of megabytes in a process that never computes.
"""
import pickle
from typing import Any


def pickled(work: Any) -> bytes:
    """A :class:`~.work.Work` as bytes."""
    return pickle.dumps(work)


def run_pickled(work: bytes) -> Any:
    """In a worker: :func:`~.work.run_or_fail`."""
    from .work import run_or_fail
    return run_or_fail(pickle.loads(work))
