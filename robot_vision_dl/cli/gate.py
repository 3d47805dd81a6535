"""``robot-vision gate``: the action gate node, beside the classifier, from the shell."""
import argparse
from math import inf
from typing import List

from .node_options import add_node_options, ros_arguments

HELP = 'Run the action gate node: decisions of the classifier in, actions out.'
EXAMPLES = """examples:
  robot-vision gate --actions my_actions.yaml                     decisions of /classifier/camera/decision
  robot-vision gate --decision /robot/classifier/front/decision --actions my_actions.yaml --unknown-labels stop
  robot-vision gate --detections /classifier/camera/detections --object nearest --actions my_actions.yaml
  robot-vision gate --actions my_actions.yaml --ros-args -r cmd_vel:=/robot/cmd_vel
  robot-vision gate --print-parameters > gate.yaml; robot-vision gate --params-file gate.yaml

my_actions.yaml:
  safe: {name: stop, linear_x: 0.0, angular_z: 0.0}               for unknown, uncertain, other labels and silence
  labels:
    cup: pick
    door: {name: wait, linear_x: 0.0, trigger: /door/knock}       trigger: a std_srvs/Trigger service

The node publishes the action's name on /action_gate/action (std_msgs/String, latched) and its velocity, if it has one,
on cmd_vel (geometry_msgs/Twist). Everything after --ros-args goes to the node as it is."""
_OPTIONS = (
    ('decision', 'decision_topic', 'TOPIC'), ('actions', 'actions_file', 'FILE'),
    ('detections', 'detections_topic', 'TOPIC'), ('object', 'object', 'nearest|largest|id:NAME'),
    ('label_info', 'label_info_topic', 'TOPIC'), ('unknown_labels', 'unknown_labels', None),
    ('begin_confidence', 'begin_confidence', 'P'), ('keep_confidence', 'keep_confidence', 'P'),
    ('minimum_time', 'minimum_time_s', 'S'), ('silence', 'silence_s', 'S'),
    ('max_age', 'max_age_s', 'S'), ('rate', 'rate_hz', 'HZ'))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command; what is not given stays as the node's defaults or the file say."""
    from ..core.config import flat_options
    from ..core.config_yaml import scalar
    from ..core.decision.action_gate import ActionGateConfig
    from ..core.text.number_options import real
    known = {flat.name: flat for flat in flat_options(ActionGateConfig)}
    for option, parameter, metavar in _OPTIONS:
        flat = known[parameter]
        limits, default = flat.option, flat.default
        parser.add_argument(
            f'--{option.replace("_", "-")}', metavar=metavar, choices=limits.choices or None,
            type=real(limits.minimum or 0.0, inf if limits.maximum is None else limits.maximum)
            if isinstance(default, float) else str,
            help=limits.description.replace('%', '%%') + ('' if default == '' else f' (default: {scalar(default)})'))
    add_node_options(parser, 'name of the node (default: action_gate)')


def node_arguments(args: argparse.Namespace) -> List[str]:
    """The ``--ros-args`` that say what the command line said."""
    from ..core.config_yaml import scalar
    given = [(parameter, getattr(args, option)) for option, parameter, _ in _OPTIONS]
    return ros_arguments(args, [(name, scalar(value)) for name, value in given if value is not None])


def run(args: argparse.Namespace) -> int:
    """Run until interrupted."""
    if args.print_parameters:
        from ..core.config_yaml import parameter_file
        from ..core.decision.action_gate import ActionGateConfig
        print(parameter_file(ActionGateConfig, '/**'), end='')
        return 0
    from ..core.requirements import check
    from ..ros.executable import NEEDS
    check(NEEDS['action_gate_node'])
    from ..ros.action_gate_node import main
    return main(['robot-vision', *node_arguments(args)])
