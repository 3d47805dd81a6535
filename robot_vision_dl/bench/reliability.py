"""``robot-vision bench reliability``: whether a bundle's probabilities, sets and scores hold on labelled pictures.

DATA must have taken no part in training or calibration. Calibrations and sets are fitted to CALIBRATION; without it,
to one half of DATA and judged on the other. OOD scores are fitted to REFERENCE (what the network was
trained on), and each is judged on every group of OOD pictures: far ones (``--ood-pictures``, cameras at fault, frames
labelled ``unknown``) and near ones (``--leave-one-out``).
"""
import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..core.config import PRECISIONS
from ..core.text.number_options import SEED
from .leave_one_out import CALIBRATION, DATA, REFERENCE, Material, Part
from .near import add_near_arguments, near, start_of
from .reliability_tables import show
from .report import conclude

if TYPE_CHECKING:
    from ..core.bundles.bundle import Bundle
    from ..core.types import Picture
    from ..core.uncertainty.ood.pictures import Pictures
    from ..evaluation.labelled_outputs import LabelledOutputs
    from .met import Met

HELP = 'probabilities, sets, risk and scores of unknowns on labelled pictures'
COVERAGES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
ALPHAS = (0.1, 0.05)
FAULTY = 40
"""Pictures of each fault of a camera."""
LEAST_PICTURES = 5


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
    parser.add_argument('--precision', default='float32', choices=PRECISIONS,
                        help='arithmetic of the network (default: %(default)s)')
    parser.add_argument('--seed', type=SEED, default=0, help='of the split into halves (default: 0)')
    add_near_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    print(show(figures))
    conclude(figures, args.json)
    return 0


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.bundles.bundle import load_bundle
    from ..core.config import DecisionConfig
    from ..core.errors import DataError
    from ..core.metrics.classification import accuracy
    from ..evaluation.learned import told
    from ..evaluation.predict import Predictor, labelled_outputs, labelled_store
    from .published import published
    bundle = load_bundle(args.bundle)
    start = start_of(bundle, args)  # before hours are spent
    given = {DATA: args.data, CALIBRATION: args.calibration, REFERENCE: args.reference}
    stores = {name: labelled_store(bundle, data) for name, data in given.items() if data}
    predictor = Predictor.of_bundle(bundle, args.device, args.precision)
    frames = {name: labelled_outputs(predictor, store, bundle.class_names) for name, store in stores.items()}
    used = _use(frames, args.seed)
    known, fitting = _known(frames, used.judged), _known(frames, used.calibration)
    for pictures, what in ((known, 'judge by'), (fitting, 'calibrate on')):
        if len(pictures.places) < LEAST_PICTURES:
            raise DataError(f'{len(pictures.places)} labelled pictures to {what} tell nothing: {LEAST_PICTURES} at '
                            'least are needed' + ('' if args.calibration else ' in each half of DATA'))
    y, fit_y = frames[DATA].labels[known.places], frames[fitting.frames].labels[fitting.places]
    of_known, of_fitting = _pictures(frames, known), _pictures(frames, fitting)
    shown, calibration = (published(bundle, *one.arrays()) for one in (of_known, of_fitting))
    z, fit_z = of_known.logits.numpy(), of_fitting.logits.numpy()
    epsilon = DecisionConfig().false_unknown_rate
    figures: Dict[str, Any] = {
        'model': bundle.name, 'pictures': len(y), 'classes': len(bundle.class_names),
        'fitted_to': f'{len(fit_y)} others' + ('' if args.calibration else ' of the same data'),
        'flattering': told(bundle, frames[DATA].fingerprints[known.places]),
        'accuracy': accuracy(z, y), 'abstain_cost': bundle.abstain_cost, 'false_unknown_rate': epsilon,
        'probabilities': _probabilities(shown.probabilities, fit_z, fit_y, z, y, _things(frames, known)),
        **_risk(shown.probabilities, y),
        'sets': _sets(calibration.probabilities, fit_y, shown.probabilities, y)}
    groups, figures['faults'] = _far(bundle, args)
    figures['foreign'] = _decided(bundle, frames[DATA], used.judged, epsilon, groups)
    figures['tested'] = {'ood_pictures': [Path(name).name for name in args.ood_pictures],
                         'recordings': bool((frames[DATA].times_ns[used.judged.places] > 0).any())}
    reference = None if used.reference is None else _pictures(frames, _known(frames, used.reference))
    figures['scores'] = _scores(bundle, reference, of_known, groups)
    if args.leave_one_out:
        figures['near'] = near(bundle, args, stores, frames, used, start)
    return figures


