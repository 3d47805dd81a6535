"""``robot-vision crop``: objects of labelled pictures as pictures of their own, to train and judge with."""
import argparse
import re
from typing import TYPE_CHECKING, Tuple

from ..core.errors import ConfigError
from ..core.networks.preprocess import Preprocessing
from ..core.text.number_options import SECONDS

if TYPE_CHECKING:
    from ..data.crops import CropConfig, CropCounts

HELP = 'cut labelled objects out of pictures or bags, as the node cuts out what a detector found'
EXAMPLES = """SOURCE is a folder of pictures, at any depth, with labels of one of these kinds:
  YOLO text    a .txt beside each picture (or in labels/ beside images/): class x y width height, shares of the picture;
               or class and four corners (OBB). Names of classes: obj.names, classes.txt or data.yaml
  COCO JSON    instances; bbox is left, top, width, height in pixels
  CVAT XML     "CVAT for images 1.1"; boxes may be turned (rotation)
A picture whose labels are empty shows no object: background is taken from it as well. One without labels is left out.

Writes OUT/<class>/<recording>__<picture>__<number>.png, without loss, OUT/index.csv and OUT/crops.json. A recording is
one of the outermost folders in SOURCE; all objects of one picture stay in one part of a split. OUT is then used as any
folder of pictures is.

With --detections, SOURCE is a bag, or a folder of bags: each box of the detector is cut out, and labelled by the box of
the label topic that it overlaps most (IoU .5 or more); one that is of no labelled object is a false alarm of the
detector, and unknown. Images that nobody labelled are left out.

examples:
  robot-vision crop pictures/ objects --background 3
  robot-vision crop recordings/ objects --detections /detections --labels topic:/ground_truth --every .5
  robot-vision crop pictures/ objects --labels instances.json --unknown-classes parking
  robot-vision crop pictures/ objects --model models/my_robots --margin 0.2
  robot-vision train --bags objects --name my_objects --set 'data.test=["*/venue_4"]'"""
_INPUT = re.compile('([0-9]{1,4})(?:x([0-9]{1,4}))?(?:/([0-9]{1,4}))?')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    from ..data.crops import CropConfig
    from .parser import add_setting
    parser.add_argument('source', metavar='SOURCE', help='folder of pictures with labels; with --detections a bag')
    parser.add_argument('out', metavar='OUT', help='new or empty folder')
    parser.add_argument('--labels', default='auto', metavar='FORMAT',
                        help='auto, yolo, coco, cvat, or a file: .json is COCO, .xml CVAT, another one has the names '
                        "of YOLO's classes; of a bag topic:NAME, or auto, the topic whose last name is ground_truth; "
                        'default: %(default)s')
    parser.add_argument('--detections', nargs='+', default=[], metavar='TOPIC',
                        help="cut out a detector's boxes of a bag; of several cameras IMAGES:=TOPIC for each")
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='with --detections: image topics; default: each camera once')
    parser.add_argument('--every', type=SECONDS, default=0.0, metavar='S',
                        help='with --detections: at most an image of a camera in so many seconds; default: every one')
    add_setting(parser, CropConfig, 'margin', 'SHARE')
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument('--model', metavar='BUNDLE', help='the objects are for this model; default: for the one that '
                       'training starts from by default')
    shape.add_argument('--input', type=_input, metavar='CROP/RESIZE', help='instead: side of what the network sees (or '
                       'WIDTHxHEIGHT), and that to which the shorter side is resized before, as in 224/256')
    add_setting(parser, CropConfig, 'background', 'N')
    parser.add_argument('--classes', nargs='+', default=[], metavar='CLASS', help='only objects of these; default: all')
    parser.add_argument('--unknown-classes', nargs='+', default=[], metavar='CLASS',
                        help='objects of these are labelled unknown: things of no class')
    add_setting(parser, CropConfig, 'least_side', 'PIXELS')
    add_setting(parser, CropConfig, 'depth', 'N')
    add_setting(parser, CropConfig, 'seed', 'N')


def run(args: argparse.Namespace) -> int:
    """Write the crops and say what was left out."""
    from ..core.text.notes import to_stderr
    from ..core.text.progress import Progress
    from ..data.crops import CropConfig, cut_out
    from ..data.labels.objects.find import labelled_pictures
    config = CropConfig(args.margin, args.background, tuple(args.classes), tuple(args.unknown_classes), args.least_side,
                        args.depth, args.seed)
    spec = args.input or _spec_of(args.model)
    if args.detections:
        return _of_bags(args, spec, config)
    found = labelled_pictures(args.source, args.labels, to_stderr)
    with Progress('cutting out', 'pictures', len(found.pictures)) as show:
        done = cut_out(found.pictures, args.source, args.out, spec, config, found.format, show)
    return _tell(args, done, f'pictures, labels {found.format}', spec, config)


def _of_bags(args: argparse.Namespace, spec: Preprocessing, config: 'CropConfig') -> int:
    from ..core.text.progress import Progress
    from ..data.bag_crops import BagCropOptions, cut_out_of_bags
    if config.background:
        raise ConfigError('--background: is for pictures; in a bag, what is unknown are the false alarms of the '
                          'detector')
    options = BagCropOptions(tuple(args.detections), (args.labels,), tuple(args.topics), args.every)
    with Progress('cutting out', 'images') as show:
        done = cut_out_of_bags(args.source, args.out, spec, config, options, show)
    return _tell(args, done, 'images', spec, config)


def _tell(args: argparse.Namespace, done: 'CropCounts', of_what: str, spec: Preprocessing, config: 'CropConfig') -> int:
    from ..core.text.notes import to_stderr
    for note in done.notes:
        to_stderr(note)
    counts = ', '.join(f'{label} {count}' for label, count in done.counts.items())
    height, width = spec.crop
    print(f'{args.out}: {sum(done.counts.values())} objects ({counts}) of {done.pictures} {of_what}; margin '
          f'{config.margin:g}, for an input of {width}x{height}')
    return 0


def _spec_of(model: str) -> Preprocessing:
    from ..core.bundles.bundle import load_bundle
    from ..training.config import InputConfig, NetworkConfig
    from ..training.initial_weights import starting_preprocessing
    if model:
        return load_bundle(model).preprocessing
    return starting_preprocessing(NetworkConfig(), InputConfig())


def _input(text: str) -> Preprocessing:
    match = _INPUT.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f'must be as 224/256, 320x240 or 224, got {text!r:.60}')
    width = int(match[1])
    crop: Tuple[int, int] = (int(match[2] or width), width)
    try:
        return Preprocessing(int(match[3] or 0), crop)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
