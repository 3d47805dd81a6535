"""Slow loads of which only the newest wish counts."""
import threading
from dataclasses import dataclass
from typing import Callable, Generic, Hashable, Optional, TypeVar

Key = TypeVar('Key', bound=Hashable)
Value = TypeVar('Value')


@dataclass(frozen=True)
class Loaded(Generic[Key, Value]):
    """A load that ended and is still wanted: a value, or else the error that there is none for."""

    key: Key
    value: Optional[Value] = None
    error: Optional[BaseException] = None


@dataclass(frozen=True, eq=False)
class _Wish(Generic[Key, Value]):
    key: Key
    load: Callable[[], Value]


class LatestLoad(Generic[Key, Value]):
    """Loads what was wished for last, on a thread of its own, one load at a time.

    A load cannot be interrupted. One that is no longer wanted is dropped when it ends, and the newest wish is loaded
    next; wishes in between are not loaded at all. What is wished for again while it is still being loaded is not loaded
    twice.

    Args:
        notify: called on the loading thread after each load, wanted or not; then :meth:`take` may have something.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._wanted: Optional[_Wish[Key, Value]] = None
        self._busy: Optional[_Wish[Key, Value]] = None
        self._done: Optional[Loaded[Key, Value]] = None
        self._thread: Optional[threading.Thread] = None

    def want(self, key: Key, load: Callable[[], Value]) -> None:
        """Wish for ``key`` in place of all that was wished for before; ``load`` is called unless a load of it is on."""
        with self._lock:
            if self._wanted is not None and self._wanted.key == key:
                return
            self._done = None
            self._wanted = self._busy if self._busy is not None and self._busy.key == key else _Wish(key, load)
            if self._thread is None:
                thread = threading.Thread(target=self._work, name='model loading', daemon=True)
                try:
                    thread.start()
                except BaseException:
                    self._wanted = None
                    raise
                self._thread = thread

    def drop(self) -> None:
        """Wish for nothing."""
        with self._lock:
            self._wanted = self._done = None

    def take(self) -> Optional[Loaded[Key, Value]]:
        """What was loaded, once, if it is still what is wished for."""
        with self._lock:
            done, self._done = self._done, None
            if done is not None:
                self._wanted = None
            return done

    @property
    def loading(self) -> Optional[Key]:
        """The key of the load that is on, whether it is still wanted or not."""
        busy = self._busy
        return None if busy is None else busy.key

    def _work(self) -> None:
        while True:
            with self._lock:
                wish = self._wanted
                if wish is None or self._done is not None:
                    self._busy = self._thread = None
                    return
                self._busy = wish
            try:
                loaded = Loaded(wish.key, value=wish.load())
            except BaseException as error:  # noqa: B902 - whoever takes it judges; a later wish has to find a thread
                loaded = Loaded(wish.key, error=error)
            with self._lock:
                self._busy = None
                if wish is self._wanted:
                    self._done = loaded
            del loaded, wish  # what is dropped must not stay in memory beside the next
            self._notify()