def _use(frames: Mapping[str, 'LabelledOutputs'], seed: int) -> Material:
    """What is fitted to and what is judged; nothing that shows the same thing is in both halves of DATA."""
    data = frames[DATA]
    everything = np.arange(len(data.labels))
    reference = Part(REFERENCE, np.arange(len(frames[REFERENCE].labels))) if REFERENCE in frames else None
    if CALIBRATION in frames:
        return Material(frames, reference, Part(CALIBRATION, np.arange(len(frames[CALIBRATION].labels))),
                        Part(DATA, everything), {})
    first = _first_half(data, seed)
    return Material(frames, reference, Part(DATA, everything[first]), Part(DATA, everything[~first]), {})


def _first_half(data: 'LabelledOutputs', seed: int) -> np.ndarray:
    """Which frames are in the first half, bool (n,): whole recordings where there are several, else whole pictures."""
    recordings = np.unique(np.array(data.recordings, dtype=object)[data.times_ns > 0].astype(str))
    units = np.array([name if data.times_ns[place] and len(recordings) > 1 else str(data.pictures[place])
                      for place, name in enumerate(data.recordings)])
    names, index, counts = np.unique(units, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    taken = np.cumsum(counts[order]) <= len(units) / 2
    taken[0] = True
    chosen = np.zeros(len(names), bool)
    chosen[order[taken]] = True
    result: np.ndarray = chosen[index]
    return result


def _known(frames: Mapping[str, 'LabelledOutputs'], part: Part) -> Part:
    """Those of a part that are of a class."""
    return part._replace(places=part.places[frames[part.frames].labels[part.places] >= 0])


def _pictures(frames: Mapping[str, 'LabelledOutputs'], part: Part) -> 'Pictures':
    from ..core.uncertainty.ood.pictures import Pictures
    one, at = frames[part.frames], part.places
    return Pictures.of(one.logits[at], one.features[at], one.labels[at], tuple(s[at] for s in one.stages))


def _far(bundle: 'Bundle', args: argparse.Namespace) -> Tuple[Dict[str, 'Met'], List[str]]:
    """Pictures of no class, by groups, and names of those of a camera at fault, as the live pipeline meets them."""
    from ..core.uncertainty.ood.sensor_faults import sensor_fault_pictures, spoilt_pictures
    from ..evaluation.predict import foreign_pictures
    from .met import Met, meet, meet_frozen, pipeline_of
    if not args.ood_pictures:
        return {}, []
    pipeline = pipeline_of(bundle, args.device, args.precision)
    groups = {Path(name).name: meet(pipeline, foreign_pictures(name)) for name in args.ood_pictures}
    size, channels = bundle.preprocessing.crop, bundle.preprocessing.channels
    faults = {f'{name}, made': meet(pipeline, pictures)
              for name, pictures in sensor_fault_pictures(size, channels, FAULTY).items()}
    ordinary = _ordinary(args.data)
    for name, pictures in spoilt_pictures(ordinary, args.seed).items() if ordinary else ():
        faults[name] = meet(pipeline, pictures)
    for name, pictures in spoilt_pictures(ordinary, args.seed, varied=True).items() if ordinary else ():
        faults[f'{name}, recorded otherwise'] = meet(pipeline, pictures)
    if ordinary:
        faults['frozen'] = Met(meet(pipeline, ordinary).outputs, meet_frozen(pipeline, ordinary))
    return {**groups, **faults}, list(faults)


def _ordinary(data: Sequence[str]) -> List['Picture']:
    """Some pictures of the folders and lists among the data, as they came: a camera's bounds are for these."""
    from ..core.text.notes import to_stderr
    from ..data.picture_folder import all_pictures
    from ..data.picture_list import listed_pictures
    from ..data.pictures import readable_pictures
    paths = [path for name in data if Path(name).is_dir() for path in all_pictures(name, to_stderr)]
    paths += [one.path for name in data if name.lower().endswith('.csv') for one in listed_pictures(Path(name))]
    some = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, FAULTY).astype(int))] if paths else []
    return [picture for _, picture in readable_pictures(some, to_stderr)]


