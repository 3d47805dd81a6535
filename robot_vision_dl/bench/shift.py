"""``robot-vision bench shift``: the same pictures blurred, noisy, dark, in fog and so on, at five strengths.

Each frame stands on its own, as a first frame does live. What matters: when pictures get worse than those the bundle
was calibrated on, accepted labels should become fewer, and not wrong unnoticed. A calibration may be fitted on the
first four kinds (``data/augmentation/corruptions.py``); on the others (``unforeseen.py``) never.
"""
import argparse
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from ..core.config import PRECISIONS
from ..core.text.number_options import real, whole
from ..core.text.table import ruled
from .report import conclude

HELP = 'accuracy, calibration error and abstention as pictures get worse'
MOST_WRONG = 0.15
"""Of what is accepted at a strength, all kinds together; more is told."""
KEYS = ('accuracy', 'nll', 'ece', 'accepted', 'uncertain', 'unknown', 'wrong_of_accepted')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, on what."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='FOLDER', help='labelled pictures, <class>/*.jpg, not trained on')
    parser.add_argument('--most', type=whole(1, 10**7), default=1000,
                        help='pictures, spread over the folder; default: %(default)s')
    parser.add_argument('--abstain-cost', type=real(0, 1), help="instead of the bundle's")
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: auto)')
    parser.add_argument('--precision', default='float32', choices=PRECISIONS,
                        help='arithmetic of the network (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    print(f'{figures["model"]}: {figures["pictures"]} pictures, abstain_cost {figures["abstain_cost"]:g}, '
          f'false_unknown_rate {figures["false_unknown_rate"]:g} ({figures["score"]}); '
          + (f'its calibration was fitted on {", ".join(figures["fitted_on"])}' if figures['fitted_on']
             else 'its calibration was fitted on no pictures that got worse') + '\n')
    print(ruled(('shift', *(key.replace('_', ' ') for key in KEYS)), [
        (name, *(f'{one[key]:.3f}' for key in KEYS[:-1]), _wrong(one)) for name, one in figures['shifts'].items()]))
    groups = figures['by_strength']
    print('\nkinds together, by strength: share that is accepted / wrong of these\n' + ruled(
        ('kinds', *next(iter(groups.values()))),
        [(name, *(f'{one["accepted"]:.3f} / {_wrong(one)}' for one in by.values())) for name, by in groups.items()]))
    worst, kind = figures['worst'], figures['worst_kind']
    print(f'\nworst strength: {worst["strength"]} ({worst["kinds"]}): of what is accepted {_wrong(worst)} is wrong, '
          f'{"more" if worst["wrong_of_accepted"] > MOST_WRONG else "not more"} than {MOST_WRONG:g}; worst kind: '
          f'{kind["shift"]}, {_wrong(kind)} of {kind["n"]}')
    print(f'ECE of right confidences for so few pictures: {figures["ece_floor"]:.3f}; accepted and wrong, of all '
          f'pictures: {figures["wrong_and_accepted"]["clean"]:.3f} clean, at most '
          f'{max(figures["wrong_and_accepted"].values()):.3f}')
    conclude(figures, args.json)
    return 0


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """All figures of the report."""
    from ..core.bundles.bundle import load_bundle
    from ..core.config import DecisionConfig
    from ..core.errors import DataError
    from ..core.metrics.calibration import calibration_error_floor, expected_calibration_error, top_label
    from ..core.metrics.proper_scores import negative_log_likelihood
    from ..core.text.notes import to_stderr
    from ..core.text.progress import Progress
    from ..data.augmentation.corruptions import SHIFTS, STRENGTHS, shifted
    from ..data.picture_folder import folder_pictures
    from ..data.pictures import read_picture
    from .met import meet, pipeline_of
    from .published import published
    from .unforeseen import UNFORESEEN
    bundle = load_bundle(args.bundle)
    labels = {name: index for index, name in enumerate(bundle.class_names)}
    found = [one for one in folder_pictures(args.data, to_stderr) if one.label in labels]
    if not found:
        raise DataError(f'{args.data}: holds no picture of a class of {bundle.name}')
    found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(args.most, len(found))).astype(int))]
    pictures = [read_picture(one.path) for one in found]
    y = np.array([labels[one.label] for one in found])
    pipeline = pipeline_of(bundle, args.device, args.precision, args.abstain_cost)
    kinds = {**SHIFTS, **UNFORESEEN}

    def figures_of(kind: str = '', strength: int = 0) -> Dict[str, float]:
        met = meet(pipeline, (shifted(one, kind, strength, i, kinds) if kind else one
                              for i, one in enumerate(pictures)))
        p, outcomes = published(bundle, *met.outputs).probabilities, met.outcomes
        confidence, right = top_label(p, y)
        wrong = ~right
        return {'accuracy': 1 - float(wrong.mean()), 'nll': negative_log_likelihood(p, y),
                'ece': expected_calibration_error(confidence, right), 'ece_floor': calibration_error_floor(confidence),
                **{key: float(part.mean()) for key, part in outcomes._asdict().items()},
                'wrong_of_accepted': float(wrong[outcomes.accepted].mean()) if outcomes.accepted.any() else 0.0,
                'wrong_and_accepted': float((wrong & outcomes.accepted).mean())}
    rows: Dict[str, Dict[str, float]] = {}
    with Progress('corrupting', 'kinds', 1 + len(kinds) * len(STRENGTHS)) as show:
        rows['clean'] = figures_of()
        for kind in kinds:
            for strength in STRENGTHS:
                rows[f'{kind} {strength}'] = figures_of(kind, strength)
                show(len(rows))
    fitted_on = list(SHIFTS) if bundle.density_aware is not None else []
    groups = {'all': kinds, f'{", ".join(SHIFTS)}': list(SHIFTS), f'{", ".join(UNFORESEEN)}': list(UNFORESEEN)}
    by_strength = {name: {str(strength): _together([rows[f'{kind} {strength}'] for kind in some])
                          for strength in STRENGTHS} for name, some in groups.items()}
    worst = max(((name, strength) for name, by in by_strength.items() for strength in by),
                key=lambda at: by_strength[at[0]][at[1]]['wrong_of_accepted'])
    worst_kind = max(rows, key=lambda name: rows[name]['wrong_of_accepted'])
    return {'model': bundle.name, 'pictures': len(y), 'abstain_cost': pipeline.abstain_cost,
            'false_unknown_rate': DecisionConfig().false_unknown_rate,
            'score': bundle.ood.name if bundle.ood else 'no score', 'ece_floor': rows['clean']['ece_floor'],
            'wrong_and_accepted': {name: one['wrong_and_accepted'] for name, one in rows.items()}, 'shifts': rows,
            'fitted_on': fitted_on, 'by_strength': by_strength,
            'worst': {'kinds': worst[0], 'strength': worst[1], **by_strength[worst[0]][worst[1]]},
            'worst_kind': {'shift': worst_kind, 'n': round(rows[worst_kind]['accepted'] * len(y)), **rows[worst_kind]}}


def _together(rows: Sequence[Mapping[str, float]]) -> Dict[str, float]:
    """Of several kinds that are equally frequent."""
    accepted = float(np.mean([one['accepted'] for one in rows]))
    wrong = float(np.mean([one['wrong_and_accepted'] for one in rows]))
    return {'accepted': accepted, 'wrong_of_accepted': wrong / accepted if accepted else 0.0}


def _wrong(one: Mapping[str, float]) -> str:
    """Share of what is accepted, where anything is."""
    return f'{one["wrong_of_accepted"]:.3f}' if one['accepted'] else '-'
