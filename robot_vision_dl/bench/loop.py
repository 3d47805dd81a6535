"""``robot-vision bench loop``: what choosing what to label is worth: mined against random choice.

A model is trained on a share of the recordings of DATA. Of others, intervals are labelled batch by batch: chosen by the
doubt of the model so far and by diversity, as ``robot-vision mine`` chooses, or at random. After each batch a model is
trained and calibrated again with all labels, and judged on recordings that are never mined and on pictures of no class.
Recordings are divided anew for each seed; both ways begin with the same model. Labels are those of the recordings; with
``--through-page`` they are given by key on the page of ``robot-vision label``, in a real browser, and read back.
"""
import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..core.files.whole_files import write_whole
from ..core.text.number_options import SECONDS, SEED, SHARE, whole
from ..core.text.table import ruled
from .loop_curve import Curve, compare
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from .loop_learners import Judged, Labelled, Learner
    from .loop_material import Division, Intervals, Label
    from .loop_page import PageLabeller

HELP = 'rounds of mining, labelling and training, beside random choice'
MINED, RANDOM = 'mined', 'random'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, how much, how often."""
    parser.add_argument('data', metavar='DATA', nargs='+', help='labelled bags, or folders of them')
    parser.add_argument('--model', metavar='BUNDLE', default='waste_sorter',
                        help='whose classes, input and recipe are used, not its weights (default: %(default)s)')
    parser.add_argument('--ood-pictures', '--foreign', metavar='FOLDER', nargs='+', default=[],
                        help='folders of pictures of no class; each is a group')
    parser.add_argument('--start', type=SHARE, default=0.2, help='share of the recordings that is labelled at the '
                        'beginning, to train on (default: .2)')
    parser.add_argument('--calibration', type=SHARE, default=0.1, help='and to calibrate on (default: .1)')
    parser.add_argument('--test', type=SHARE, default=0.2, help='share that is held out to judge by (default: .2)')
    parser.add_argument('--batch', type=whole(1), default=120, help='intervals that are labelled at a time (default: '
                        '120)')
    parser.add_argument('--rounds', type=whole(1, 1000), default=5, help='batches (default: 5)')
    parser.add_argument('--seeds', type=whole(1, 1000), default=5, help='divisions (default: 5)')
    parser.add_argument('--seed', type=SEED, default=0, help='the first (default: 0)')
    parser.add_argument('--every', type=SECONDS, default=0.35, metavar='S',
                        help='frames of a camera no closer than this (default: .35)')
    parser.add_argument('--full', action='store_true', help='train as `robot-vision train` does, which takes hours, '
                        'instead of the layers after a frozen trunk on cached maps')
    parser.add_argument('--recipe', type=Path, metavar='FILE', help='training file; without, that kept with the bundle')
    parser.add_argument('--train-from', default='', metavar='LAYER', help="instead of the recipe's; head: the head "
                        'alone, which takes seconds')
    parser.add_argument('--frozen', metavar='BUNDLE', help='the pretrained network; without, that of the provenance')
    parser.add_argument('--epochs', type=whole(1), default=4, help='of each training (default: %(default)s)')
    parser.add_argument('--views', type=whole(0, 100), default=2,
                        help='random views of each frame that are trained on (default: %(default)s)')
    parser.add_argument('--through-page', action='store_true', help='label on the page of `robot-vision label`, in a '
                        'headless Chromium that is driven by keys, and learn from what was saved; needs playwright')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: auto)')


class Point(NamedTuple):
    """A model after so many labels.

    Attributes:
        labels: intervals that were labelled beyond those of the start.
        right, frames: of each held-out recording.
        accepted, accepted_wrong: shares of the held-out frames.
        foreign: share of accepted pictures by group of no class.
        seconds: that training, calibrating and judging took.
    """

    labels: int
    right: List[int]
    frames: List[int]
    accepted: float
    accepted_wrong: float
    foreign: Dict[str, float]
    seconds: float


def run(args: argparse.Namespace, label: Optional['Label'] = None) -> int:
    """Measure and print.

    Args:
        label: labels intervals, by its own hand or on the page; None: as the recordings have them.
    """
    figures = measure(args, label)
    print(f'{figures["model"]}: {figures["recipe"]}')
    print(f'{figures["intervals"]} intervals in {figures["recordings"]} recordings ({figures["frames"]} frames); of '
          f'each seed {figures["parts"]}; {figures["batch"]} labels a round, {len(figures["seeds"])} seeds, '
          f'{figures["seconds"]:.1f} s a training')
    print(ruled(('labels', 'accuracy, mined', 'random', 'difference (95 %)', 'labels saved (95 %)'), [
        (row['labels'], f'{row[MINED]:.4f}', f'{row[RANDOM]:.4f}',
         *((_cell(row['difference'], '+.4f'), _cell(row['saved'], '+.0f')) if number not in (
             0, len(figures['curve']) - 1) else ('', ''))) for number, row in enumerate(figures['curve'])]))
    print('labels beyond those of the start, the last row with all of them; saved: fewer for the accuracy that random '
          'choice has there')
    shares = {'accepted': figures['accepted'], 'accepted and wrong': figures['accepted_wrong'],
              **{f'{name} accepted': values for name, values in figures['foreign'].items()}}
    print(ruled(('labels', *shares), [
        (row['labels'], *(f'{values[MINED][place]:.4f} / {values[RANDOM][place]:.4f}' for values in shares.values()))
        for place, row in enumerate(figures['curve'])]))
    print('shares of frames held out, and of pictures of no class: mined / random')
    print(verdict(figures['curve']))
    through = figures.get('page')
    if through:
        print(labelled_on_page(through))
    conclude(figures, args.json)
    return 1 if through and through['different'] else 0


def labelled_on_page(page: Dict[str, Any]) -> str:
    """How the labels came to be, in sentences."""
    said = (f'labels through the page, in {page["browser"]}: {page["intervals"]} intervals asked for, {page["keys"]} '
            f'labels by key ({page["again"]} of intervals shown again), {page["labels_a_minute"]:.0f} a minute; '
            f'{page["read_back"]} read back from the queue and from what `labels write` wrote, ')
    different = page['different']
    return said + (f'{different} NOT as they are in truth' if different else '0 differ from the truth')


def verdict(curve: Sequence[Dict[str, Any]]) -> str:
    """What the curve shows, in a sentence; the last number of labels before all of them counts."""
    last = curve[-2]
    value, low, high = last['saved']
    said = f'for the accuracy that {last["labels"]} labels at random give, mining needs '
    said += f'{last["labels"] - value:.0f} ({last["labels"] - high:.0f} to {last["labels"] - low:.0f})'
    if low > 0:
        return said
    if high < 0:
        return f'{said}: more'
    return f'{said}: no saving is shown'


def _cell(values: Sequence[float], form: str) -> str:
    return f'{values[0]:{form}} ({values[1]:{form}} to {values[2]:{form}})'


def measure(args: argparse.Namespace, label: Optional['Label'] = None) -> Dict[str, Any]:
    """All figures of the report; those of the seeds that are done are in ``--json`` already while others run."""
    from ..core.bundles.bundle import load_bundle
    from ..data.cache import CacheConfig
    from ..data.outliers import outlier_store
    from ..evaluation.predict import labelled_store
    from .loop_learners import FRAMES
    from .loop_material import divide_recordings, intervals_of
    with ExitStack() as stack:
        browser = None
        if args.through_page:  # before hours of reading, since it may be missing
            from .page_driver import browser as open_browser
            browser = stack.enter_context(open_browser())
        bundle = load_bundle(args.model)
        stores = {FRAMES: labelled_store(bundle, args.data, every_s=args.every)}
        for folder in args.ood_pictures:
            stores[Path(folder).name] = outlier_store([folder], bundle.preprocessing, CacheConfig())
        intervals = intervals_of(stores[FRAMES].frames)
        divisions = [divide_recordings(intervals, args.start, args.calibration, args.test, args.seed + number)
                     for number in range(args.seeds)]
        learner = _learner(bundle, stores, args)
        page = None
        if browser is not None:
            from .loop_page import PageLabeller
            page = PageLabeller(browser, stores[FRAMES].frames, bundle.class_names, label or intervals.label_truly)
        loop = Loop(learner, intervals, bundle, page or label or intervals.label_truly, args.batch, args.rounds)
        figures: Dict[str, Any] = {
            'model': bundle.name, 'recipe': learner.what, 'intervals': len(intervals.intervals),
            'frames': len(intervals.of_frame), 'recordings': len({one.recording for one in intervals.intervals}),
            'batch': args.batch, 'parts': ', '.join(f'{len(part)} {name}' for name, part in zip(
                divisions[0]._fields, divisions[0])), 'seeds': []}
        for number, division in enumerate(divisions):
            figures['seeds'].append(loop.seed(division, args.seed + number))
            _so_far(figures, page, args)
    return figures


def _so_far(figures: Dict[str, Any], page: Optional['PageLabeller'], args: argparse.Namespace) -> None:
    """What the seeds that are done show."""
    from ..core.text.notes import to_stderr
    figures.update(summary(figures['seeds']))
    if page is not None:
        figures['page'] = page.figures
    if args.json:
        write_whole(args.json, json.dumps(figures, indent=2) + '\n')
    to_stderr(f'seed {len(figures["seeds"])} of {args.seeds}: ' + ', '.join(
        f'{way} {row[way]:.3f}' for row in figures['curve'][-2:-1] for way in (MINED, RANDOM)))


def summary(seeds: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Means over the seeds, with intervals."""
    # Recordings are not equally long, nor is all that there is to label.
    counts = [round(float(np.mean(values))) for values in zip(*([point['labels'] for point in seed[MINED]]
                                                                for seed in seeds))]
    curves = {way: [Curve(np.array([point['right'] for point in seed[way]]), np.array(seed[way][0]['frames']))
                    for seed in seeds] for way in (MINED, RANDOM)}
    points = [point for seed in seeds for way in (MINED, RANDOM) for point in seed[way]]

    def means(key: str, way: str) -> List[float]:
        return [float(np.mean([seed[way][place][key] for seed in seeds])) for place in range(len(counts))]
    foreign = {name: {way: [float(np.mean([seed[way][place]['foreign'][name] for seed in seeds]))
                            for place in range(len(counts))] for way in (MINED, RANDOM)}
               for name in points[0]['foreign']}
    return {
        'curve': compare(counts, curves[MINED], curves[RANDOM]), 'foreign': foreign,
        'accepted': {way: means('accepted', way) for way in (MINED, RANDOM)},
        'accepted_wrong': {way: means('accepted_wrong', way) for way in (MINED, RANDOM)},
        'seconds': float(np.mean([point['seconds'] for point in points]))}


