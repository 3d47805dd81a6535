"""``robot-vision bag extract``: labelled frames of bags as folders of pictures."""
import argparse

from ..core.text.number_options import SECONDS, whole

HELP = 'write the labelled frames of bags to folders of pictures'
EXAMPLES = """Writes DIR/<label>/<recording>_<topic>_<stamp>.jpg and DIR/index.csv; JPEG messages are written unchanged.

Labels: a labels.yaml or labels.csv beside the bag, or a topic (std_msgs/String, vision_msgs/Classification). Times are
in seconds: "times: stamp" by the headers of the pictures, "times: from_start" from the first message of the bag.
"ignore" leaves frames out, "unknown" is what is none of the classes; topic, end, track and bag may be left out:
  times: from_start
  intervals:
  - {start: 0, end: 12.5, label: cup, track: cup_1}
  - {topic: /camera/image_raw, start: 20, label: mug}
As CSV, whose first row names the columns; a row without an end holds until the next, and index.csv or frames.csv (one
row a frame) are read as well:
  # times: from_start
  start,end,label,track
  0,12.5,cup,cup_1

examples:
  robot-vision bag extract monday/ tuesday.bag --out pictures
  robot-vision bag extract monday/ --out pictures --labels topic:/operator/label --hold 2 --every 0.5
  robot-vision bag extract monday/ --out pictures --labels none --every 5       every fifth second, without labels"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument('bags', nargs='+', metavar='BAG', help='.bag, .mcap or .db3 files, folders, globs')
    parser.add_argument('--out', required=True, metavar='DIR', help='new or empty folder')
    parser.add_argument('--labels', nargs='+', default=['auto'], metavar='SOURCE',
                        help='auto, topic:NAME, a .yaml or .csv file, or none; default: auto')
    parser.add_argument('--hold', type=SECONDS, default=0.0, metavar='S',
                        help='a label of a topic or CSV file holds no longer than this; default: until the next')
    parser.add_argument('--ignore', nargs='+', default=[], metavar='LABEL', help='leave out frames with these labels')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='image topics, or all; default: each camera once, neither depth nor infrared')
    parser.add_argument('--every', type=SECONDS, default=0.0, metavar='S',
                        help='at most a frame of a camera in so many seconds; default: every frame')
    parser.add_argument('--no-duplicates', type=whole(-1, 32), default=-1, metavar='BITS', nargs='?', const=4,
                        help='leave out frames whose perceptual hash is within BITS (4) of a recent one')
    parser.add_argument('--max', type=whole(), default=0, metavar='N', help='pictures a label; default: all')
    parser.add_argument('--format', default='jpg', choices=('jpg', 'png'), help='default: %(default)s')


def run(args: argparse.Namespace) -> int:
    """Write the pictures and say what was and was not labelled. Exit code 1: no frame has a label."""
    from ..core.text.progress import Progress
    from ..data.extract import extract
    from ..data.frame_sources import open_sources
    from ..data.frame_stream import FrameStream
    from ..data.labels.labels import LabelConfig
    from ..data.selection import SelectionConfig
    labels = LabelConfig(tuple(args.labels), args.hold, tuple(args.ignore))
    stream = FrameStream(open_sources(args.bags, labels, args.topics),
                         SelectionConfig(args.every, args.no_duplicates, least=0))
    with Progress('extracting', 'pictures') as show:
        done = extract(stream, args.out, args.format, args.max, show)
    print(stream.label_report)
    print(stream.selection_report)
    counts = ', '.join(f'{label} {count}' for label, count in done.counts.items())
    print(f'{args.out}: {sum(done.counts.values())} pictures ({counts or "none"}), {done.unchanged} as recorded')
    return 0 if done.counts else 1
