"""``make fuzz``: mutated inputs through every reader, in child processes; what fails is kept, made small.

    make fuzz                                   one minute for each kind of input
    make fuzz MINUTES=60 SEED=7                 an hour in all
    make fuzz ARGS="--full"                     1 000 000 messages, 20 000 bundles, 10 000 bags, 20 000 text files
    make fuzz ARGS="--target bags --count 500"
    make fuzz ARGS="--replay ../fuzz_failures/bags-1-77-crash.bin"

A failure is: the process ends; 20 s without an answer; more than 1 s of processor time; 200 MB more memory; another
exception than the documented one, or one whose text cannot be shown; a picture that the message does not determine.
"""
import argparse
import multiprocessing
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

import cv2
import numpy
import torch

from . import live
from .campaign import Result, run_campaign, save_failures
from .minimise import fails_with
from .target import ACCEPTED
from .targets import TARGETS
from .worker import attempt


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the campaign; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog='make fuzz ARGS=', description=__doc__.split('\n\n')[0],
                                     epilog='\n\n'.join(__doc__.split('\n\n')[1:]),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--target', nargs='+', action='extend', choices=[*TARGETS, live.NAME],
                        help='kinds of input (default: all; live: messages to real nodes over DDS)')
    parser.add_argument('--seed', type=int, default=1, help='of all mutations; the same seed gives the same inputs')
    parser.add_argument('--minutes', type=float, help='for all targets together')
    parser.add_argument('--count', type=int, help='inputs a target')
    parser.add_argument('--full', action='store_true', help='the whole campaign of each target')
    parser.add_argument('--jobs', type=int, default=multiprocessing.cpu_count(), help='processes beside each other')
    parser.add_argument('--out', type=Path, default=Path('fuzz_failures'), help='where failing inputs are kept')
    parser.add_argument('--replay', type=Path, nargs='+', action='extend', help='try kept inputs again')
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.replay:
        return _replay(args.replay)
    names = args.target or [*TARGETS, live.NAME]
    minutes = None
    if not args.full and args.count is None:
        minutes = (args.minutes or float(len(names))) / len(names)
    print(f'seed {args.seed}, {args.jobs} processes; Python {platform.python_version()}, OpenCV {cv2.__version__}, '
          f'numpy {numpy.__version__}, torch {torch.__version__}', flush=True)
    results: List[Result] = []
    for name in names:
        target = TARGETS['messages' if name == live.NAME else name]()
        count = args.count or ((live.CASES if name == live.NAME else target.cases) if args.full else 10**9)
        if name == live.NAME:
            results.append(live.run_live(args.seed, count, minutes, say))
        else:
            results.append(run_campaign(target, args.seed, count, args.jobs, minutes, say))
        save_failures(target, args.seed, results[-1], args.out, say)
    print(f'\n{"target":10} ' + ' '.join(f'{name:>12}' for name in ('tried', *sums(results[0]))) +
          f' {"failures":>9} {"slowest":>9} {"wall":>8}')
    for result in results:
        print(f'{result.target:10} ' + ' '.join(f'{count:12}' for count in (result.tried, *sums(result).values())) +
              f' {len(result.failures):9} {result.slowest_s * 1000:6.0f} ms {result.seconds:6.0f} s')
    print('tried = accepted + damage told + refused + no answer (it failed, or was lost with a worker that ended; '
          'live: replaced or lost on the way); failures may be of any kind')
    for result in results:
        print(f'{result.target}: ' + ', '.join(f'{name} {count}' for name, count in result.outcomes.most_common()))
    failures = sum(len(result.failures) for result in results)
    print(f'failures: {failures}')
    return 1 if failures else 0


def sums(result: Result) -> Dict[str, int]:
    """What came of the inputs of a target, in numbers that add up to those that were tried."""
    count = {'accepted': result.outcomes[ACCEPTED], 'damage told': result.outcomes['damage told'],
             'refused': sum(number for outcome, number in result.outcomes.items() if outcome.startswith('refused'))}
    return {**count, 'no answer': result.tried - sum(count.values())}


def say(text: str) -> None:
    """A line at once."""
    print(text, flush=True)


def _replay(paths: List[Path]) -> int:
    """Each kept input once more: first in a child, then, if it does not end the process, here."""
    failed = 0
    for path in paths:
        target = TARGETS[path.name.split('-')[0]]()
        with tempfile.TemporaryDirectory(prefix='fuzz-') as folder:
            target.prepare(Path(folder))
            kind = fails_with(target, path.read_bytes())
            failed += bool(kind)
            print(f'{path}: {kind or "does not fail"}')
            if kind not in ('crash', 'hang', 'memory'):
                outcome, failure, seconds = attempt(target, path.read_bytes())
                print(f'  {outcome}, {seconds * 1000:.0f} ms' + (f'\n{failure.text}' if failure else ''))
    return 1 if failed else 0


if __name__ == '__main__':
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    sys.exit(main())
