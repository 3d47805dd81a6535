"""``robot-vision``: finds the command and runs it.

A command is a module of this package with ``HELP`` (one line), optionally ``EXAMPLES`` (shown under ``--help``),
``add_arguments(parser)`` and ``run(args) -> int``. Only the module of the command that was called is imported, so that
``robot-vision --help`` is quick.

Exit codes: 0 done, 1 done and the answer is no (a check failed), or the machine cannot (a full disk), 2 wrong use or
bad input, 130 interrupted.
"""
import argparse
import importlib
import os
import shlex
import sys
from types import ModuleType
from typing import List, Optional

from .. import __version__
from ..core.errors import MachineError, OutputError, RobotVisionError, is_about_machine
from ..core.requirements import check_versions, explained
from ..core.text.printable import printable
from ..core.text.terminal import message, printable_output
from .parser import Parser

COMMANDS = {
    'demo': 'replay a small bag into the classifier node and watch it decide',
    'predict': 'classify pictures and videos: label, confidence, decision and why',
    'explain': 'show why a model decides as it does, or what its network is',
    'run': 'run the classifier node on camera topics',
    'watch': 'show what a running node decides, as it changes',
    'gate': 'run the action gate node: decisions in, actions out',
    'play': 'publish the images of a bag, without rosbag2',
    'bag': 'look into bags and make them',
    'crop': 'cut labelled objects out of pictures, to train and judge with',
    'evaluate': 'judge models on bags: how good, how sure, whether to deploy',
    'compare': 'say what differs between two evaluations',
    'mine': 'find what is worth labelling in bags: what a model is unsure about',
    'label': 'open a page to label what mining found',
    'labels': 'write the labels of a queue beside its bags, or exchange them with other programs',
    'train': 'fine-tune a network on labelled bags, to a calibrated model bundle',
    'calibrate': 'fit probabilities, sets and the score of unknowns to labelled data',
    'quantise': 'make an int8 bundle of a float32 one, calibrated as what it is',
    'decide': 'find the threshold that holds a chosen risk, and its coverage',
    'improve': 'train further on new labels, install what is no worse',
    'tune': 'search for better settings of a training run',
    'models': 'list, show, verify and import model bundles',
    'export': 'write the network of a bundle as ONNX or torch.export program',
    'doctor': 'check the installation, and whether the images of a topic arrive',
    'bench': 'measure speed, each figure beside its floor',
    'build-msgs': 'compile vision_msgs where no ROS 2 installation brings it',
}


def _overview() -> str:
    lines = [f'  {name:<11} {text}' for name, text in COMMANDS.items()]
    return ('usage: robot-vision COMMAND [options]\n\n'
            'Camera images to labels that a robot may act on.\n\ncommands:\n' + '\n'.join(lines) +
            '\n\n`robot-vision COMMAND --help` explains a command, with examples.')


def parser_of(name: str, command: ModuleType) -> argparse.ArgumentParser:
    """The parser of the command ``name``, whose module is ``command``."""
    parser = Parser(
        prog=f'robot-vision {name}', description=command.HELP, epilog=getattr(command, 'EXAMPLES', None),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_arguments(parser)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line ``argv`` (without the program's name) and return the exit code."""
    with printable_output():
        return _run(sys.argv[1:] if argv is None else argv)


def _run(argv: List[str]) -> int:
    if not argv or argv[0] in ('-h', '--help'):
        print(_overview())
        return 0 if argv else 2
    if argv[0] == '--version':
        print(f'robot-vision {__version__}')
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        print(f'robot-vision: no command {printable(name)!r}; there are {", ".join(COMMANDS)}', file=sys.stderr)
        return 2
    # What follows --ros-args belongs to rclpy.
    split = rest.index('--ros-args') if '--ros-args' in rest else len(rest)
    try:
        command = importlib.import_module(f'.{name.replace("-", "_")}', __package__)
        parser = parser_of(name, command)
        args = parser.parse_args(rest[:split], argparse.Namespace(
            ros_args=rest[split + 1:], command_line=shlex.join(['robot-vision', *argv])))
        if name != 'doctor':  # which says it, and more
            check_versions()
        return command.run(args)
    except (OutputError, MachineError) as error:
        print(f'robot-vision {name}: {message(error)}', file=sys.stderr)
        return 1
    except RobotVisionError as error:
        print(f'robot-vision {name}: {message(error)}', file=sys.stderr)
        return 2
    except ImportError as error:
        problem = explained(error)
        if problem is None:
            raise
        print(f'robot-vision {name}: {message(problem)}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        if not is_about_machine(error):
            if error.filename is None:
                raise
            print(f'robot-vision {name}: {printable(os.fsdecode(error.filename))}: {error.strerror}', file=sys.stderr)
            return 2
        place = '' if error.filename is None else f': {printable(os.fsdecode(error.filename))}'
        print(f'robot-vision {name}: {error.strerror}{place}; this is about the machine: mend it and start again',
              file=sys.stderr)
        return 1
    except Exception as error:
        # How rclpy reports SIGINT and SIGTERM; not imported here, since most commands do without rclpy.
        if type(error).__name__ == 'ExternalShutdownException':
            return 130
        raise


if __name__ == '__main__':
    sys.exit(main())
