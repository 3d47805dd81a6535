"""``robot-vision bag``: look into bags and make them. One module a subcommand: ``bag_<name>.py``."""
import argparse
import importlib

HELP = 'look into bags and make them'
EXAMPLES = """examples:
  robot-vision bag info recording/                    topics, rates, encodings, sizes, and what is damaged
  robot-vision bag info *.bag --json                  the same for programs
  robot-vision bag extract recording/ --out pictures  labelled frames as folders of pictures
  robot-vision bag from-images pictures/ --out bag    and back
  robot-vision bag synth pictures/ --out bags --recordings 12
                                                      pictures as a moving camera would see them
  robot-vision bag from-video drive.mp4 --out drive --rate 10 --width 640

`robot-vision bag SUBCOMMAND --help` explains each."""

SUBCOMMANDS = ('info', 'extract', 'from-images', 'from-video', 'synth')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Each subcommand's module has HELP, EXAMPLES, add_arguments and run, as a command has."""
    subparsers = parser.add_subparsers(metavar='SUBCOMMAND', required=True)
    for name in SUBCOMMANDS:
        module = importlib.import_module(f'.bag_{name.replace("-", "_")}', __package__)
        sub = subparsers.add_parser(name, help=module.HELP, description=module.HELP, epilog=module.EXAMPLES,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
        module.add_arguments(sub)
        sub.set_defaults(run_subcommand=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand."""
    return args.run_subcommand(args)
