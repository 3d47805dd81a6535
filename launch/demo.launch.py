"""See it work without a camera: the demo bag, the classifier and the action gate.

``ros2 launch robot_vision_dl demo.launch.py``
"""
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription
from robot_vision_dl.core.resources import share_directory

TOPIC = '/camera/image_raw'


def generate_launch_description():
    """Entry point of ``ros2 launch``."""
    share = share_directory()
    player = ExecuteProcess(
        cmd=['robot-vision', 'play', LaunchConfiguration('bag'), '--wait-for-subscribers', '--stamp-now'],
        output='screen')
    return LaunchDescription([
        DeclareLaunchArgument('bag', default_value=str(share / 'config' / 'demo' / 'bottles'),
                              description='bag with compressed images on ' + TOPIC),
        DeclareLaunchArgument('rviz', default_value='false', description='show picture and decision in RViz'),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(share / 'launch' / 'classifier.launch.py')),
            launch_arguments={'image': TOPIC, 'image_transport': 'compressed'}.items()),
        Node(package='robot_vision_dl', executable='action_gate_node', name='action_gate', output='screen'),
        Node(package='rviz2', executable='rviz2', name='rviz2',
             arguments=['-d', str(share / 'config' / 'robot_vision.rviz')],
             condition=IfCondition(LaunchConfiguration('rviz'))),
        player,
        RegisterEventHandler(OnProcessExit(
            target_action=player, on_exit=[EmitEvent(event=Shutdown(reason='the bag is at its end'))])),
    ])
