"""``robot-vision decide``: the threshold that holds a chosen error rate, and what it costs in coverage."""
import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Tuple

import numpy as np

from ..core.bundles.bundle import Bundle, load_bundle
from ..core.bundles.bundle_format import DESCRIPTION, read_description
from ..core.bundles.bundle_search import check_own
from ..core.bundles.trust_limits import p_value_grid, trust_limits
from ..core.config import PRECISIONS, DecisionConfig
from ..core.errors import BundleError
from ..core.files.whole_files import write_whole
from ..core.text.number_options import SECONDS, SHARE, real
from ..core.uncertainty.attainable_rates import deciding_rate
from ..core.uncertainty.risk import RiskThreshold, one_of_each, pictures_for_risk, threshold_for_risk
from ..evaluation.labelled_outputs import LabelledOutputs
from ..evaluation.learned import told
from ..evaluation.predict import assessments, check_deployment, run_bundle

HELP = 'find the threshold that holds a chosen risk on held-out data, and the coverage it costs'
EXAMPLES = """examples:
  robot-vision decide models/waste day3/ --risk 0.01
  robot-vision decide models/waste day3/ --risk 0.01 0.02 0.05      a table
  robot-vision decide models/waste day3/ --risk 0.01 --write        store it as the bundle's abstain_cost

DATA must have been used neither for training nor for calibration. The promise is for single frames of other objects
like these. Frames of one object are right or wrong together, so one frame of each, drawn at random, decides: of a
track, or, where a recording names none, of a stretch of time with one label. Frames that are called unknown are not
accepted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument('bundle', metavar='BUNDLE', help='folder of the bundle, or its name in models/')
    parser.add_argument('data', metavar='DATA', nargs='+',
                        help='labelled bags, folders of pictures <class>/*.jpg, or lists of pictures: CSV with the '
                        'columns file,label')
    parser.add_argument('--risk', type=SHARE, nargs='+', required=True,
                        help='largest share of wrong labels among accepted frames')
    parser.add_argument('--delta', type=SHARE, default=0.1,
                        help='chance that the promise is broken (default: .1)')
    parser.add_argument('--false-unknown-rate', type=real(0, 1), default=0.01, help='as the parameter (default: .01)')
    parser.add_argument('--device', default='auto', help='where it will run (default: auto)')
    parser.add_argument('--precision', default='float32', choices=PRECISIONS,
                        help='arithmetic of the network, as it will run (default: %(default)s)')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='image topics of bags, or all; default: each camera once, neither depth nor infrared')
    parser.add_argument('--every', type=SECONDS, default=1.0, metavar='S',
                        help='frames of a bag no closer (default: 1)')
    parser.add_argument('--write', action='store_true', help='store 1 - threshold as the abstain_cost of the bundle')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')


def run(args: argparse.Namespace) -> int:
    """Find thresholds; exit code 1 if one cannot be held by any."""
    bundle = load_bundle(args.bundle)
    if args.write and (bundle.folder is None or len(args.risk) != 1):
        raise BundleError('--write: needs a bundle with a folder and one --risk')
    if args.write and bundle.folder is not None:
        check_own(bundle.source, bundle.folder, 'set decision.abstain_cost in the deployment, or give the path of the '
                  'folder to change it')
    check_deployment(args.device, args.precision)
    outputs, copies = run_bundle(bundle, args.data, device=args.device, precision=args.precision, every_s=args.every,
                                 topics=args.topics).each_once()
    confidence, wrong = confidences(bundle, outputs, args.false_unknown_rate)
    drawn = one_of_each(outputs.stretches)
    found = {risk: threshold_for_risk(confidence[drawn], wrong[drawn], risk, args.delta) for risk in args.risk}
    known = outputs.labels >= 0
    print(f'{bundle.name}: {known.sum()} held-out frames of known classes and {(~known).sum()} of none; accuracy '
          f'{1 - wrong[known].mean():.4f} on the former')
    if len(drawn) < len(known):
        print(f'note: they are of {len(drawn)} objects, of each of which one frame, drawn at random, counts')
    if copies:
        print(f'note: {copies}')
    flattering = told(bundle, outputs.fingerprints)
    if flattering:
        print(f'warning: {flattering}, and no threshold is sure to hold on others')
    decision = DecisionConfig(false_unknown_rate=args.false_unknown_rate)
    for limit in trust_limits(bundle, decision):
        print(f'note: {limit.under(bundle.name)}')
    print(f'{"risk":>7} {"threshold":>10} {"abstain_cost":>13} {"coverage":>9} {"wrong":>8} {"at most":>8}')
    for risk, one in found.items():
        if one.accepted:
            print(f'{risk:7.4f} {one.threshold:10.4f} {1 - one.threshold:13.4f} {one.coverage:9.4f} {one.risk:8.4f} '
                  f'{one.bound:8.4f}')
        else:
            least = pictures_for_risk(risk, args.delta)
            some = int((confidence[drawn] >= 0).sum())  # the others are called unknown
            why = f'{some} objects are too few, {least} are needed' if some < least else 'they are too often wrong'
            print(f'{risk:7.4f}   no threshold holds it on these frames: {why}')
    print(f'"at most": with probability {1 - args.delta:g}, on frames of objects like these')
    if args.json:
        write_whole(args.json, json.dumps({str(risk): asdict(one) for risk, one in found.items()}, indent=2) + '\n')
    failed = [risk for risk, one in found.items() if not one.accepted]
    if args.write and flattering:
        raise BundleError('--write: nothing was written: on pictures that the model has learned from a threshold is '
                          'found that does not hold on others; give DATA that it has not learned from')
    if args.write and not failed:
        write_abstain_cost(bundle, found[args.risk[0]])
        print(f'abstain_cost of {bundle.folder} is now {1 - found[args.risk[0]].threshold:.4f}')
    return 1 if failed else 0


def confidences(bundle: Bundle, outputs: LabelledOutputs, false_unknown_rate: float
                ) -> Tuple[np.ndarray, np.ndarray]:
    """Confidence of each frame, shape (n,), and whether its label would be wrong.

    What is called unknown has confidence -1; whatever label a frame of no class is given is wrong.
    """
    rate = deciding_rate(p_value_grid(bundle), false_unknown_rate)
    confidence, wrong = np.empty(len(outputs.labels)), np.empty(len(outputs.labels), bool)
    for place, one in enumerate(assessments(bundle, outputs.logits, outputs.features, outputs.stages)):
        unknown = one.ood is not None and (one.ood.p_value or 1.0) < rate
        confidence[place] = -1.0 if unknown else one.probabilities.max()
        wrong[place] = one.probabilities.argmax() != outputs.labels[place]
    return confidence, wrong


def write_abstain_cost(bundle: Bundle, found: RiskThreshold) -> None:
    """Change the one number in ``bundle.json``; everything else stays byte by byte what it was."""
    assert bundle.folder is not None
    path = bundle.folder / DESCRIPTION
    values, _ = read_description(bundle.folder)
    values['abstain_cost'] = round(float(np.clip(1 - found.threshold, 0, 1)), 6)
    values['metrics']['risk_control'] = asdict(found)
    write_whole(path, json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + '\n')
    load_bundle(bundle.folder)
