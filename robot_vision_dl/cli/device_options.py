"""Options of all commands that run a model as a node does: where, by what and at which arithmetic."""
import argparse

DEVICE_OPTIONS = ('device', 'backend', 'precision')
"""Parameters of the node that :func:`add_device_options` sets; None: as the deployment has it."""


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """``--device``, ``--backend`` and ``--precision``."""
    parser.add_argument('--device', metavar='D', help='auto, cpu, cuda or cuda:<n>')
    parser.add_argument('--backend', metavar='B',
                        help='auto, torch, onnxruntime or openvino: what runs the network on a CPU')
    parser.add_argument('--precision', metavar='P', help='auto (int8 where such a bundle lies beside the model and is '
                        'quicker), float32, float16, bfloat16, tf32 or int8')
