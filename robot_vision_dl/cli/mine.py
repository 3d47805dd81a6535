"""``robot-vision mine``: what in hours of recordings is worth labelling."""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List

from ..core.config import ClassifierConfig
from ..core.text.notes import to_stderr
from ..core.text.number_options import SECONDS, whole
from ..core.text.printable import printable
from ..core.text.progress import Progress
from .parser import add_setting

if TYPE_CHECKING:
    from ..evaluation.recordings import Recording
    from ..labelling.mining.run import MiningReport

HELP = 'Find what is worth labelling in bags: what a model is unsure about, of each kind some, and a random share.'
EXAMPLES = """examples:
  robot-vision mine monday/ tuesday/ --model models/sorter --out queue        then: robot-vision label queue
  robot-vision mine bags/ --model models/sorter --out queue --count 500 --workers 4
  robot-vision mine bags/ --model models/sorter --out queue --every 2         hours of a camera that hardly moves
  robot-vision mine bags/ --model models/newer --out queue                    again: labels stay, the order is new

Each camera's stream is cut where the decision or what is seen changes. An interval is unknown (unlike anything in
training), uncertain, flickering, has a label that is likely wrong (by models that have not seen its recording), or its
camera is at fault; nearly equal ones are shown as one. Of what is doubted most, a batch of --count is chosen that is as
diverse as it can be. A tenth of it is drawn at random from all, doubted or not: by what is found in these the accuracy
on the recordings can be estimated without bias.

Frames are decided one by one, without fusion over time. What is labelled already, beside the bag, in a topic or in the
queue, is not chosen unless the label is likely wrong. Killed at any moment, the same command goes on with the
recordings that are not done. QUEUE/mined.sqlite has the same bytes however many processes worked; QUEUE/labels.sqlite,
with what people have labelled, is never touched.

Exit codes: 0 done, 1 the machine fails (a full disk), 2 wrong use or input, or a recording cannot be read, has no
images or could not be looked at: it is named, and the others are in the queue."""
_WORDS = {'unknown': 'unlike anything in training', 'uncertain': 'between classes',
          'flickering': 'the decision goes back and forth', 'label': 'its label is likely wrong',
          'camera_fault': 'the camera is at fault', 'random': 'drawn at random, little is doubted',
          'sure': 'little is doubted'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from ..labelling.mining.options import MiningOptions
    parser.add_argument('bags', nargs='+', metavar='BAG', help='.bag, .mcap or .db3 files, folders, globs')
    parser.add_argument('--model', metavar='M', help='bundle folder, name of one in models/, or '
                        f'torchvision:<architecture> (default: {ClassifierConfig().model})')
    parser.add_argument('--out', required=True, metavar='QUEUE', help='folder of the queue; one that is there is mined '
                        'anew, and its labels stay')
    add_setting(parser, MiningOptions, 'count', 'N')
    add_setting(parser, MiningOptions, 'random_share', 'X')
    add_setting(parser, MiningOptions, 'every_s', 'S', '--every')
    add_setting(parser, MiningOptions, 'longest_s', 'S', '--longest')
    add_setting(parser, MiningOptions, 'seed', 'N')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='image topics, or all; default: each camera once, neither depth nor infrared')
    parser.add_argument('--labels', nargs='+', default=['auto'], metavar='SOURCE',
                        help='labels that the bags have already: auto, topic:NAME, a .yaml or .csv file, or none '
                        '(default: auto)')
    parser.add_argument('--hold', type=SECONDS, default=0.0, metavar='S',
                        help='a label of a topic or CSV file holds no longer than this; default: until the next')
    parser.add_argument('--labelled', action='store_true', help='choose among stretches that the bags label already as '
                        'among others; else only those whose label is likely wrong')
    parser.add_argument('--workers', type=whole(1, 4096), default=1, metavar='N',
                        help='processes that share the recordings')
    parser.add_argument('--cluster', default='', metavar='ADDRESS', help='Dask scheduler that shares them; its workers '
                        'must see bags, model and queue under the same paths')
    parser.add_argument('--params-file', metavar='FILE', help='the deployment: a ROS parameter file of the node')
    parser.add_argument('--node', default='/classifier', metavar='NAME', help='full name of the node that the file is '
                        'read for, with its namespace (default: %(default)s)')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', dest='changes',
                        help='parameters of the node, e.g. decision.abstain_cost=.2')
    parser.add_argument('--device', metavar='D', help='auto, cpu, cuda or cuda:<n>')


