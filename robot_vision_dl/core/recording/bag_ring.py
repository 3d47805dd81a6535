"""Bags in a folder that together take no more than a bound of disk, and no more than a budget an hour: see `BagRing`.

A bag is closed when it is large or some minutes old, so that little is unfinished at any time, and the oldest can make
room one by one.
"""
import os
import re
import time
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

from ..files.user_path import user_path
from ..files.whole_files import is_part, locked_folder
from .bag_folder import METADATA, BagFolder, storage_name
from .hourly_budget import HOUR_S, HourlyBudget
from .mcap_writer import RecordedMessage

BAG_S, MOST_BAG_BYTES = 600.0, 64_000_000
"""After so long, or with so many bytes, a bag is closed and the next one begun; or with an eighth of what all may
take."""
_SHARE_OF_ALL = 8
_NAME = re.compile(r'doubts_([0-9]{6,15})_[0-9]{8}T[0-9]{6}Z')
_BACK_NS = 1_000_000_000  # time that goes back further is that of a recording that began anew


class Written(Enum):
    """What became of messages that were given to a ring."""

    WRITTEN = 'written'
    OVER_BUDGET = 'over_budget'  # not now
    TOO_LARGE = 'too_large'  # never
    DISK_FULL = 'disk_full'  # less would stay free than is to


class _Closed(NamedTuple):
    number: int
    path: Path
    size: int
    changed_s: float


