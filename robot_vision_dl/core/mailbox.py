"""Newest frame wins: one place a camera between the threads that receive and the thread that infers.

A camera that delivers faster than the network decides does not build up a queue; the frame that was waiting is
replaced and counted. Every message that was received is accounted for: decided, waiting, being worked on, or dropped
for a named reason.
"""
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

REPLACED = 'replaced_by_newer'
BACKWARDS = 'stamp_backwards'
INACTIVE = 'node_inactive'
RATE_LIMITED = 'rate_limited'


@dataclass
class Account:
    """Where the frames of one camera went; received = decided + sum(dropped) + waiting + in work."""

    received: int = 0
    decided: int = 0
    dropped: Counter = field(default_factory=Counter)


class Mailbox:
    """Holds at most one item a camera. All methods may be called from any thread."""

    def __init__(self, cameras: Sequence[str]):
        self._slots: Dict[str, Any] = {}
        self._order: List[str] = list(cameras)
        self._accounts: Dict[str, Account] = {camera: Account() for camera in cameras}
        self._condition = threading.Condition()
        self._closed = False

    def put(self, camera: str, item: Any) -> None:
        """Leave an item for the worker; one that waited there is dropped as ``replaced_by_newer``."""
        with self._condition:
            account = self._accounts[camera]
            account.received += 1
            if self._closed:
                account.dropped[INACTIVE] += 1
                return
            if camera in self._slots:
                account.dropped[REPLACED] += 1
            self._slots[camera] = item
            self._condition.notify()

    def take(self, limit: int) -> Optional[List[Tuple[str, Any]]]:
        """Wait until something is there, then take what is waiting: at most ``limit`` items, one a camera.

        Cameras are served in turn: who was taken goes to the end of the line, so none is starved.

        Returns:
            (camera, item) pairs, or None once the mailbox is closed.
        """
        with self._condition:
            while not self._slots and not self._closed:
                self._condition.wait()
            if self._closed:
                return None
            cameras = [camera for camera in self._order if camera in self._slots][:limit]
            taken = [(camera, self._slots.pop(camera)) for camera in cameras]
            self._order = [camera for camera in self._order if camera not in cameras] + cameras
            return taken

    def decided(self, camera: str) -> None:
        """Count a frame that ended in a decision."""
        with self._condition:
            self._accounts[camera].decided += 1

    def dropped(self, camera: str, reason: str) -> None:
        """Count a frame that was taken but not decided."""
        with self._condition:
            self._accounts[camera].dropped[reason] += 1

    def account(self, camera: str) -> Account:
        """A copy of the camera's account, consistent at one moment."""
        with self._condition:
            account = self._accounts[camera]
            return Account(account.received, account.decided, Counter(account.dropped))

    def close(self) -> None:
        """Wake the worker and make it end; what still waits, and what comes later, is counted as dropped."""
        with self._condition:
            self._closed = True
            for camera in self._slots:
                self._accounts[camera].dropped[INACTIVE] += 1
            self._slots.clear()
            self._condition.notify_all()
