"""``robot-vision bench regions``: objects of labelled pictures, told apart at a venue that was never trained on.

Each venue (a folder of DATA) in turn is only tested on; a network is trained, stopped and calibrated on pictures of the
others. Beside it the same with objects dealt at random, as a split that does not look at venues has them: neighbouring
pictures, and objects of one picture, are then on both sides. Background boxes, drawn where nothing is labelled, are
``unknown``: those of the other venues are learned from as outliers, those of the venue itself judge.

The recipe is that of ``config/train.yaml``, but for one training instead of three, fewer epochs, and no pictures upside
down. Nothing is chosen by what is reported.
"""
import argparse
import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Sequence, Set, Tuple

import numpy as np

from ..core.config import DetectionsConfig
from ..core.files.whole_files import write_whole
from ..core.text.number_options import SEED, real, whole
from ..core.text.table import ruled
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..data.labels.objects.labelled_picture import LabelledPicture
    from ..data.picture_index import FolderPicture
    from ..training.config import TrainConfig

HELP = 'objects of labelled pictures, at a venue that was never seen, beside a random split'
BY_VENUE, AT_RANDOM = 'venue never seen', 'random split of objects'
_EARLY_STOP, _CALIBRATION = 0.1, 0.2


class Seen(NamedTuple):
    """What a network says of n objects that it was not trained on.

    Attributes:
        probabilities: calibrated, float64 (n, C).
        p_values: of "known", (n,).
        labels: int64 (n,), -1 for background.
    """

    probabilities: np.ndarray
    p_values: np.ndarray
    labels: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, how much."""
    parser.add_argument('data', metavar='DATA', help='folder of pictures with labels, one folder in it a venue')
    parser.add_argument('--labels', default='auto', metavar='FORMAT', help='as of `robot-vision crop` (default: auto)')
    parser.add_argument('--together', nargs='+', default=[], metavar='A+B', help='folders that are one venue')
    parser.add_argument('--held', nargs='+', default=[], metavar='VENUE',
                        help='venues to test on (default: each in turn)')
    parser.add_argument('--classes', nargs='+', default=[], metavar='CLASS',
                        help='(default: those that every venue has)')
    parser.add_argument('--margin', type=real(0, 10), default=DetectionsConfig.margin,
                        help='around each box (default: %(default)s)')
    parser.add_argument('--background', type=whole(0, 1000), default=2, metavar='N',
                        help='boxes of background a picture (default: %(default)s)')
    parser.add_argument('--most', type=whole(), default=120, metavar='N', help='objects of a class and venue that are '
                        'trained on; all are tested on; 0: all (default: %(default)s)')
    parser.add_argument('--epochs', type=whole(1, 1000), default=2, help='of each training (default: %(default)s)')
    parser.add_argument('--seed', type=SEED, default=0, help='of everything random (default: 0)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    most = f', on at most {args.most} objects of a class and venue' if args.most else ''
    print(f'objects of {figures["pictures"]} pictures of {len(figures["venues"])} venues; {figures["start"]}, trained '
          f'{figures["train_from"]}, {args.epochs} epochs{most}; margin {args.margin:g}')
    print(ruled(('venue', 'pictures', *figures['classes'], 'background'), [
        (name, *row) for name, row in figures['venues'].items()]))
    print(f'\ntested on n objects and m of background; false_unknown_rate {figures["false_unknown_rate"]:g}, '
          f'abstain_cost {figures["abstain_cost"]:g}')
    head = ('split', 'tested on', 'n', 'accuracy', 'NLL', 'ECE', 'floor', 'accepted', 'of these wrong',
            'called unknown', 'm', 'background accepted')
    print(ruled(head, [_row(split, name, one) for split, rounds in figures['rounds'].items()
                       for name, one in rounds.items()]))
    print('\nrecall by class')
    print(ruled(('split', 'tested on', *figures['classes']), [
        (split, name, *('-' if one['recall'][label] is None else f'{one["recall"][label]:.3f}'
                        for label in figures['classes']))
        for split, rounds in figures['rounds'].items() for name, one in rounds.items()]))
    conclude(figures, args.json, '\n')
    return 0


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.config import DecisionConfig
    from ..core.errors import ConfigError
    from ..core.suggestions import did_you_mean
    from ..core.text.notes import to_stderr
    from ..data.crops import CropConfig, cut_out
    from ..data.labels.objects.find import labelled_pictures
    from ..data.picture_folder import folder_pictures
    from ..training.initial_weights import starting_preprocessing
    found = labelled_pictures(args.data, args.labels, to_stderr)
    venue_of = _venues(found.pictures, args.together)
    venues = sorted(set(venue_of.values()))
    if len(venues) < 2:
        raise ConfigError(f'{args.data}: pictures of one venue only ({", ".join(venues)}); one folder a venue is '
                          'needed')
    for name in args.held:
        if name not in venues:
            raise ConfigError(f'--held: no venue {name!r}; {did_you_mean(name, venues)}')
    classes = args.classes or _in_all(found.pictures, venue_of)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = recipe(args.epochs, args.seed, work)
        objects = work / 'objects'
        done = cut_out(found.pictures, args.data, objects, starting_preprocessing(config.network, config.input),
                       CropConfig(args.margin, args.background, tuple(classes), seed=args.seed), found.format)
        for note in done.notes:
            to_stderr(note)
        items = folder_pictures(objects, to_stderr)
        own = np.array([venue_of[item.picture or ''] for item in items], dtype=object)
        held = args.held or venues
        order = np.random.default_rng(args.seed).permutation(len(items))
        rounds: Dict[str, Dict[str, Seen]] = {BY_VENUE: {}, AT_RANDOM: {}}
        decision = DecisionConfig()
        figures = {
            'start': config.network.pretrained, 'train_from': config.network.train_from, 'pictures': done.pictures,
            'classes': classes, 'venues': _counts(found.pictures, venue_of, items, own, classes),
            'false_unknown_rate': decision.false_unknown_rate, 'abstain_cost': config.output.abstain_cost}
        begin, number = 0, 0
        for split, name in ((split, name) for split in rounds for name in held):
            number += 1
            to_stderr(f'training {number} of {2 * len(held)}: {split}, {name}')
            if split is BY_VENUE:
                test, label = own == name, name
            else:  # as many, none of them twice
                test, label = np.zeros(len(items), bool), f'as many as of {name}'
                test[order[begin:begin + int((own == name).sum())]] = True
                begin += int(test.sum())
            used = _some(items, own, test, args.most, args.seed)
            bundle = _trained(config, items, own, used, split, classes, work)
            rounds[split][label] = _seen(bundle, [item for item, is_test in zip(items, test) if is_test])
            figures['rounds'] = {split: _figures(seen, classes, bundle.abstain_cost, decision.false_unknown_rate)
                                 for split, seen in rounds.items() if seen}
            if args.json:  # hours may be spent, and what is known by then is kept
                write_whole(args.json, json.dumps(figures, indent=2) + '\n')
        return figures


def recipe(epochs: int, seed: int, work: Path) -> 'TrainConfig':
    """The settings of each training; all that it writes is in ``work``."""
    from ..core.resources import share_directory
    from ..core.text.text_file import read_text
    from ..data.cache import CacheConfig
    from ..data.division import SplitConfig
    from ..data.prepare import DataConfig
    from ..data.selection import SelectionConfig
    from ..training.config_file import parse_config
    path = share_directory() / 'config' / 'train.yaml'
    config = parse_config(read_text(path), str(path))
    split = SplitConfig(1 - _EARLY_STOP - _CALIBRATION, _EARLY_STOP, _CALIBRATION, 0.0, method='time', seed=seed)
    data = DataConfig(split=split, cache=CacheConfig(folder=str(work / 'cache')),
                      selection=SelectionConfig(every_s=0.0, duplicate_distance=-1, least=0))
    return replace(
        config, data=data, augment=replace(config.augment, vertical_flip=0.0),
        run=replace(config.run, epochs=epochs, trainings=1, seed=seed, sanity_check=False),
        schedule=replace(config.schedule, warmup_epochs=min(config.schedule.warmup_epochs, epochs / 2)),
        output=replace(config.output, models=str(work / 'models'), runs=str(work / 'runs'), baselines=False, notes=''))


def _some(items: Sequence['FolderPicture'], own: np.ndarray, test: np.ndarray, most: int, seed: int) -> np.ndarray:
    """What is trained on, bool (n,): of what is not tested on at most so many objects of a class and venue."""
    chosen = ~test
    kinds = np.array([f'{place} {item.label}' for place, item in zip(own, items)], dtype=object)
    for kind in sorted(set(kinds)) if most else ():
        there = np.flatnonzero(chosen & (kinds == kind))
        chosen[np.random.default_rng(seed).permutation(there)[most:]] = False
    return chosen


def _trained(config: 'TrainConfig', items: Sequence['FolderPicture'], own: np.ndarray, used: np.ndarray, split: str,
             classes: Sequence[str], work: Path) -> 'Bundle':
    """A bundle that was made of the objects ``used``, bool (n,)."""
    from ..data.picture_list import write_list
    from ..training.config_file import as_file
    from ..training.run import train
    # At random every object is by itself; else those of one picture are in one part.
    rest = [item._replace(recording=str(own[place]) if split is BY_VENUE else 'all', stamp_ns=None,
                          picture=item.picture if split is BY_VENUE else item.path.name + item.label)
            for place, item in enumerate(items) if used[place]]
    name = f'round_{len(list(work.glob("round_*.csv")))}'
    write_list(work / f'{name}.csv', rest, work)
    config = replace(config, name=name, data=replace(config.data, bags=(str(work / f'{name}.csv'),),
                                                     class_names=tuple(classes)))
    bundle = train(config, as_file(config), say=lambda text: None)
    assert bundle is not None
    return bundle


def _seen(bundle: 'Bundle', items: Sequence['FolderPicture']) -> Seen:
    from ..core.networks.device import resolve_device
    from ..core.text.notes import to_stderr
    from ..data.pictures import readable_pictures
    from ..evaluation.predict import Predictor
    from .published import published
    pictures = [picture for _, picture in readable_pictures([item.path for item in items], to_stderr)]
    # By torch, as it was calibrated: turning each of many networks into ONNX would take longer than running it.
    network, device = bundle.load_single_network(), resolve_device('auto')
    outputs = Predictor(network, bundle.preprocessing, device).pictures(pictures)
    shown = published(bundle, outputs.logits, outputs.features, outputs.stages)
    labels = [bundle.class_names.index(item.label) if item.label in bundle.class_names else -1 for item in items]
    return Seen(shown.probabilities, shown.p_values, np.array(labels))


def _figures(rounds: Mapping[str, Seen], classes: Sequence[str], abstain_cost: float, epsilon: float
             ) -> Dict[str, Dict[str, Any]]:
    found = {name: figures_of(seen, classes, abstain_cost, epsilon) for name, seen in rounds.items()}
    if len(rounds) > 1:
        found['all'] = figures_of(Seen(*map(np.concatenate, zip(*rounds.values()))), classes, abstain_cost, epsilon)
    return found


def figures_of(seen: Seen, classes: Sequence[str], abstain_cost: float, epsilon: float) -> Dict[str, Any]:
    """Figures of objects that were not trained on; None where there is nothing to judge."""
    from ..core.metrics.calibration import calibration_error_floor, expected_calibration_error, top_label
    from ..core.metrics.classification import accuracy
    from ..core.metrics.proper_scores import negative_log_likelihood
    from .published import Published
    known = seen.labels >= 0
    p, y = seen.probabilities[known], seen.labels[known]
    outcomes = Published(seen.probabilities, seen.p_values).outcomes(abstain_cost, epsilon)
    accepted = outcomes.accepted[known]
    wrong = p.argmax(axis=1) != y
    return {
        'n': int(known.sum()), 'accuracy': accuracy(p, y), 'nll': negative_log_likelihood(p, y),
        'ece': expected_calibration_error(*top_label(p, y)), 'ece_floor': calibration_error_floor(p.max(axis=1)),
        'accepted': float(accepted.mean()), 'accepted_wrong': _mean(wrong[accepted]),
        'called_unknown': float(outcomes.unknown[known].mean()),
        'background': int((~known).sum()), 'background_accepted': _mean(outcomes.accepted[~known]),
        'recall': {name: _mean(~wrong[y == number]) for number, name in enumerate(classes)}}


def _mean(values: np.ndarray) -> Any:
    return float(values.mean()) if len(values) else None


def _row(split: str, name: str, one: Mapping[str, Any]) -> Tuple[object, ...]:
    def text(key: str, digits: int = 3) -> str:
        return '-' if one[key] is None else f'{one[key]:.{digits}f}'
    return (split, name, one['n'], text('accuracy'), text('nll'), text('ece'), text('ece_floor'), text('accepted'),
            text('accepted_wrong'), text('called_unknown'), one['background'], text('background_accepted'))


def _venues(pictures: Sequence['LabelledPicture'], together: Sequence[str]) -> Dict[str, str]:
    """The venue of each picture, by the picture's name."""
    from ..core.errors import ConfigError
    joined = {part: text for text in together for part in text.split('+')}
    folders = {picture.name: picture.name.partition('/')[0] if '/' in picture.name else '.' for picture in pictures}
    for part in joined:
        if part not in folders.values():
            raise ConfigError(f'--together: no folder {part!r} with labelled pictures; there are '
                              f'{", ".join(sorted(set(folders.values())))}')
    return {name: joined.get(folder, folder) for name, folder in folders.items()}


