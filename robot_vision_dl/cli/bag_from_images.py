"""``robot-vision bag from-images``: folders of pictures as a labelled bag."""
import argparse

from ..core.text.number_options import EPOCH_S, RATE_HZ, SEED, WIDTH, whole

HELP = 'make a labelled bag from folders of pictures, each picture a frame'
EXAMPLES = """FOLDER has one folder of pictures a class, or is what `bag extract` wrote. The bag gets the topic
/label and a labels.yaml. JPEG files are stored as they are. For a moving camera see `bag synth`.

With --objects, FOLDER has pictures with labelled boxes, as for `robot-vision crop`. The bag gets two topics of
vision_msgs/Detection2DArray, with the stamps of the pictures: /ground_truth, what is labelled, and /detections, what
an imitated detector finds. That errs at random and only if asked to; a real one errs where pictures are difficult.

examples:
  robot-vision bag from-images labelled/ --out bag --objects --box-jitter .05 --missed .1 --false-alarms 1
  robot-vision bag from-images pictures/ --out bag
  robot-vision bag from-images pictures/ --out bag --rate 5 --shuffle --width 640 --raw"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    from ..data.imitated_detector import DetectorErrors
    from ..data.object_bag import DETECTIONS_TOPIC
    from .parser import add_setting
    parser.add_argument('folder', help='with <class>/*.jpg')
    parser.add_argument('--out', required=True, metavar='BAG', help='folder to create')
    parser.add_argument('--overwrite', action='store_true', help='replace the bag in --out')
    parser.add_argument('--topic', default='/camera/image_raw',
                        help='default: %(default)s; JPEG goes to TOPIC/compressed')
    parser.add_argument('--rate', type=RATE_HZ, default=2.0, metavar='HZ',
                        help='pictures per second; default: %(default)s')
    parser.add_argument('--max', type=whole(), default=0, metavar='N',
                        help='pictures a class, or in all where they have objects; default: all')
    parser.add_argument('--shuffle', action='store_true', help='in a random order instead of class by class')
    parser.add_argument('--seed', type=SEED, default=0,
                        help="of the order, and of the detector's errors; default: %(default)s")
    parser.add_argument('--width', type=WIDTH, metavar='W', help='scale to this width; default: as the pictures')
    parser.add_argument('--label-type', default='string', choices=('string', 'classification'),
                        help='std_msgs/String or vision_msgs/Classification; default: %(default)s')
    parser.add_argument('--objects', nargs='?', const='auto', metavar='FORMAT',
                        help='pictures have labelled boxes: auto (default), yolo, coco, cvat, or a file (.json is '
                        "COCO, .xml CVAT, another one has the names of YOLO's classes)")
    detector = parser.add_argument_group('the imitated detector, with --objects')
    detector.add_argument('--detections', default=DETECTIONS_TOPIC, metavar='TOPIC',
                          help='where it publishes; default: %(default)s')
    for name, metavar in (('box_jitter', 'SHARE'), ('missed', 'SHARE'), ('false_alarms', 'N')):
        add_setting(detector, DetectorErrors, name, metavar)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--quality', type=whole(1, 100), default=90, metavar='1..100',
                      help='of JPEGs that have to be encoded; default: %(default)s')
    kind.add_argument('--raw', action='store_true', help='sensor_msgs/Image (bgr8) instead of JPEGs')
    parser.add_argument('--epoch', type=EPOCH_S, default=1_700_000_000, metavar='S',
                        help='stamp of the first frame in seconds; default: %(default)s')


def run(args: argparse.Namespace) -> int:
    """Write the bag."""
    return _of_objects(args) if args.objects else _of_classes(args)


def _of_classes(args: argparse.Namespace) -> int:
    from random import Random

    from ..core.text.notes import to_stderr
    from ..core.text.progress import Progress
    from ..data.from_images import write_pictures
    from ..data.picture_folder import each_class, folder_pictures
    by_class = dict(each_class(folder_pictures(args.folder, to_stderr)))
    pictures = [picture for group in by_class.values() for picture in group[:args.max or None]]
    if args.shuffle:
        Random(args.seed).shuffle(pictures)
    with Progress('writing', 'pictures', len(pictures)) as show:
        unchanged = write_pictures(args.out, pictures, args.topic, args.rate, args.label_type, args.width,
                                   0 if args.raw else args.quality, args.epoch, show, args.overwrite)
    counts = ', '.join(f'{label} {min(len(group), args.max or len(group))}' for label, group in by_class.items())
    print(f'{args.out}: {len(pictures)} pictures ({counts}), {unchanged} as they were, '
          f'{_size(args, len(pictures))}')
    return 0


def _of_objects(args: argparse.Namespace) -> int:
    from random import Random

    from ..core.text.notes import to_stderr
    from ..core.text.progress import Progress
    from ..data.imitated_detector import DetectorErrors
    from ..data.labels.objects.find import labelled_pictures
    from ..data.object_bag import GROUND_TRUTH_TOPIC, write_object_pictures
    errors = DetectorErrors(args.box_jitter, args.missed, args.false_alarms, args.seed)
    found = labelled_pictures(args.folder, args.objects, to_stderr)
    pictures = list(found.pictures)
    classes = sorted({each.label for picture in pictures for each in picture.objects})
    if args.shuffle:
        Random(args.seed).shuffle(pictures)
    pictures = pictures[:args.max or None]
    with Progress('writing', 'pictures', len(pictures)) as show:
        written = write_object_pictures(args.out, pictures, args.topic, args.detections, args.rate, args.width,
                                        0 if args.raw else args.quality, args.epoch, errors, classes, show,
                                        args.overwrite)
    print(f'{args.out}: {len(pictures)} pictures, {written.unchanged} as they were, {_size(args, len(pictures))}\n'
          f'  {GROUND_TRUTH_TOPIC}: {written.objects} objects, labels {found.format}\n'
          f'  {args.detections}: {written.detections} detections, '
          f'{"of a detector that is imitated" if errors.any else "the same boxes"}')
    return 0


def _size(args: argparse.Namespace, count: int) -> str:
    """How long a bag of so many pictures is, and how large."""
    from ..core.files.user_path import user_path
    size = sum(file.stat().st_size for file in user_path(args.out).iterdir())
    return f'{count / args.rate:.1f} s at {args.rate:g} Hz, {size / 1e6:.1f} MB'
