"""Writes the frames that a live node was unsure about, beside its work: see :class:`DoubtRecorder`."""
import errno
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Callable, Counter, Deque, Dict, NamedTuple, Optional, Sequence, Tuple

from ..config import RecordDoubtsConfig
from ..errors import RobotVisionError
from .bag_ring import BagRing, Written
from .doubts import RANDOM, Decided, Doubts
from .hourly_budget import BURST
from .mcap_writer import RecordedMessage

NOT_WRITABLE, QUEUE_FULL, FAILED = 'not_writable', 'queue_full', 'failed'
DROP_REASONS = (QUEUE_FULL, NOT_WRITABLE, FAILED, Written.OVER_BUDGET.value, Written.TOO_LARGE.value,
                Written.DISK_FULL.value)
"""Why a frame that was to be written was not: the disk is slower than they come; the folder cannot be written; its
messages could not be made; the hour's budget is spent; it alone is more than a bound; the disk is full."""
RETRY_S = 10.0
"""After an error of the disk nothing is tried for so long."""
SOON_S = 1.0
"""The same where the disk was full or the folder was not there, which others mend."""
FOR_RANDOM = 0.2
"""Share of what may be written at once that doubts leave to frames at random."""
_OPENING = 'opening'
_STOP_S = 10.0
_SYNC_S = 1.0  # so often at most, while frames wait
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OWN_BYTES = 10_000  # of what waits, beside the picture
_MB = 1e6


@dataclass(frozen=True)
class DoubtAccount:
    """What became of the frames that were to be recorded, since the recorder was made.

    Attributes:
        folder: where they are written, absolute; as it was set where it cannot be.
        written: frames, by each reason that they were written for; a frame can have several.
        frames, bytes: that were written.
        dropped: frames that were not, by one of :data:`DROP_REASONS`.
        bags, bytes_on_disk: that are there, of earlier runs as well.
        waiting: frames that are still to be written.
        trouble: why nothing can be written at the moment and what to do; empty: it can.
    """

    folder: str
    written: Counter[str]
    frames: int
    bytes: int
    dropped: Counter[str]
    bags: int
    bytes_on_disk: int
    waiting: int
    trouble: str


class _Settings(NamedTuple):
    """What a ring is made of."""

    folder: str
    mb_per_hour: float
    max_mb: float
    min_free_mb: float


class _Waiting(NamedTuple):
    size: int
    reasons: Tuple[str, ...]
    make: Callable[[], Sequence[RecordedMessage]]


