"""Work on its way to a Dask worker: bytes, which nobody but the worker takes apart.

A scheduler takes apart what it is to hand on. With the work itself that would load all that it is made of, torch among
it: hundreds of megabytes in a process that never computes.
"""
from typing import Any


def as_bytes(work: Any) -> bytes:
    """A :class:`~.work.Work` as bytes, by Dask's own serialisation."""
    from distributed.protocol.serialize import serialize_bytes
    data: bytes = serialize_bytes(work)
    return data


def run_bytes(work: bytes) -> Any:
    """In a worker: :func:`~.work.run_or_fail`."""
    from distributed.protocol.serialize import deserialize_bytes

    from .work import run_or_fail
    return run_or_fail(deserialize_bytes(work))
