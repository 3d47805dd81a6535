"""``robot-vision evaluate``: replay bags, know how good a model is."""
import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional

from ..core.config import ClassifierConfig
from ..core.errors import ConfigError
from ..core.text.notes import to_stderr
from ..core.text.number_options import SECONDS, SEED, real, whole
from ..core.text.printable import printable
from ..core.text.progress import Progress
from .device_options import DEVICE_OPTIONS, add_device_options

if TYPE_CHECKING:
    from ..evaluation.evaluator import Evaluation
    from ..evaluation.options import EvaluationOptions
    from ..evaluation.recordings import Recording

HELP = 'Judge models on bags: how often right, how sure, how quick, and whether to deploy.'
EXAMPLES = """examples:
  robot-vision evaluate recording/ --out report                  the default model; labels beside the bag, if there are
  robot-vision evaluate day1/ day2/ --model models/new --model models/old --out report
  robot-vision evaluate test/ --model models/new --out report --fail-under accuracy=.9 --fail-over ece=.05 risk=.02
  robot-vision evaluate pictures/ --model models/new --out report  folders of pictures, <class>/*.jpg
  robot-vision evaluate drive.bag --labels none --out report --write-bag decisions.mcap
  robot-vision evaluate pictures/ --model models/new --out report --boxes auto  what looks at the background
  robot-vision evaluate match/ --detections /detections --labels topic:/ground_truth --out report

Labels: a labels.yaml or labels.csv beside the bag, or a topic that ends with /label; `robot-vision bag extract --help`
has their formats. Without labels there is everything that needs none. Pictures of a folder are labelled by their
folder ("unknown" is none of the classes) and decided one by one, without fusion over time.

Objects: with --detections each box of a vision_msgs/Detection2DArray is cut out, followed, and judged as a frame of
its own. Labels are boxes of such a topic, too (default: the one whose last name is ground_truth): a detection is of the
object that it overlaps most, by an IoU of .5 or more; one of no object is a false alarm and counts as "unknown"; what
the detector missed is counted and not judged.

Costs of wrong labels: --set decision.costs_file=costs.yaml; `robot-vision run --help` shows such a file.

DIR gets report.html (opens anywhere, needs no network), metrics.json (`--schema` explains it), frames.csv (one row a
frame; may be read as labels), summary.md (for a pull request) and speed.json. Exit codes: 0 done, 1 a demand is not met
or the machine fails (a full disk), 2 wrong use or input, or a recording ended its worker: it is named, and the others
are judged.

Figures for demands (--schema has all): foreign_accepted (of what is labelled unknown), errors_per_h, acted_right,
acted_wrong, risk, cost, coverage, accuracy, nll, ece, ..."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from ..evaluation.options import RunOptions
    run = RunOptions()
    parser.add_argument('bags', nargs='*', metavar='BAG', help='.bag, .mcap or .db3 files, folders, globs; '
                        'folders of pictures')
    parser.add_argument('--model', action='append', default=[], metavar='M', dest='models',
                        help='bundle folder, name of one in models/, or torchvision:<architecture>; several are '
                        f'compared with the first (default: {ClassifierConfig().model})')
    parser.add_argument('--out', metavar='DIR', help='where the report goes; an earlier one there is replaced')
    parser.add_argument('--labels', nargs='+', default=['auto'], metavar='SOURCE',
                        help='auto, topic:NAME, a .yaml or .csv file, or none (default: auto)')
    parser.add_argument('--hold', type=SECONDS, default=0.0, metavar='S',
                        help='a label of a topic or CSV file holds no longer than this; default: until the next')
    parser.add_argument('--ignore', nargs='+', default=[], metavar='LABEL', help='leave out frames with these labels')
    parser.add_argument('--map', nargs='+', default=[], metavar='LABEL=CLASS', dest='label_map',
                        help='a label of the bags, or of --boxes, is this class of the model, or unknown, or ignore')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='image topics, or all; default: each camera once, neither depth nor infrared')
    parser.add_argument('--detections', nargs='+', default=[], metavar='TOPIC',
                        help='judge the objects in these boxes, not whole pictures; of several cameras '
                        'IMAGES:=TOPIC for each')
    parser.add_argument('--boxes', default='', metavar='SOURCE',
                        help='where the objects in the pictures are, to list decisions that look at the background: '
                        'auto, yolo, coco, cvat or a file of labels with boxes; of a bag auto (a topic whose last name '
                        'is ground_truth) or topic:NAME. Those count that are called, after --map, as the picture is '
                        'labelled or as what was said of it; where none is called as a class, all')
    parser.add_argument('--no-evidence', action='store_true', help='show no evidence under the pictures of the report, '
                        'which takes some seconds a model')
    parser.add_argument('--params-file', metavar='FILE', help='the deployment: a ROS parameter file of the node')
    parser.add_argument('--node', default='/classifier', metavar='NAME', help='full name of the node that the file is '
                        'read for, with its namespace (default: %(default)s)')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', dest='changes',
                        help='parameters of the node, e.g. decision.abstain_cost=.2 fusion.enabled=false')
    add_device_options(parser)
    parser.add_argument('--batch', type=whole(1, 1024), default=run.batch, metavar='N',
                        help='frames in a forward pass; decisions do not depend on it (default: %(default)s)')
    parser.add_argument('--no-exact', action='store_true', help='do not run a recording again, frame by frame, where '
                        'rounding in a batch might turn a decision')
    parser.add_argument('--workers', type=whole(1, 4096), default=1, metavar='N',
                        help='processes that share the recordings')
    parser.add_argument('--cluster', default='', metavar='ADDRESS', help='Dask scheduler that shares them')
    parser.add_argument('--live', action='store_true', help='play the bags to a real node over DDS as well, and judge '
                        'what it decides')
    parser.add_argument('--rate', type=real(1e-3, 1e3), default=1.0, metavar='X',
                        help='with --live: times the recorded speed')
    parser.add_argument('--lockstep', action='store_true', help='with --live: send a frame when the one before is '
                        'decided, so that every frame is delivered')
    parser.add_argument('--attach', action='store_true', help='with --live: the node runs already, under a launch file')
    parser.add_argument('--write-bag', default='', metavar='OUT.mcap', help='decisions and uncertainty as a ROS 2 bag, '
                        'under the topics of the live node, with the stamps of the input')
    parser.add_argument('--copy-topics', action='store_true', help="with the bag's own topics beside them")
    parser.add_argument('--overlay', action='store_true', help='with the pictures, the decision drawn in, beside them: '
                        'the topic .../overlay/compressed that Foxglove and RViz show')
    parser.add_argument('--fail-under', nargs='+', default=[], metavar='NAME=X', help='exit code 1 if a figure is less')
    parser.add_argument('--fail-over', nargs='+', default=[], metavar='NAME=X', help='exit code 1 if a figure is more')
    parser.add_argument('--seed', type=SEED, default=run.seed, help='of the bootstrap')
    parser.add_argument('--schema', action='store_true', help='explain metrics.json and exit')


def run(args: argparse.Namespace) -> int:
    """Evaluate."""
    if args.schema:
        from ..evaluation.summary import SCHEMA
        print(SCHEMA, end='')
        return 0
    if not args.bags:
        raise ConfigError('which bags? Give .bag, .mcap or .db3 files or folders; --help has examples')
    if not args.out:
        raise ConfigError('where should the report go? Give --out DIR')
    from ..evaluation.decision_bag import whole_decisions
    from ..evaluation.deployment import unseen
    from ..evaluation.gates import check_gates, parse_gates
    from ..evaluation.output import OutputFolder
    from ..evaluation.recordings import check_are_bags, open_recordings
    gates = parse_gates(args.fail_under, args.fail_over)
    options = _options(args)
    models = args.models or [options.deployment.model]
    for option, is_given in (('--live', args.live), ('--write-bag', args.write_bag)):
        if is_given and args.detections:
            raise ConfigError(f'{option}: is of whole pictures, and not to be had with --detections; leave one out')
    if args.live:
        from ..ros.live_evaluation import check_live
        check_live(models, args.rate)  # before the bags, which take minutes
    recordings = open_recordings(args.bags, options)
    for option, is_given in (('--copy-topics', args.copy_topics), ('--overlay', args.overlay)):
        if is_given and not args.write_bag:
            raise ConfigError(f'{option}: goes into the bag of decisions; name one with --write-bag OUT.mcap')
    for option, is_asked in (('--live', args.live), ('--write-bag', args.write_bag), ('--detections', args.detections)):
        if is_asked:
            check_are_bags(recordings, option)
    note = unseen(options.deployment, args.node, [name for one in recordings for name in one.images])
    if note:
        to_stderr(note)
    if options.deployment.detection_topics and not args.detections:
        to_stderr('detection_topics: the node under these parameters decides objects, and what is judged here are '
                  'whole pictures; name the topics of its boxes with --detections')
    # The bags of decisions last: killed before, the same command begins anew; they are not replaced, the report is.
    with whole_decisions(args.write_bag, recordings) as places, OutputFolder(args.out) as out:
        first = places[0]
        write_bag = first and str(Path(first).parent if len(places) > 1 else first)
        evaluation = _evaluate(args, options, models, recordings, write_bag)
        metrics = evaluation.metrics
        metrics['gates'] = check_gates(metrics, gates)
        evaluation.write(out.work)
        out.commit()
    for problem in evaluation.problems:
        print(f'robot-vision evaluate: {printable(problem, 2000)}', file=sys.stderr)
    _say_boxes(metrics)
    _say(metrics, evaluation.speed(), Path(args.out))
    failed = [gate for gate in metrics['gates'] if not gate['passed']]
    for gate in failed:
        print(f'FAILED {printable(gate["reason"], 2000)}', file=sys.stderr)
    return 2 if evaluation.failed else 1 if failed else 0


def _evaluate(args: argparse.Namespace, options: 'EvaluationOptions', models: List[str],
              recordings: List['Recording'], write_bag: Optional[str]) -> 'Evaluation':
    from ..evaluation.evaluator import evaluate
    frames = sum(recording.frames for recording in recordings)
    with Progress('evaluating', 'frames', frames) as bar:
        found = evaluate(args.bags, models, options, workers=args.workers, cluster=args.cluster,
                         write_bag=write_bag or '', copy_topics=args.copy_topics, overlay=args.overlay,
                         progress=_of_all(bar), recordings=recordings)
    if not args.live:
        return found
    from ..ros.live_evaluation import evaluate_live
    with Progress('playing to the node', 'frames', frames) as bar:
        return evaluate_live(found, models[0], args.rate, args.lockstep, args.attach, _of_all(bar))


def _of_all(bar: Progress) -> Callable[[str, int], None]:
    """Takes the frames of a recording that are done, and shows those of all recordings."""
    done: Dict[str, int] = {}

    def show(recording: str, frames: int) -> None:
        done[recording] = frames
        bar(sum(done.values()))
    return show


def _options(args: argparse.Namespace) -> 'EvaluationOptions':
    from ..data.labels.labels import LabelConfig
    from ..evaluation.deployment import deployment
    from ..evaluation.options import EvaluationOptions, RunOptions
    given = {name: getattr(args, name) for name in DEVICE_OPTIONS}
    changes = [*args.changes, *(f'{name}={value}' for name, value in given.items() if value)]
    if args.workers < 1:
        raise ConfigError(f'--workers: must be at least 1, got {args.workers}')
    label_map = {}
    for text in args.label_map:
        label, _, name = text.partition('=')
        if not label or not name:
            raise ConfigError(f'--map {text!r}: expected LABEL=CLASS')
        label_map[label] = name
    return EvaluationOptions(
        deployment(args.params_file, changes, args.node, to_stderr),
        LabelConfig(tuple(args.labels), args.hold, tuple(args.ignore)), tuple(args.topics), label_map,
        RunOptions(batch=args.batch, exact=not args.no_exact, seed=args.seed, evidence=not args.no_evidence),
        tuple(args.detections), args.boxes)


def _say_boxes(metrics: Mapping[str, Any]) -> None:
    """Whose boxes count, where that is not what one would think; the same of several models once."""
    from ..evaluation.report.wording import boxes_sentence
    found = [boxes_sentence(model['background']['boxes']) for model in metrics['models'].values()
             if model.get('background')]
    for sentence in dict.fromkeys(filter(None, found)):
        print(f'robot-vision evaluate: --boxes: {printable(sentence, 2000)}', file=sys.stderr)


def _say(metrics: Mapping[str, Any], speed: Mapping[str, Any], out: Path) -> None:
    """Verdict and the way to the report."""
    from ..evaluation.compare import difference_lines
    from ..evaluation.report.objects import objects_sentence
    from ..evaluation.report.verdict import verdict_of
    marks = {'good': '+', 'care': '!', 'bad': '-', 'info': ' '}
    for name, model in metrics['models'].items():
        found = verdict_of(model, [gate for gate in metrics['gates'] if gate['model'] == name])
        print(f'{printable(name)}: {found.headline}')
        for title, points in found.groups():
            print(f'  {title}:')
            for point in points:
                print(f'  {marks[point.mood]} {printable(point.text, 2000)}')
    for comparison in metrics['comparisons']:
        print(f'\n{printable(comparison["second"])} minus {printable(comparison["first"])}:')
        print('\n'.join('  ' + line for line in difference_lines(comparison['differences'])))
    if 'live' in metrics:
        _say_live(metrics['live'], speed['live_ms'])
    decided = sum(recording['decided'] for recording in metrics['recordings'])
    dropped: Dict[str, int] = {}
    for recording in metrics['recordings']:
        for reason, count in recording['dropped'].items():
            dropped[reason] = dropped.get(reason, 0) + count
    lost = ', '.join(f'{count} {reason}' for reason, count in dropped.items()) or 'none'
    print()
    for recording in metrics['recordings']:
        for camera in recording.get('objects', ()):
            print(f'{printable(recording["name"])}, {printable(camera["images"])}: {objects_sentence(camera)}')
    what = 'object(s)' if any('objects' in recording for recording in metrics['recordings']) else 'frame(s)'
    print(f'{decided} {what} of {len(metrics["recordings"])} recording(s), dropped: {lost}; '
          f'{speed["frames_per_s"]:.0f} {what.replace("(s)", "s")} a second\nreport: {out / "report.html"}')


def _say_live(live: Mapping[str, Any], times: Mapping[str, Any]) -> None:
    """What the way over DDS cost."""
    for found in live['recordings']:
        print(f'\nlive, {printable(found["recording"])}: {found["sent"]} sent, {found["decided"]} decided, '
              f'{found["not_decided"]} not; {found["decisions_unlike_offline"]} decisions unlike those from the bag')
    print('live, ms from sending a frame to its decision: ' + '; '.join(
        f'{name} p50 {times[key]["p50"]:.1f}, p99 {times[key]["p99"]:.1f}'
        for key, name in (('total', 'all'), ('transport', 'of which transport and waiting'))))
