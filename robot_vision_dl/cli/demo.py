"""``robot-vision demo``: the real node on real pictures, watched from outside over DDS."""
import argparse
import os
from pathlib import Path

from .processes import isolated_environment

HELP = 'Replay a small bag of camera pictures into the classifier node and watch it decide.'
EXAMPLES = """examples:
  robot-vision demo
  robot-vision demo --out /tmp/demo --device cpu
  robot-vision demo --bag recording/ --image /camera/image_raw --transport raw --model torchvision:resnet50

Player, classifier, action gate and this watcher are processes of their own and talk over real DDS. While it runs,
`ros2 topic list` in another shell shows the topics, with the ROS_DOMAIN_ID that the demo prints."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and where to leave the pictures."""
    parser.add_argument('--out', type=Path, default=Path('demo_output'), metavar='DIR',
                        help='folder for overlay pictures and the summary (default: %(default)s)')
    parser.add_argument('--bag', metavar='BAG', help='default: the bottles that come with the package')
    parser.add_argument('--image', default='/camera/image_raw', metavar='TOPIC', help='default: %(default)s')
    parser.add_argument('--transport', choices=('raw', 'compressed'), default='compressed')
    parser.add_argument('--model', help='default: the model that comes with the package')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Play, watch, sum up."""
    from ..core.config import ClassifierConfig
    from ..core.share import share_directory
    from ..demo.show import DemoSettings, show
    from ..ros.dds import apply_profile
    apply_profile()
    environment = isolated_environment()
    os.environ.update(environment)
    settings = DemoSettings(
        bag=args.bag or str(share_directory() / 'config' / 'demo' / 'bottles'), image=args.image,
        transport=args.transport, model=args.model or ClassifierConfig().model, device=args.device, folder=args.out)
    return show(settings, environment)
