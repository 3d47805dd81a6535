"""``robot-vision run``: the classifier node, live, from the shell."""
import argparse
from typing import List

from ..core.camera_settings import region_topics
from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from .device_options import DEVICE_OPTIONS, add_device_options
from .node_options import add_node_options, ros_arguments

HELP = 'Run the classifier node on camera topics.'
EXAMPLES = """examples:
  robot-vision run --image /camera/image_raw
  robot-vision run --image /camera/image_raw --transport compressed --model torchvision:resnet50
  robot-vision run --camera front:=/front/image_raw --camera rear:=/rear/image_raw
  robot-vision run --image /camera/image_raw --regions /detector/detections       each object of a detector
  robot-vision run --camera a:=/a/image --camera b:=/b/image --regions a:=/a/boxes --regions b:=/b/boxes
  robot-vision run --image /camera/image_raw --ros-args -p decision.abstain_cost:=0.2
  robot-vision run --image /camera/image_raw --record-doubts ~/doubts     what it is unsure about, to be labelled
  robot-vision run --image /arm/image_raw --node-name arm_classifier       several nodes on a robot
  robot-vision run --print-parameters > my.yaml; robot-vision run --params-file my.yaml

What wrong labels cost, a costs.yaml, by --ros-args -p decision.costs_file:=costs.yaml (all keys may be left out):
  wrong: 1.0                          of a wrong label, where nothing else is said
  abstain: 0.3                        of "uncertain"; used unless decision.abstain_cost is set
  costs: {go: {stop_sign: 20}}        of confusions, said: {true: cost}
  thresholds: {stop_sign: 0.5}        accepted from this probability on, whatever the costs

Everything after --ros-args goes to the node as it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command; what is not given stays as the node's defaults or the file say."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--image', metavar='TOPIC', help='topic of the only camera')
    which.add_argument('--camera', metavar='NAME:=TOPIC', action='append', default=[],
                       help='a camera and its topic; may be given several times')
    parser.add_argument('--transport', choices=('raw', 'compressed', 'compressedDepth'),
                        help='which topics to subscribe to: TOPIC itself or TOPIC/<transport>')
    parser.add_argument('--regions', metavar='[NAME:=]TOPIC', action='append', default=[],
                        help='vision_msgs/Detection2DArray of a camera: each object is classified and followed, '
                        'instead of the whole picture; with several cameras one for each')
    parser.add_argument('--model', help='bundle folder (one that was trained here: models/<name>), name of one in the '
                        "package's models/, or torchvision:<architecture>")
    add_device_options(parser)
    parser.add_argument('--record-doubts', metavar='FOLDER', help='write the frames that the node is unsure about to '
                        'bags in this folder, within 200 MB an hour and 2 GB in all (parameters record_doubts.*)')
    add_node_options(parser, 'name of the node, which its topics begin with (default: classifier)')
    parser.add_argument('--no-autostart', action='store_true', help='wait for a lifecycle manager')
    parser.add_argument('--dds-profile', metavar='auto|none|FILE', default='auto',
                        help='Fast DDS profile; auto is the one for large images that comes with the package, unless '
                        'the environment names one')


def node_arguments(args: argparse.Namespace) -> List[str]:
    """The ``--ros-args`` that say what the command line said."""
    from ..core.config_yaml import scalar
    cameras = [camera.partition(':=')[::2] for camera in args.camera]
    for given, (name, topic) in zip(args.camera, cameras):
        if not name or not topic:
            raise ConfigError(f'--camera {given!r}: expected NAME:=TOPIC, for instance front:=/front/image_raw')
    parameters = []
    if args.image:
        parameters.append(('image_topics', f'[{scalar(args.image)}]'))
    if cameras:
        parameters += [('cameras', '[' + ', '.join(scalar(name) for name, _ in cameras) + ']'),
                       ('image_topics', '[' + ', '.join(scalar(topic) for _, topic in cameras) + ']')]
    if args.regions:
        topics = region_topics(args.regions, [name for name, _ in cameras])
        parameters.append(('detection_topics', '[' + ', '.join(scalar(topic) for topic in topics) + ']'))
    parameters += [(name, scalar(value)) for name, value in (
        ('image_transport', args.transport), ('model', args.model),
        *((name, getattr(args, name)) for name in DEVICE_OPTIONS)) if value]
    if args.record_doubts:
        parameters.append(('record_doubts.folder', scalar(str(user_path(args.record_doubts).absolute()))))
    if args.no_autostart:
        parameters.append(('autostart', 'false'))
    return ros_arguments(args, parameters)


def run(args: argparse.Namespace) -> int:
    """Run until interrupted."""
    if args.print_parameters:
        from ..core.config import ClassifierConfig
        from ..core.config_yaml import parameter_file
        print(parameter_file(ClassifierConfig, '/**'), end='')
        return 0
    from ..core.requirements import check
    from ..ros.dds import apply_profile
    from ..ros.executable import NEEDS
    check(NEEDS['classifier_node'])
    apply_profile(args.dds_profile)
    from ..ros.classifier_node import main
    return main(['robot-vision', *node_arguments(args)])
