"""Classify the pictures of one or several cameras.

  ros2 launch robot_vision_dl classifier.launch.py image:=/camera/image_raw
  ros2 launch robot_vision_dl classifier.launch.py image:=/camera/image_raw regions:=/detector/detections
  ros2 launch robot_vision_dl classifier.launch.py cameras:="front:=/front/image_raw rear:=/rear/image_raw"

An argument that is left empty stays as the parameter file, or else the node, has it. Several nodes on a robot differ in
node_name or namespace; a launch file that includes this one more than once does so in groups (docs/how-to/compose.md).
"""
from launch.actions import OpaqueFunction, SetEnvironmentVariable
from launch_ros.actions import LifecycleNode

from launch import LaunchDescription
from robot_vision_dl.core.camera_settings import region_topics
from robot_vision_dl.ros.dds import profile_variables
from robot_vision_dl.ros.launching import declarations, given_flags, parameter_files, values

ARGUMENTS = [
    ('image', '', 'topic of the only camera, without the suffix of its transport'),
    ('name', '', 'name of the camera of image; its topics are /<node>/<name>/...; empty: camera'),
    ('image_transport', '', 'raw, compressed or compressedDepth'),
    ('cameras', '', 'several cameras: "front:=/front/image_raw rear:=/rear/image_raw"'),
    ('regions', '', 'vision_msgs/Detection2DArray of the camera: each object is classified instead of the whole '
     'picture; of several cameras: "front:=/front/boxes rear:=/rear/boxes"'),
    ('model', '', 'bundle folder, name of one in models/, or torchvision:<architecture>'),
    ('device', '', 'auto, cpu, cuda or cuda:<n>'),
    ('params_file', '', 'ROS parameter file'),
    ('node_name', 'classifier', 'name of the node'),
    ('namespace', '', 'namespace of the node'),
    ('use_sim_time', '', 'true: take time from /clock'),
    ('autostart', '', 'true: configure and activate at start, as it does by default; false: wait for a lifecycle '
     'manager'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
    ('dds_profile', 'auto', 'Fast DDS profile: auto (for large images), none, or a file; never overrides the '
     'environment'),
]


def start(context):
    """The node, with just those parameters that were given."""
    given = values(ARGUMENTS, context)
    parameters = parameter_files(given['params_file'])
    chosen = given_flags(('use_sim_time', 'autostart'), given)
    for name in ('image_transport', 'model', 'device'):
        if given[name]:
            chosen[name] = given[name]
    if given['image'] and given['cameras']:
        raise RuntimeError('give image:= for one camera or cameras:= for several, not both')
    if given['name'] and not given['image']:
        raise RuntimeError(f'name:={given["name"]} is the name of the camera of image:=, which is not given; cameras:= '
                           'has the names of several')
    if given['image']:
        chosen['image_topics'] = [given['image']]
    if given['name']:
        chosen['cameras'] = [given['name']]
    if given['cameras']:
        pairs = [camera.partition(':=')[::2] for camera in given['cameras'].split()]
        if not all(name and topic for name, topic in pairs):
            raise RuntimeError(f'cameras:={given["cameras"]!r}: expected "name:=topic name:=topic ..."')
        chosen['cameras'] = [name for name, _ in pairs]
        chosen['image_topics'] = [topic for _, topic in pairs]
    if given['regions']:
        chosen['detection_topics'] = region_topics(given['regions'].split(), [] if not given['cameras'] else
                                                   chosen['cameras'])
    environment = [SetEnvironmentVariable(name, value)
                   for name, value in profile_variables(given['dds_profile']).items()]
    return environment + [LifecycleNode(
        package='robot_vision_dl', executable='classifier_node', name=given['node_name'], namespace=given['namespace'],
        parameters=parameters + [chosen], arguments=['--ros-args', '--log-level', given['log_level']],
        output='screen')]


def generate_launch_description():
    """Entry point of ``ros2 launch``."""
    return LaunchDescription(declarations(ARGUMENTS) + [OpaqueFunction(function=start)])
