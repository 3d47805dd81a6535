"""SIGINT and SIGTERM for nodes that have something to do before they end; after rclpy's handlers none can publish."""
import signal
from typing import Any


class StopSignals:
    """Handlers in the place of rclpy's; the first signal asks for an end at the next step, where nothing is half done.

    Nothing is raised for it: in the midst of a call rclpy's C++ may swallow an exception.

    Args:
        insist: a second signal raises KeyboardInterrupt, wherever the main thread is.

    Attributes:
        asked: whether one has come.
    """

    def __init__(self, insist: bool) -> None:
        self.asked, self._insist = False, insist
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: Any) -> None:
        if self.asked and self._insist:
            raise KeyboardInterrupt
        self.asked = True

    def heed(self) -> None:
        """End if that was asked for: raise KeyboardInterrupt."""
        if self.asked:
            raise KeyboardInterrupt
