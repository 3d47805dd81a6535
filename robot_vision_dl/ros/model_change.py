"""Have a running classifier node take over the bundle that now lies where its model is."""
import os
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, List

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ..core.bundles.bundle_search import find_bundle
from ..core.errors import BundleError, RobotVisionError
from ..core.text.printable import printable

FIND_S, LOAD_S = 10.0, 120.0
_MODEL = 'model'


def check_runs(node_name: str, model: str) -> str:
    """The value of the node's parameter ``model``, which must mean the bundle ``model`` of this machine.

    Raises:
        RobotVisionError: there is no such node, or it runs another model.
    """
    with _peer() as peer:
        return _model_of(peer, _full(node_name), model)


def take_over(node_name: str, model: str, identity: str) -> str:
    """Set the node's parameter ``model`` again, which has it load what lies there now, and wait until that runs.

    The node loads it beside the one that runs and swaps them between two frames.

    Args:
        node_name: full name of the node.
        model: folder of the bundle.
        identity: of the bundle, which the node's diagnostics tell.

    Returns:
        A sentence.

    Raises:
        RobotVisionError: the node is not there, refuses it, or does not run it in time.
    """
    name = _full(node_name)
    with _peer() as peer:
        wanted = _model_of(peer, name, model)
        running: List[str] = []

        def note(message: DiagnosticArray) -> None:
            for status in message.status:
                if status.name == f'{name}: model':
                    running[:] = [item.value for item in status.values if item.key == 'bundle_id']
        peer.node.create_subscription(DiagnosticArray, '/diagnostics', note, 10)
        began_s = time.monotonic()
        answer = peer.call(SetParameters, f'{name}/set_parameters', SetParameters.Request(parameters=[Parameter(
            name=_MODEL, value=ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=wanted))]))
        if not answer.results[0].successful:
            raise RobotVisionError(f'{name}: does not take the new model over: {printable(answer.results[0].reason)}')
        if not peer.wait(lambda: running == [identity], LOAD_S):
            still = printable(running[0]) if running else 'what it does not tell'
            raise RobotVisionError(f'{name}: {identity} is installed and was asked for, but after {LOAD_S:.0f} s '
                                   f'the node still runs {still}; its log says why')
        return f'{name} runs {identity}, {time.monotonic() - began_s:.1f} s after it was asked to'


def _full(name: str) -> str:
    return '/' + name.strip('/')


def _model_of(peer: '_Peer', name: str, model: str) -> str:
    found = peer.call(GetParameters, f'{name}/get_parameters', GetParameters.Request(names=[_MODEL]))
    value = found.values[0].string_value if found.values else ''
    if not value:
        raise RobotVisionError(f'{name}: has no parameter `model`, so it is no classifier node; `robot-vision watch` '
                               'tells which there are')
    try:
        folder = os.path.realpath(find_bundle(value, suggest=False))
    except BundleError:
        folder = value
    if folder != os.path.realpath(model):
        raise RobotVisionError(f'{name}: runs {printable(value)}, which is not {printable(model)} here; start the node '
                               'with the path of the installed bundle, or leave --node out')
    return str(value)


class _Peer:
    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        self.node, self._executor = node, executor

    def wait(self, until: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not until():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """The answer of a service.

        Raises:
            RobotVisionError: none in time.
        """
        client: Any = self.node.create_client(kind, name)
        if not self.wait(client.service_is_ready, FIND_S):
            raise RobotVisionError(f'{name.rpartition("/")[0]}: there is no such node; `robot-vision watch` or '
                                   '`ros2 node list` tells which there are, and ROS_DOMAIN_ID must be the same here')
        future = client.call_async(request)
        if not self.wait(future.done, FIND_S):
            raise RobotVisionError(f'{name}: no answer within {FIND_S:.0f} s')
        return future.result()


@contextmanager
def _peer() -> Iterator[_Peer]:
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('robot_vision_improve', context=context, enable_rosout=False,
                             start_parameter_services=False, use_global_arguments=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield _Peer(node, executor)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
