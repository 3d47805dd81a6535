"""``robot-vision tune``: search for better settings of a training run."""
import argparse
import json
import sys

from ..core.text.number_options import whole

HELP = 'search for better settings of a training run'
EXAMPLES = """The file is one for `robot-vision train` with what to try:

  tune:
    trials: 20
    space:
      optimizer.learning_rate: {low: 1e-4, high: 1e-2, log: true}
      loss.smoothing: {low: 0.0, high: 0.2}
      network.train_from: {choices: [all, head]}

examples:
  robot-vision tune config/my.yaml                     goes on where it was interrupted
  robot-vision train runs/my_model-tune/best.yaml      with the best settings

Trials are judged by the early-stop split; those that are worse than the median at the same epoch are given up.
One process at a time goes on with a study; a second one is refused."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('config', metavar='CONFIG', help='YAML file with the settings')
    parser.add_argument('--bags', nargs='+', metavar='BAG', default=[], help='instead of data.bags of the file')
    parser.add_argument('--set', nargs='+', metavar='NAME=VALUE', default=[], dest='changes',
                        help='settings instead of those of the file, e.g. run.epochs=3')
    parser.add_argument('--trials', type=whole(1, 100_000), metavar='N', help='instead of tune.trials of the file')


def run(args: argparse.Namespace) -> int:
    """Tune."""
    from ..core.files.user_path import user_path
    from ..training.config_file import load_config, read_tuning
    path = user_path(args.config)
    changes = [*args.changes, *([f'data.bags={json.dumps(args.bags)}'] if args.bags else [])]
    config = load_config(path, changes)
    space, trials = read_tuning(path)
    from ..training.tune import tune

    def say(lines: str) -> None:
        print(lines, flush=True)
    try:
        tune(config, space, args.trials or trials, say)
    except KeyboardInterrupt:
        print('interrupted; the same command goes on with this study', file=sys.stderr)
        return 130
    return 0
