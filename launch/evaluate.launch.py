"""Play a bag to the classifier over DDS, record what it decides, score it, and end.

  ros2 launch robot_vision_dl evaluate.launch.py bag:=recording/ out:=report
  ros2 launch robot_vision_dl evaluate.launch.py bag:=recording/ out:=report model:=models/mine lockstep:=true

The exit code of the evaluation is in its log line; `robot-vision evaluate --live` does the same without launch.
"""
from launch.actions import ExecuteProcess, OpaqueFunction, SetEnvironmentVariable
from launch_ros.actions import LifecycleNode

from launch import LaunchDescription
from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.ros.dds import profile_variables
from robot_vision_dl.ros.launching import declarations, end_with, flag, parameter_files, values

ARGUMENTS = [
    ('bag', None, 'bag to play: file or folder'),
    ('out', 'evaluation', 'folder for the report'),
    ('model', ClassifierConfig().model, 'bundle folder, name of one in models/, or torchvision:<architecture>'),
    ('topics', '', 'image topics, separated by spaces; empty: all'),
    ('labels', 'auto', 'label sources, separated by spaces: auto, topic:NAME, a .yaml or .csv file, none'),
    ('rate', '1.0', 'times the recorded speed'),
    ('lockstep', 'false', 'send a frame when the one before is decided, so that every frame is delivered'),
    ('params_file', '', 'ROS parameter file of the deployment'),
    ('device', 'auto', 'auto, cpu, cuda or cuda:<n>'),
    ('extra', '', 'more options of robot-vision evaluate, e.g. "--fail-under accuracy=.9"'),
    ('dds_profile', 'auto', 'Fast DDS profile: auto (for large images), none, or a file'),
]


def start(context):
    """The node on the topics that the player publishes, the player that listens to it, and the end of both."""
    given = values(ARGUMENTS, context)
    parameters, lockstep = parameter_files(given['params_file']), flag('lockstep', given['lockstep'])
    # Not at the top: reading the bag needs rosbags, which `ros2 launch --show-args` does without.
    from robot_vision_dl.ros.live_evaluation import live_cameras
    topics = given['topics'].split()
    cameras, transport = live_cameras(given['bag'], topics)
    # Nobody activates it, and nobody publishes /clock, whatever the parameter file has of that.
    node = LifecycleNode(
        package='robot_vision_dl', executable='classifier_node', name='classifier', namespace='', output='screen',
        parameters=parameters + [{
            'model': given['model'], 'device': given['device'], 'cameras': list(cameras),
            'image_topics': list(cameras.values()), 'image_transport': transport, 'top_k': 100000,
            'autostart': True, 'use_sim_time': False}])
    command = ['robot-vision', 'evaluate', given['bag'], '--live', '--attach', '--out', given['out'], '--model',
               given['model'], '--device', given['device'], '--rate', given['rate'], '--labels',
               *given['labels'].split()]
    command += ['--topics', *topics] if topics else []
    command += ['--params-file', given['params_file']] if given['params_file'] else []
    command += ['--lockstep'] if lockstep else []
    evaluation = ExecuteProcess(cmd=command + given['extra'].split(), output='screen')
    environment = [SetEnvironmentVariable(name, value)
                   for name, value in profile_variables(given['dds_profile']).items()]
    return [*environment, node, evaluation, end_with(evaluation, 'the evaluation is done')]


def generate_launch_description():
    """Entry point of ``ros2 launch``."""
    return LaunchDescription(declarations(ARGUMENTS) + [OpaqueFunction(function=start)])
