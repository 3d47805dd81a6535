"""Which thread computes, and with how many helpers.

libgomp, with which torch shares out a pass, keeps helpers for each thread that ever ran something in parallel. While
all of them together are no more than the cores, they spin from one layer to the next; as soon as they are more, they
sleep and must be woken for each layer, which can double the time of a pass (``gomp_throttled_spin_count_var`` in GCC's
libgomp). A model that is loaded and warmed on one thread and runs on another is such a case. So what is loaded is
loaded on a thread that ends, which takes its helpers along, and the network runs on one thread only.
"""
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, TypeVar

Value = TypeVar('Value')


def network_threads(chosen: int) -> int:
    """CPU threads of a network: as chosen; 0: one less than there are cores, which is for the camera and the rest."""
    return chosen or max(1, len(os.sched_getaffinity(0)) - 1)


def on_a_thread(function: Callable[..., Value], *arguments: object) -> Value:
    """Call on a thread that ends with the call; give what it gives, raise what it raises."""
    with ThreadPoolExecutor(1, thread_name_prefix='loading') as pool:
        return pool.submit(function, *arguments).result()