def _in_all(pictures: Sequence['LabelledPicture'], venue_of: Mapping[str, str]) -> List[str]:
    """Classes that every venue has; the others are told."""
    from ..core.errors import DataError
    from ..core.text.notes import to_stderr
    from ..core.types import UNKNOWN
    from ..data.labels.labels import IGNORE
    there: Dict[str, Set[str]] = {}
    for picture in pictures:
        for item in picture.objects:
            there.setdefault(item.label, set()).add(venue_of[picture.name])
    venues = set(venue_of.values())
    found = sorted(name for name, own in there.items() if own == venues and name not in (UNKNOWN, IGNORE))
    missing = sorted(set(there) - set(found) - {UNKNOWN, IGNORE})
    if missing:
        to_stderr(f'classes that are left out, since not every venue has them: {", ".join(missing)}')
    if len(found) < 2:
        raise DataError(f'every venue must have objects of the same two classes at least; all have '
                        f'{", ".join(found) or "none"}')
    return found


def _counts(pictures: Sequence['LabelledPicture'], venue_of: Mapping[str, str], items: Sequence['FolderPicture'],
            own: np.ndarray, classes: Sequence[str]) -> Dict[str, List[int]]:
    """Of each venue: pictures, objects of each class, background boxes."""
    of_venue = Counter(venue_of[picture.name] for picture in pictures)
    found = {}
    for name in sorted(of_venue):
        labels = Counter(item.label for item, place in zip(items, own) if place == name)
        found[name] = [of_venue[name], *(labels[label] for label in classes),
                       sum(labels.values()) - sum(labels[label] for label in classes)]
    return found
