"""Looking at what modules of a network give, for the time of a pass."""
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator

from torch import nn


@contextmanager
def forward_hooks(modules: Iterable[nn.Module], hook: Callable[[nn.Module, Any, Any], Any]) -> Iterator[None]:
    """Call ``hook`` with (module, inputs, output) of each module that runs within the block.

    What it returns, if not None, takes the output's place.
    """
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
