"""Options that every command has which runs a node, and the ``--ros-args`` that they become."""
import argparse
from typing import List, Sequence, Tuple

from ..core.text.topic_name import check_namespace, check_node_name


def add_node_options(parser: argparse.ArgumentParser, name_help: str) -> None:
    """Parameter file, names, simulated time, log level, and the defaults as a file."""
    parser.add_argument('--params-file', metavar='FILE', help='ROS parameter file')
    parser.add_argument('--node-name', metavar='NAME', help=name_help)
    parser.add_argument('--namespace', metavar='NS', help='namespace of the node')
    parser.add_argument('--use-sim-time', action='store_true', help='take time from /clock')
    parser.add_argument('--log-level', metavar='LEVEL', help='debug, info, warn, error or fatal')
    parser.add_argument('--print-parameters', action='store_true', help='print the defaults as a parameter file')


def ros_arguments(args: argparse.Namespace, parameters: Sequence[Tuple[str, str]]) -> List[str]:
    """The ``--ros-args`` of a node.

    Args:
        args: what :func:`add_node_options` added, and ``ros_args``, which go to the node as they are.
        parameters: (name, value as YAML) of the command's own options; they outrank the parameter file.

    Raises:
        ConfigError: the node's name or namespace is none.
    """
    result = ['--ros-args']
    if args.params_file:
        result += ['--params-file', args.params_file]
    for name, value in parameters:
        result += ['-p', f'{name}:={value}']
    if args.use_sim_time:
        result += ['-p', 'use_sim_time:=true']
    if args.node_name:
        result += ['-r', '__node:=' + check_node_name(args.node_name, '--node-name')]
    if args.namespace:
        result += ['-r', '__ns:=' + check_namespace(args.namespace, '--namespace')]
    if args.log_level:
        result += ['--log-level', args.log_level]
    return result + args.ros_args
