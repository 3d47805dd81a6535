"""Nodes that do not end because of what they are sent.

rclpy ends the executor, and with it the process, on the first exception in a callback, and some exceptions are its
own: a parameter of a type that there is not, a message that cannot be deserialized, a transition that is not possible.
"""
import sys
import time
from typing import Any, Callable, Optional

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from ..core.errors import RobotVisionError
from ..core.text.printable import printable

MOST_CHARACTERS = 400
_PAUSE_S = 0.01  # an error that comes again at once must not take a core


def reason_of(error: BaseException) -> str:
    """An error in one line of bounded length, with its kind where it is not one of the package's own."""
    kind = '' if isinstance(error, RobotVisionError) else f'{type(error).__name__}: '
    return printable(f'{kind}{error}', MOST_CHARACTERS)


def guard_services(node: Node) -> None:
    """Answer requests that rclpy itself cannot take, such as a parameter of a type that there is not, with a refusal.

    Without it such a request has no answer.
    """
    for service in node.services:
        service.callback = _guarded(node, service.callback)


def _guarded(node: Node, callback: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def guarded(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:  # noqa: B902 - of any kind; the caller is told
            reason = reason_of(error)
            node.get_logger().error(f'a request was refused: {reason}', throttle_duration_sec=1.0)
            return _refused(request, type(response)(), reason)
    return guarded


def _refused(request: Any, response: Any, reason: str) -> Any:
    from rcl_interfaces.msg import SetParametersResult
    result = SetParametersResult(successful=False, reason=reason)
    if hasattr(response, 'results'):
        response.results = [result] * len(getattr(request, 'parameters', ()))
    elif isinstance(getattr(response, 'result', None), SetParametersResult):
        response.result = result
    elif hasattr(response, 'success'):
        response.success = False
    return response


def spin(node: Node, executor: Optional[SingleThreadedExecutor] = None, ended: Callable[[], bool] = lambda: False
         ) -> None:
    """Run a node's callbacks until it is told to stop; an exception in one is logged and does not end it.

    Args:
        ended: asked after each callback; true: it is to stop.

    Raises:
        KeyboardInterrupt, ExternalShutdownException: it is told to stop.
    """
    guard_services(node)
    executor = executor or SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    while node.context.ok() and not ended():
        try:
            executor.spin_once()
        except (KeyboardInterrupt, ExternalShutdownException):
            raise
        except Exception as error:  # noqa: B902 - whatever it is, it is said, and the node keeps running
            if not node.context.ok():
                return
            node.get_logger().error(f'a callback failed: {reason_of(error)}', throttle_duration_sec=1.0)
            time.sleep(_PAUSE_S)


def _logger_name(name: str) -> str:
    """The name that the node's logger would have, with its namespace and other name; a bare node finds them out."""
    try:
        node = rclpy.create_node(name, start_parameter_services=False, enable_rosout=False)
    except Exception:  # noqa: B902 - what was set up wrongly may be just this
        return name
    try:
        return node.get_logger().name
    finally:
        node.destroy_node()


def start_failed(name: str, error: Exception) -> int:
    """Say in one line why a node cannot start, and give its exit code."""
    line = reason_of(error)
    try:
        rclpy.logging.get_logger(_logger_name(name)).fatal(line)
    except Exception:  # noqa: B902 - logging itself may be what was set up wrongly
        print(f'[{name}]: {line}', file=sys.stderr)
    return 2