def _decided(bundle: 'Bundle', data: 'LabelledOutputs', judged: Part, epsilon: float, groups: Mapping[str, 'Met']
             ) -> Dict[str, Dict[str, Any]]:
    """What becomes of the known and of each group: each frame on its own, and fused over time in recordings."""
    from ..evaluation.predict import assessments
    from .met import alone, camera_checks, over_time, pipeline_of, shares
    from .published import Outcomes
    places = judged.places
    assessed = list(assessments(bundle, data.logits[places], data.features[places], [s[places] for s in data.stages]))
    cameras = camera_checks(bundle, data, places, assessed)
    single = alone(assessed, bundle.abstain_cost, epsilon, cameras)
    fused = over_time(pipeline_of(bundle), data, assessed, places, cameras)
    strange = data.labels[places] < 0
    rows: Dict[str, Dict[str, Any]] = {}
    for name, chosen in (('(known)', ~strange), ('(labelled unknown)', strange)):
        if chosen.any():
            rows[name] = shares(Outcomes(*(one & chosen for one in single)))
            faulty = [one.fault is not None for one, is_meant in zip(cameras, chosen) if is_meant]
            rows[name]['called_faulty'] = float(np.mean(faulty))
            over = shares(Outcomes(*(one & chosen for one in fused)))
            if over['n']:
                rows[name]['fused'] = over
    return {**rows, **{name: shares(one.outcomes) for name, one in groups.items()}}


def _things(frames: Mapping[str, 'LabelledOutputs'], part: Part) -> Optional[np.ndarray]:
    found = frames[part.frames].things
    return None if found is None else found[part.places]


def _probabilities(shown: np.ndarray, fit_z: np.ndarray, fit_y: np.ndarray, z: np.ndarray, y: np.ndarray,
                   things: Optional[np.ndarray]) -> Dict[str, Dict[str, Optional[float]]]:
    from ..core.metrics.calibration import (
        calibration_error_floor,
        expected_calibration_error,
        floor_of_objects,
        top_label,
    )
    from ..core.metrics.classification import accuracy
    from ..core.metrics.proper_scores import brier, negative_log_likelihood
    from ..core.uncertainty.scaling import FITS, softmax
    all_of = {'plain softmax': softmax(z, 1.0),
              **{f'{name} scaling, fitted here': fit(fit_z, fit_y)(z) for name, fit in FITS.items()},
              'published by the bundle': shown}
    return {name: {'nll': negative_log_likelihood(p, y), 'brier': brier(p, y),
                   'ece': expected_calibration_error(*top_label(p, y)),
                   'ece_floor': calibration_error_floor(p.max(axis=1)),
                   'ece_floor_objects': floor_of_objects(p.max(axis=1), things),
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


def _scores(bundle: 'Bundle', reference: Optional['Pictures'], known: 'Pictures', groups: Mapping[str, 'Met']
            ) -> Dict[str, Dict[str, Dict[str, float]]]:
    """AUROC and FPR95 of every score that can be fitted, on each group."""
    import torch

    from ..core.metrics.ranking import auroc, fpr_at_tpr, two_groups
    from ..core.uncertainty.ood.base import linear_head
    from ..core.uncertainty.ood.combined import fit_parts
    from ..core.uncertainty.ood.selection import candidates
    scores = {} if bundle.ood is None else {f'{bundle.ood.name} *': bundle.ood.build_score()}
    if reference is not None:
        head, stages = linear_head(bundle.load_single_network().head), bundle.architecture.stages
        for name, parts in candidates(stages, reference, head).items():
            scores[name] = fit_parts(parts, reference, stages, head)
    found: Dict[str, Dict[str, Dict[str, float]]] = {}
    with torch.inference_mode():
        for name, score in scores.items():
            own = score(known.logits, known.features, known.stages)
            found[name] = {}
            for group, one in groups.items():
                pictures = one.outputs.pictures()
                theirs = score(pictures.logits, pictures.features, pictures.stages)
                found[name][group] = {'auroc': auroc(*two_groups(own, theirs)),
                                      'fpr95': fpr_at_tpr(*two_groups(-theirs, -own))}
    return found
