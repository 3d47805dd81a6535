"""``robot-vision improve``: train on new labels, compare with the installed model, install what is no worse."""
import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING, Dict, List, Tuple

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.text.notes import to_stderr
from ..core.text.number_options import whole
from ..core.text.number_text import plain_float
from ..core.text.printable import printable
from ..core.text.progress import Progress
from ..core.text.table import aligned
from ..core.text.text_file import read_text

if TYPE_CHECKING:
    from ..evaluation.no_worse import Figure
    from ..labelling.improve import Outcome
    from ..labelling.improvement_plan import Plan, Wish

HELP = 'Train further on new labels, and install the new model if it is no worse than the old one.'
EXAMPLES = """examples:
  robot-vision improve queue/ --model models/sorter --frozen test_bags/          labelled in a queue of `mine`
  robot-vision improve day9/ day10/ --model models/sorter --frozen test_bags/    labels beside the bags
  robot-vision improve day9/ --model models/sorter --frozen test_bags/ --dry-run what would be done
  robot-vision improve day9/ --model models/sorter --frozen test_bags/ --margin accuracy=.01 nll=.1
  robot-vision improve day9/ --model models/sorter --frozen test_bags/ --node /classifier
                                                             and have a running node take it over
  robot-vision models history models/sorter                  what was trained on what, and how it did
  robot-vision models rollback models/sorter                 the model before

Training starts from the weights of the installed model, with the settings that it was trained with, on what it learned
from (--old-data) and the new DATA. The frozen recordings and whatever looks like a frame of theirs are never learned
from. Labels may have new classes.

A gate is passed where the 95 % interval of the difference (paired, whole recordings drawn) ends within its margin,
failed where it lies beyond it. Between the two recordings cannot tell, and nothing is installed unless
--allow-undecided lets the values decide. Killed at any time, the same command goes on; the installed model is the old
one or the new one, and the old one stays beside it.

Exit codes: 0 installed (or was already), 1 not installed, since a gate was not passed, or the machine fails (a full
disk), 2 wrong use or input, or frozen recordings too few to decide a gate (with --dry-run, too), 130 interrupted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from ..labelling.improvement_plan import DEFAULT_WORK, NOTHING
    margins = ' '.join(f'{name}={figure.margin:g}' for name, figure in _figures().items())
    parser.add_argument('data', nargs='+', metavar='DATA', help='a queue of `mine`, or bags and folders of pictures '
                        'with labels, as `train` takes them')
    parser.add_argument('--model', required=True, metavar='INSTALLED', help='folder of the bundle to improve')
    parser.add_argument('--frozen', nargs='+', required=True, metavar='BAG',
                        help='labelled recordings to compare old and new on; they are never learned from')
    parser.add_argument('--old-data', nargs='+', default=[], metavar='DATA', help='what the installed model learned '
                        f'from, or {NOTHING} (default: as its own settings say)')
    parser.add_argument('--config', metavar='FILE', help='training file, instead of the settings that the installed '
                        'model was trained with')
    parser.add_argument('--set', nargs='+', default=[], metavar='NAME=VALUE', dest='changes',
                        help='settings of the training, e.g. run.epochs=3')
    parser.add_argument('--margin', nargs='+', default=[], metavar='FIGURE=X', dest='margins',
                        help=f'by how much the new model may be worse (default: {margins})')
    parser.add_argument('--without', nargs='+', default=[], metavar='FIGURE', help='leave these gates out')
    parser.add_argument('--allow-undecided', action='store_true', help='where recordings are too few to tell, the '
                        'values decide without an interval')
    parser.add_argument('--map', nargs='+', default=[], metavar='LABEL=CLASS', dest='label_map',
                        help='a label of the frozen recordings is this class, or unknown, or ignore')
    parser.add_argument('--params-file', metavar='FILE', help='the deployment that both are judged under: a ROS '
                        'parameter file of the node')
    parser.add_argument('--work', default=DEFAULT_WORK, metavar='DIR', help='folder of checkpoints, new models and '
                        'reports (default: %(default)s)')
    parser.add_argument('--workers', type=whole(1, 4096), default=1, metavar='N',
                        help='processes that share the frozen recordings')
    parser.add_argument('--node', default='', metavar='NAME', help='running classifier node that is to take the new '
                        'model over')
    parser.add_argument('--dry-run', action='store_true', help='say what would be done, and do nothing; exit code '
                        '2 where the real run would stop before it trains')


def run(args: argparse.Namespace) -> int:
    """Improve."""
    from ..labelling.improve import check_decidable, improve, is_done
    from ..labelling.improvement_plan import plan
    planned = plan(_wish(args))
    print('\n'.join(planned.describe()), flush=True)
    if is_done(planned):
        print(f'\nis done already: {planned.old.identity} came of the same data and settings, and is installed')
        return 0
    check_decidable(planned)  # a dry run ends as the real one would
    if args.dry_run:
        return 0
    if args.node:
        from ..ros.model_change import check_runs
        check_runs(args.node, str(planned.installed))

    def say(lines: str) -> None:
        print(lines, flush=True)
    try:
        with Progress('comparing', 'frames', sum(one.frames for one in planned.recordings)) as bar:
            done: Dict[str, int] = {}

            def show(recording: str, frames: int) -> None:
                done[recording] = frames
                bar(sum(done.values()))
            outcome = improve(planned, say, show, args.workers)
    except KeyboardInterrupt:
        print('interrupted; the same command goes on where it was', file=sys.stderr)
        return 130
    return _tell(planned, outcome, args)


def _tell(planned: 'Plan', outcome: 'Outcome', args: argparse.Namespace) -> int:
    from ..evaluation.no_worse import Decided
    from ..evaluation.undecided import describe_remedies
    print('\n' + '\n'.join(_table(outcome)))
    for sentence in outcome.new_classes:
        print(printable(sentence, 500))
    print(f'report: {printable(outcome.report)}')
    refused = outcome.refusals(args.allow_undecided)
    assert outcome.candidate is not None
    if refused:
        print(f'\nNOT INSTALLED: {planned.old.name} {planned.old.identity} stays. {len(refused)} of '
              f'{len(outcome.gates)} gates are not passed:', file=sys.stderr)
        for gate in refused:
            verdict = 'beyond the margin' if args.allow_undecided and gate.decided is Decided.UNDECIDED else (
                gate.decided.value)
            print(f'  {verdict}: {gate.said(args.allow_undecided)}', file=sys.stderr)
        for line in () if args.allow_undecided else describe_remedies(refused):
            print(f'  {line}', file=sys.stderr)
        print(f'  the new model, {outcome.candidate.identity}, is in {printable(outcome.candidate.folder)}',
              file=sys.stderr)
        return 1
    if not any(gate.shown == 'better' for gate in outcome.gates):
        print('no figure is shown to be better; all are within their margins')
    from ..labelling.installation import previous_of
    print(f'\nINSTALLED: {outcome.model.name} {outcome.model.identity} in {printable(planned.installed)}; the one '
          f'before is {printable(previous_of(planned.installed))}')
    if args.node:
        from ..ros.model_change import take_over
        print(take_over(args.node, str(planned.installed), outcome.model.identity))
    else:
        print('a running node takes it over when its parameter `model` is set again: ros2 param set /classifier model '
              f'{printable(planned.installed)}')
    return 0


def _table(outcome: 'Outcome') -> List[str]:
    rows: List[List[str]] = [['figure', 'old', 'new', 'difference', '95 % interval', 'worse by at most', 'the new is',
                              'gate']]
    for gate in outcome.gates:
        low, high = gate.difference.low, gate.difference.high
        between = f'{low:+.4f} .. {high:+.4f}' if low == low else '-'
        rows.append([gate.figure, *(f'{value:.4f}' if value == value else '-' for value in (gate.old, gate.new)),
                     f'{gate.difference.value:+.4f}' if gate.difference.value == gate.difference.value else '-',
                     between, f'{gate.margin:g}', gate.shown, gate.decided.value])
    return aligned(rows)


def _figures() -> Dict[str, 'Figure']:
    from ..evaluation.no_worse import FIGURES
    return FIGURES


def _wish(args: argparse.Namespace) -> 'Wish':
    from ..evaluation.deployment import deployment
    from ..labelling.improvement_plan import Wish
    data, labelled_by = _data(args.data, not args.dry_run)
    label_map = {}
    for text in args.label_map:
        label, _, name = text.partition('=')
        if not label or not name:
            raise ConfigError(f'--map {printable(text)!r}: expected LABEL=CLASS')
        label_map[label] = name
    node = args.node or '/classifier'
    return Wish(data, args.model, tuple(args.frozen), tuple(args.old_data),
                read_text(user_path(args.config)) if args.config else None, tuple(args.changes),
                _margins(args.margins, args.without), args.allow_undecided, labelled_by,
                deployment(args.params_file, (), node, to_stderr), label_map, args.work)


def _data(given: List[str], write: bool) -> Tuple[Tuple[str, ...], Dict[str, int]]:
    """Bags and folders to learn from, and how many labels of which person stand."""
    from ..labelling.queue_data import is_queue, queue_data
    found: List[str] = []
    people: Counter[str] = Counter()
    for name in given:
        folder = user_path(name)
        if not is_queue(folder):
            found.append(name)
            continue
        queue = queue_data(folder, write)
        for note in queue.notes:
            to_stderr(note)
        found += queue.bags
        people.update(queue.labelled_by)
    return tuple(dict.fromkeys(found)), dict(people.most_common())


def _margins(given: List[str], without: List[str]) -> Dict[str, float]:
    from ..core.suggestions import did_you_mean
    figures = _figures()
    margins = {name: figure.margin for name, figure in figures.items()}
    for text in given:
        name, _, value = text.partition('=')
        number = plain_float(value.strip())
        if number is None or not 0 <= number < float('inf'):
            raise ConfigError(f'--margin {printable(text)!r}: expected FIGURE=X with X from 0 on, for instance '
                              'accuracy=.01')
        if name not in figures:
            raise ConfigError(f'--margin {printable(text)!r}: no such gate; {did_you_mean(name, figures)}')
        margins[name] = number
    for name in without:
        if name not in figures:
            raise ConfigError(f'--without {printable(name)!r}: no such gate; {did_you_mean(name, figures)}')
        margins.pop(name, None)
    if not margins:
        raise ConfigError('--without: every gate is left out, and whatever was trained would be installed; leave one')
    return margins