def _learner(bundle: 'Bundle', stores: Dict[str, Any], args: argparse.Namespace) -> 'Learner':
    from ..core.text.text_file import read_text
    from ..training.config_file import MOST_BYTES, parse_config
    from .loop_learners import CachedLearner, WholeLearner
    from .near import trainable_start
    from .retraining import SETTINGS, recipe_of
    if args.full:
        path = args.recipe or Path(bundle.folder or '') / SETTINGS
        config = parse_config(read_text(path, most_bytes=MOST_BYTES), str(path))
        return WholeLearner(bundle, config, stores, args.device)
    start = trainable_start(bundle, args.frozen, 'bench loop')
    recipe = recipe_of(bundle, start.network, args.recipe, args.train_from, args.epochs, args.views, args.seed)
    return CachedLearner(bundle, start, stores, recipe, args.device)


class Loop:
    """Rounds of choosing, labelling and training.

    Args:
        bundle: whose classes and cost of abstaining these are.
        label: whoever labels.
        batch, rounds: intervals that are labelled in a round, and rounds.
    """

    def __init__(self, learner: 'Learner', intervals: 'Intervals', bundle: 'Bundle', label: 'Label', batch: int,
                 rounds: int) -> None:
        self._learner, self._intervals, self._label = learner, intervals, label
        self._names = bundle.class_names
        self._numbers = {name: number for number, name in enumerate(bundle.class_names)}
        self._abstain_cost = bundle.abstain_cost
        self._batch, self._rounds = batch, rounds
        order = np.argsort(intervals.of_frame, kind='stable')
        self._places = np.split(order, np.cumsum(np.bincount(intervals.of_frame))[:-1])
        self._true = np.array([self._numbers.get(name, -1) for name in intervals.true], np.int64)

    def seed(self, division: 'Division', seed: int) -> Dict[str, Any]:
        """The points of both ways; they begin with the same model, and end with one that has all labels."""
        calibration = self._frames(division.calibration, self._true)
        targets = np.full(len(self._true), -1, np.int64)
        targets[division.start] = self._true[division.start]
        count = min(self._rounds, len(division.pool) // self._batch)
        random = np.random.default_rng(seed).permutation(division.pool)
        found: Dict[str, List[Point]] = {}
        begin = self._point(division.start, targets, calibration, division, seed, 0)
        for way in (MINED, RANDOM):
            known, labels, (judged, point) = targets.copy(), division.start, begin
            points = [point]
            for number in range(count):
                left = np.setdiff1d(division.pool, labels)
                chosen = (random[number * self._batch:(number + 1) * self._batch] if way == RANDOM
                          else left[self._mined(judged, left, seed * 1000 + number)])
                names = self._label([self._intervals.intervals[index] for index in chosen])
                known[chosen] = [self._numbers.get(name, -1) for name in names]
                labels = np.concatenate([labels, chosen])
                judged, point = self._point(labels, known, calibration, division, seed,
                                            len(labels) - len(division.start))
                points.append(point)
            found[way] = points
        everything = np.concatenate([division.start, division.pool])
        _, end = self._point(everything, self._true, calibration, division, seed, len(division.pool))
        return {way: [one._asdict() for one in (*points, end)] for way, points in found.items()}

    def _mined(self, judged: 'Judged', left: np.ndarray, seed: int) -> np.ndarray:
        """Indices into ``left`` of the batch that the miner would choose."""
        from ..labelling.mining.selection import select
        features, doubt = self.doubts(judged, left)
        return select(features, doubt, self._batch, seed).chosen

    def _frames(self, intervals: np.ndarray, targets: np.ndarray) -> 'Labelled':
        from .loop_learners import labelled
        chosen = intervals[targets[intervals] >= 0]
        return labelled([self._places[index] for index in chosen], targets[chosen].tolist(), chosen.tolist())

    def doubts(self, judged: 'Judged', which: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """Mean feature of length 1, (k, F), and doubt in [0, 1], (k,), of intervals, as mining has them."""
        from ..core.config import DecisionConfig
        from ..labelling.mining.candidates import doubt_of
        from .loop_material import interval_of
        rate = DecisionConfig().false_unknown_rate
        mined = [interval_of(self._intervals.intervals[index], judged.features[own], judged.probabilities[own],
                             judged.p_values[own], 1 - self._abstain_cost, rate)
                 for index, own in ((index, self._places[index]) for index in which.tolist())]
        return (np.stack([one.feature for one in mined]),
                np.array([doubt_of(one, self._names).doubt for one in mined]))

    def _point(self, labels: np.ndarray, targets: np.ndarray, calibration: 'Labelled', division: 'Division', seed: int,
               count: int) -> Tuple['Judged', Point]:
        from ..core.config import DecisionConfig
        began = time.perf_counter()
        judged = self._learner.learn(self._frames(labels, targets), calibration, seed)
        seconds = time.perf_counter() - began
        held_out = self._frames(division.test, self._true)
        p = judged.probabilities[held_out.places]
        right = p.argmax(axis=1) == held_out.targets
        names = [self._intervals.intervals[index].recording for index in held_out.groups]
        recordings = np.unique(names, return_inverse=True)[1].reshape(-1)
        accepted = (p.max(axis=1) >= 1 - self._abstain_cost) & (
            judged.p_values[held_out.places] > DecisionConfig().false_unknown_rate)
        return judged, Point(
            count, np.bincount(recordings, right).astype(int).tolist(), np.bincount(recordings).tolist(),
            float(accepted.mean()), float((accepted & ~right).mean()), dict(judged.foreign), seconds)
