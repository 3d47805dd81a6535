"""``robot-vision quantise``: an int8 bundle of a float32 one, calibrated as what it is and judged beside it."""
import argparse
from pathlib import Path
from typing import Optional

from ..core.backends.int8_choice import SUFFIXES
from ..core.bundles.arithmetic import ONNX_RUNTIME
from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.bundle_writer import save_bundle
from ..core.bundles.model_card import render_card
from ..core.bundles.trust_limits import trust_limits
from ..core.errors import BundleError
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_writable
from ..core.text.number_options import SECONDS, SEED, real, whole
from .calibrate import kept_notes, own_card_files

HELP = 'make an int8 bundle of a float32 one, calibrated as what it is, and show it beside that'
EXAMPLES = """examples:
  robot-vision quantise models/waste day2/                      models/waste_int8; a third of day2/ compares the two
  robot-vision quantise models/waste day2/ --test day3/         day3/ compares them
  robot-vision quantise models/waste day2/ --reference day1/ --ood-pictures other/
  robot-vision quantise models/waste day2/ --weight-bits 7      right on processors without VNNI, too
  robot-vision quantise models/waste day2/ --runtime openvino   models/waste_int8_openvino, calibrated as it runs there

DATA must not have been trained on. The result is a bundle of its own: name it as the model, or set precision: int8
with the float32 model, beside which it lies; it is then taken where it is quicker."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the float32 bundle, its name in models/, or '
                        'torchvision:<architecture>')
    parser.add_argument('data', metavar='DATA', nargs='+',
                        help='labelled bags, folders of pictures <class>/*.jpg, or lists of pictures: for the ranges '
                        'of activations and the calibration')
    parser.add_argument('--name', help='of the bundle and its folder (default: that of BUNDLE with _int8, or '
                        '_int8_openvino, where precision: int8 looks for it)')
    parser.add_argument('--out', metavar='DIR', help='where to put it (default: beside BUNDLE)')
    parser.add_argument('--overwrite', action='store_true', help='replace a bundle of this name')
    parser.add_argument('--test', metavar='DATA', nargs='+', default=[],
                        help='labelled data to compare the two on (default: a third of DATA, by recording, '
                        'near-duplicates together)')
    parser.add_argument('--reference', metavar='DATA', nargs='+', default=[],
                        help='labelled data that it was trained on, as for `robot-vision calibrate`')
    parser.add_argument('--ood-pictures', '--foreign', metavar='FOLDER', nargs='+', default=[],
                        help='folders of pictures of no class: how many of them pass is compared')
    parser.add_argument('--most-loss', type=real(0, 1), default=0.005, metavar='SHARE',
                        help='of accuracy (default: .005); what loses more is not written: with 95 %% confidence, of '
                        'the pictures that only one of both has right, or by the probabilities of float32')
    parser.add_argument('--runtime', choices=list(SUFFIXES), default=ONNX_RUNTIME,
                        help='what will run it, and what it is calibrated with (default: onnxruntime)')
    parser.add_argument('--weight-bits', type=whole(7, 8), metavar='BITS',
                        help='8 (needs VNNI on x86) or 7 (right everywhere, less exact); default: 8 where this '
                        'processor has VNNI or is no x86, else 7')
    parser.add_argument('--tries', type=whole(0, 1000), default=24, metavar='N',
                        help='models to try at most to find the layers that lose too much and stay float32; 0: all '
                        'become int8 (default: 24)')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='image topics of bags, or all; default: each camera once, neither depth nor infrared')
    parser.add_argument('--every', type=SECONDS, default=0.2, metavar='S',
                        help='frames of a bag no closer than this (default: .2)')
    parser.add_argument('--seed', type=SEED, default=0, help='of the splits (default: 0)')
    parser.add_argument('--pictures', metavar='FOLDER',
                        help='what the files of a CSV are relative to; default: its folder')


def run(args: argparse.Namespace) -> int:
    """Quantise."""
    from ..evaluation.int8_bundle import QuantiseOptions, int8_bundle
    from ..evaluation.int8_card import OF_FLOAT, card_section, default_name, summary
    bundle = load_bundle(args.bundle)
    name = args.name or default_name(_folder_name(bundle), args.runtime)
    target = _parent(args.out, bundle) / name
    if target.exists() and not args.overwrite:
        raise BundleError(f'{target}: is there already; choose another --name, or give --overwrite')
    if not target.parent.is_dir():
        raise BundleError(f'--out: there is no folder {target.parent}')
    check_writable(target.resolve().parent, remedy='make room, or choose another folder with --out')
    made = int8_bundle(bundle, args.data, QuantiseOptions(
        test=tuple(args.test), reference=tuple(args.reference), ood_pictures=tuple(args.ood_pictures),
        most_loss=args.most_loss, weight_bits=args.weight_bits, tries=args.tries, topics=tuple(args.topics),
        every_s=args.every, pictures=args.pictures, seed=args.seed,
        runtime=None if args.runtime == ONNX_RUNTIME else args.runtime))
    network = made.quantised.network
    provenance = {**made.provenance, 'command': args.command_line}
    kept = '' if bundle.folder is None else kept_notes(bundle)
    notes = kept.replace('## Test\n', f'## Test\n\n{OF_FLOAT}\n', 1)
    card = render_card(name, network.architecture, bundle.class_names, bundle.preprocessing, made.calibration,
                       provenance, '\n'.join([notes, '', *card_section(made, bundle.name)]))
    written = save_bundle(
        target, network, bundle.class_names, bundle.preprocessing, name=name, calibration=made.calibration,
        abstain_cost=bundle.abstain_cost, metrics=made.metrics, provenance=provenance, card=card,
        card_files={**({} if bundle.folder is None else own_card_files(bundle.folder)), **made.learned.card_file()},
        overwrite=args.overwrite)
    print(summary(made))
    for limit in trust_limits(written):
        print(f'warning: {limit.under(written.name)}')
    print(f'bundle: {target}')
    return 0


def _folder_name(bundle: Bundle) -> str:
    if bundle.folder is not None:
        return bundle.folder.resolve().name
    return bundle.source.replace(':', '_').replace('/', '_').replace('@', '_')


def _parent(out: Optional[str], bundle: Bundle) -> Path:
    """Where the bundle goes."""
    if out:
        return user_path(out)
    return Path('.') if bundle.folder is None else bundle.folder.resolve().parent
