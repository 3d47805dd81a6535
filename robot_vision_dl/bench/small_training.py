"""``robot-vision bench small-training``: how right a head is that is trained on a handful of pictures a class.

A linear classifier of a bundle's features, as ``robot-vision train`` begins with and, with few objects, ends near. Each
picture shows another object; those of DATA that are not trained on judge it.
"""
import argparse
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from ..core.text.number_options import SEED, whole
from ..core.text.table import ruled
from .report import conclude
from .small_calibration import outputs_of

HELP = 'accuracy of a head that is trained on few pictures a class, over random small sets'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, on what, how few."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='DATA', help='folder of pictures <class>/*.jpg')
    parser.add_argument('--pictures', type=whole(1, 10**6), nargs='+', default=[2, 5, 10, 20, 50], metavar='N',
                        help='pictures of each class to train on (default: 2 5 10 20 50)')
    parser.add_argument('--subsets', type=whole(1, 10**6), default=10, help='random sets of each size (default: 10)')
    parser.add_argument('--most', type=whole(1, 10**7), default=150, help='pictures of a class that are used (default: '
                        '150)')
    parser.add_argument('--seed', type=SEED, default=0, help='of everything random (default: 0)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    print(f'{figures["model"]}, a linear head on its features, on {args.data}: {len(figures["classes"])} classes, '
          f'{args.subsets} random sets of each size')
    print(ruled(('pictures a class', 'judged on', 'accuracy', 'worst set', 'best set'), [
        (row['pictures'], row['judged'], *(f'{row[key]:.3f}' for key in ('mean', 'worst', 'best')))
        for row in figures['sizes']]))
    conclude(figures, args.json)
    return 0


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.bundles.bundle import load_bundle
    from ..core.text.notes import to_stderr
    from ..data.picture_folder import each_class, folder_pictures
    from ..evaluation.predict import Predictor
    bundle = load_bundle(args.bundle)
    predictor, rng = Predictor.of_bundle(bundle), np.random.default_rng(args.seed)
    by_class: Dict[str, np.ndarray] = {}
    for label, pictures in each_class(folder_pictures(args.data, to_stderr)):
        paths: List[Path] = [picture.path for picture in pictures]
        by_class[label] = outputs_of(predictor, paths, args.most, rng)[1]
    fewest = min(len(features) for features in by_class.values())
    sizes = [n for n in args.pictures if n < fewest]
    for n in set(args.pictures) - set(sizes):
        to_stderr(f'{n} pictures a class: left out, some class has {fewest}, and others must be left to judge on')
    return {'model': bundle.name, 'classes': list(by_class), 'sizes': [
        _of_size(list(by_class.values()), n, args.subsets, rng) for n in sizes]}


def _of_size(by_class: Sequence[np.ndarray], n: int, subsets: int, rng: np.random.Generator) -> Dict[str, Any]:
    found = [_accuracy(by_class, n, rng) for _ in range(subsets)]
    return {'pictures': n, 'judged': sum(len(features) - n for features in by_class), 'mean': float(np.mean(found)),
            'worst': min(found), 'best': max(found)}


def _accuracy(by_class: Sequence[np.ndarray], n: int, rng: np.random.Generator) -> float:
    """Mean over the classes of the share that is right, of a probe on ``n`` of each."""
    from ..training.baselines import linear_probe
    seen: List[np.ndarray] = []
    judged: List[Tuple[int, np.ndarray]] = []
    for target, features in enumerate(by_class):
        order = rng.permutation(len(features))
        seen.append(features[order[:n]])
        judged.append((target, features[order[n:]]))
    targets = np.repeat(np.arange(len(by_class)), n)
    weight, bias, _ = linear_probe(np.concatenate(seen), targets, None, len(by_class))
    return float(np.mean([np.mean((features @ weight.T + bias).argmax(1) == target) for target, features in judged]))
