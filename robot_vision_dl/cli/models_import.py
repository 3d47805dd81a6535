"""``robot-vision models import``: a file of weights -> a bundle, calibrated if labelled pictures are given."""
import argparse
import csv
import hashlib
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch

from ..core.architectures import did_you_mean
from ..core.bundle import Bundle, torchvision_facts
from ..core.bundle_format import check_class_names, hash_file
from ..core.bundle_writer import save_bundle
from ..core.errors import BundleError, ConfigError
from ..core.model_card import render_card
from ..core.network import Network, build_network
from ..core.preprocess import Preprocessing, Preprocessor
from ..core.share import share_directory
from ..core.types import ColorOrder, Picture
from ..core.uncertainty.calibrate import calibrate
from ..core.uncertainty.ood import OOD_METHODS
from ..core.weights import torchvision_weights

PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')
_BATCH = 16
# Options of the recorded command, with the defaults that are not worth recording.
_OPTIONS = {
    'architecture': None, 'classes': None, 'name': None, 'into': None, 'half': False, 'in_channels': 3, 'resize': None,
    'crop': None, 'mean': None, 'std': None, 'calibrate': None, 'pictures': None, 'ood': 'energy', 'alpha': 0.1,
    'seed': 0, 'abstain_cost': 0.5, 'source': '', 'license': '', 'note': None,
}


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``import``."""
    parser.add_argument('file', metavar='FILE', help='state dict in the layout of torchvision, .pth or .safetensors')
    parser.add_argument('--architecture', required=True, help='see `robot-vision models architectures`')
    parser.add_argument('--classes', required=True,
                        help='file with a class name a line, in the order of the outputs (or .json: a list); or '
                        '"imagenet": the names that come with torchvision')
    parser.add_argument('--name', required=True, help='name of the bundle, and of its folder')
    parser.add_argument('--into', metavar='FOLDER', help='where to put it; default: models/ of the package')
    parser.add_argument('--half', action='store_true', help='store weights as float16: half the size')
    parser.add_argument('--overwrite', action='store_true', help='replace a bundle of this name')
    parser.add_argument('--in-channels', type=int, default=3, choices=(1, 3), help='1: grey, 3: RGB (default)')
    pre = parser.add_argument_group('preprocessing (default: that of torchvision for the architecture)')
    pre.add_argument('--resize', type=int, help='shorter side in pixels; 0: straight to the crop')
    pre.add_argument('--crop', type=int, nargs='+', metavar='PIXELS', help='height and width, or one number for both')
    pre.add_argument('--mean', type=float, nargs='+', help='of values 0..1, one a channel')
    pre.add_argument('--std', type=float, nargs='+')
    trust = parser.add_argument_group('calibration, on pictures that took no part in training')
    trust.add_argument('--calibrate', metavar='FOLDER|CSV', help='pictures as <class>/*.jpg, or a CSV with the columns '
                       'file,label (a class name, or its index)')
    trust.add_argument('--pictures', metavar='FOLDER',
                       help='what the files of the CSV are relative to; default: its folder')
    trust.add_argument('--ood', default='energy', choices=(*sorted(OOD_METHODS), 'none'),
                       help='score of foreignness (default energy)')
    trust.add_argument('--alpha', type=float, default=0.1, help='error rate of conformal sets (default .1)')
    trust.add_argument('--seed', type=int, default=0, help='of the split into halves (default 0)')
    trust.add_argument('--abstain-cost', type=float, default=0.5,
                       help='cost of "uncertain" where a wrong label costs 1 (default .5)')
    about = parser.add_argument_group('for the model card')
    about.add_argument('--source', default='', help='where the weights come from')
    about.add_argument('--license', default='', help='licence of the weights, as an SPDX identifier')
    about.add_argument('--note', metavar='FILE', help='Markdown for the card: purpose, limits, attribution')


def import_model(args: argparse.Namespace) -> Bundle:
    """Make the bundle that the arguments describe."""
    folder = (Path(args.into) if args.into else share_directory() / 'models') / args.name
    if folder.exists() and not args.overwrite:
        raise BundleError(f'{folder}: is there already; choose another --name, or give --overwrite')
    if not folder.parent.is_dir():
        raise BundleError(f'--into: there is no folder {folder.parent}')
    class_names = read_class_names(args.classes, args.architecture)
    network = build_network(args.architecture, weights=Path(args.file), in_channels=args.in_channels)
    if network.architecture.num_classes != len(class_names):
        raise BundleError(f'{args.file}: the head has {network.architecture.num_classes} outputs, but {args.classes} '
                          f'names {len(class_names)} classes')
    preprocessing = _preprocessing(args)
    if preprocessing.channels != args.in_channels:
        raise ConfigError(f'--mean and --std are for {preprocessing.channels} channel(s), but --in-channels is '
                          f'{args.in_channels}')
    notes = Path(args.note).read_text(encoding='utf-8') if args.note else ''
    provenance: Dict[str, str] = {'command': command_line(args), 'weights_sha256': hash_file(Path(args.file))}
    if args.source:
        provenance['source'] = args.source
    if args.license:
        provenance['license'] = args.license
    calibration = None
    if args.calibrate:
        root = Path(args.pictures) if args.pictures else None
        pictures = labelled_pictures(Path(args.calibrate), class_names, root)
        logits, features, labels, digest = run_network(network, preprocessing, pictures)
        calibration = calibrate(logits, features, labels, ood=None if args.ood == 'none' else args.ood,
                                alpha=args.alpha, seed=args.seed)
        provenance.update(calibration_pictures=str(len(labels)), calibration_sha256=digest)
    card = render_card(args.name, network.architecture, class_names, preprocessing, calibration, provenance, notes)
    return save_bundle(
        folder, network, class_names, preprocessing, name=args.name, half=args.half, overwrite=args.overwrite,
        card=card, abstain_cost=args.abstain_cost, provenance=provenance,
        temperature=calibration and calibration.temperature, conformal=calibration and calibration.conformal,
        ood=calibration and calibration.ood, metrics=calibration and calibration.metrics)


def read_class_names(classes: str, architecture: str) -> List[str]:
    """Class names from a file, or those of torchvision's weights for ``imagenet``."""
    if classes == 'imagenet':
        return list(torchvision_facts(architecture, torchvision_weights(architecture))[0])
    try:
        text = Path(classes).read_text(encoding='utf-8')
        names = json.loads(text) if classes.endswith('.json') else [s.strip() for s in text.splitlines() if s.strip()]
        check_class_names(names)
    except (OSError, ValueError, BundleError) as error:
        raise BundleError(f'{classes}: cannot be used as class names: {error}') from error
    return names


