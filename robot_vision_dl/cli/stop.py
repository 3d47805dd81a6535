"""SIGINT and SIGTERM as a flag, for commands that end what they have begun."""
import signal
from types import FrameType
from typing import Any, Dict, Optional


class Stop:
    """Asked for by SIGINT or SIGTERM; the handler only sets a flag, so that nothing is cut off midway."""

    def __init__(self) -> None:
        self.signal: Optional[int] = None
        self._before: Dict[signal.Signals, Any] = {}

    def __enter__(self) -> 'Stop':
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: Optional[FrameType]) -> None:
        self.signal = number

    def __call__(self) -> bool:
        """Whether it was asked for."""
        return self.signal is not None
