"""``robot-vision bench explain``: whether maps of evidence say what the network uses, beside random and the centre.

Each measure is taken for the class that the network itself says. What they mean: :mod:`..explain.faithfulness`.
"""
import argparse
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch

from ..core.bundles.any_pixels import any_pixels
from ..core.bundles.bundle import Bundle, load_bundle
from ..core.errors import ConfigError
from ..core.networks.evidence import LastMaps
from ..core.networks.evidence_place import points_inside
from ..core.networks.network import Network
from ..core.networks.preprocess import Preprocessor
from ..core.text.notes import to_stderr
from ..core.text.number_options import SEED, whole
from ..core.text.progress import Progress
from ..core.text.table import ruled
from ..core.types import Picture
from ..data.folders import shown
from ..data.labels.objects.find import labelled_pictures
from ..data.labels.objects.labelled_picture import LabelledPicture, bounds
from ..data.picture_folder import all_pictures
from ..data.pictures import read_picture
from ..explain.faithfulness import centre_map, deletion_insertion, sanity
from ..explain.occlusion import occlusion
from .report import conclude

HELP = 'maps of evidence: deletion, insertion, randomised weights, pointing game; beside random and the centre'
_EVIDENCE = 'evidence'
_AROUND = 3.0  # side of a window, in sides of the object
_SHARES = (0.0, 0.1, 0.5, 1.0)  # of the layers that are randomised; 0: the last one alone


