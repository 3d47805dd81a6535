"""``robot-vision bench label-errors``: how soon wrong labels come up when labels are looked at by their doubt.

Some labels of DATA are swapped for another class, drawn by seed, and everything is ranked: by
:func:`~..labelling.label_errors.label_doubts` on the features of a network that has never seen these labels, by how
unsure a model is (1 - max softmax, which does not look at the label), and at random. Labels of DATA that were wrong
before count as right, and so as false alarms.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ..core.text.number_options import SECONDS, SEED, SHARE, whole
from ..core.text.table import ruled
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..data.cache import FrameStore

HELP = 'planted label errors: the share found in the first part of the queue'
FIRST = (0.05, 0.1, 0.2)
"""Parts of the queue."""
OURS, RANDOM = 'label doubt (probe, out of fold)', 'random'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """In what, found by what, how many."""
    parser.add_argument('data', metavar='DATA', nargs='+', help='labelled bags, folders <class>/*.jpg, lists')
    parser.add_argument('--features', metavar='BUNDLE', default='efficientnet_lite0_imagenet',
                        help='whose features are used; one that was trained on the labels knows what is right, which '
                        'flatters (default: %(default)s)')
    parser.add_argument('--models', metavar='BUNDLE', nargs='*', default=['waste_sorter'],
                        help='whose max softmax is compared; none: no model (default: waste_sorter)')
    parser.add_argument('--share', type=SHARE, default=0.05, help='of the labels that are swapped (default: .05)')
    parser.add_argument('--seeds', type=whole(1, 10**5), default=20, help='times that it is done (default: 20)')
    parser.add_argument('--seed', type=SEED, default=0, help='the first (default: 0)')
    parser.add_argument('--folds', type=whole(2, 1000), default=5, help='of the cross-validation (default: 5)')
    parser.add_argument('--neighbours', type=whole(1, 10**6), default=1, metavar='N',
                        help='pictures of a folder that follow each other by name and are kept in one fold, where they '
                        'may show one object (default: 1; near-duplicates always are)')
    parser.add_argument('--every', type=SECONDS, default=0.35, metavar='S',
                        help='frames of a camera no closer than this (default: .35)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: auto)')


class Material(NamedTuple):
    """What is ranked: n frames of m units (objects; pictures, near-duplicates as one).

    Attributes:
        class_names: C names.
        features: float32 (n, F).
        units: unit of each frame, int64 (n,), from 0.
        groups: what is kept in one fold, int64 (n,).
        labels: class of each unit, int64 (m,).
        unsure: by name of the model, 1 - max softmax of each unit, mean over its frames, (m,).
    """

    class_names: Tuple[str, ...]
    features: np.ndarray
    units: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    unsure: Dict[str, np.ndarray]


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    print(f'{figures["units"]} objects of {len(figures["classes"])} classes ({figures["frames"]} frames, '
          f'{figures["groups"]} groups for {args.folds} folds), features of {figures["features"]}; '
          f'{figures["planted"]} labels swapped, {args.seeds} seeds')
    print(ruled(('ranked by', *(f'found in the first {share:.0%}' for share in FIRST), 'AUROC'), [
        (name, *(_cell(one) for one in (*row['found'], row['auroc']))) for name, row in figures['ranked'].items()]))
    print('mean over the seeds (between which 95 % of them lie)')
    print('in the first 10 %, by what is shown: ' + ', '.join(
        f'{name} {share:.2f}' for name, share in figures['found_by_class'].items()))
    print(f'of the swapped labels in the first 10 % {_cell(figures["proposed_right"])} have the right one proposed')
    print(f'called likely wrong: {_cell(figures["called"])} of all, {_cell(figures["recall"])} of the swapped')
    conclude(figures, args.json)
    return 0


def _cell(values: Sequence[float]) -> str:
    return f'{values[0]:.3f} ({values[1]:.3f} to {values[2]:.3f})'


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.text.progress import Progress
    material = material_of(args)
    planted = max(round(args.share * len(material.labels)), 1)
    rounds = []
    with Progress('planting', 'seeds', args.seeds) as show:
        for number in range(args.seeds):
            rounds.append(_one_round(material, planted, args.seed + number, args.folds))
            show(number + 1)
    return {
        'data': [Path(name).name for name in args.data], 'features': Path(args.features).name,
        'classes': material.class_names,
        'frames': len(material.features), 'units': len(material.labels), 'groups': len(np.unique(material.groups)),
        'planted': planted, 'seeds': args.seeds, 'folds': args.folds, 'first': FIRST,
        'ranked': {name: _of_rank([one['ranked'][name] for one in rounds]) for name in rounds[0]['ranked']},
        'found_by_class': {name: float(np.nanmean([one['by_class'][place] for one in rounds]))
                           for place, name in enumerate(material.class_names)},
        **{name: _spread([one[name] for one in rounds]) for name in ('proposed_right', 'called', 'recall')}}


def _of_rank(rounds: Sequence[Tuple[List[float], float]]) -> Dict[str, Any]:
    return {'found': [_spread([found[place] for found, _ in rounds]) for place in range(len(FIRST))],
            'auroc': _spread([auroc for _, auroc in rounds])}


def material_of(args: argparse.Namespace) -> Material:
    """Run the networks over DATA."""
    from ..core.bundles.bundle import load_bundle
    from ..data.objects import groups_of
    from ..data.prepare import class_names_of
    bundle = load_bundle(args.features)
    store = _store(bundle, args)
    names = class_names_of(store)
    chosen = np.array([index for index, frame in enumerate(store.frames) if frame.label in names], np.int64)
    units = np.unique(groups_of(store.frames[index] for index in chosen), return_inverse=True)[1].reshape(-1)
    first = np.unique(units, return_index=True)[1]
    labels = np.array([names.index(store.frames[index].label) for index in chosen[first]], np.int64)
    features = _outputs(bundle, store, chosen, names, args.device)[1]
    unsure = {}
    for name in args.models:
        model = load_bundle(name)
        logits = _outputs(model, _store(model, args), chosen, names, args.device)[0]
        top = np.exp(logits - logits.max(axis=1, keepdims=True))
        doubt = 1 - 1 / top.sum(axis=1)
        unsure[f'1 - max softmax of {model.name}'] = np.bincount(units, doubt) / np.bincount(units)
    return Material(names, features, units, _kept_together(store, chosen, units, args.neighbours), labels, unsure)


def _store(bundle: 'Bundle', args: argparse.Namespace) -> 'FrameStore':
    """All frames, as the network takes them; the same for all networks."""
    from ..core.text.progress import Progress
    from ..data.prepare import DataConfig, prepare
    from ..data.selection import SelectionConfig
    config = DataConfig(bags=tuple(args.data),
                        selection=SelectionConfig(every_s=args.every, duplicate_distance=-1, least=0))
    with Progress('reading', 'frames') as show:
        return prepare(config, bundle.preprocessing, show)


def _outputs(bundle: 'Bundle', store: 'FrameStore', chosen: np.ndarray, names: Sequence[str], device: str
             ) -> Tuple[np.ndarray, np.ndarray]:
    from ..core.text.progress import Progress
    from ..evaluation.predict import Predictor
    with Progress(f'running {bundle.name}', 'frames', len(chosen)) as show:
        found = Predictor.of_bundle(bundle, device).frames(store, chosen, names, show)
    return found.logits, found.features


def _kept_together(store: 'FrameStore', chosen: np.ndarray, units: np.ndarray, neighbours: int) -> np.ndarray:
    """Group of each frame: recordings; pictures of folders with their near-duplicates, and neighbours by name."""
    from ..data.selection import duplicate_groups
    from ..data.synth import GROUP_DISTANCE
    alike = duplicate_groups(store.hashes[chosen], GROUP_DISTANCE)
    count: Dict[Tuple[str, str], int] = {}
    keys: List[Tuple[Any, ...]] = []
    for index in chosen.tolist():
        frame = store.frames[index]
        number = count[frame.recording, frame.label] = count.get((frame.recording, frame.label), -1) + 1
        keys.append((frame.recording,) if frame.topic else (frame.recording, frame.label, number // neighbours))
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    of_bags = np.array([bool(store.frames[index].topic) for index in chosen.tolist()])
    # Frames of a bag resemble others by chance, and have their recording.
    alike = np.where(of_bags, alike.max() + 1 + np.arange(len(alike)), alike)
    return _joined(np.array([numbers[key] for key in keys], np.int64), alike, units)


def _joined(*numberings: np.ndarray) -> np.ndarray:
    """Numbers, int64 (n,), the same for all that are joined by a chain of equal numbers in any of the numberings."""
    found = np.arange(len(numberings[0]))
    while True:
        before = found
        for one in numberings:
            least = np.full(int(one.max()) + 1, len(found))
            np.minimum.at(least, one, found)
            found = least[one]
        if np.array_equal(before, found):
            return np.unique(found, return_inverse=True)[1].reshape(-1)


def _one_round(material: Material, planted: int, seed: int, folds: int) -> Dict[str, Any]:
    """Swap labels, rank, and look where the swapped ones are."""
    from ..core.metrics.ranking import auroc
    from ..labelling.label_errors import label_doubts
    rng, names = np.random.default_rng(seed), material.class_names
    labels = material.labels.copy()
    places = rng.permutation(len(labels))[:planted]
    labels[places] = (labels[places] + rng.integers(1, len(names), planted)) % len(names)
    wrong = np.zeros(len(labels), bool)
    wrong[places] = True
    doubts = label_doubts(material.features, [names[label] for label in labels[material.units]], material.groups, names,
                          seed, folds, material.units)
    # What cannot be judged comes last.
    scores = {OURS: np.nan_to_num(-doubts.self_confidence, nan=-2.0), **material.unsure,
              RANDOM: rng.random(len(labels))}
    ranked = {}
    for name, score in scores.items():
        order = np.argsort(-score, kind='stable')
        found = [float(wrong[order[:_count(share, wrong)]].sum() / planted) for share in FIRST]
        ranked[name] = found, auroc(score, wrong)
    first = doubts.order[:_count(0.1, wrong)]
    is_first = np.isin(np.arange(len(labels)), first)
    with np.errstate(invalid='ignore'):
        by_class = [float(np.mean(is_first[wrong & (material.labels == target)])) if (
            wrong & (material.labels == target)).any() else float('nan') for target in range(len(names))]
    early = wrong & is_first
    return {'ranked': ranked, 'by_class': by_class, 'called': float(doubts.likely_wrong.mean()),
            'recall': float(doubts.likely_wrong[wrong].mean()),
            'proposed_right': float((doubts.suggested == material.labels)[early].mean()) if early.any() else 0.0}


def _count(share: float, rows: np.ndarray) -> int:
    return max(int(share * len(rows)), 1)


def _spread(values: Sequence[float]) -> List[float]:
    """Mean, and between what 95 % lie."""
    return [float(np.mean(values)), *(float(one) for one in np.quantile(values, (0.025, 0.975)))]
