"""From arguments to an exit code: what all nodes that run until they are told to stop do alike."""
from typing import Callable, List, Optional, TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

from ..core.processes import end_helpers_when
from .spinning import spin, start_failed
from .start import init
from .stop_signals import StartSignals, StopSignals
from .unused import warn_of_unused

NodeT = TypeVar('NodeT', bound=Node)


def run_node(name: str, make: Callable[[], NodeT], arguments: Optional[List[str]],
             begin: Callable[[NodeT], object] = lambda node: None,
             end: Callable[[NodeT], object] = lambda node: None,
             stop: Optional[StopSignals] = None) -> int:
    """Make a node and run its callbacks until it is told to stop.

    Args:
        name: of the node, where it cannot be made.
        make: may raise, for parameters that cannot be used.
        arguments: of the process.
        begin: called before the first callback.
        end: called after the last one, however it came.
        stop: handles signals in the place of rclpy, which ends all that there is to publish with before ``end`` is
            called; asked after each callback. Without, rclpy handles them once there are callbacks to run; a model that
            is being loaded before is left at once.

    Returns:
        0, or 2 where the node cannot start.
    """
    node = None
    signals: StopSignals = stop or StartSignals()
    try:
        init(arguments, signal_handler_options=SignalHandlerOptions.NO)
        end_helpers_when(lambda: signals.asked or not rclpy.ok())
        node = make()
        warn_of_unused(node, arguments)
        begin(node)
        if isinstance(signals, StartSignals):
            signals.give_way()
            install_signal_handlers(SignalHandlerOptions.ALL)
        spin(node, ended=lambda: stop is not None and stop.asked)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception as error:  # noqa: B902 - of rcl, too: a parameter file that it cannot read
        if signals.asked and stop is None:
            return 0  # the error is the interruption's
        return start_failed(name, error)
    finally:
        signals.asked = True
        if isinstance(signals, StartSignals):
            signals.take()  # what comes while the node ends does nothing
        if node is not None:
            end(node)
        rclpy.try_shutdown()
        if isinstance(signals, StartSignals):
            signals.take()  # nor what comes after rclpy has put back the handlers that it found
    return 0