class DoubtRecorder:
    """Chooses frames (:class:`.doubts.Doubts`) and writes them on a thread of its own, which begins when it is needed.

    Whoever decides frames only puts them into a queue that is bounded in bytes. Nothing that goes wrong is raised: it
    is counted and told by :meth:`account`.

    Args:
        config: what is wished; with an empty folder nothing is done.
    """

    def __init__(self, config: RecordDoubtsConfig) -> None:
        self._doubts = Doubts(config)
        self._config = config
        self._changed = threading.Condition()
        self._queue: Deque[_Waiting] = deque()
        self._waiting_bytes = self._in_work = 0
        self._closing = False
        self._thread: Optional[threading.Thread] = None
        self._ring: Optional[BagRing] = None
        self._ring_of: Optional[_Settings] = None
        self._retry_s: Optional[float] = None
        self._synced_s = float('-inf')
        self._trouble: Dict[str, str] = {}
        self._account = DoubtAccount(config.folder, Counter(), 0, 0, Counter(), 0, 0, 0, '')
        if config.folder:
            self._start()

    def configure(self, config: RecordDoubtsConfig) -> None:
        """Take over changed settings; may be called from any thread."""
        with self._changed:
            self._config = self._doubts.config = config
            self._trouble.clear()
            self._retry_s = None if self._retry_s is None else 0.0
            self._changed.notify()
        if config.folder and not self._closing:
            self._start()

    @property
    def is_on(self) -> bool:
        """Whether there is a folder to write to."""
        return bool(self._config.folder)

    def reasons(self, camera: str, decided: Sequence[Decided], at_fault: bool, now_s: float) -> Tuple[str, ...]:
        """Why a frame is to be given to :meth:`add`; empty: it is not.

        Arguments as of :meth:`.doubts.Doubts.reasons`; ``now_s`` is ``time.monotonic()``.
        """
        return self._doubts.reasons(camera, decided, at_fault, now_s) if self.is_on else ()

    def add(self, reasons: Tuple[str, ...], size: int, make: Callable[[], Sequence[RecordedMessage]]) -> None:
        """Have a frame written; where too much waits it is left out.

        Args:
            reasons: why.
            size: bytes that ``make`` keeps in memory.
            make: gives the messages; called later, on another thread.
        """
        size += _OWN_BYTES
        with self._changed:
            if self._waiting_bytes + size > self._config.max_waiting_mb * _MB:
                self._account.dropped[QUEUE_FULL] += 1
            else:
                self._queue.append(_Waiting(size, reasons, make))
                self._waiting_bytes += size
                self._changed.notify()

    def account(self) -> DoubtAccount:
        """What became of all frames so far."""
        with self._changed:
            known = self._account
            return replace(known, dropped=Counter(known.dropped), written=Counter(known.written),
                           waiting=len(self._queue) + self._in_work, trouble='; '.join(self._trouble.values()))

    def stop(self) -> None:
        """Write what waits, close the bag and end; where the disk hangs, without waiting for it for ever."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name='record doubts', daemon=True)
            self._thread.start()

    # Below: on the recorder's own thread.

    def _run(self) -> None:
        while True:
            waiting = self._next()
            self._guarded(_OPENING, self._open_wanted)
            if waiting is not None:
                self._guarded(NOT_WRITABLE, self._write, waiting)
            self._guarded(NOT_WRITABLE, self._look_after)
            with self._changed:
                if waiting is not None:
                    self._waiting_bytes -= waiting.size
                    self._in_work = 0
                if self._closing and not self._queue:
                    break
        self._guarded(NOT_WRITABLE, self._close)

    def _next(self) -> Optional[_Waiting]:
        """The frame that waits for longest; None: there is none, and something else is to be done."""
        with self._changed:
            if not self._queue and not self._closing and self._wanted() == self._ring_of:
                due_s = self._ring.due_s if self._ring is not None else self._retry_s
                self._changed.wait(None if due_s is None else max(0.0, due_s - time.monotonic()))
            if not self._queue:
                return None
            self._in_work = 1
            return self._queue.popleft()

    def _wanted(self) -> _Settings:
        return _Settings(self._config.folder, self._config.mb_per_hour, self._config.max_mb, self._config.min_free_mb)

    def _open_wanted(self) -> None:
        """Have the ring that is wished for, or none."""
        wanted, now_s = self._wanted(), time.monotonic()
        if wanted == self._ring_of and (self._retry_s is None or now_s < self._retry_s):
            return
        self._close()
        self._ring_of = wanted
        if wanted.folder:
            self._retry_s = now_s + RETRY_S
            self._ring = BagRing(wanted.folder, round(wanted.max_mb * _MB), round(wanted.min_free_mb * _MB),
                                 wanted.mb_per_hour * _MB, now_s)
            self._retry_s = None
        with self._changed:
            self._trouble.pop(_OPENING, None)

    def _close(self) -> None:
        ring, self._ring, self._ring_of, self._retry_s = self._ring, None, None, None
        if ring is not None:
            ring.close()

    def _write(self, waiting: _Waiting) -> None:
        ring, config = self._ring, self._config
        if ring is None:
            if config.folder:  # else the folder was taken away meanwhile, as wished
                self._drop(NOT_WRITABLE)
            return
        try:
            messages = waiting.make()
        except Exception as error:  # noqa: B902 - whatever a conversion raises, the thread lives
            self._drop(FAILED, f'a frame cannot be made a message ({type(error).__name__}: {error})')
            return
        leave = FOR_RANDOM if config.random_share and RANDOM not in waiting.reasons else 0.0
        before = ring.bytes_written
        try:
            written = ring.write(messages, time.monotonic(), leave)
        except BaseException:
            self._drop(NOT_WRITABLE)
            raise
        if written is Written.WRITTEN:
            with self._changed:
                self._account.written.update(waiting.reasons)
                self._account = replace(
                    self._account, frames=self._account.frames + 1, folder=str(ring.folder), bags=ring.bags,
                    bytes=self._account.bytes + ring.bytes_written - before, bytes_on_disk=ring.bytes_on_disk)
                for reason in (NOT_WRITABLE, FAILED, Written.DISK_FULL.value):
                    self._trouble.pop(reason, None)
            return
        size = sum(len(message.data) for message in messages)
        self._drop(written.value, {
            Written.OVER_BUDGET: '', Written.TOO_LARGE: _too_large(size, leave, config),
            Written.DISK_FULL: _disk_full(ring, size, config)}[written])

    def _look_after(self) -> None:
        """What is to be done from time to time."""
        ring, now_s = self._ring, time.monotonic()
        if ring is None:
            with self._changed:
                self._account = replace(self._account, folder=self._config.folder, bags=0, bytes_on_disk=0)
            return
        with self._changed:
            is_idle = not self._queue
        if is_idle or now_s - self._synced_s >= _SYNC_S:
            ring.sync()
            self._synced_s = time.monotonic()
        ring.tick(now_s)
        with self._changed:
            self._account = replace(self._account, folder=str(ring.folder), bags=ring.bags,
                                    bytes_on_disk=ring.bytes_on_disk)

    def _drop(self, reason: str, sentence: str = '') -> None:
        with self._changed:
            self._account.dropped[reason] += 1
            if sentence:
                self._trouble[reason] = sentence

    def _guarded(self, what: str, step: Callable[..., None], *arguments: Any) -> None:
        """Do something that may fail of the disk: then it is told, and tried again after a while."""
        try:
            step(*arguments)
        except Exception as error:  # noqa: B902 - of a disk, whose errors nobody can list
            retry_s = SOON_S if _number(error) in (*_FULL, errno.ENOENT) else RETRY_S
            with self._changed:
                self._trouble[what] = f'{_trouble(self._config.folder, error)}; it is tried again every {retry_s:g} s'
            ring, self._ring = self._ring, None
            self._retry_s = time.monotonic() + retry_s
            if ring is not None:
                with suppress(Exception):
                    ring.close()


def _number(error: Exception) -> Optional[int]:
    """Which error of the system it was, if one."""
    cause = error.__cause__ if isinstance(error, RobotVisionError) else error
    return cause.errno if isinstance(cause, OSError) else None


def _trouble(folder: str, error: Exception) -> str:
    if isinstance(error, RobotVisionError):  # which says what to do
        return f'record_doubts.folder: {error}'
    reason = error.strerror if isinstance(error, OSError) else None
    remedy = 'set record_doubts.folder to a folder that the node may write to'
    if _number(error) in (*_FULL, errno.EFBIG):
        remedy = 'make room, lower record_doubts.max_mb, or set record_doubts.folder to a folder of another disk'
    return f'{folder}: cannot be written ({reason or f"{type(error).__name__}: {error}"}); {remedy}'


def _too_large(size: int, leave: float, config: RecordDoubtsConfig) -> str:
    hour_mb = (size + _OWN_BYTES * 4) / BURST / (1 - leave) / _MB
    lacking = [f'{name} to at least {ceil(least)}' for name, least, given in (
        ('record_doubts.mb_per_hour', hour_mb, config.mb_per_hour),
        ('record_doubts.max_mb', 2 * hour_mb * BURST, config.max_mb)) if given < least]
    return (f'a frame of {size / _MB:.1f} MB is more than may be written at once: raise '
            f'{" and ".join(lacking) or "record_doubts.mb_per_hour"}, or take compressed images')


def _disk_full(ring: BagRing, size: int, config: RecordDoubtsConfig) -> str:
    free, move = _amount(ring.free_bytes()), 'or set record_doubts.folder to a folder of another disk'
    if not config.min_free_mb:
        return f'{ring.folder}: the disk is full: {free} are free, and a frame takes {_amount(size)}: make room, {move}'
    return (f'{ring.folder}: {free} of the disk are free, and record_doubts.min_free_mb, {config.min_free_mb:g}, are '
            f'to stay so: make room, lower it, {move}')


def _amount(size: int) -> str:
    return f'{size / _MB:.0f} MB' if size >= _MB else f'{size / 1000:.0f} KB'
