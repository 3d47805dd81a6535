"""``robot-vision bench reliability``: whether a bundle's probabilities, sets and scores hold on labelled pictures.

DATA must have taken no part in training or calibration. Calibrations and sets are fitted to CALIBRATION; without it,
to one half of DATA and judged on the other. OOD scores are fitted to REFERENCE (what the network was
trained on), and each is judged on every group of OOD pictures.
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping

import numpy as np

from ..core.text.number_options import SEED
from ..core.text.table import ruled
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..core.uncertainty.ood.pictures import Pictures

HELP = 'probabilities, sets, risk and scores of unknowns on labelled pictures'
COVERAGES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
ALPHAS = (0.1, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, on what."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='DATA', nargs='+', help='labelled bags, or folders of pictures <class>/*.jpg')
    parser.add_argument('--calibration', metavar='DATA', nargs='+', default=[],
                        help='labelled data to fit the calibrations and sets to; without, half of DATA')
    parser.add_argument('--reference', metavar='DATA', nargs='+', default=[],
                        help='labelled data to fit every score to; without, only the score of the bundle is judged')
    parser.add_argument('--ood-pictures', '--foreign', metavar='FOLDER', nargs='+', default=[],
                        help='folders of pictures of no class; each is a group')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: auto)')
    parser.add_argument('--precision', default='float32', choices=('float32', 'float16', 'bfloat16'),
                        help='arithmetic of the network (default: %(default)s)')
    parser.add_argument('--seed', type=SEED, default=0, help='of the split into halves (default: 0)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    print(f'{figures["model"]}: {figures["pictures"]} pictures of {figures["classes"]} classes, accuracy '
          f'{figures["accuracy"]:.4f}; calibrations and sets fitted to {figures["fitted_to"]}\n')
    print(ruled(('probabilities', 'NLL', 'Brier', 'ECE', 'ECE floor', 'accuracy'), [
        (name, *(f'{one[key]:.4f}' for key in ('nll', 'brier', 'ece', 'ece_floor', 'accuracy')))
        for name, one in figures['probabilities'].items()]))
    print('\nrisk-coverage (published): ' + ', '.join(
        f'{coverage}: {risk:.4f}' for coverage, risk in figures['risk_at_coverage'].items())
        + f'; AURC {figures["aurc"]:.4f}')
    print()
    print(ruled(('sets', 'alpha', 'coverage', 'mean size', 'worst class'), [
        (one['method'], str(one['alpha']), *(f'{one[key]:.4f}' for key in ('coverage', 'size', 'worst_class')))
        for one in figures['sets']]))
    groups = [name for name in figures['foreign'] if name != '(known)']
    if groups:
        print('\nforeign pictures: AUROC / share of them that pass where 95 % of the known do (FPR95)')
        print(ruled(('score', *groups), [
            (name, *(f'{by[group]["auroc"]:.4f} / {by[group]["fpr95"]:.3f}' for group in groups))
            for name, by in figures['scores'].items()]))
        print(f'* the score of the bundle\n\nwhat the bundle makes of them, each frame on its own (abstain_cost '
              f'{figures["abstain_cost"]:g}, false_unknown_rate {figures["false_unknown_rate"]:g})')
        print(ruled(('pictures', 'n', 'unknown', 'uncertain', 'accepted'), [
            (name, one['n'], *(f'{one[key]:.4f}' for key in ('unknown', 'uncertain', 'accepted')))
            for name, one in figures['foreign'].items()]))
    conclude(figures, args.json)
    return 0


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.bundles.bundle import load_bundle
    from ..core.config import DecisionConfig
    from ..core.metrics.classification import accuracy
    from ..core.uncertainty.calibrate import halves
    from ..evaluation.predict import faulty_outputs, picture_outputs, run_bundle
    from .published import published
    bundle = load_bundle(args.bundle)
    where = {'device': args.device, 'precision': args.precision}
    data = run_bundle(bundle, args.data, **where)
    judged = data.known_pictures()
    if args.calibration:
        fitted = run_bundle(bundle, args.calibration, **where).known_pictures()
        fitted_to = f'{len(fitted)} others'
    else:
        first, second = halves(len(judged), args.seed)
        fitted, judged = judged[first], judged[second]
        fitted_to = f'{len(fitted)} others of the same data'
    (fit_z, fit_y), (z, y) = ((one.logits.numpy(), _labels(one)) for one in (fitted, judged))
    policy = DecisionConfig()
    cost, epsilon = bundle.abstain_cost, policy.false_unknown_rate
    known, calibration = (published(bundle, *one.arrays()) for one in (judged, fitted))
    figures: Dict[str, Any] = {
        'model': bundle.name, 'pictures': len(y), 'classes': len(bundle.class_names), 'fitted_to': fitted_to,
        'accuracy': accuracy(z, y), 'abstain_cost': cost, 'false_unknown_rate': epsilon,
        'probabilities': _probabilities(known.probabilities, fit_z, fit_y, z, y),
        **_risk(known.probabilities, y),
        'sets': _sets(calibration.probabilities, fit_y, known.probabilities, y)}
    groups = {Path(name).name: picture_outputs(bundle, name, **where).pictures() for name in args.ood_pictures}
    if args.ood_pictures:
        groups.update({name: one.pictures() for name, one in faulty_outputs(bundle, **where).items()})
    rows = {'(known)': known, **{name: published(bundle, *one.arrays()) for name, one in groups.items()}}
    figures['foreign'] = {}
    for name, one in rows.items():
        outcomes = one.outcomes(cost, epsilon)
        figures['foreign'][name] = {'n': len(one.p_values), **{
            key: float(part.mean()) for key, part in outcomes._asdict().items()}}
    figures['scores'] = _scores(bundle, args, where, judged, groups)
    return figures


def _labels(pictures: 'Pictures') -> np.ndarray:
    assert pictures.labels is not None
    return pictures.labels.numpy()


def _probabilities(shown: np.ndarray, fit_z: np.ndarray, fit_y: np.ndarray, z: np.ndarray, y: np.ndarray
                   ) -> Dict[str, Dict[str, float]]:
    from ..core.metrics.calibration import calibration_error_floor, expected_calibration_error, top_label
    from ..core.metrics.classification import accuracy
    from ..core.metrics.proper_scores import brier, negative_log_likelihood
    from ..core.uncertainty.scaling import FITS, softmax
    all_of = {'plain softmax': softmax(z, 1.0),
              **{f'{name} scaling, fitted here': fit(fit_z, fit_y)(z) for name, fit in FITS.items()},
              'published by the bundle': shown}
    return {name: {'nll': negative_log_likelihood(p, y), 'brier': brier(p, y),
                   'ece': expected_calibration_error(*top_label(p, y)),
                   'ece_floor': calibration_error_floor(p.max(axis=1)),
                   'accuracy': accuracy(p, y)} for name, p in all_of.items()}


def _risk(p: np.ndarray, y: np.ndarray) -> Dict[str, Any]:
    from ..core.metrics.calibration import top_label
    from ..core.metrics.selective import accuracy_at_coverage, aurc
    confidence, right = top_label(p, y)
    return {'risk_at_coverage': {str(c): 1 - accuracy_at_coverage(confidence, ~right, c) for c in COVERAGES},
            'aurc': aurc(confidence, ~right)}


def _sets(fit_p: np.ndarray, fit_y: np.ndarray, p: np.ndarray, y: np.ndarray) -> List[Dict[str, Any]]:
    from ..core.uncertainty.conformal import CONFORMAL_METHODS, coverage_and_size, fit_conformal
    rows = []
    for alpha in ALPHAS:
        for method in CONFORMAL_METHODS:
            inside = fit_conformal(fit_p, fit_y, alpha, method).inside(p)
            coverage, size = coverage_and_size(inside, y, p)
            worst = min(float(inside[y == c, c].mean()) for c in np.unique(y))
            rows.append({'method': method, 'alpha': alpha, 'coverage': coverage, 'size': size, 'worst_class': worst})
    return rows


def _scores(bundle: 'Bundle', args: argparse.Namespace, where: Dict[str, Any], known: 'Pictures',
            groups: Mapping[str, 'Pictures']) -> Dict[str, Dict[str, Dict[str, float]]]:
    """AUROC and FPR95 of every score that can be fitted, on each group."""
    import torch

    from ..core.metrics.ranking import auroc, fpr_at_tpr, two_groups
    from ..core.uncertainty.ood.base import linear_head
    from ..core.uncertainty.ood.combined import fit_parts
    from ..core.uncertainty.ood.selection import candidates
    from ..evaluation.predict import run_bundle
    scores = {} if bundle.ood is None else {f'{bundle.ood.name} *': bundle.ood.build_score()}
    if args.reference:
        head = linear_head(bundle.load_single_network().head)
        reference, stages = run_bundle(bundle, args.reference, **where).known_pictures(), bundle.architecture.stages
        for name, parts in candidates(stages, reference, head).items():
            scores[name] = fit_parts(parts, reference, stages, head)
    found: Dict[str, Dict[str, Dict[str, float]]] = {}
    with torch.inference_mode():
        for name, score in scores.items():
            own = score(known.logits, known.features, known.stages)
            found[name] = {}
            for group, ood_pictures in groups.items():
                theirs = score(ood_pictures.logits, ood_pictures.features, ood_pictures.stages)
                found[name][group] = {'auroc': auroc(*two_groups(own, theirs)),
                                      'fpr95': fpr_at_tpr(*two_groups(-theirs, -own))}
    return found
