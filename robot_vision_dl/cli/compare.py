"""``robot-vision compare``: two evaluations side by side."""
import argparse
from pathlib import Path
from typing import Any, Sequence

HELP = 'Say what differs between two evaluations, and whether that is more than chance.'
EXAMPLES = """examples:
  robot-vision compare old/metrics.json new/metrics.json
  robot-vision compare both/ both/ --models old new              two models of one evaluation
  robot-vision compare old/ new/ --fail-if-worse risk accuracy   exit code 1 if the second is shown to be worse

The intervals are paired: both must have been judged on the same labelled frames."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument('first', metavar='A.json', help='metrics.json, or the folder of an evaluation')
    parser.add_argument('second', metavar='B.json', help='another, which is compared with the first')
    parser.add_argument('--models', nargs=2, metavar=('A', 'B'), help='which model of each, where there are several')
    parser.add_argument('--fail-if-worse', nargs='+', default=[], metavar='FIGURE',
                        help='exit code 1 if one of these is worse by more than chance, or cannot be told')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='write the table there, for a pull request')


def run(args: argparse.Namespace) -> int:
    """Compare."""
    from ..core.errors import ConfigError
    from ..core.files.whole_files import write_whole
    from ..core.suggestions import did_you_mean
    from ..core.text.printable import printable
    from ..evaluation.bootstrap import RATIOS
    from ..evaluation.compare import difference_lines, model_of, other_pictures, read_metrics
    from ..evaluation.evaluator import compare_models
    from ..evaluation.report.markdown import plain
    for figure in args.fail_if_worse:
        if figure not in RATIOS:
            raise ConfigError(f'--fail-if-worse {figure}: no such figure; {did_you_mean(figure, RATIOS)}')
        if RATIOS[figure].higher is None:
            raise ConfigError(f'--fail-if-worse {figure}: more of it is neither better nor worse by itself; name '
                              'acted_right, acted_wrong or foreign_accepted')
    chosen: Sequence[Any] = args.models or (None, None)
    if len(chosen) != 2:
        raise ConfigError(f'--models takes one model of each, so two names, got {len(chosen)}: {", ".join(chosen)}')
    first, second = read_metrics(args.first), read_metrics(args.second)
    a, b = model_of(first, args.first, chosen[0]), model_of(second, args.second, chosen[1])
    options = first['options']
    others = other_pictures(first, second)
    found = None if others else compare_models(first['models'][a], second['models'][b], options['draws'],
                                               options['seed'])
    lines = difference_lines(found, others)
    print(f'{printable(b)} ({printable(args.second)}) minus {printable(a)} ({printable(args.first)})\n')
    print('\n'.join(lines))
    if args.markdown:
        write_whole(args.markdown, f'{plain(b)} minus {plain(a)}\n\n```\n' + '\n'.join(lines) + '\n```\n')
    if args.fail_if_worse and not found:
        print('FAILED: the two cannot be compared')
        return 1
    failed = 0
    for figure in dict.fromkeys(args.fail_if_worse):
        word = (found or {}).get(figure, {}).get('verdict', 'unclear')
        if word in ('worse', 'unclear'):
            print(f'FAILED: {figure} ' + ('is worse' if word == 'worse' else 'cannot be told from these recordings'))
            failed = 1
    return failed
