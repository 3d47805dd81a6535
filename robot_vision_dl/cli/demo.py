"""``robot-vision demo``: the real node on real pictures, watched from outside over DDS."""
import argparse
import os
from pathlib import Path

from ..core.files.user_path import user_path
from ..core.processes import isolated_environment

HELP = 'Replay a small bag of camera pictures into the classifier node and watch it decide.'
EXAMPLES = """examples:
  robot-vision demo
  robot-vision demo --out /tmp/demo --device cpu
  robot-vision demo --bag recording/ --image /camera/image_raw --transport raw --model torchvision:resnet50

Player, classifier, action gate and this watcher are processes of their own and talk over real DDS. While it runs,
`ros2 topic list` in another shell shows the topics, with the ROS_DOMAIN_ID that the demo prints."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and where to leave the pictures."""
    parser.add_argument('--out', type=user_path, default=Path('demo_output'), metavar='DIR',
                        help='folder for overlay pictures and the summary (default: %(default)s)')
    parser.add_argument('--bag', metavar='BAG', help='default: those that come with the package, one after the other')
    parser.add_argument('--image', default='/camera/image_raw', metavar='TOPIC', help='default: %(default)s')
    parser.add_argument('--transport', choices=('raw', 'compressed'), default='compressed',
                        help='how the pictures travel (default: %(default)s)')
    parser.add_argument('--model', help='default: the model that comes with the package')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: %(default)s)')
    parser.add_argument('--animation', action='store_true', help='leave the overlays as animation.webp, too')


def run(args: argparse.Namespace) -> int:
    """Play, watch, sum up."""
    from ..core.config import ClassifierConfig
    from ..core.resources import share_directory
    from ..demo.show import DemoSettings, show
    from ..ros.dds import apply_profile
    apply_profile()
    environment = isolated_environment()
    os.environ.update(environment)
    model = args.model or ClassifierConfig().model
    if args.bag:
        return show(DemoSettings(args.bag, args.image, args.transport, model, args.device, args.out,
                                 animation=args.animation), environment)
    bags = share_directory() / 'config' / 'demo'
    print(f'1. Bottles, a covered lens, and a thing of no known class, to {model}\n')
    code = show(DemoSettings(str(bags / 'bottles'), args.image, args.transport, model, args.device,
                             args.out / 'bottles', animation=args.animation), environment)
    if args.model:
        return code
    print('\n2. Waste that it was not trained on, to a waste sorter that was fine-tuned from bags\n')
    return max(code, show(DemoSettings(str(bags / 'waste'), args.image, args.transport, 'waste_sorter', args.device,
                                       args.out / 'waste', label_topic='/label', animation=args.animation),
                          environment))
