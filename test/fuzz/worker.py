"""The child that tries inputs: it tells which one it is at, and what came of it, and may die of any of them."""
import ctypes
import faulthandler
import mmap
import os
import random
import resource
import struct
import time
import traceback
from multiprocessing.connection import Connection
from typing import NamedTuple, Optional

from .target import Finding, Target

CPU_LIMIT_S = 1.0
"""Processor time of one input; the wall clock would tell of the machine's other work."""
WALL_LIMIT_S = 20.0
MEMORY_LIMIT = 200 << 20
_HARD_MEMORY = 3 << 30  # address space beyond what the worker has: a bomb ends in the worker, not in the machine
_AT = struct.Struct('@qd')  # native: eight bytes are written at once, and never read half written


class Failure(NamedTuple):
    """What an input did.

    Attributes:
        kind: ``exception``, ``accepted``, ``slow``, ``memory``, ``crash`` or ``hang``.
        text: for a person.
    """

    kind: str
    text: str


class Progress:
    """Number of the input in work and when it began, in memory that the parent sees."""

    def __init__(self):
        self._shared = mmap.mmap(-1, _AT.size)

    def begin(self, index: int) -> None:
        """The worker begins an input."""
        _AT.pack_into(self._shared, 0, index, time.monotonic())

    def now(self) -> tuple:
        """(number, start); number is -1 before the first."""
        return _AT.unpack_from(self._shared, 0)


def input_of(target: Target, seed: int, index: int) -> bytes:
    """The input of this number: the same ever after."""
    return target.case(random.Random(f'{seed}/{target.name}/{index}'))


class Meter:
    """Processor time and memory of one call."""

    def __init__(self):
        self._status = os.open('/proc/self/status', os.O_RDONLY)
        self._before = self._peak()

    def _peak(self) -> int:
        """Most address space so far, bytes: what was asked for, touched or not."""
        for line in os.pread(self._status, 4096, 0).splitlines():
            if line.startswith(b'VmPeak:'):
                return int(line.split()[1]) << 10
        return 0

    def grown(self) -> int:
        """Bytes by which the peak rose since the last call."""
        peak = self._peak()
        grown, self._before = peak - self._before, peak
        return grown


def attempt(target: Target, data: bytes, meter: Optional[Meter] = None) -> 'tuple[str, Optional[Failure], float]':
    """Try one input: (what came of it, failure, processor seconds)."""
    target.lay_out(data)
    if meter is not None:
        meter.grown()
    begin = time.process_time()
    failure = None
    try:
        outcome = target.run(data)
    except target.documented as error:
        outcome = f'refused: {getattr(error, "reason", None) or type(error).__name__}'
        if len(str(error)) > 2000 or any(ord(c) < 32 and c not in '\n\t' for c in str(error)):
            failure = Failure('exception', f'its text is too long or not printable: {str(error)[:300]!r}')
    except Finding as error:
        outcome, failure = 'accepted', Failure('accepted', str(error))
    except (Exception, SystemExit):
        outcome, failure = 'exception', Failure('exception', traceback.format_exc(limit=-8))
    spent = time.process_time() - begin
    if failure is None and spent > CPU_LIMIT_S:
        failure = Failure('slow', f'{spent:.1f} s of processor time')
    if meter is not None:
        grown = meter.grown()
        if failure is None and grown > MEMORY_LIMIT:
            failure = Failure('memory', f'{grown >> 20} MB more')
    return outcome, failure, spent


def begin_quietly() -> None:
    """In the child: nothing of what decoders in C print, bounded memory, no life after the campaign."""
    faulthandler.disable()
    quiet = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(quiet, number)
    # A bomb ends in this process, before it ends the machine.
    used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _HARD_MEMORY, used + _HARD_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: no worker outlives the campaign


def work(target: Target, folder, seed: int, first: int, step: int, count: int, progress: Progress, pipe: Connection
         ) -> None:
    """Try every ``step``-th input from ``first`` to below ``count``; send each failure and, now and then, counts."""
    begin_quietly()
    target.prepare(folder)
    meter = Meter()
    outcomes, slowest, told = {}, 0.0, time.monotonic()
    for index in range(first, count, step):
        progress.begin(index)
        data = input_of(target, seed, index)
        outcome, failure, spent = attempt(target, data, meter)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        slowest = max(slowest, spent)
        if failure is not None:
            pipe.send(('failure', index, failure))
        if time.monotonic() - told > .5 or index + step >= count:
            pipe.send(('counts', outcomes, slowest))
            outcomes, told = {}, time.monotonic()
        if failure is not None and failure.kind == 'memory':
            pipe.send(('counts', outcomes, slowest))
            pipe.send(('again', index + step, None))  # a peak cannot be taken back
            return
    pipe.send(('done', None, None))
