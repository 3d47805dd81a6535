"""The boundary to a GPU without one: what is asked for waits in a queue until somebody waits for it, as on a GPU.

All else is the real thing. So a buffer that is written to too early, or read before the wait, shows in the numbers.
"""
from collections import Counter

import torch

from robot_vision_dl.core.networks.cuda import trouble_of


class FakeGpu:
    """A driver (``core/networks/gpu_driver.py``) whose memory is the host's.

    Attributes:
        device: that it claims to be.
        asked: how often something was asked for: copies, runs, passes to warm, captures, replays, waits, frees.
        failures: errors to be raised, by what is asked for; each is raised once.
        least_for_memory: batches of at least so many find no memory when they are captured.
    """

    def __init__(self, device='cpu'):
        self.device = torch.device(device)
        self.asked, self.failures = Counter(), {}
        self.least_for_memory = None
        self.captured, self.replayed = [], []
        self._queue = []

    def _ask(self, what, function=None):
        self.asked[what] += 1
        errors = self.failures.get(what)
        if errors:
            error = errors.pop(0)
            if error is not None:
                raise error
        if function is not None:
            self._queue.append(function)

    def host(self, shape, dtype):
        return torch.zeros(tuple(shape), dtype=dtype)

    memory = host

    def copy(self, into, source):
        self._ask('copy', lambda: into.copy_(source))

    def run(self, function):
        self._ask('run', function)

    def warm(self, function):
        self._ask('warm')
        self._drain()
        function()

    def capture(self, function):
        size = function.args[0] if hasattr(function, 'args') else 0  # of the batch
        self._ask('capture')
        if self.least_for_memory is not None and size >= self.least_for_memory:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')
        self._drain()
        function()
        self.captured.append(size)

        def replay():
            self.replayed.append(size)
            self._ask('replay', function)
        return replay

    def mark(self):
        return None

    def wait(self, event):
        self._ask('wait')
        self._drain()

    def free(self):
        self._ask('free')

    def trouble(self, error):
        return trouble_of(error)

    def _drain(self):
        waiting, self._queue = self._queue, []
        for function in waiting:
            function()


OUT_OF_MEMORY = torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 MiB')
LOST = RuntimeError('CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be ...')
