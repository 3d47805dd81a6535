"""Where the frames of each camera went: every one that arrived is decided, in work, or dropped for a named reason."""
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, Hashable, Optional, Sequence

REPLACED = 'replaced_by_newer'
BACKWARDS = 'stamp_backwards'
RATE_LIMITED = 'rate_limited'


@dataclass
class Account:
    """Where the frames of one camera went; received = decided + sum(dropped) + in work."""

    received: int = 0
    decided: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class FrameCounters:
    """The accounts of all cameras. All methods may be called from any thread."""

    def __init__(self, cameras: Sequence[str]) -> None:
        self._accounts: Dict[str, Account] = {camera: Account() for camera in cameras}
        self._lock = threading.Lock()

    def received(self, camera: str, replaced: int = 0) -> None:
        """Count a frame that was taken, and those that it replaced before anyone took them."""
        with self._lock:
            account = self._accounts[camera]
            account.received += 1 + replaced
            if replaced:
                account.dropped[REPLACED] += replaced

    def decided(self, camera: str) -> None:
        """Count a frame that ended in a decision."""
        with self._lock:
            self._accounts[camera].decided += 1

    def dropped(self, camera: str, reason: str) -> None:
        """Count a frame that was taken but not decided."""
        with self._lock:
            self._accounts[camera].dropped[reason] += 1

    def account(self, camera: str) -> Account:
        """A copy of the camera's account, consistent at one moment."""
        with self._lock:
            account = self._accounts[camera]
            return Account(account.received, account.decided, Counter(account.dropped))


class SequenceGaps:
    """How many messages of a topic were never seen, by the numbers that their publishers give them."""

    _MOST_PUBLISHERS = 64

    def __init__(self) -> None:
        self._last: Dict[Hashable, int] = {}
        self._lost = 0

    def lost(self, count: int) -> None:
        """Messages that never arrived: they are missing from the numbers, and are not to be counted."""
        self._lost += count

    def missed(self, publisher: Hashable, number: Optional[int]) -> int:
        """Messages that arrived between the one seen before and this one, and that nobody took.

        Args:
            publisher: its identity; None where the middleware does not tell, then numbers that go backwards are
                those of another one.
            number: of the message, counted by its publisher; None where the middleware has no such numbers, and
                nothing can be said.
        """
        if number is None:
            return 0
        before = self._last.get(publisher)
        if len(self._last) >= self._MOST_PUBLISHERS:  # of drivers that were started again and again
            self._last.clear()
        self._last[publisher] = number
        gap = 0 if before is None else max(number - before - 1, 0)
        arrived, self._lost = max(gap - self._lost, 0), 0
        return arrived
