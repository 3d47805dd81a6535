"""SIGINT and SIGTERM where rclpy does not handle them: at the start, and in nodes that do something before they end.

After rclpy's handlers nothing can be published, and a node that is still being made finds its context gone.
"""
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
        self.take()

    def take(self) -> None:
        """Be the handlers, from now on or again; on the main thread."""
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


class StartSignals(StopSignals):
    """Handlers until a node runs its callbacks: the first signal raises KeyboardInterrupt wherever the main thread is.

    Later ones do nothing: launch, a terminal and an impatient user may all send one, and what ends is to end once.
    Where the exception was swallowed, :meth:`heed` raises it again.
    """

    def __init__(self) -> None:
        super().__init__(insist=False)

    def give_way(self) -> None:
        """Put back Python's handlers, which rclpy's call as well: ours would cut a callback short.

        Raises:
            KeyboardInterrupt: an end was asked for before.
        """
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.heed()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        if not self.asked:
            self.asked = True
            raise KeyboardInterrupt
