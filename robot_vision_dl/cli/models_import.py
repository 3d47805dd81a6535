"""``robot-vision models import``: a file of weights, or a network that is a file, -> a bundle, calibrated if asked."""
import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from ..core.backends.graph_import import SUFFIXES, Wish, import_graph
from ..core.bundles.bundle import Bundle
from ..core.bundles.bundle_format import check_class_names, hash_file
from ..core.bundles.bundle_writer import save_bundle
from ..core.bundles.model_card import render_card
from ..core.bundles.score_origin import OF_REFERENCE, SCORE_FITTED_TO
from ..core.bundles.stated_input import stated_input
from ..core.bundles.torchvision_facts import imagenet_names
from ..core.errors import BundleError, ConfigError
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_writable
from ..core.networks.graph_network import GraphNetwork, SingleNetwork
from ..core.networks.network import build_network
from ..core.networks.preprocess import INTERPOLATIONS, Preprocessing
from ..core.networks.preprocess import MOST_SIDE as _MOST_SIDE
from ..core.resources import share_directory
from ..core.text.json_text import parse_json
from ..core.text.notes import to_stderr
from ..core.text.number_options import real, whole
from ..core.text.text_file import read_text
from .calibrate import add_calibration_arguments, calibration_options, report


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``import``."""
    parser.add_argument('file', metavar='FILE', help='state dict in the layout of torchvision or timm, or a checkpoint '
                        'with one (.pth, .ckpt, .safetensors); or a network: .onnx, or .pt2 of torch.export.save')
    parser.add_argument('--architecture', help='of a state dict: see `robot-vision models architectures`; timm:NAME '
                        'for one of timm')
    graph = parser.add_argument_group('a network that is a file (.onnx, .pt2)')
    graph.add_argument('--logits', metavar='NAME', help='tensor with a number a class, before any softmax; default: '
                       'the output of this name, or the only output')
    graph.add_argument('--features', metavar='NAME', help='tensor that the last layer sees; maps are averaged; default:'
                       ' the output of this name; without, only scores of the logits tell what is unknown')
    parser.add_argument('--stages', metavar='NAME', nargs='+', default=[],
                        help='layers (of a network that is a file: tensors) whose outputs, averaged, scores of the '
                        'unknown read, too; none: no layers (default: the usual ones of an architecture, where '
                        '--calibrate fits such scores)')
    parser.add_argument('--classes', required=True,
                        help='file with a class name a line, in the order of the outputs (or .json: a list); or '
                        '"imagenet": its 1 000, as torchvision names them')
    parser.add_argument('--name', required=True, help='name of the bundle, and of its folder')
    parser.add_argument('--into', metavar='FOLDER', help='where to put it; default: models/ of the package')
    parser.add_argument('--half', action='store_true', help='store weights as float16: half the size')
    parser.add_argument('--overwrite', action='store_true', help='replace a bundle of this name')
    parser.add_argument('--in-channels', type=whole(1, 3), default=3, choices=(1, 3), help='1: grey, 3: RGB (default)')
    pre = parser.add_argument_group('preprocessing (default: what the usual weights of the architecture expect)')
    pre.add_argument('--resize', type=whole(0, 8192), help='shorter side in pixels; 0: straight to the crop')
    pre.add_argument('--crop', type=whole(1, 8192), nargs='+', metavar='PIXELS',
                     help='height and width, or one number for both')
    pre.add_argument('--interpolation', choices=INTERPOLATIONS, help='of the resize')
    pre.add_argument('--mean', type=real(-1000, 1000), nargs='+', help='mean of values 0..1, one a channel')
    pre.add_argument('--std', type=real(1e-6, 1000), nargs='+', help='standard deviation of values 0..1, one a channel')
    trust = parser.add_argument_group('calibration, as `robot-vision calibrate` has it')
    trust.add_argument('--calibrate', metavar='DATA', nargs='+', default=[],
                       help='labelled data that took no part in training: bags, folders of pictures <class>/*.jpg, or '
                       'lists of pictures: CSV with the columns file,label (a class name, or its index)')
    add_calibration_arguments(trust)
    trust.add_argument('--abstain-cost', type=real(0, 1), default=0.5,
                       help='cost of "uncertain" where a wrong label costs 1 (default .5)')
    about = parser.add_argument_group('for the model card')
    about.add_argument('--source', default='', help='where the weights come from')
    about.add_argument('--license', default='', help='licence of the weights, as an SPDX identifier')
    about.add_argument('--note', metavar='FILE', help='Markdown for the card: purpose, limits, attribution')


def import_model(args: argparse.Namespace) -> Bundle:
    """Make the bundle that the arguments describe."""
    folder = (user_path(args.into) if args.into else share_directory() / 'models') / args.name
    if folder.exists() and not args.overwrite:
        raise BundleError(f'{folder}: is there already; choose another --name, or give --overwrite')
    if not folder.parent.is_dir():
        raise BundleError(f'--into: there is no folder {folder.parent}')
    check_writable(folder.parent, remedy='make room, or choose another folder with --into')
    if user_path(args.file).suffix.lower() in SUFFIXES:
        return _import_graph(args, folder)
    for name in ('logits', 'features'):
        if getattr(args, name):
            raise ConfigError(f'--{name} names a tensor of a network that is a file ({", ".join(SUFFIXES)}), and '
                              f'{args.file} is none')
    if args.architecture is None:
        raise ConfigError(f'{args.file}: weights need --architecture (see `robot-vision models architectures`)')
    class_names = read_class_names(args.classes)
    network = build_network(args.architecture, weights=user_path(args.file), in_channels=args.in_channels)
    if network.architecture.num_classes != len(class_names):
        raise BundleError(f'{args.file}: the head has {network.architecture.num_classes} outputs, but {args.classes} '
                          f'names {len(class_names)} classes; name the classes of this head, or train a head for '
                          'yours: `robot-vision train` with the file as network.pretrained')
    preprocessing = _preprocessing(args)
    if preprocessing.channels != args.in_channels:
        raise ConfigError(f'--mean and --std are for {preprocessing.channels} channel(s), but --in-channels is '
                          f'{args.in_channels}')
    return _write(args, folder, network, class_names, preprocessing)


def _import_graph(args: argparse.Namespace, folder: Path) -> Bundle:
    """The bundle of a network that is a file."""
    if args.architecture is not None:
        raise ConfigError(f'--architecture is for a file of weights, and {args.file} is a network; leave it out')
    if args.half:
        raise ConfigError('--half: a network that is a file keeps its weights as they are; leave it out')
    class_names = read_class_names(args.classes)
    crop = None if args.crop is None else _crop(args.crop)
    found = import_graph(user_path(args.file), Wish(
        len(class_names), args.in_channels, args.logits, args.features, tuple(args.stages), crop))
    resize = round(max(found.crop) * 8 / 7)
    base = Preprocessing(resize=resize if resize <= _MOST_SIDE else 0, crop=found.crop)
    preprocessing = _changed(args, base)
    if preprocessing.channels != args.in_channels:
        raise ConfigError(f'--mean and --std are for {preprocessing.channels} channel(s), but --in-channels is '
                          f'{args.in_channels}')
    unsaid = [f'--{name}' for name in ('resize', 'mean', 'std') if getattr(args, name) is None]
    notes = list(found.notes)
    if unsaid:
        notes.append(f'{" and ".join(unsaid)} not given: resize {preprocessing.resize}, mean {preprocessing.mean}, std '
                     f'{preprocessing.std}, as networks for ImageNet mostly have it. The file does not say; what does '
                     'not fit costs accuracy without any error')
    for note in notes:
        to_stderr(note)
    return _write(args, folder, found.network, class_names, preprocessing)


def _write(args: argparse.Namespace, folder: Path, network: SingleNetwork, class_names: Sequence[str],
           preprocessing: Preprocessing) -> Bundle:
    """Calibrate, where data are given, and write."""
    notes = read_text(args.note) if args.note else ''
    provenance: Dict[str, str] = {'command': args.command_line, 'weights_sha256': hash_file(user_path(args.file))}
    if args.source:
        provenance['source'] = args.source
    if args.license:
        provenance['license'] = args.license
    found, card_files = None, {}
    if args.calibrate:
        from ..evaluation.calibrate_bundle import calibrate_bundle, calibration_provenance, with_stages
        with tempfile.TemporaryDirectory() as temporary:
            # As it will be stored, which may round: what is calibrated is what will run.
            plain = save_bundle(Path(temporary) / args.name, network, class_names, preprocessing, half=args.half)
            if not isinstance(network, GraphNetwork):
                plain = with_stages(plain, args.stages, args.ood)
            outputs, fitted = calibrate_bundle(plain, args.calibrate, calibration_options(args))
            found, card_files = fitted.calibration, fitted.learned.card_file()
            if not isinstance(network, GraphNetwork):
                network = plain.load_single_network()
        print(report(found, outputs))
        provenance.update(calibration_provenance(outputs))
        if args.reference:
            provenance[SCORE_FITTED_TO] = OF_REFERENCE
    card = render_card(args.name, network.architecture, class_names, preprocessing, found, provenance, notes)
    return save_bundle(
        folder, network, class_names, preprocessing, name=args.name, half=args.half, overwrite=args.overwrite,
        card=card, card_files=card_files, abstain_cost=args.abstain_cost, provenance=provenance, calibration=found,
        metrics=None if found is None else found.metrics)


def read_class_names(classes: str) -> List[str]:
    """Class names from a file, or those of ImageNet for ``imagenet``."""
    if classes == 'imagenet':
        return list(imagenet_names())
    text = read_text(classes, BundleError)
    try:
        names = parse_json(text, 'it') if classes.endswith('.json') else [
            s.strip() for s in text.splitlines() if s.strip()]
        check_class_names(names)
    except (ValueError, BundleError) as error:
        raise BundleError(f'{classes}: cannot be used as class names: {error}') from error
    return names


def _preprocessing(args: argparse.Namespace) -> Preprocessing:
    """What the usual weights of the architecture expect, with what the arguments say instead."""
    return _changed(args, stated_input(args.architecture))


def _crop(values: Sequence[int]) -> Tuple[int, int]:
    if len(values) > 2:
        raise ConfigError(f'--crop takes height and width, or one number for both, got {values}')
    return values[0], values[-1]


def _changed(args: argparse.Namespace, base: Preprocessing) -> Preprocessing:
    """With what the arguments say instead."""
    if args.in_channels == 1:
        base = replace(base, mean=(sum(base.mean) / 3,), std=(sum(base.std) / 3,))
    changes: Dict[str, Any] = {}
    if args.resize is not None:
        changes['resize'] = args.resize
    if args.crop is not None:
        changes['crop'] = _crop(args.crop)
    if args.interpolation is not None:
        changes['interpolation'] = args.interpolation
    for name in ('mean', 'std'):
        if getattr(args, name) is not None:
            changes[name] = tuple(getattr(args, name))
    return replace(base, **changes)
