"""``robot-vision bench shift``: the same pictures blurred, noisy, overexposed and compressed, at five strengths.

Each frame stands on its own, as a first frame does live. What matters: when pictures get worse than those the bundle
was calibrated on, accepted labels should become fewer, and not wrong unnoticed.
"""
import argparse
from typing import Any, Dict

import numpy as np

from ..core.text.number_options import real, whole
from ..core.text.table import ruled
from .report import conclude

HELP = 'accuracy, calibration error and abstention as pictures get worse'
_BATCH = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what, on what."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='FOLDER', help='labelled pictures, <class>/*.jpg, not trained on')
    parser.add_argument('--most', type=whole(1, 10**7), default=1000,
                        help='pictures, spread over the folder; default: %(default)s')
    parser.add_argument('--abstain-cost', type=real(0, 1), help="instead of the bundle's")
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda (default: auto)')
    parser.add_argument('--precision', default='float32', choices=('float32', 'float16', 'bfloat16'),
                        help='arithmetic of the network (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    figures = measure(args)
    print(f'{figures["model"]}: {figures["pictures"]} pictures, abstain_cost {figures["abstain_cost"]:g}, '
          f'false_unknown_rate {figures["false_unknown_rate"]:g} ({figures["score"]})\n')
    keys = ('accuracy', 'nll', 'ece', 'accepted', 'uncertain', 'unknown', 'wrong_of_accepted')
    print(ruled(('shift', *(key.replace('_', ' ') for key in keys)), [
        (name, *(f'{one[key]:.3f}' for key in keys)) for name, one in figures['shifts'].items()]))
    print(f'\nECE of right confidences for so few pictures: {figures["ece_floor"]:.3f}; accepted and wrong, of all '
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
    from ..data.augmentation.corruptions import SHIFTS, STRENGTHS, shifted
    from ..data.picture_folder import folder_pictures
    from ..data.pictures import read_picture
    from ..evaluation.predict import Predictor
    from .published import published
    bundle = load_bundle(args.bundle)
    labels = {name: index for index, name in enumerate(bundle.class_names)}
    found = [one for one in folder_pictures(args.data, to_stderr) if one.label in labels]
    if not found:
        raise DataError(f'{args.data}: holds no picture of a class of {bundle.name}')
    found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(args.most, len(found))).astype(int))]
    pictures = [read_picture(one.path) for one in found]
    y = np.array([labels[one.label] for one in found])
    predictor = Predictor.of_bundle(bundle, args.device, args.precision)
    cost = bundle.abstain_cost if args.abstain_cost is None else args.abstain_cost
    epsilon = DecisionConfig().false_unknown_rate

    def figures_of(kind: str = '', strength: int = 0) -> Dict[str, float]:
        shown = published(bundle, *predictor.pictures(
            (shifted(one, kind, strength, i) if kind else one for i, one in enumerate(pictures)), _BATCH))
        p, outcomes = shown.probabilities, shown.outcomes(cost, epsilon)
        confidence, right = top_label(p, y)
        wrong = ~right
        return {'accuracy': 1 - float(wrong.mean()), 'nll': negative_log_likelihood(p, y),
                'ece': expected_calibration_error(confidence, right), 'ece_floor': calibration_error_floor(confidence),
                **{key: float(part.mean()) for key, part in outcomes._asdict().items()},
                'wrong_of_accepted': float(wrong[outcomes.accepted].mean()) if outcomes.accepted.any() else 0.0,
                'wrong_and_accepted': float((wrong & outcomes.accepted).mean())}
    rows = {'clean': figures_of(), **{f'{kind} {strength}': figures_of(kind, strength)
                                      for kind in SHIFTS for strength in STRENGTHS}}
    return {'model': bundle.name, 'pictures': len(y), 'abstain_cost': cost, 'false_unknown_rate': epsilon,
            'score': bundle.ood.name if bundle.ood else 'no score', 'ece_floor': rows['clean']['ece_floor'],
            'wrong_and_accepted': {name: one['wrong_and_accepted'] for name, one in rows.items()}, 'shifts': rows}
