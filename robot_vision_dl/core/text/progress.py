"""How far something is: one line at the foot of the terminal, by tqdm; nothing where standard error is no terminal.

Whatever else the package prints meanwhile (see :mod:`.terminal`) is written above that line, so neither spoils the
other. Standard output never gets any of it.
"""
import contextlib
import sys
import threading
from typing import ContextManager, Iterator, List, Optional, Protocol, TextIO

from .printable import printable

_OF_ALL = '{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{unit} [{elapsed}<{remaining}, ' \
          '{rate_noinv_fmt}{postfix}]'
_COUNTED = '{desc}: {n_fmt}{unit} [{elapsed}, {rate_noinv_fmt}{postfix}]'
_SECONDS_BETWEEN = 0.1


class _Bar(Protocol):
    """What is used of tqdm's bar, and what :func:`_bar` adds."""

    n: float

    def update(self, n: float) -> object: ...  # noqa: D102
    def set_postfix_str(self, s: str, refresh: bool) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def get_lock(self) -> ContextManager[object]: ...  # noqa: D102

    def make_room(self) -> None:
        """Go, so that something else can be written there."""

    def come_back(self) -> None:
        """Be there again."""


_shown: List[_Bar] = []


class Progress:
    """Shows how much is done while its ``with`` block runs; calling it says how much.

    >>> with Progress('writing', 'pictures', total=200) as done:
    ...     for count in range(200):
    ...         done(count + 1)

    Args:
        what: what is being done.
        unit: what is counted, in the plural.
        total: how many there are; None: not known.
        quiet: show nothing, for another process does.
    """

    def __init__(self, what: str, unit: str, total: Optional[float] = None, quiet: bool = False) -> None:
        self._what, self._unit, self._total, self._quiet = what, unit, total, quiet
        self._bar: Optional[_Bar] = None

    def __enter__(self) -> 'Progress':
        # One line, that of the outermost.
        if not self._quiet and not _shown and sys.stderr is not None and sys.stderr.isatty():
            self._bar = _bar(printable(self._what), self._unit, self._total)
            _shown.append(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            _shown.remove(self._bar)
            self._bar.close()
            self._bar = None

    def __call__(self, done: float, remark: str = '') -> None:
        """So many are done.

        Args:
            done: of ``total``, not since the last call.
            remark: what is shown behind the figures.
        """
        if self._bar is not None:
            if remark:
                self._bar.set_postfix_str(printable(remark), refresh=False)
            self._bar.update(done - self._bar.n)


@contextlib.contextmanager
def above_progress(stream: TextIO, text: str) -> Iterator[None]:
    """While this lasts, ``text`` may be written to ``stream``: a line of progress on the terminal makes room."""
    if not _shown or not text or not stream.isatty():
        yield
        return
    bar = _shown[-1]
    with bar.get_lock():
        bar.make_room()
        yield
        if text.endswith('\n'):
            stream.flush()
            bar.come_back()


def _bar(what: str, unit: str, total: Optional[float]) -> _Bar:
    from tqdm import tqdm  # here, since most runs have no terminal

    class Bar(tqdm):  # type: ignore[type-arg]  # generic in its stubs alone
        monitor_interval = 0  # no thread that draws by itself
        is_away = False

        def make_room(self) -> None:
            if not self.is_away:  # print() writes a line in parts
                self.clear(nolock=True)
                self.is_away = True

        def come_back(self) -> None:
            self.is_away = False
            self.refresh(nolock=True)

    Bar.set_lock(threading.RLock())  # instead of one among processes, which forked workers would inherit
    stream = getattr(sys.stderr, 'unchecked', sys.stderr)
    return Bar(desc=what, unit=f' {unit}', total=total, file=stream, leave=False, dynamic_ncols=True, miniters=1,
               mininterval=_SECONDS_BETWEEN, bar_format=_COUNTED if total is None else _OF_ALL)
