"""``robot-vision models import``: a file of weights -> a bundle, calibrated if labelled pictures are given."""
import argparse
import hashlib
import re
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch

from ..core.bundles.bundle import Bundle, torchvision_facts
from ..core.bundles.bundle_format import check_class_names, hash_file
from ..core.bundles.bundle_writer import save_bundle
from ..core.bundles.model_card import render_card
from ..core.errors import BundleError, ConfigError, ImageError
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_writable
from ..core.images.picture_file import decode_picture
from ..core.networks.architectures import did_you_mean
from ..core.networks.network import Network, build_network
from ..core.networks.preprocess import Preprocessing, Preprocessor
from ..core.networks.weights import torchvision_weights
from ..core.resources import share_directory
from ..core.text.json_text import parse_json
from ..core.text.notes import to_stderr
from ..core.text.number_options import SEED, SHARE, real, whole
from ..core.text.progress import Progress
from ..core.text.text_file import read_text, table_rows
from ..core.types import UNKNOWN, ColorOrder, Picture
from ..core.uncertainty.calibrate import calibrate
from ..core.uncertainty.ood.p_value import OOD_METHODS
from ..data.folders import Tell, shown
from ..data.labels.labels import IGNORE, check_label
from ..data.picture_folder import folder_pictures

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
    parser.add_argument('--in-channels', type=whole(1, 3), default=3, choices=(1, 3), help='1: grey, 3: RGB (default)')
    pre = parser.add_argument_group('preprocessing (default: that of torchvision for the architecture)')
    pre.add_argument('--resize', type=whole(0, 8192), help='shorter side in pixels; 0: straight to the crop')
    pre.add_argument('--crop', type=whole(1, 8192), nargs='+', metavar='PIXELS',
                     help='height and width, or one number for both')
    pre.add_argument('--mean', type=real(-1000, 1000), nargs='+', help='mean of values 0..1, one a channel')
    pre.add_argument('--std', type=real(1e-6, 1000), nargs='+', help='standard deviation of values 0..1, one a channel')
    trust = parser.add_argument_group('calibration, on pictures that took no part in training')
    trust.add_argument('--calibrate', metavar='FOLDER|CSV', help='pictures as <class>/*.jpg, or a CSV with the columns '
                       'file,label (a class name, or its index)')
    trust.add_argument('--pictures', metavar='FOLDER',
                       help='what the files of the CSV are relative to; default: its folder')
    trust.add_argument('--ood', default='energy', choices=(*sorted(OOD_METHODS), 'none'),
                       help='score of foreignness (default energy)')
    trust.add_argument('--alpha', type=SHARE, default=0.1, help='error rate of conformal sets (default .1)')
    trust.add_argument('--seed', type=SEED, default=0, help='of the split into halves (default 0)')
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
    class_names = read_class_names(args.classes, args.architecture)
    network = build_network(args.architecture, weights=user_path(args.file), in_channels=args.in_channels)
    if network.architecture.num_classes != len(class_names):
        raise BundleError(f'{args.file}: the head has {network.architecture.num_classes} outputs, but {args.classes} '
                          f'names {len(class_names)} classes')
    preprocessing = _preprocessing(args)
    if preprocessing.channels != args.in_channels:
        raise ConfigError(f'--mean and --std are for {preprocessing.channels} channel(s), but --in-channels is '
                          f'{args.in_channels}')
    notes = read_text(args.note) if args.note else ''
    provenance: Dict[str, str] = {'command': command_line(args), 'weights_sha256': hash_file(user_path(args.file))}
    if args.source:
        provenance['source'] = args.source
    if args.license:
        provenance['license'] = args.license
    calibration = None
    if args.calibrate:
        root = user_path(args.pictures) if args.pictures else None
        pictures = labelled_pictures(user_path(args.calibrate), class_names, root)
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
    text = read_text(classes, BundleError)
    try:
        names = parse_json(text, 'it') if classes.endswith('.json') else [
            s.strip() for s in text.splitlines() if s.strip()]
        check_class_names(names)
    except (ValueError, BundleError) as error:
        raise BundleError(f'{classes}: cannot be used as class names: {error}') from error
    return names


