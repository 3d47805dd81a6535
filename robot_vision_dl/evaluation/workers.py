"""Recordings shared out: in this process, over processes of this machine, or over a Dask cluster.

A recording is the unit: its frames depend on each other, recordings do not. Whoever does the work, an outcome is the
same to the last bit where networks have as many threads.
"""
import os
import queue
import time
from collections import Counter
from typing import Dict, Mapping, Optional, Sequence

from ..core.errors import ConfigError, RobotVisionError
from .process_pool import run_in_processes
from .sent_work import as_bytes, run_bytes
from .work import Outcome, Progress, Settle, Work, run_or_fail

_NO_WORKER_S = 60.0


def share_out(jobs: Sequence[Work[Outcome]], progress: Progress, settle: Settle[Outcome], workers: int = 1,
              cluster: 'Optional[Cluster]' = None) -> None:
    """Do all jobs: on a cluster, or in so many processes, or here. Outcomes are settled as they come, and not kept.

    Raises:
        RobotVisionError: of a job, of the first that fails so.
    """
    if cluster is not None:
        cluster.run(jobs, progress, settle)
    elif workers > 1:
        run_in_processes(jobs, progress, workers, settle)
    else:
        run_here(jobs, progress, settle)


def run_here(jobs: Sequence[Work[Outcome]], progress: Progress, settle: Settle[Outcome]) -> None:
    """One recording after another."""
    for number, job in enumerate(jobs):
        settle(number, run_or_fail(job, progress))


def cores_of_a_worker(workers: int) -> int:
    """Cores of this machine for each of several processes that work at once."""
    return max(1, len(os.sched_getaffinity(0)) // workers)


class Cluster:
    """The workers of a Dask scheduler, which must see bags and models under the same paths; a context manager.

    Dask and not Ray: it is pure Python, runs wherever this package does (Ray has no wheels for some of the Pythons and
    processors that robots have), needs no daemon of its own beyond a scheduler, and all that is asked of it here is to
    map a function over some recordings.

    Raises:
        ConfigError: Dask is not installed, or the scheduler does not answer.
    """

    def __init__(self, address: str) -> None:
        try:
            from dask.distributed import Client
        except ImportError as error:
            raise ConfigError(f'--cluster needs Dask ({error}); install it with `pip install '
                              '"robot_vision_dl[cluster]"`') from error
        try:
            self._client = Client(address, timeout='20s', set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigError(f'--cluster {address}: the Dask scheduler does not answer ({error})') from error
        self._address = address

    def __enter__(self) -> 'Cluster':
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def cores_of_a_job(self) -> int:
        """Cores for each of the jobs that run at once, all the same: those of the machine that has fewest."""
        threads: Mapping[str, int] = self._client.nthreads()
        slots: Counter[str] = Counter()
        for address, count in threads.items():
            slots[_host(address)] += count
        cores = self._client.run(_cores)
        return max(1, min((cores[address] // slots[_host(address)] for address in cores if address in threads),
                          default=1))

    def run(self, jobs: Sequence[Work[Outcome]], progress: Progress, settle: Settle[Outcome]) -> None:
        """Do all jobs; the outcome of one that costs its workers their lives is that of one that failed.

        Raises:
            RobotVisionError: of a job, of the first that fails so.
        """
        suspects = self._some(jobs, range(len(jobs)), progress, settle)
        # Who runs beside the one that ends a worker is lost with it, and is not to blame: each once more, alone.
        for number in suspects:
            if self._some(jobs, [number], progress, settle):
                settle(number, jobs[number].failed(
                    f'{suspects[number]}; it ended each worker of the cluster that it was given to, or there is none '
                    'left'))

    def _some(self, jobs: Sequence[Work[Outcome]], numbers: Sequence[int], progress: Progress,
              settle: Settle[Outcome]) -> Mapping[int, str]:
        """Run some of the jobs; those that were lost with their workers, and what is known of it."""
        from dask.distributed import CancelledError, Future, KilledWorker
        futures: Dict[Future[Outcome], int] = {
            self._client.submit(run_bytes, as_bytes(jobs[number]), pure=False): number for number in numbers}
        done: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(done.put)
        left, lost = set(futures), {}
        last_seen = time.monotonic()
        try:
            while left:
                try:
                    future = done.get(timeout=1.0)
                    left.discard(future)
                    number = futures[future]
                    settle(number, future.result())
                    future.release()  # the scheduler keeps what is asked for by someone
                    progress(jobs[number].recording.name, jobs[number].recording.frames)
                except queue.Empty:
                    pass
                except (KilledWorker, CancelledError) as error:
                    lost[number] = f'{type(error).__name__}: its workers died'
                if self._client.nthreads():
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > _NO_WORKER_S:
                    for future in left:
                        lost[futures[future]] = f'no worker has been there for {_NO_WORKER_S:g} s'
                    self._client.cancel(list(left))
                    break
        except RobotVisionError:
            self._client.cancel(list(futures))
            raise
        except OSError as error:
            raise RobotVisionError(f'--cluster {self._address}: the Dask scheduler is gone ({error})') from error
        return dict(sorted(lost.items()))


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _host(address: str) -> str:
    return address.rpartition(':')[0]
