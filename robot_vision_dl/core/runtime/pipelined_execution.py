"""One thread runs the network, and a second one does everything else beside it: see :class:`PipelinedExecution`.

For a camera that delivers more than can be decided: the network, which lets go of Python's lock while it computes, is
then hardly ever idle. The next batch is fetched as late as it can be without keeping the network waiting, since a newer
picture is a better one.
"""
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import Callable, Generic, Optional, Tuple, TypeVar

from ..networks import torch_use

_NEWEST = 0.2  # weight of the newest duration in a running mean
_AHEAD = 3.0  # of how long a batch takes to prepare on average, it is begun so much earlier

Work = TypeVar('Work')


class PipelinedExecution(Generic[Work]):
    """Takes batches through the network on the calling thread, with another that fetches and finishes them.

    Args:
        infer: runs the network on a batch; must not raise.
        fetch: the next batch, prepared, or None where nothing waits.
        finish: what is left to do with a batch when the network is done with it.
    """

    def __init__(self, infer: Callable[[Work], None], fetch: Callable[[], Optional[Work]],
                 finish: Callable[[Work], None]) -> None:
        self._infer, self._fetch, self._finish = infer, fetch, finish
        self._pool: Optional[ThreadPoolExecutor] = None
        self._pass_s = self._fetch_s = 0.0

    def run(self, work: Work) -> None:
        """Take this batch through, and all that come while the network is busy, until nothing waits.

        ``fetch`` and ``finish`` are called on the other thread in torch's inference mode, never at once, and batches
        are finished in their order. What they raise, this does.
        """
        if self._pool is None:
            # It prepares one batch while another is in work, which one core can do, and leaves the others to that.
            self._pool = ThreadPoolExecutor(1, 'beside the network', initializer=torch_use.set_threads, initargs=(1,))
        passes: SimpleQueue[Optional[_Pass[Work]]] = SimpleQueue()
        first = _Pass(work)
        others = self._pool.submit(self._beside, first, passes)
        current: Optional[_Pass[Work]] = first
        while current is not None:
            current.began = time.perf_counter()
            self._infer(current.work)
            self._pass_s = _mean(self._pass_s, time.perf_counter() - current.began)
            current.done.set()
            current = passes.get()
        others.result()

    def close(self) -> None:
        """End the other thread."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _beside(self, first: '_Pass[Work]', passes: 'SimpleQueue[Optional[_Pass[Work]]]') -> None:
        before: Optional[_Pass[Work]] = None
        current: Optional[_Pass[Work]] = first
        failure: Optional[BaseException] = None
        try:
            with torch_use.without_gradients():
                while current is not None:
                    if before is not None:
                        self._finish(before.work)
                    self._sleep_until_due(current)
                    following, failure = self._fetch_next()
                    passes.put(following)
                    current.done.wait()
                    before, current = current, following
                if before is not None:
                    self._finish(before.work)
                if failure is not None:  # what has been through the network is decided first
                    raise failure
        finally:
            passes.put(None)  # whatever happens, nobody waits for ever

    def _fetch_next(self) -> Tuple[Optional['_Pass[Work]'], Optional[BaseException]]:
        """The next batch, or why there is none, which may be nothing."""
        started = time.perf_counter()
        try:
            work = self._fetch()
        except BaseException as error:  # noqa: B902 - raised again when what is in work is done
            return None, error
        if work is None:
            return None, None
        self._fetch_s = _mean(self._fetch_s, time.perf_counter() - started)
        return _Pass(work), None

    def _sleep_until_due(self, current: '_Pass[Work]') -> None:
        """Until it is time to fetch the next batch, so that it is ready when the pass is done; or until it is done."""
        seconds = current.began + self._pass_s - _AHEAD * self._fetch_s - time.perf_counter()
        if seconds > 0:
            current.done.wait(seconds)


class _Pass(Generic[Work]):
    """A batch on its way through the network.

    Attributes:
        began: ``time.perf_counter()`` when the network began; when it was about to, before that.
        done: set when the network is done with it.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.began = time.perf_counter()
        self.done = Event()


def _mean(mean: float, newest: float) -> float:
    return newest if not mean else (1 - _NEWEST) * mean + _NEWEST * newest
