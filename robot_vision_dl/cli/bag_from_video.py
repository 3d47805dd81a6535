"""``robot-vision bag from-video``: a video, and still pictures after it, as a camera's recording."""
import argparse
from typing import TYPE_CHECKING, Any, Optional

from ..core.errors import ConfigError
from ..core.text.number_options import EPOCH_S, RATE_HZ, SECONDS, SEED, SOME_SECONDS, WIDTH, OutOfRange, real, whole

if TYPE_CHECKING:
    import numpy as np

HELP = 'make a ROS 2 bag (mcap) from a video, labelled if --label says what it shows'
EXAMPLES = """Labels go into the topic /label and into labels.yaml, which may be edited. Frames of times that no label
names have none. "unknown" is a thing of no class, "ignore" leaves frames out.

Appended scenes are still pictures as a camera would see them: held by a hand, with sensor noise, all from --seed. They
are not labelled. The same command gives the same bag.

examples:
  robot-vision bag from-video fist.mp4 --label fist --out bags/fist_1
  robot-vision bag from-video desk.mp4 --label cup@2.5-7 mug@7-12 ignore@12- --out bags/desk
  robot-vision bag from-video drive.mp4 --out drive --rate 10 --start 5 --duration 20 --width 640 --quality 70 \\
      --append-black 3 --append-picture cup.jpg 4"""


class _AppendScene(argparse.Action):
    """Collects --append-black and --append-picture in the order they are given."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: Optional[str] = None) -> None:
        scenes = list(getattr(namespace, 'scenes', None) or [])
        if option_string == '--append-picture':
            path, seconds = values[0], values[1]
        else:
            path, seconds = None, values
        try:
            namespace.scenes = scenes + [(path, real(0, 86400, above=True)(seconds))]
        except OutOfRange as error:
            raise ConfigError(f'{option_string}: seconds {error}') from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument('video', help='a file that OpenCV can read')
    parser.add_argument('--out', required=True, metavar='BAG', help='folder to create')
    parser.add_argument('--overwrite', action='store_true', help='replace the bag in --out')
    parser.add_argument('--label', nargs='+', default=[], metavar='CLASS[@FROM-TO]', dest='labels',
                        help='what it shows: all of it, or from one time to another (none: to the end) in seconds from '
                        'the start of the bag')
    parser.add_argument('--topic', default='/camera/image_raw',
                        help='default: %(default)s; JPEG goes to TOPIC/compressed')
    parser.add_argument('--frame-id', default='camera', help='default: %(default)s')
    parser.add_argument('--rate', type=RATE_HZ, metavar='HZ', help='frames per second; default: as the video')
    parser.add_argument('--start', type=SECONDS, default=0.0, metavar='S', help='skip so many seconds of the video')
    parser.add_argument('--duration', type=SOME_SECONDS, metavar='S',
                        help='use so many seconds of it; default: to its end')
    parser.add_argument('--width', type=WIDTH, metavar='W', help='scale to this width; default: as the video')
    parser.add_argument('--label-type', default='string', choices=('string', 'classification'),
                        help='std_msgs/String or vision_msgs/Classification; default: %(default)s')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--quality', type=whole(1, 100), default=90, metavar='1..100',
                      help='of the JPEGs; default: %(default)s')
    kind.add_argument('--raw', action='store_true', help='sensor_msgs/Image (bgr8) instead of JPEGs')
    parser.add_argument('--append-black', action=_AppendScene, dest='scenes', metavar='S',
                        help='then a covered lens for so many seconds (repeatable)')
    parser.add_argument('--append-picture', action=_AppendScene, dest='scenes', nargs=2, metavar=('FILE', 'S'),
                        help='then the camera held before a picture for so many seconds (repeatable)')
    parser.add_argument('--seed', type=SEED, default=0, help='of noise and motion; default: %(default)s')
    parser.add_argument('--epoch', type=EPOCH_S, default=1_700_000_000, metavar='S',
                        help='stamp of the first frame in seconds; default: %(default)s')


def run(args: argparse.Namespace) -> int:
    """Write the bag."""
    from ..core.files.user_path import user_path
    from ..core.text.progress import Progress
    from ..core.text.topic_name import check_topic_name
    from ..data.from_video import Scene, write_video
    from ..data.labels.stretches import parse_stretches
    topic = check_topic_name(args.topic, '--topic')
    labels = parse_stretches(args.labels)
    scenes = [Scene(_picture(path) if path else None, seconds) for path, seconds in args.scenes or []]
    with Progress('writing', 'frames') as show:
        written = write_video(
            args.out, args.video, topic=topic, frame_id=args.frame_id, rate_hz=args.rate, start_s=args.start,
            duration_s=args.duration, width=args.width, quality=0 if args.raw else args.quality, scenes=scenes,
            labels=labels, label_type=args.label_type, epoch_s=args.epoch, seed=args.seed, overwrite=args.overwrite,
            progress=show)
    total = sum(file.stat().st_size for file in user_path(args.out).iterdir())
    width, height = written.size
    says = ''
    if labels:
        names = ', '.join(dict.fromkeys(one.label for one in labels))
        says = f', {"all" if written.labelled == written.frames else written.labelled} labelled ({names})'
    print(f'{args.out}: {written.frames} frames of {width}x{height}, {written.frames / written.rate_hz:.1f} s at '
          f'{written.rate_hz:g} Hz, {total / 1e6:.2f} MB{says}')
    return 0


def _picture(path: str) -> 'np.ndarray':
    import cv2

    from ..core.errors import BagError, ImageError
    from ..core.text.printable import printable
    from ..data.pictures import read_picture
    try:
        pixels = read_picture(path).pixels
    except ImageError as error:
        raise BagError(f'--append-picture: {printable(path)!r} cannot be read as a picture: {error}') from None
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else pixels
