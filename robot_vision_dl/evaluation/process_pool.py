"""Recordings over processes of this machine, of which one may be lost without the others.

A worker has one pipe to the parent and nothing else in common with anyone: no queue or lock that a killed process could
keep for ever, as those of ``concurrent.futures`` do, whose pool gives up all jobs when one process dies.
"""
import multiprocessing
import signal
from collections import deque
from copy import copy
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Deque, Dict, NamedTuple, Optional, Sequence, Set, Tuple

from ..core.errors import RobotVisionError
from .work import Outcome, Progress, Settle, Work, run_or_fail

_READY, _PROGRESS, _DONE, _ENDED_BY = 'ready', 'progress', 'done', 'ended by'


class _Worker(NamedTuple):
    process: SpawnProcess
    pipe: Connection


def run_in_processes(jobs: Sequence[Work[Outcome]], progress: Progress, workers: int, settle: Settle[Outcome]) -> None:
    """Do all jobs; the outcome of one whose process died is that of one that failed. None is kept once it is settled.

    Raises:
        RobotVisionError: of a job, of the first that fails so; or processes cannot be started at all.
    """
    waiting: Deque[int] = deque(range(len(jobs)))
    settled: Set[int] = set()

    def done(number: int, outcome: Outcome) -> None:
        settled.add(number)
        settle(number, outcome)

    running: Dict[Connection, Tuple[_Worker, Optional[int]]] = {}
    try:
        while len(settled) < len(jobs):
            # A worker that waits for its first job counts as one that will take it.
            while len(running) < min(workers, len(jobs) - len(settled)):
                worker = _start()
                running[worker.pipe] = worker, None
            ready = wait(list(running))
            for pipe in [one for one in running if one in ready]:
                worker, number = running[pipe]
                try:
                    kind, content = pipe.recv()
                except (EOFError, OSError):
                    del running[pipe]
                    how = _lost(worker, number)
                    assert number is not None
                    done(number, jobs[number].failed(how))
                    continue
                if kind == _PROGRESS:
                    progress(*content)
                    continue
                if kind == _ENDED_BY:
                    raise content
                if kind == _DONE:
                    assert number is not None
                    done(number, content)
                if waiting:
                    number = waiting.popleft()
                    running[pipe] = worker, number
                    _send(pipe, jobs[number])
                else:
                    del running[pipe]
                    _send(pipe, None)
                    worker.process.join()
                    pipe.close()
    finally:
        for worker, _ in running.values():
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _start() -> _Worker:
    # Not fork: the parent may have threads of torch and OpenCV, which a forked child would wait for for ever.
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends with the process
    return _Worker(process, ours)


def _send(pipe: Connection, job: Optional[Work[Any]]) -> None:
    try:
        pipe.send(job)
    except OSError:
        pass  # it has just died, which the pipe tells next


def _lost(worker: _Worker, number: Optional[int]) -> str:
    """How the process of a worker, which had the job ``number``, ended."""
    worker.process.join()
    worker.pipe.close()
    how = how_it_ended(worker.process.exitcode)
    if number is None:
        raise RobotVisionError(f'a worker process {how} before it could begin; a script that shares work '
                               'out to workers must do so under `if __name__ == "__main__":`')
    return f'its worker process {how}'


def how_it_ended(exit_code: Optional[int]) -> str:
    """In words.

    >>> how_it_ended(-11)
    'was ended by SIGSEGV (a fault in a decoder or another library)'
    """
    if exit_code is None or exit_code >= 0:
        return f'ended with exit code {exit_code}'
    name = next((item.name for item in signal.Signals if item == -exit_code), f'signal {-exit_code}')
    why = {'SIGKILL': ' (someone killed it, or the system was out of memory: try fewer workers)',
           'SIGSEGV': ' (a fault in a decoder or another library)', 'SIGBUS': ' (a file was cut while it was read)',
           'SIGILL': ' (a library for another processor)'}
    return f'was ended by {name}{why.get(name, "")}'


def _serve(pipe: Connection) -> None:
    """In a worker: do job after job, until there is none or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the parent ends its workers itself
    try:
        pipe.send((_READY, None))
        while True:
            job = pipe.recv()
            if job is None:
                return
            try:
                found = run_or_fail(job, lambda *done: pipe.send((_PROGRESS, done)))
            except RobotVisionError as error:
                pipe.send((_ENDED_BY, _portable(error)))
                return
            pipe.send((_DONE, found))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _portable(error: RobotVisionError) -> RobotVisionError:
    """The error, or one that says the same where it does not survive the way through a pipe."""
    try:
        same = copy(error)  # made anew as a pipe makes it
        return error if str(same) == str(error) else RobotVisionError(str(error))
    except Exception:
        return RobotVisionError(str(error))
