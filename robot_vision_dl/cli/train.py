"""``robot-vision train``: labelled bags -> a calibrated, tested model bundle."""
import argparse
import json
import sys

from ..core.errors import ConfigError
from ..core.files.user_path import user_path
from ..core.text.number_options import whole
from ..core.text.text_file import read_text

HELP = 'fine-tune a network on labelled bags, calibrate and test it, write a model bundle'
EXAMPLES = """examples:
  robot-vision train --bags bags/ --name gestures      no file: everything else by default; the bundle: models/gestures
  robot-vision train config/train.yaml                 as the file says; the bundle lands in models/
  robot-vision train config/train.yaml --bags day1/ day2/ --set run.epochs=3
  robot-vision train config/train.yaml --folds 5       how much the result depends on the split
  robot-vision train --defaults > my.yaml              every setting with its default and what it means
  robot-vision run --model models/my_model ...         and run it

  torchrun --nproc-per-node 2 -m robot_vision_dl.cli.main train config/train.yaml
                                                       several GPUs, or processes, share each batch

Labels of bags: see `robot-vision bag extract --help`. Folders of pictures (<class>/*.jpg) are taken as well. Names in
CONFIG are relative to that file. data.test, data.calibration and data.early_stop name recordings instead of drawing
them. A dozen short bags will do to begin with; what is changed for their sake is said.
Interrupted, even by kill -9 or a power cut, the same command goes on after the last finished epoch, to the same result.
Progress: `tensorboard --logdir runs`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('config', nargs='?', metavar='CONFIG', help='YAML file with the settings; without one they are '
                        'the defaults, and --bags says what to learn from')
    parser.add_argument('--bags', nargs='+', metavar='BAG', default=[], help='instead of data.bags of the file')
    parser.add_argument('--name', help='of the bundle and of the run, instead of that of the file')
    parser.add_argument('--set', nargs='+', metavar='NAME=VALUE', default=[], dest='changes',
                        help='settings instead of those of the file, e.g. run.epochs=3')
    parser.add_argument('--folds', type=whole(2, 1000), metavar='K',
                        help='cross-validate instead: K runs, each recording in the '
                        'test part of one; a table with mean and spread, and no bundle in models/')
    parser.add_argument('--restart', action='store_true', help='forget an earlier run of this name')
    parser.add_argument('--overwrite', action='store_true', help='replace a bundle of this name of another run')
    parser.add_argument('--defaults', action='store_true', help='print a file with all settings and exit')


def run(args: argparse.Namespace) -> int:
    """Train."""
    from ..training.config_file import default_file, load_config, parse_config
    if args.defaults:
        print(default_file(), end='')
        return 0
    changes = list(args.changes)
    if args.bags:
        changes.append(f'data.bags={json.dumps(args.bags)}')
    if args.name:
        changes.append(f'name={json.dumps(args.name)}')
    if args.config is None:
        if not args.bags:
            raise ConfigError('what is to be learned from? Give --bags BAG..., or the name of a YAML file; --defaults '
                              'prints one to start from')
        text = ''.join(f'{name}: {value}\n' for name, value in (
            ('name', json.dumps(args.name or 'my_model')), ('data', json.dumps({'bags': args.bags}))))
        config = parse_config(text, 'the settings', changes)
    else:
        path = user_path(args.config)
        if path.is_dir():
            raise ConfigError(f'{args.config}: is a folder, no YAML file; to learn from what is in it by default '
                              f'settings: robot-vision train --bags {args.config}')
        config = load_config(path, changes)
        text = read_text(path)
    from ..training.folds import cross_validate
    from ..training.run import train

    def say(lines: str) -> None:
        print(lines, flush=True)
    try:
        if args.folds is not None:
            print(cross_validate(config, text, args.folds, restart=args.restart, say=say))
            return 0
        train(config, text, restart=args.restart, overwrite=args.overwrite, say=say)
    except KeyboardInterrupt:
        print('interrupted; the same command goes on after the last finished epoch', file=sys.stderr)
        return 130
    return 0
