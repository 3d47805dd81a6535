"""Recordings shared out: in this process, over processes of this machine, or over a Dask cluster.

A recording is the unit: its frames depend on each other, recordings do not. Whoever does the work, outcomes come back
in the order of the recordings, so figures are the same to the last bit.
"""
import multiprocessing
import queue
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import List, Optional, Sequence

from ..core.errors import ConfigError, RobotVisionError
from .runner import Job, Outcome, Progress, run_job


def run_here(jobs: Sequence[Job], progress: Progress) -> List[Outcome]:
    """One recording after another."""
    return [run_job(job, progress) for job in jobs]


_reports = None


def _begin(reports) -> None:
    global _reports
    _reports = reports


def _run_and_report(job: Job) -> Outcome:
    return run_job(job, lambda name, done: _reports.put((name, done)))


def run_in_processes(jobs: Sequence[Job], progress: Progress, workers: int) -> List[Outcome]:
    """Recordings over ``workers`` processes of this machine."""
    # Not fork: the parent may have threads of torch and OpenCV, which a forked child would wait for for ever.
    context = multiprocessing.get_context('spawn')
    reports = context.Queue()
    listener = threading.Thread(target=_forward, args=(reports, progress), daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, _begin, (reports,))
    try:
        futures = [pool.submit(_run_and_report, job) for job in jobs]
        for future in as_completed(futures):
            future.result()  # the first error ends it all
        return [future.result() for future in futures]
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()
        reports.put(None)
        listener.join()


def _forward(reports, progress: Progress) -> None:
    while True:
        try:
            item = reports.get(timeout=3600)
        except queue.Empty:
            return
        if item is None:
            return
        progress(*item)


def run_on_cluster(jobs: Sequence[Job], progress: Progress, address: str) -> List[Outcome]:
    """Recordings over the workers of a Dask scheduler, which must see bags and models under the same paths.

    Dask and not Ray: it is pure Python, runs wherever this package does (Ray has no wheels for some of the Pythons and
    processors that robots have), needs no daemon of its own beyond a scheduler, and all that is asked of it here is to
    map a function over some recordings.

    Raises:
        ConfigError: Dask is not installed, or the scheduler does not answer.
    """
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ConfigError(f'--cluster needs Dask ({error}); install it with `pip install "robot_vision_dl[cluster]"`'
                          ) from error
    try:
        client = Client(address, timeout='20s', set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f'--cluster {address}: the Dask scheduler does not answer ({error})') from error
    with client:
        futures = [client.submit(run_job, job, pure=False) for job in jobs]
        outcomes: List[Optional[Outcome]] = []
        try:
            for job, future in zip(jobs, futures):
                outcomes.append(future.result())
                progress(job.recording.name, job.recording.frames)
        except RobotVisionError:
            client.cancel(futures)
            raise
        return outcomes