def labelled_pictures(path: Path, class_names: Sequence[str], root: Optional[Path] = None) -> List[Tuple[Path, int]]:
    """(file, class index) of every picture of a folder ``<class>/*`` or of a CSV ``file,label``, in a fixed order.

    Raises:
        BundleError: the folder or file is missing or empty, or a label is not a class.
    """
    index = {name: i for i, name in enumerate(class_names)}

    def class_of(label: str, where: str) -> int:
        if label in index:
            return index[label]
        if label.isdigit() and int(label) < len(class_names):
            return int(label)
        raise BundleError(f'{where}: {label!r} is not a class of the model{did_you_mean(label, list(class_names))}')

    if path.is_dir():
        found = [(file, class_of(folder.name, str(folder)))
                 for folder in sorted(path.iterdir()) if folder.is_dir()
                 for file in sorted(folder.iterdir()) if file.suffix.lower() in PICTURE_SUFFIXES]
    else:
        try:
            with open(path, newline='', encoding='utf-8') as file:
                rows = csv.DictReader(file)
                if set(rows.fieldnames or ()) != {'file', 'label'}:
                    raise BundleError(f'{path}: the first line must be file,label, got {rows.fieldnames}')
                found = [((root or path.parent) / row['file'], class_of(row['label'], f'{path}:{number}'))
                         for number, row in enumerate(rows, start=2)]
        except OSError as error:
            raise BundleError(f'{path}: cannot be read ({error.strerror}); expected a folder with a folder a class, or '
                              'a CSV with the columns file,label') from error
    if not found:
        raise BundleError(f'{path}: holds no labelled picture')
    return found


@torch.inference_mode()
def run_network(network: Network, preprocessing: Preprocessing, pictures: Sequence[Tuple[Path, int]]
                ) -> Tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Logits (n, C), features (n, F), labels (n,), and a SHA-256 over labels and bytes of the pictures."""
    preprocess = Preprocessor(preprocessing, 'cpu')
    digest = hashlib.sha256()
    logits, features = [], []
    for start in range(0, len(pictures), _BATCH):
        batch = []
        for path, label in pictures[start:start + _BATCH]:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise BundleError(f'{path}: cannot be read ({error.strerror})') from error
            digest.update(f'{label}:{len(data)}:'.encode() + data)
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if pixels is None:
                raise BundleError(f'{path}: is not a picture that OpenCV can read')
            batch.append(Picture(pixels, ColorOrder.BGR))
        prediction = network(preprocess(batch))
        logits.append(prediction.logits.numpy())
        features.append(prediction.features.numpy())
        if sys.stderr.isatty():
            print(f'\r{start + len(batch)} of {len(pictures)} pictures', end='', file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    labels = np.array([label for _, label in pictures])
    return np.concatenate(logits), np.concatenate(features), labels, digest.hexdigest()


def command_line(args: argparse.Namespace) -> str:
    """The shell command that makes this bundle again."""
    words = ['robot-vision', 'models', 'import', args.file]
    for name, default in _OPTIONS.items():
        value = getattr(args, name)
        if value == default:
            continue
        words.append('--' + name.replace('_', '-'))
        if value is not True:
            words += [str(item) for item in value] if isinstance(value, list) else [str(value)]
    return shlex.join(words)


def _preprocessing(args: argparse.Namespace) -> Preprocessing:
    """torchvision's preprocessing for the architecture with what the arguments say instead."""
    try:
        base = torchvision_facts(args.architecture, torchvision_weights(args.architecture))[1]
    except ConfigError:  # an architecture of our own
        base = Preprocessing(resize=32, crop=(32, 32))
    if args.in_channels == 1:
        base = replace(base, mean=(sum(base.mean) / 3,), std=(sum(base.std) / 3,))
    changes = {}
    if args.resize is not None:
        changes['resize'] = args.resize
    if args.crop is not None:
        if len(args.crop) > 2:
            raise ConfigError(f'--crop takes height and width, or one number for both, got {args.crop}')
        changes['crop'] = (args.crop[0], args.crop[-1])
    for name in ('mean', 'std'):
        if getattr(args, name) is not None:
            changes[name] = tuple(getattr(args, name))
    return replace(base, **changes)
