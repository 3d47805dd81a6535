"""Forward passes on a second thread, beside which the batch before is finished and the next one is fetched.

For a camera that delivers more than can be decided: the network, which lets go of Python's lock while it computes, is
then hardly ever idle. The next batch is fetched as late as it can be without keeping the network waiting, since a newer
picture is a better one.
"""
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Callable, Optional

_NEWEST = 0.2  # weight of the newest duration in a running mean
_AHEAD = 3.0  # of how long a batch takes to prepare on average, it is begun so much earlier


class Pass:
    """A forward pass that runs, or will as soon as the one before it is done.

    Attributes:
        began: ``time.perf_counter()`` when it did.
        future: done when it is.
    """

    def __init__(self):
        self.began = 0.0
        self.future: Optional[Future] = None
        self._begun = Event()

    def begin(self) -> None:
        """Now; called by the thread that runs it."""
        self.began = time.perf_counter()
        self._begun.set()

    def wait_begun(self) -> None:
        """Until it has. Whoever works beside it should not take Python's lock from it before."""
        self._begun.wait()

    def wait(self, seconds: float) -> None:
        """Until it is done, but no longer than this."""
        if seconds > 0:
            wait((self.future,), seconds)

    def join(self) -> None:
        """Until it is done."""
        self.future.result()


class Overlap:
    """Runs passes one after another, and knows how long things take; used by one thread."""

    def __init__(self):
        self._pool: Optional[ThreadPoolExecutor] = None
        self._pass_s = self._prepare_s = 0.0

    def start(self, infer: Callable[[], None]) -> Pass:
        """Run ``infer``, which must not raise, on the other thread, after all that were given to it before."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix='network')
        pass_ = Pass()
        pass_.future = self._pool.submit(self._timed, infer, pass_)
        return pass_

    def prepared(self, seconds: float) -> None:
        """Take note of how long it took to fetch and prepare a batch."""
        self._prepare_s = _mean(self._prepare_s, seconds)

    def sleep_until_due(self, running: Pass) -> None:
        """Until it is time to fetch the next batch, so that it is ready when the pass is done."""
        running.wait(running.began + self._pass_s - _AHEAD * self._prepare_s - time.perf_counter())

    def close(self) -> None:
        """End the other thread."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _timed(self, infer: Callable[[], None], pass_: Pass) -> None:
        pass_.begin()
        infer()
        self._pass_s = _mean(self._pass_s, time.perf_counter() - pass_.began)


def _mean(mean: float, newest: float) -> float:
    return newest if not mean else (1 - _NEWEST) * mean + _NEWEST * newest
