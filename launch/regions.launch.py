"""Classify what a detector finds: a detector, the classifier on its boxes, and, if wished, an action on one object.

  ros2 launch robot_vision_dl regions.launch.py image:=/camera/image_raw model:=my_objects
  ros2 launch robot_vision_dl regions.launch.py detector:=none detections:=/yolo/detections
  ros2 launch robot_vision_dl regions.launch.py detector:=none detections:=/yolo/detections bag:=recording/
  ros2 launch robot_vision_dl regions.launch.py gate:=true object:=nearest actions_file:=my_actions.yaml

The detector is torchvision's; a robot that has a detector takes detector:=none. A bag is played until its end, which
ends the launch.
"""
from launch.actions import ExecuteProcess, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchDescription
from robot_vision_dl.ros.launching import (
    classifier,
    declarations,
    end_with,
    flag,
    given_flags,
    number,
    parameter_files,
    values,
)

ARGUMENTS = [
    ('image', '/camera/image_raw', 'topic of the camera, without the suffix of its transport'),
    ('image_transport', 'raw', 'raw or compressed'),
    ('detector', 'torchvision', 'torchvision: one is started; none: detections come from elsewhere, or from the bag'),
    ('detections', '/detector/detections', 'vision_msgs/Detection2DArray of the detector'),
    ('detector_model', '', "one of torchvision's detectors; empty: ssdlite320_mobilenet_v3_large"),
    ('detector_weights', '', "file with its weights; empty: torchvision's, which are downloaded once"),
    ('detector_classes', '', 'names of the classes of that file, separated by commas; empty: those of COCO'),
    ('min_score', '0.5', 'what the detector scores lower is left out'),
    ('model', '', 'bundle of the classifier: folder, name of one in models/, or torchvision:<architecture>'),
    ('device', '', 'of both networks: auto, cpu, cuda or cuda:<n>'),
    ('params_file', '', 'ROS parameter file of the classifier'),
    ('gate', 'false', 'act on one object: start the action gate'),
    ('object', 'nearest', 'which one: nearest, largest or id:NAME'),
    ('actions_file', '', 'YAML table label -> action; empty: config/actions.yaml of the package'),
    ('node_name', 'classifier', 'name of the classifier'),
    ('namespace', '', 'namespace of all nodes; topics that begin with / stay as they are'),
    ('use_sim_time', '', 'true: take time from /clock'),
    ('bag', '', 'bag to play, with images and, where detector is none, detections on these topics'),
]
CAMERA = 'camera'


def start(context):
    """The nodes of the chain, and the player of a bag."""
    given = values(ARGUMENTS, context)
    if given['detector'] not in ('torchvision', 'none'):
        raise RuntimeError(f'detector:={given["detector"]}: must be torchvision or none')
    if given['image_transport'] not in ('raw', 'compressed'):
        raise RuntimeError(f'image_transport:={given["image_transport"]}: must be raw or compressed')
    parameter_files(given['params_file'])
    has_detector, time = given['detector'] == 'torchvision', given_flags(('use_sim_time',), given)
    handed_on = ('image', 'image_transport', 'model', 'device', 'params_file', 'node_name', 'namespace', 'use_sim_time')
    actions = [classifier(name=CAMERA, regions=given['detections'], **{name: given[name] for name in handed_on})]
    if has_detector:
        detector = Node(
            package='robot_vision_dl', executable='detector_node', name='detector', namespace=given['namespace'],
            output='screen', parameters=[_detector_parameters(given) | time],
            remappings=[('~/detections', given['detections'])])
        # Without it the others would wait for ever; it has said what it lacks.
        actions += [detector, end_with(detector, 'the detector has ended')]
    if flag('gate', given['gate']):
        gate = Node(
            package='robot_vision_dl', executable='action_gate_node', name='action_gate', namespace=given['namespace'],
            output='screen', parameters=[{
                'detections_topic': f'{given["node_name"]}/{CAMERA}/detections', 'object': given['object'],
                'actions_file': given['actions_file']} | time])
        # Without it nothing acts; it has said what is wrong with its table.
        actions += [gate, end_with(gate, 'the action gate has ended')]
    return actions + (_player(given, has_detector) if given['bag'] else [])


def _detector_parameters(given):
    """Just those that were given."""
    chosen = {'image_topic': given['image'], 'image_transport': given['image_transport'],
              'min_score': number('min_score', given['min_score'])}
    for argument, parameter in (('detector_model', 'model'), ('detector_weights', 'weights'), ('device', 'device')):
        if given[argument]:
            chosen[parameter] = given[argument]
    if given['detector_classes']:
        chosen['class_names'] = [name.strip() for name in given['detector_classes'].split(',')]
    return chosen


def _player(given, has_detector):
    """What plays the bag once the nodes listen, and the end of all after it."""
    suffix = '/compressed' if given['image_transport'] == 'compressed' else ''
    topics = [given['image'] + suffix] + ([] if has_detector else [given['detections']])
    # Two: the classifier's of images, and that of the detections in the bag, or the detector's of images.
    player = ExecuteProcess(
        cmd=['robot-vision', 'play', given['bag'], '--stamp-now', '--wait-for-subscribers', '2', '--topics', *topics],
        output='screen')
    return [player, end_with(player, 'the bag is at its end')]


def generate_launch_description():
    """Entry point of ``ros2 launch``."""
    return LaunchDescription(declarations(ARGUMENTS) + [OpaqueFunction(function=start)])