class BagRing:
    """Bags ``doubts_<number>_<time>`` in a folder, which this process alone writes.

    Bags of earlier runs belong to it, by their names. One that has anything else in it, labels for instance, is
    somebody's: it does not count and is not removed.

    Args:
        folder: is made if it is missing, and again where somebody removes it meanwhile.
        most_bytes: that all bags take together.
        least_free_bytes: that stay free on the disk.
        per_hour: bytes that are written in any hour.
        now_s: as for all methods: by a clock that never goes back.

    Attributes:
        bytes_written: so far, by this process.

    Raises:
        OSError: it cannot be read or made.
        OutputError: another process has it.
        ConfigError: it is no path.
    """

    def __init__(self, folder: str, most_bytes: int, least_free_bytes: int, per_hour: float, now_s: float) -> None:
        self.folder = user_path(folder).absolute()
        self.most_bytes, self.least_free_bytes = most_bytes, least_free_bytes
        self._most_bag = min(MOST_BAG_BYTES, most_bytes // _SHARE_OF_ALL)
        self._held = ExitStack()
        self._take_folder()
        try:
            self._bag: Optional[BagFolder] = None
            self._next = self.bytes_written = 0
            self._scan()
            recent = time.time() - HOUR_S
            self.budget = HourlyBudget(per_hour, now_s, sum(bag.size for bag in self._closed if bag.changed_s > recent))
            self._finish_left_behind()
        except BaseException:
            self._held.close()
            raise

    @property
    def bags(self) -> int:
        """How many there are."""
        return len(self._closed) + (self._bag is not None)

    @property
    def bytes_on_disk(self) -> int:
        """That they take, once all are closed."""
        return sum(bag.size for bag in self._closed) + (self._bag.charged if self._bag is not None else 0)

    def free_bytes(self) -> int:
        """Of the disk, for this user; raises OSError."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    @property
    def due_s(self) -> Optional[float]:
        """When :meth:`tick` will have something to do; None: there is no open bag."""
        return None if self._bag is None or self._bag.opened_s is None else self._bag.opened_s + BAG_S

    def write(self, messages: Sequence[RecordedMessage], now_s: float, leave: float = 0.0) -> Written:
        """Write messages that belong together, at least one; all of them or none.

        Args:
            leave: share of the budget's burst that is left for others.

        Raises:
            OSError: they cannot be written.
        """
        if self._place != _place(self.folder):  # somebody has removed it
            self._close_bag()
            self._held.close()
            self._take_folder()
            self._scan()
        bag = self._bag
        if bag is not None and bag.opened_s is not None:
            back = bag.end_ns is not None and messages[0].time_ns < bag.end_ns - _BACK_NS
            if back or bag.charged >= self._most_bag or bag.is_removed():
                self._close_bag()
        self.tick(now_s)
        while True:
            bag = self._bag or self._new_bag()
            chunk, charged = bag.prepare(messages)
            cost = charged - bag.charged
            if cost > self.budget.most * (1 - leave) or cost > self.most_bytes // 2:
                return Written.TOO_LARGE
            if not self.budget.allows(cost, now_s, leave):
                return Written.OVER_BUDGET
            if self.bytes_on_disk + cost <= self.most_bytes:
                break
            if self._closed:
                self._remove(self._closed.pop(0))
            else:
                self._close_bag()
        if self.free_bytes() < self.least_free_bytes + cost:
            return Written.DISK_FULL
        self.budget.take(cost, now_s)
        self.bytes_written += cost
        try:
            self._bag = bag
            bag.append(chunk, charged, now_s)
        except OSError:
            self._close_bag()
            raise
        return Written.WRITTEN

    def sync(self) -> None:
        """Have on the disk what was written; raises OSError."""
        if self._bag is not None:
            try:
                self._bag.sync()
            except OSError:
                self._close_bag()
                raise

    def tick(self, now_s: float) -> None:
        """Close a bag that is old enough."""
        if self.due_s is not None and now_s >= self.due_s:
            self._close_bag()

    def close(self) -> None:
        """Close the open bag and give the folder back."""
        self._close_bag()
        self._held.close()

    def _take_folder(self) -> None:
        self._held.enter_context(locked_folder(self.folder, 'doubts'))
        self._place = _place(self.folder)
        if not os.access(self.folder, os.W_OK | os.X_OK):  # another's .lock may be there already
            self._held.close()
            raise PermissionError(13, 'Permission denied', str(self.folder))

    def _close_bag(self) -> None:
        bag, self._bag = self._bag, None
        if bag is not None:
            bag.close()
            self._scan()

    def _finish_left_behind(self) -> None:
        """Close the bags whose writers were killed."""
        for bag in self._closed:
            if not (bag.path / METADATA).exists():
                try:
                    BagFolder.left_behind(bag.path).close()
                except (OSError, ValueError):  # it stays as it is, and can be read
                    continue
        self._scan()

    def _new_bag(self) -> BagFolder:
        name = f'doubts_{self._next:06d}_{time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())}'
        return BagFolder(self.folder / name)

    def _scan(self) -> None:
        """Look what there is: bags may have been taken away, or labelled."""
        self._closed: List[_Closed] = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match is None or not entry.is_dir(follow_symlinks=False):
                    continue
                self._next = max(self._next, int(match[1]) + 1)
                with suppress(FileNotFoundError):  # it is being removed
                    self._closed += self._own_bag(entry.path, int(match[1]))
        self._closed.sort()

    @staticmethod
    def _own_bag(path: str, number: int) -> List[_Closed]:
        """A bag, unless anything else is in it."""
        names = os.listdir(path)
        own = [name for name in names if name in (METADATA, storage_name(os.path.basename(path))) or is_part(name)]
        if len(own) < len(names):
            return []
        status = [os.stat(os.path.join(path, name)) for name in own]
        return [_Closed(number, Path(path), sum(one.st_size for one in status),
                        max((one.st_mtime for one in status), default=0.0))]

    @staticmethod
    def _remove(bag: _Closed) -> None:
        if not bag.path.is_dir():
            return  # somebody has taken it away
        for name in (METADATA, storage_name(bag.path.name)):
            (bag.path / name).unlink(missing_ok=True)
        names = os.listdir(bag.path)
        if all(is_part(name) for name in names):  # else something came meanwhile
            for name in names:
                (bag.path / name).unlink(missing_ok=True)
            bag.path.rmdir()


def _place(folder: Path) -> Optional[Tuple[int, int]]:
    """Which folder it is; None: it is not there."""
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
