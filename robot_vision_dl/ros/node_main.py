"""From arguments to an exit code: what all nodes that run until they are told to stop do alike."""
from typing import Callable, List, Optional, TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from .spinning import spin, start_failed
from .start import init
from .stop_signals import StopSignals
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
            called; asked after each callback.

    Returns:
        0, or 2 where the node cannot start.
    """
    node = None
    try:
        init(arguments, signal_handler_options=SignalHandlerOptions.NO if stop else SignalHandlerOptions.ALL)
        node = make()
        warn_of_unused(node, arguments)
        begin(node)
        spin(node, ended=lambda: stop is not None and stop.asked)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception as error:  # noqa: B902 - of rcl, too: a parameter file that it cannot read
        return start_failed(name, error)
    finally:
        if node is not None:
            end(node)
        rclpy.try_shutdown()
    return 0
