"""``robot-vision bench``: finds the measurement and runs it.

A measurement is a module of ``bench/`` with ``HELP`` (one line), ``add_arguments(parser)`` and ``run(args) -> int``.
Only the one that was asked for is imported.
"""
import argparse
import importlib
import sys
from pathlib import Path

HELP = 'Measure speed and trust, each figure beside its floor in the same run.'
MEASUREMENTS = {
    'live': 'a camera process, the node and a listener over real DDS; --vs naive, --objects',
    'start': 'starts of the node: seconds until it is ready, and resident memory, without and with torch',
    'soak': 'two nodes for an hour, while cameras, parameters and models change',
    'gpu': 'a GPU, stage by stage, beside copies and the bare network; eager and as CUDA graph',
    'forward': 'the bare network on a tensor that is there already',
    'decode': 'message to picture for raw, JPEG and PNG, and what checking it first takes of that',
    'preprocess': 'message to tensor, stage by stage, beside copying the bytes',
    'resize': "the network's input beside those of torchvision and PIL, pixel by pixel",
    'transport': 'camera process to a subscriber that does nothing',
    'trust': 'each method of trust, beside the bare forward pass',
    'reliability': 'probabilities, sets, risk and scores of unknowns on labelled pictures',
    'small-calibration': 'calibration on a handful of pictures, over random small sets',
    'small-training': 'accuracy of a head that is trained on few pictures a class',
    'label-errors': 'planted label errors: how soon they come up, by doubt of the label and by max softmax',
    'loop': 'what choosing what to label is worth: mining, labelling and training in rounds, beside random choice',
    'mine': 'hours of bags mined by one process, several and a Dask cluster: memory, seconds, the same queue',
    'shift': 'accuracy, calibration error and abstention as pictures get worse',
    'fusion': 'frames fused over time, beside single frames, votes and products',
    'regions': 'objects of labelled pictures at a venue never seen, beside a random split',
    'explain': 'maps of evidence: deletion, insertion, randomised weights, pointing game, with controls',
    'train': 'training, beside a bare loop of torch over the same pictures in memory',
    'evaluate': 'a bag through the evaluator, beside the bare network; --dds, --scale',
}
EXAMPLES = ('measurements:\n' + '\n'.join(f'  {name:<17} {text}' for name, text in MEASUREMENTS.items()) + """

examples:
  robot-vision bench live
  robot-vision bench live --vs naive --size 1920x1080
  robot-vision bench live --cameras 4 --json live4.json
  robot-vision bench live --cameras 4 --objects 8 --rate 10 --vs pictures
  robot-vision bench reliability models/waste day3/ --calibration day2/ --ood-pictures other/
  robot-vision bench fusion models/waste day3/*
  robot-vision bench MEASUREMENT --help""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which measurement; its own arguments are added by its module."""
    measurements = parser.add_subparsers(dest='measurement', required=True, metavar='MEASUREMENT')
    # The parser of a module that was not asked for is not needed, and its imports would take time.
    asked = next((word for word in sys.argv[1:] if word in MEASUREMENTS), None)
    for name, text in MEASUREMENTS.items():
        sub = measurements.add_parser(name, help=text, description=text)
        if name == asked:
            module = importlib.import_module(f'..bench.{name.replace("-", "_")}', __package__)
            module.add_arguments(sub)
            sub.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')
            sub.set_defaults(measure=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the measurement that was asked for."""
    return args.measure(args)
