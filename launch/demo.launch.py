"""See it work without a camera: the demo bag, the classifier and the action gate.

``ros2 launch robot_vision_dl demo.launch.py``
"""
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import ExecuteProcess, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchDescription
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.ros.launching import classifier, declarations, end_with, flag, parameter_files, values

TOPIC = '/camera/image_raw'
CAMERA = 'camera'
ARGUMENTS = [
    ('bag', '', 'bag with compressed images on /camera/image_raw; empty: the one that the package has'),
    ('model', '', 'bundle folder, name of one in models/, or torchvision:<architecture>'),
    ('device', '', 'auto, cpu, cuda or cuda:<n>'),
    ('params_file', '', 'ROS parameter file of the classifier'),
    ('node_name', 'classifier', 'name of the classifier'),
    ('namespace', '', 'namespace of the nodes'),
    ('rviz', 'false', 'show picture and decision in RViz, of the package rviz2'),
]


def start(context):
    """The nodes, and the player of the bag."""
    given = values(ARGUMENTS, context)
    share = share_directory()
    parameter_files(given['params_file'])
    gate = Node(
        package='robot_vision_dl', executable='action_gate_node', name='action_gate', namespace=given['namespace'],
        output='screen', parameters=[{'decision_topic': f'{given["node_name"]}/{CAMERA}/decision'}])
    player = ExecuteProcess(
        cmd=['robot-vision', 'play', given['bag'] or str(share / 'config' / 'demo' / 'bottles'),
             '--wait-for-subscribers', '--stamp-now'],
        output='screen')
    handed_on = ('model', 'device', 'params_file', 'node_name', 'namespace')
    return (_rviz(share) if flag('rviz', given['rviz']) else []) + [
        classifier(image=TOPIC, image_transport='compressed', name=CAMERA, **{name: given[name] for name in handed_on}),
        gate, end_with(gate, 'the action gate has ended'), player, end_with(player, 'the bag is at its end')]


def _rviz(share):
    """RViz, if it is there: launch would find out when other processes run already, and leave them behind."""
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        raise RuntimeError('rviz:=true: the package rviz2 is not installed; install ros-$ROS_DISTRO-rviz2, or leave '
                           'rviz out') from None
    return [Node(package='rviz2', executable='rviz2', name='rviz2',
                 arguments=['-d', str(share / 'config' / 'robot_vision.rviz')])]


def generate_launch_description():
    """Entry point of ``ros2 launch``."""
    return LaunchDescription(declarations(ARGUMENTS) + [OpaqueFunction(function=start)])
