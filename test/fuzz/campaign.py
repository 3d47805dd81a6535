"""Workers over the inputs of a target: those that die are begun again behind what they died of; failures are kept."""
import multiprocessing
import multiprocessing.connection
import os
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional

from .minimise import minimised
from .target import Target
from .worker import WALL_LIMIT_S, Failure, Progress, input_of, work

_FORK = multiprocessing.get_context('fork')
_MOST_KEPT = 40
_PREPARE_S = 300.0


@dataclass
class Result:
    """What a campaign over one target gave.

    Attributes:
        tried: inputs.
        outcomes: how many were accepted, and refused by which reason.
        failures: by number of the input.
        slowest_s: processor time of the slowest one.
        seconds: wall time.
    """

    target: str
    tried: int = 0
    outcomes: Counter = field(default_factory=Counter)
    failures: Dict[int, Failure] = field(default_factory=dict)
    slowest_s: float = 0.0
    seconds: float = 0.0


class _Lane:
    """One worker process after the other, over every ``jobs``-th input."""

    def __init__(self, target: Target, folder: Path, seed: int, first: int, step: int, count: int):
        self._of = (target, folder, seed)
        self._step, self._count = step, count
        self.finished = False
        self.start(first)

    def start(self, first: int) -> None:
        """A worker from this input on, in a folder of its own."""
        target, folder, seed = self._of
        self.progress = Progress()
        self.progress.begin(-1)
        self.first, self.told = first, 0
        self.late: Optional[int] = None  # the input that was late when looked at last
        self.pipe, theirs = _FORK.Pipe(duplex=False)
        self.process = _FORK.Process(target=work, args=(
            target, Path(tempfile.mkdtemp(dir=folder)), seed, first, self._step, self._count, self.progress, theirs),
            daemon=True)
        self.process.start()
        theirs.close()

    def after(self, index: int) -> None:
        """Go on behind the input that ended the worker."""
        following = index + self._step if index >= 0 else self._count
        if following < self._count:
            self.start(following)
        else:
            self.finished = True


def run_campaign(target: Target, seed: int, count: int, jobs: int, minutes: Optional[float] = None,
                 say: Callable[[str], None] = print) -> Result:
    """Try ``count`` inputs, or as many of them as fit into ``minutes``."""
    result = Result(target.name)
    begin = told = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='fuzz-') as folder:
        lanes = [_Lane(target, Path(folder), seed, first, jobs, count) for first in range(min(jobs, count))]
        while not all(lane.finished for lane in lanes):
            now = time.monotonic()
            if minutes is not None and now - begin > minutes * 60:
                for lane in lanes:
                    lane.process.kill()
                break
            if now - told > 30:
                say(f'  {target.name}: {result.tried} tried, {len(result.failures)} failures, {now - begin:.0f} s')
                told = now
            multiprocessing.connection.wait([lane.pipe for lane in lanes if not lane.finished], timeout=.5)
            for lane in lanes:
                if not lane.finished:
                    _look_after(lane, result)
        for lane in lanes:
            lane.process.join()
    result.seconds = time.monotonic() - begin
    return result


def _look_after(lane: _Lane, result: Result) -> None:
    try:
        while lane.pipe.poll():
            kind, value, more = lane.pipe.recv()
            if kind == 'failure':
                result.failures[value] = more
            elif kind == 'counts':
                result.outcomes.update(value)
                result.tried += sum(value.values())
                lane.told += sum(value.values())
                result.slowest_s = max(result.slowest_s, more)
            else:
                lane.process.join()
                if kind == 'again':
                    lane.after(value - lane._step)
                else:
                    lane.finished = True
                return
    except EOFError:  # the worker is gone
        lane.process.join()
        index = lane.progress.now()[0]
        code = lane.process.exitcode
        if index < 0:
            raise RuntimeError(f'{result.target}: the worker ended while it made its corpus, exit code {code}'
                               ) from None
        name = signal.Signals(-code).name if code < 0 else f'exit code {code}'
        _end(lane, result, index, Failure('crash', f'the process ended: {name}'))
        return
    index, started = lane.progress.now()
    if index < 0 and time.monotonic() - started > _PREPARE_S:
        lane.process.kill()
        raise RuntimeError(f'{result.target}: a worker has not made its corpus within {_PREPARE_S:.0f} s')
    is_late = index >= 0 and time.monotonic() - started > WALL_LIMIT_S and lane.process.is_alive()
    if not is_late or lane.late != index:  # seen twice, for the number and the time are not read in one
        lane.late = index if is_late else None
    else:
        lane.process.kill()
        lane.process.join()
        _end(lane, result, index, Failure('hang', f'no answer within {WALL_LIMIT_S:.0f} s'))


def _end(lane: _Lane, result: Result, index: int, failure: Failure) -> None:
    result.failures[index] = failure
    result.outcomes[failure.kind] += 1
    untold = (index - lane.first) // lane._step - lane.told
    if untold:  # what it had tried since it last told
        result.outcomes['not told'] += untold
    result.tried += untold + 1
    lane.after(index)


def save_failures(target: Target, seed: int, result: Result, out: Path, say: Callable[[str], None] = print
                  ) -> List[Path]:
    """Keep each failing input, made as small as it fails; a text beside it says how it fails."""
    saved: List[Path] = []
    if not result.failures:
        return saved
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='fuzz-') as folder:
        target.prepare(Path(folder))
        for index, failure in sorted(result.failures.items())[:_MOST_KEPT]:
            data = input_of(target, seed, index)
            small = minimised(target, data, failure.kind)
            path = out / f'{target.name}-{seed}-{index}-{failure.kind}.bin'
            path.write_bytes(small)
            path.with_suffix('.txt').write_text(
                f'{target.name}, seed {seed}, input {index}: {failure.kind}\n{failure.text}\n{len(data)} bytes, made '
                f'smaller to {len(small)}\nagain: make fuzz ARGS="--replay {path}"\n', encoding='utf-8')
            say(f'  kept {os.path.relpath(path)}: {failure.kind}: {failure.text.strip().splitlines()[-1][:150]}')
            saved.append(path)
    if len(result.failures) > _MOST_KEPT:
        say(f'  {len(result.failures) - _MOST_KEPT} more failures were not kept')
    return saved
