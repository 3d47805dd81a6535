"""``robot-vision bench small-calibration``: what calibrating on a handful of pictures does, over random small sets.

Each set is drawn from DATA; all pictures that are in neither it nor the training judge it. Beside it stands what the
likelihood alone would have done, and, where the bundle's score of unknown things was fitted to its training, what
becomes of such things if half of each set fits another score, instead of all of it calibrating that one. With
``--probe`` the head of the bundle is replaced by a linear classifier of its features that is trained on a few pictures
a class, as sure and as wrong as such heads are.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..core.text.number_options import SEED, whole
from ..core.text.table import ruled
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..core.uncertainty.calibrate import Calibration
    from ..core.uncertainty.ood.base import LinearHead
    from ..evaluation.predict import Predictor

_LEAST_FOR_KNN = 20  # pictures, half of which fit it
HELP = 'calibration on few pictures: the likelihood before and after, and OOD pictures that are accepted'


_Said = Tuple[np.ndarray, ...]  # logits, features, and those of the stages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, on what, how few."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='DATA', help='folder of pictures <class>/*.jpg')
    parser.add_argument('--ood-pictures', '--foreign', metavar='FOLDER', nargs='+', default=[],
                        help='folders of pictures of no class; each is a group')
    parser.add_argument('--subsets', type=whole(1, 10**7), default=20, help='random small sets (default: 20)')
    parser.add_argument('--pictures', type=whole(1, 10**7), nargs=2, default=(10, 60), metavar=('LEAST', 'MOST'),
                        help='calibration pictures of a set (default: 10 60)')
    parser.add_argument('--probe', type=whole(), default=0, metavar='N',
                        help='train a linear head on N pictures a class; 0 (default): the head of the bundle')
    parser.add_argument('--classes', type=whole(), default=0, metavar='K',
                        help='with --probe: K classes drawn for each set, the others are OOD; 0 (default): all')
    parser.add_argument('--most', type=whole(1, 10**7), default=200, help='pictures of a class or group that are used '
                        '(default: 200)')
    parser.add_argument('--seed', type=SEED, default=0, help='of everything random (default: 0)')


class _Known(NamedTuple):
    """What a network says of n pictures, and their classes (n,)."""

    said: _Said
    labels: np.ndarray

    def at(self, places: np.ndarray) -> '_Known':
        return _Known(tuple(one[places] for one in self.said), self.labels[places])


def run(args: argparse.Namespace) -> int:
    """Measure and print; exit code 1 if a set is worse after calibration than before by cross-validation."""
    figures = measure(args)
    rows = figures['sets']
    print(f'{figures["model"]}, {figures["head"]}, on {args.data}: {len(rows)} random sets')
    print(ruled(('n', 'scaling', 'T', 'CV before', 'after', 'held out', 'before', 'after', 'likelihood alone'), [
        (row['pictures'], row['scaling'], f'{row["temperature"]:.3f}', *(f'{row[key]:.4f}' for key in (
            'nll_plain', 'nll')), row['held_out'], *(f'{row[key]:.4f}' for key in (
                'held_out_plain', 'held_out_nll', 'held_out_alone'))) for row in rows]))
    summary = figures['summary']
    print(f'\nnegative log-likelihood after calibration, nats: worse by cross-validation in '
          f'{summary["worse_by_cross_validation"]} of {len(rows)} sets; on the pictures held out worse in '
          f'{summary["worse_held_out"]}, by {summary["largest_loss"]:.4f} at most, {summary["mean_loss"]:+.4f} on '
          f'average (likelihood alone: worse in {summary["worse_alone"]}, by {summary["largest_loss_alone"]:.4f} at '
          f'most, {summary["mean_loss_alone"]:+.4f} on average)')
    for key, which in (('foreign', ''), ('foreign_fitted_anew', ', the score fitted anew to half of each set')):
        if summary.get(key):
            print(f'\nsingle frames, mean over the sets (largest){which}')
            print(ruled(('pictures', 'accepted at .01', 'accepted at 1/(n+1)', 'unknown at 1/(n+1)'), [
                (group, *(f'{one[figure][0]:.3f} ({one[figure][1]:.3f})' for figure in (
                    'accepted', 'accepted_smallest', 'unknown'))) for group, one in summary[key].items()]))
    if 'against_before' in summary:
        (mean, most), (alone, worst) = summary['against_before'], summary['alone_against_before']
        print(f'\nagainst the bundle as it was: {mean:+.4f} on average, {most:+.4f} at most; what is fitted to each '
              f'set alone: {alone:+.4f}, {worst:+.4f}')
    conclude(figures, args.json)
    return 1 if summary['worse_by_cross_validation'] else 0


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.bundles.bundle import load_bundle
    from ..core.errors import ConfigError, DataError
    from ..core.text.notes import to_stderr
    from ..core.uncertainty.ood.base import linear_head
    from ..data.picture_folder import all_pictures, folder_pictures
    from ..evaluation.predict import Predictor
    least, most = args.pictures
    if least > most:
        raise ConfigError(f'--pictures: {least} is more than {most}; give the fewer first')
    bundle = load_bundle(args.bundle)
    predictor, head = Predictor.of_bundle(bundle), linear_head(bundle.load_single_network().head)
    rng = np.random.default_rng(args.seed)
    of_class: Dict[str, List[Path]] = {}
    for picture in folder_pictures(args.data, to_stderr):
        of_class.setdefault(picture.label, []).append(picture.path)
    by_class = {name: outputs_of(predictor, paths, args.most, rng) for name, paths in sorted(of_class.items())}
    groups = {Path(folder).name: outputs_of(predictor, all_pictures(folder, to_stderr), args.most, rng)
              for folder in args.ood_pictures}
    names = [name for name in by_class if args.probe or name in bundle.class_names]
    if len(names) < 2:
        raise DataError(f'{args.data}: needs folders of two classes at least'
                        + ('' if args.probe else f' of {bundle.name}; --probe takes any'))
    smallest = min(args.classes or len(names), len(names)) if args.probe else len(names)
    known = sum(sorted(max(len(by_class[name][0]) - args.probe, 0) for name in names)[:smallest])
    if known <= most:
        raise DataError(f'{args.data}: sets of up to {most} pictures leave none of {known} to judge by; give more '
                        'pictures, or smaller sets by --pictures')
    rows = [_one_set(args, bundle, head, by_class, names, groups, rng, number) for number in range(args.subsets)]
    return {'model': bundle.name, 'head': f'linear head on {args.probe} pictures a class' if args.probe else 'own head',
            'sets': rows, 'summary': _summary(rows)}


def outputs_of(predictor: 'Predictor', paths: List[Path], most: int, rng: np.random.Generator) -> _Said:
    """What the network says of at most so many of the pictures, drawn at random."""
    from ..core.errors import DataError
    from ..data.pictures import read_picture
    if not paths:
        raise DataError('a folder of --ood-pictures holds no picture')
    paths = [paths[index] for index in rng.permutation(len(paths))[:most]]
    found = predictor.pictures(map(read_picture, paths))
    return found.logits, found.features, *found.stages


def _one_set(args: argparse.Namespace, bundle: 'Bundle', head: Optional['LinearHead'], by_class: Dict[str, _Said],
             names: List[str], groups: Dict[str, _Said], rng: np.random.Generator, number: int) -> Dict[str, Any]:
    from ..core.metrics.proper_scores import negative_log_likelihood
    from ..core.uncertainty.calibrate import AUTO, FittedBefore, calibrate
    from ..core.uncertainty.ood.pictures import Pictures
    from ..core.uncertainty.scaling import AS_BEFORE, PLAIN, TEMPERATURE, VECTOR, softmax
    from ..core.uncertainty.temperature import fit_temperature
    from ..evaluation.calibrate_bundle import fitted_before
    chosen = sorted(rng.permutation(names)[:args.classes or None].tolist()) if args.probe else names
    ood_pictures = dict(groups)
    if len(chosen) < len(names):
        ood_pictures['classes left out'] = _joined([by_class[name] for name in names if name not in chosen])
    classes = len(chosen) if args.probe else len(bundle.class_names)
    parts: List[_Known] = []
    training: List[Tuple[np.ndarray, np.ndarray]] = []
    for target, name in enumerate(chosen):
        said = by_class[name]
        order = rng.permutation(len(said[0]))
        target = target if args.probe else bundle.class_names.index(name)
        training.append((said[1][order[:args.probe]], np.full(len(order[:args.probe]), target)))
        parts.append(_Known(said, np.full(len(said[0]), target)).at(order[args.probe:]))
    known = _Known(_joined([one.said for one in parts]), np.concatenate([one.labels for one in parts]))
    reference = None
    if args.probe:
        seen, targets = (np.concatenate(columns) for columns in zip(*training))
        head, to_logits = _probe(seen, targets, classes)
        known = known._replace(said=(to_logits(known.said[1]), known.said[1]))
        reference = Pictures.of(to_logits(seen), seen, targets)
        ood_pictures = {group: (to_logits(said[1]), said[1]) for group, said in ood_pictures.items()}
    order = rng.permutation(len(known.labels))
    n = int(rng.integers(args.pictures[0], args.pictures[1] + 1))
    fitted, judged = known.at(order[:n]), known.at(order[n:])
    ood = ('knn' if reference or n >= _LEAST_FOR_KNN else 'energy') if args.probe else AUTO
    logits, features, *stages = fitted.said

    def calibrated(before: Optional[FittedBefore] = None) -> 'Calibration':
        return calibrate(logits, features, fitted.labels, stages=stages, reference=reference, head=head, ood=ood,
                         stage_names=bundle.architecture.stages if stages else (), scaling='auto', seed=number,
                         least=args.pictures[0], before=before)
    before = None if args.probe else fitted_before(bundle, Pictures.of(logits, features, stages=stages))
    found = calibrated(before)
    gives = found.laplace is not None and found.laplace.gives_probabilities

    def outcomes(one: 'Calibration') -> Dict[str, Dict[str, float]]:
        return {group: _outcomes(one, said, bundle.abstain_cost)
                for group, said in (('(known)', judged.said), *ood_pictures.items())}

    def loss(probabilities: np.ndarray) -> float:
        return negative_log_likelihood(probabilities, judged.labels)
    m = found.metrics
    alone = fit_temperature(fitted.said[0], fitted.labels)
    name = 'laplace' if gives else VECTOR if found.vector else TEMPERATURE if found.temperature != 1 else PLAIN
    if before and before.scaling and not gives and found.vector is before.scaling.vector and (
            found.temperature == before.scaling.temperature):
        name = AS_BEFORE
    beside: Dict[str, Any] = {}
    if before is not None and before.scaling is not None:
        anew = calibrated()
        beside = {'held_out_as_it_was': loss(before.scaling(judged.said[0])),
                  'held_out_fitted_anew': loss(_probabilities(anew, judged.said)),
                  'foreign_fitted_anew': outcomes(anew)}
    return {'pictures': n, 'classes': classes, 'scaling': name, 'temperature': found.temperature,
            'nll_plain': m['nll_plain'], 'nll_as_it_was': m['nll_by_scaling'].get(AS_BEFORE, m['nll_plain']),
            'nll': m['nll_laplace'] if gives else m['nll'],
            'held_out': len(judged.labels), 'held_out_plain': loss(softmax(judged.said[0], 1.0)),
            'held_out_nll': loss(_probabilities(found, judged.said)),
            'held_out_alone': loss(softmax(judged.said[0], alone)), 'temperature_alone': alone,
            'foreign': outcomes(found), **beside}


def _joined(parts: Sequence[_Said]) -> _Said:
    return tuple(np.concatenate(columns) for columns in zip(*parts))


def _probabilities(found: 'Calibration', said: _Said) -> np.ndarray:
    return found.probabilities(said[0], said[1], said[2:])


def _probe(features: np.ndarray, targets: np.ndarray, classes: int
           ) -> Tuple['LinearHead', Callable[[np.ndarray], np.ndarray]]:
    """A linear head of these features, and what gives its logits."""
    import torch

    from ..core.uncertainty.ood.base import LinearHead
    from ..training.baselines import linear_probe
    weight, bias, _ = linear_probe(features, targets, None, classes)
    return LinearHead(torch.from_numpy(weight), torch.from_numpy(bias)), (
        lambda f: (f @ weight.T + bias).astype(np.float32))


def _outcomes(found: 'Calibration', said: _Said, abstain_cost: float) -> Dict[str, float]:
    """Shares of single frames: accepted at .01, accepted and unknown at the smallest rate that can be reached."""
    from ..core.config import DecisionConfig
    from ..core.uncertainty.attainable_rates import reachable_rate
    assert found.ood is not None and found.ood.scores is not None
    scores = found.ood.build_score()(said[0], said[1], said[2:])
    p = found.ood.p_value(scores)
    sure = _probabilities(found, said).max(axis=1) >= 1 - abstain_cost
    rate = DecisionConfig().false_unknown_rate
    smallest = reachable_rate(len(found.ood.scores))
    return {'accepted': float(np.mean(sure & (p > rate))), 'accepted_smallest': float(np.mean(sure & (p > smallest))),
            'unknown': float(np.mean(p <= smallest))}


def _summary(rows: List[Dict[str, Any]]) -> Dict[str, Any]:
    def losses(key: str) -> np.ndarray:
        return np.array([row[key] - row['held_out_plain'] for row in rows])
    kept, alone = losses('held_out_nll'), losses('held_out_alone')
    groups = {key: {group: {figure: _mean_and_largest([row[key][group][figure] for row in rows if group in row[key]])
                            for figure in ('accepted', 'accepted_smallest', 'unknown')} for group in rows[0][key]}
              for key in ('foreign', 'foreign_fitted_anew') if rows and key in rows[0]}
    return {'worse_by_cross_validation': sum(row['nll'] > row['nll_as_it_was'] + 5e-5 for row in rows),
            'worse_held_out': int((kept > 5e-5).sum()), 'largest_loss': float(max(kept.max(), 0)),
            'mean_loss': float(kept.mean()), 'worse_alone': int((alone > 5e-5).sum()),
            'largest_loss_alone': float(max(alone.max(), 0)), 'mean_loss_alone': float(alone.mean()),
            **({name: _mean_and_largest([row[key] - row['held_out_as_it_was'] for row in rows])
                for name, key in (('against_before', 'held_out_nll'), ('alone_against_before', 'held_out_fitted_anew'))}
               if rows and 'held_out_as_it_was' in rows[0] else {}),
            **{key: found if len(found) > 1 else {} for key, found in groups.items()}}


def _mean_and_largest(values: List[float]) -> Tuple[float, Optional[float]]:
    return float(np.mean(values)), float(np.max(values))