def run(args: argparse.Namespace) -> int:
    """Mine."""
    # Not at the top: torch takes seconds, and what was spelled wrongly is known before.
    from ..data.labels.labels import LabelConfig
    from ..evaluation.deployment import deployment
    from ..labelling.mining.options import MiningOptions
    from ..labelling.mining.run import mine
    changes = [*args.changes, *([f'device={args.device}'] if args.device else [])]
    config = deployment(args.params_file, changes, args.node, to_stderr)
    options = MiningOptions(args.every, args.longest, args.count, args.random_share, args.seed, args.labelled,
                            config, LabelConfig(tuple(args.labels), args.hold), tuple(args.topics))
    total: Dict[str, int] = {}
    done: Dict[str, int] = {}

    def opened(recordings: List['Recording']) -> None:
        total['frames'] = sum(one.frames for one in recordings)

    def show(recording: str, frames: int) -> None:
        done[recording] = frames
        share = sum(done.values()) / max(1, total['frames'])
        bar(round(100 * share))
    with Progress('mining', '%', 100) as bar:
        report = mine(args.bags, args.model or config.model, args.out, options, workers=args.workers,
                      cluster=args.cluster, progress=show, tell=to_stderr, opened=opened)
    for problem in report.problems:
        to_stderr(printable(problem, 2000))
    for failure in report.failures:
        to_stderr(f'not in the queue: {printable(failure, 2000)}; give the same command again, which looks at no other')
    _say(report, args.out)
    return 2 if report.failures or report.unreadable else 0


def _say(report: 'MiningReport', out: str) -> None:
    """What was found, by reason, and what to do next."""
    from ..core.text.table import aligned
    rows: List[List[object]] = [['reason', 'intervals', 'minutes', 'to label', '']]
    for reason, count in report.by_reason.items():
        if count.intervals:
            rows.append([reason, count.intervals, _OneDecimal(count.seconds / 60), count.chosen, _WORDS[reason]])
    total = report.by_reason.values()
    chosen = sum(count.chosen for count in total)
    rows.append(['in all', sum(count.intervals for count in total),
                 _OneDecimal(sum(count.seconds for count in total) / 60), chosen, ''])
    print('\n'.join(aligned(rows)))
    print()
    frames = f'{report.looked_at} frames of {report.recordings} recording(s) were looked at'
    if report.left_out:
        frames += f'; {report.left_out} that came sooner after another than --every were not'
    if report.unusable:
        frames += '; not usable: ' + ', '.join(f'{count} {reason}' for reason, count in report.unusable.items())
    print(frames)
    if report.resumed:
        print(f'{report.resumed} of the recordings had been looked at before')
    if report.alike:
        print(f'{report.alike} intervals look nearly like another one, which stands for them')
    if report.labelled:
        print(f'{report.labelled} are labelled already')
    drawn = f'{report.random} of the {chosen} to label are drawn at random from {report.drawn_from}'
    if report.learned:
        drawn += f'; {report.learned} of them show what the model has learned from and do not count for its accuracy'
    print(drawn)
    size = sum(file.stat().st_size for file in Path(out).rglob('*') if file.is_file())
    print(f'{printable(out)}: {size / 1e6:.1f} MB, nearly all of it pictures')
    print(f'\nnext: robot-vision label {printable(out)}')


class _OneDecimal(float):
    def __str__(self) -> str:
        return f'{float(self):.1f}'
