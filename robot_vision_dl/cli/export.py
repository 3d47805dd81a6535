"""``robot-vision export``: a bundle's network as ONNX or as a program of torch.export."""
import argparse
from pathlib import Path

from ..core.errors import ConfigError
from ..core.files.user_path import user_path

HELP = 'write the network of a model bundle for other runtimes, checked against the bundle'
EXAMPLES = """examples:
  robot-vision export waste_sorter                     waste_sorter.onnx
  robot-vision export models/my_model --format torch   my_model.pt2, for torch.export.load
  robot-vision export my_model --out /tmp/sorter.onnx

The file takes preprocessed pixels (B, channels, height, width) in float32 and gives logits (B, C) and features (B, F).
Class names, preprocessing, temperature, and how probabilities are made of the logits are in its metadata."""
_SUFFIXES = {'onnx': '.onnx', 'torch': '.pt2'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('model', help='a bundle: its folder, or the name of one in models/')
    parser.add_argument('--format', choices=tuple(_SUFFIXES), default='onnx', help='default: %(default)s')
    parser.add_argument('--out', metavar='FILE', help='default: the name of the bundle with .onnx or .pt2')


def run(args: argparse.Namespace) -> int:
    """Export."""
    from ..core.backends.onnx_conversion import in_words
    from ..core.bundles.bundle import load_bundle
    from ..training.export import export_bundle
    bundle = load_bundle(args.model)
    path = user_path(args.out or Path(bundle.name).name.replace(':', '_') + _SUFFIXES[args.format])
    if path.suffix != _SUFFIXES[args.format]:
        raise ConfigError(f'--out: must end with {_SUFFIXES[args.format]}, got {path.name!r}')
    if not path.parent.is_dir():
        raise ConfigError(f'--out: there is no folder {path.parent}')
    difference = export_bundle(bundle, args.format, path)
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB; differs from {bundle.name} by at most {difference:.1e} of the '
          'largest logit or feature')
    print(f'probabilities: {in_words(bundle)}')
    return 0