def labelled_pictures(path: Path, class_names: Sequence[str], root: Optional[Path] = None,
                      tell: Tell = to_stderr) -> List[Tuple[Path, int]]:
    """(file, class index) of every picture of a folder ``<class>/*`` or of a CSV ``file,label``, in a fixed order.

    Pictures labelled ``unknown`` or ``ignore`` are left out.

    Args:
        root: what files of a CSV are relative to; None: its folder.
        tell: takes sentences about what is left out.

    Raises:
        BundleError: the folder or file is missing or empty, or a label is not a class.
        BagError: a folder is not one of pictures by class.
    """
    index = {name: i for i, name in enumerate(class_names)}
    left_out: Counter = Counter()

    def class_of(label: str, where: str) -> Optional[int]:
        if label in index:
            return index[label]
        if re.fullmatch('[0-9]{1,9}', label) and int(label) < len(class_names):
            return int(label)
        if label in (UNKNOWN, IGNORE):
            left_out[label] += 1
            return None
        raise BundleError(f'{where}: {label!r:.80} is not a class of the model{did_you_mean(label, list(class_names))}')

    if path.is_dir():
        found = [(picture.path, class_of(picture.label, shown(picture.path.parent)))
                 for picture in folder_pictures(path, tell)]
    else:
        found = [((root or path.parent) / file, class_of(label, where)) for file, label, where in _table(path)]
    for label, count in left_out.items():
        tell(f'{shown(path)}: left out {count} labelled {label!r}; `robot-vision calibrate` uses unknown ones')
    found = [(file, number) for file, number in found if number is not None]
    if not found:
        raise BundleError(f'{path}: holds no labelled picture')
    return found


def _table(path: Path) -> Iterator[Tuple[str, str, str]]:
    """File, label and place of each row."""
    if not path.exists():
        raise BundleError(f'{path}: cannot be read (there is no such file); expected a folder with a folder a class, '
                          'or a CSV with the columns file,label')
    rows = table_rows(read_text(path, BundleError), str(path), BundleError)
    head = next(rows, None)
    if head is None or not {'file', 'label'} <= {name.lower() for name in head.cells}:
        raise BundleError(f'{path}: the first line must be file,label, got {head and head.cells!r:.80}')
    columns = [name.lower() for name in head.cells]
    for row in rows:
        where = f'{path}:{row.line}'
        if len(row.cells) != len(columns):
            raise BundleError(f'{where}: {len(row.cells)} cell(s) where {len(columns)} are needed '
                              f'({",".join(columns)}), got {row.cells!r:.80}')
        item = dict(zip(columns, row.cells))
        if not item['file'] or not item['label']:
            raise BundleError(f'{where}: file or label is empty, got {row.cells!r:.80}')
        yield item['file'], check_label(item['label'], where), where


@torch.inference_mode()
def run_network(network: Network, preprocessing: Preprocessing, pictures: Sequence[Tuple[Path, int]]
                ) -> Tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Logits (n, C), features (n, F), labels (n,), and a SHA-256 over labels and bytes of the pictures."""
    preprocess = Preprocessor(preprocessing, 'cpu')
    digest = hashlib.sha256()
    logits, features = [], []
    with Progress('running the network', 'pictures', len(pictures)) as done:
        for start in range(0, len(pictures), _BATCH):
            batch = []
            for path, label in pictures[start:start + _BATCH]:
                try:
                    data = path.read_bytes()
                except OSError as error:
                    raise BundleError(f'{path}: cannot be read ({error.strerror})') from error
                digest.update(f'{label}:{len(data)}:'.encode() + data)
                try:
                    pixels = decode_picture(np.frombuffer(data, np.uint8), shown(path))
                except ImageError as error:
                    raise BundleError(str(error)) from None
                batch.append(Picture(pixels, ColorOrder.MONO if pixels.ndim == 2 else ColorOrder.BGR))
            prediction = network(preprocess(batch))
            logits.append(prediction.logits.numpy())
            features.append(prediction.features.numpy())
            done(start + len(batch))
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