class _Window(NamedTuple):
    """A part of a picture, and where the object is in it: (left, top, right, bottom) in shares of its sides."""

    picture: Picture
    box: Tuple[float, float, float, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, on what."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='FOLDER', nargs='*', help='pictures, at any depth')
    parser.add_argument('--count', type=whole(2, 100_000), default=60, metavar='N',
                        help='pictures, evenly chosen (default: %(default)s)')
    parser.add_argument('--boxes', nargs='+', default=[], metavar='FOLDER',
                        help='pictures with labelled boxes (YOLO, COCO, CVAT) for the pointing game')
    parser.add_argument('--labels', default='auto', metavar='FORMAT', help='of the boxes, as of `robot-vision crop` '
                        '(default: auto)')
    parser.add_argument('--object', default='', metavar='LABEL', help='whose boxes')
    parser.add_argument('--class', default='', metavar='NAME', dest='class_name',
                        help='that the model calls it (default: as --object)')
    parser.add_argument('--seed', type=SEED, default=0, help='of what is random (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    bundle = load_bundle(args.bundle)
    network = bundle.load_network()
    if not isinstance(network, Network):
        raise ConfigError(f'{bundle.name}: evidence can be read from single networks that torch runs')
    if not args.data and not args.boxes:
        raise ConfigError('nothing to measure on: give folders of pictures, or --boxes with --object')
    figures: Dict[str, Any] = {'model': bundle.name, 'seed': args.seed}
    if args.data:
        figures['pictures'] = of_pictures(bundle, network, args.data, args.count, args.seed)
        _print_pictures(bundle, figures['pictures'])
    if args.boxes:
        pictures = [one for folder in args.boxes for one in labelled_pictures(folder, args.labels, to_stderr).pictures]
        figures['pointing'] = pointing(bundle, network, pictures, args.object, args.class_name or args.object,
                                       args.count, args.seed)
        _print_pointing(figures['pointing'])
    conclude(figures, args.json)
    return 0


def of_pictures(bundle: Bundle, network: Network, folders: Sequence[str], count: int, seed: int) -> Dict[str, Any]:
    """Deletion, insertion and sanity, means over pictures with their standard errors."""
    paths = [path for folder in folders for path in all_pictures(folder, to_stderr)]
    if not paths:
        raise ConfigError(f'{", ".join(map(shown, folders))}: no pictures')
    paths = [paths[place] for place in np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)]
    preprocess, random = Preprocessor(bundle.preprocessing, 'cpu'), np.random.default_rng(seed)
    last = LastMaps(network, any_pixels(bundle))
    curves: Dict[str, List[Tuple[float, float]]] = {}
    likeness: List[List[float]] = []
    with Progress('measuring', 'pictures', len(paths)) as done:
        for number, path in enumerate(paths, 1):
            pixels = preprocess([read_picture(path)])
            index, maps = _maps(network, last, pixels, random)
            for name, values in maps.items():
                found = deletion_insertion(network, pixels, index, values)
                curves.setdefault(name, []).append((found.deletion, found.insertion))
            likeness.append(sanity(network, maps[_EVIDENCE], pixels, index, _SHARES, seed))
            done(number)
    return {'n': len(paths), 'curves': {name: _means(rows) for name, rows in curves.items()},
            'likeness': dict(zip(map(str, _SHARES), _means(likeness)))}


def _maps(network: Network, last: LastMaps, pixels: torch.Tensor, random: np.random.Generator, index: int = -1
          ) -> Tuple[int, Dict[str, np.ndarray]]:
    """The class, -1: the one that the network says, and its maps with the controls."""
    if index < 0:
        with torch.inference_mode():
            index = int(network(pixels).logits[0].argmax())
    return index, {_EVIDENCE: last.evidence(pixels, [index]).maps[0, 0].numpy(),
                   'occlusion': occlusion(network, pixels, [index]).maps[0].numpy(),
                   'random': random.standard_normal((14, 14)).astype(np.float32), 'centre': centre_map()}


def _means(rows: Sequence[Sequence[float]]) -> List[Tuple[float, float]]:
    """(mean, standard error) of each column."""
    table = np.array(rows, np.float64)
    return [(float(column.mean()), float(column.std(ddof=1) / np.sqrt(len(column))) if len(column) > 1 else 0.0)
            for column in table.T]


def pointing(bundle: Bundle, network: Network, pictures: Sequence[LabelledPicture], label: str, class_name: str,
             count: int, seed: int) -> Dict[str, Any]:
    """Share of windows around objects in which the highest place of a map is in the box."""
    if class_name not in bundle.class_names:
        raise ConfigError(f'--class {class_name!r}: is no class of {bundle.name}')
    index = bundle.class_names.index(class_name)
    random = np.random.default_rng(seed)
    windows = list(_windows(pictures, label, count, random))
    if not windows:
        raise ConfigError(f'--object {label!r}: no such box that has room around it; there are boxes of '
                          f'{", ".join(sorted({one.label for picture in pictures for one in picture.objects}))}')
    preprocess, last = Preprocessor(bundle.preprocessing, 'cpu'), LastMaps(network, any_pixels(bundle))
    hits: Dict[str, List[bool]] = {}
    with Progress('pointing', 'windows', len(windows)) as done:
        for number, window in enumerate(windows, 1):
            _, maps = _maps(network, last, preprocess([window.picture]), random, index)
            for name, values in maps.items():
                hits.setdefault(name, []).append(points_inside(values, window.box))
            done(number)
    area = float(np.mean([(right - left) * (bottom - top) for _, (left, top, right, bottom) in windows]))
    return {'n': len(windows), 'object': label, 'class': class_name, 'area': area,
            'hits': {name: float(np.mean(rows)) for name, rows in hits.items()}}


def _windows(pictures: Sequence[LabelledPicture], label: str, count: int, random: np.random.Generator
             ) -> Iterator[_Window]:
    """Square windows of three sides of the object, which lies anywhere in them, so that the centre knows nothing."""
    found = [(picture, bounds(one.box)) for picture in pictures for one in picture.objects if one.label == label]
    for place in np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int) if found else []:
        picture, (left, top, right, bottom) = found[place]
        side = min(_AROUND * max(right - left, bottom - top), picture.width, picture.height)
        if side < 8 or side < max(right - left, bottom - top):
            continue
        low_x, high_x = max(0.0, right - side), min(left, picture.width - side)
        low_y, high_y = max(0.0, bottom - side), min(top, picture.height - side)
        if low_x > high_x or low_y > high_y:  # the object touches two opposite edges, or lies outside
            continue
        x, y = int(random.uniform(low_x, high_x)), int(random.uniform(low_y, high_y))
        whole_picture = read_picture(picture.path)
        pixels = np.ascontiguousarray(whole_picture.pixels[y:y + int(side), x:x + int(side)])
        yield _Window(Picture(pixels, whole_picture.order),
                      ((left - x) / side, (top - y) / side, (right - x) / side, (bottom - y) / side))


def _print_pictures(bundle: Bundle, found: Dict[str, Any]) -> None:
    print(f'{bundle.name}: {found["n"]} pictures, the class that it says itself; mean and standard error\n')
    print(ruled(('map', 'deletion (lower is better)', 'insertion (higher is better)'), [
        (name, *(f'{mean:.3f} +- {error:.3f}' for mean, error in row)) for name, row in found['curves'].items()]))
    print('\nlikeness (rank correlation) to the map of the same network with random weights in\n')
    print(ruled(('layers, from the last', 'likeness (nearer 0 is better)'), [
        ('the last alone' if float(share) == 0 else 'all' if float(share) == 1 else f'{100 * float(share):.0f} %',
         f'{mean:.3f} +- {error:.3f}') for share, (mean, error) in found['likeness'].items()]))


def _print_pointing(found: Dict[str, Any]) -> None:
    print(f'\npointing game: {found["n"]} windows around {found["object"]}, which takes {100 * found["area"]:.0f} % of '
          f'them, anywhere; highest place of the map of {found["class"]}\n')
    print(ruled(('map', 'in the box'), [(name, f'{share:.3f}') for name, share in found['hits'].items()]))
