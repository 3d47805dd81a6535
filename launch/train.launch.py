"""Train on labelled bags; the launch ends when the bundle is there. Ctrl-C keeps the last finished epoch.

  ros2 launch robot_vision_dl train.launch.py config:=my_model.yaml
  ros2 launch robot_vision_dl train.launch.py config:=my_model.yaml bags:="day1/ day2/" settings:="run.epochs=3"

Started again, it goes on after the last finished epoch. `ros2 topic echo /trainer/progress` tells how far it is.
"""
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchDescription
from robot_vision_dl.ros.launching import declarations, flag, values

ARGUMENTS = [
    ('config', None, 'YAML file with the settings of the run'),
    ('bags', '', 'bags instead of those of the file, separated by spaces'),
    ('settings', '', 'settings instead of those of the file, separated by spaces: "run.epochs=3"'),
    ('restart', 'false', 'forget an earlier run of this name'),
    ('overwrite', 'false', 'replace a bundle of this name of another run'),
    ('node_name', 'trainer', 'name of the node'),
    ('namespace', '', 'namespace of the node'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
]


def start(context):
    """The node; it has time to end the step that it is at before it is killed."""
    given = values(ARGUMENTS, context)
    flags = {name: flag(name, given[name]) for name in ('restart', 'overwrite')}
    return [Node(
        package='robot_vision_dl', executable='trainer_node', name=given['node_name'],
        namespace=given['namespace'], output='screen',
        parameters=[{name: given[name] for name in ('config', 'bags', 'settings')} | flags],
        arguments=['--ros-args', '--log-level', given['log_level']], sigterm_timeout='30', sigkill_timeout='30')]


def generate_launch_description():
    """Entry point of ``ros2 launch``."""
    return LaunchDescription(declarations(ARGUMENTS) + [OpaqueFunction(function=start)])
