"""How nodes begin, and what they log: one clear line for arguments that cannot be used, no control characters."""
import atexit
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, Optional, Sequence, cast

import rclpy
import rclpy.impl.rcutils_logger
from rclpy.node import Node
from rclpy.signals import uninstall_signal_handlers

from ..core.errors import ConfigError
from ..core.text.parameter_file import read_sections
from ..core.text.terminal import any_text_goes, message

if TYPE_CHECKING:
    from rclpy.impl.rcutils_logger import RcutilsLogger

# rclpy names this list for others to add to, so that the caller's line is logged and not this file's. Where it is not
# there, lines of this file are.
_CALLERS = getattr(rclpy.impl.rcutils_logger, '_internal_callers', None)
if isinstance(_CALLERS, list):
    _CALLERS.append(str(Path(__file__).resolve()))


def init(arguments: Optional[Sequence[str]] = None, **options: Any) -> None:
    """``rclpy.init()`` for the node of this process; rclpy handles SIGINT and SIGTERM unless ``options`` say otherwise.

    Raises:
        ConfigError: rcl refuses the arguments or a parameter file that they name.
    """
    any_text_goes()
    try:
        rclpy.init(args=None if arguments is None else list(arguments), **options)
    except Exception as error:  # noqa: B902 - RCLError has no public name, and there are others
        for path in parameter_files(sys.argv if arguments is None else arguments):
            read_sections(path)  # says which line
        raise ConfigError(f'arguments of the node: {" ".join(str(error).split())}') from error
    # A signal while the node ends can keep it from shutting down; rclpy's thread for signals, still there at exit,
    # would then end the process by abort().
    atexit.register(uninstall_signal_handlers)


def parameter_files(arguments: Sequence[str]) -> Iterator[str]:
    """Paths after ``--params-file``, in their order."""
    for option, value in zip(arguments, arguments[1:]):
        if option == '--params-file':
            yield value


class PrintableLogger:
    """A logger of rclpy whose messages have no control characters but line breaks, and an end."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    # A method each: rclpy tells severities by the place of the call.

    def debug(self, text: str, **options: Any) -> bool:
        """As of the logger itself."""
        return self._logger.debug(message(text), **options)

    def info(self, text: str, **options: Any) -> bool:
        """As of the logger itself."""
        return self._logger.info(message(text), **options)

    def warning(self, text: str, **options: Any) -> bool:
        """As of the logger itself."""
        return self._logger.warning(message(text), **options)

    warn = warning

    def error(self, text: str, **options: Any) -> bool:
        """As of the logger itself."""
        return self._logger.error(message(text), **options)

    def fatal(self, text: str, **options: Any) -> bool:
        """As of the logger itself."""
        return self._logger.fatal(message(text), **options)


class PrintableLogs(Node):
    """For a node: its logger is a :class:`PrintableLogger`. To be named before rclpy's class."""

    _printable_logger: Optional[PrintableLogger] = None

    def get_logger(self) -> 'RcutilsLogger':
        """The logger of the node."""
        if self._printable_logger is None:
            self._printable_logger = PrintableLogger(super().get_logger())
        return cast('RcutilsLogger', self._printable_logger)  # it has all that rclpy's has
