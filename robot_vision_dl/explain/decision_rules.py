"""What a decision rests on, as numbers with words: probabilities, costs, thresholds, sets."""
from dataclasses import dataclass
from math import isnan
from typing import List, Optional, Sequence, Tuple

import numpy as np

from ..classification import Classification
from ..core.bundles.bundle import Bundle
from ..core.decision.decision import Policy
from ..core.types import Outcome


@dataclass(frozen=True)
class ClassRow:
    """A class.

    Attributes:
        name: of it.
        logit: what the network gives.
        raw: softmax of the logits.
        probability: calibrated.
        cost: expected, of acting on it; None: every wrong label costs 1, so that it is 1 minus the probability.
    """

    name: str
    logit: float
    raw: float
    probability: float
    cost: Optional[float]


@dataclass(frozen=True)
class Rule:
    """A number that the decision rests on.

    Attributes:
        name: what it is.
        value: as it is shown.
        words: what it means.
    """

    name: str
    value: str
    words: str


@dataclass(frozen=True)
class Grounds:
    """All of them.

    Attributes:
        classes: the most probable ones first.
        rules: in the order in which they are applied.
    """

    classes: Tuple[ClassRow, ...]
    rules: Tuple[Rule, ...]


def grounds_of(bundle: Bundle, policy: Policy, said: Classification, most: int = 5) -> Grounds:
    """What the decision about a picture that stands alone rests on.

    Args:
        bundle: of the model.
        policy: of the deployment.
        said: the decision.
        most: classes that are listed.
    """
    assert said.result is not None
    assessment = said.result.assessment
    logits = assessment.logits.astype(np.float64)
    raw = np.exp(logits - logits.max())
    raw /= raw.sum()
    costs = None if policy.costs is None else policy.costs.matrix @ assessment.probabilities
    order = np.argsort(-assessment.probabilities, kind='stable')[:most].tolist()
    classes = tuple(ClassRow(bundle.class_names[place], float(logits[place]), float(raw[place]),
                             float(assessment.probabilities[place]), None if costs is None else float(costs[place]))
                    for place in order)
    return Grounds(classes, (*_calibration(bundle, said), *_unknown(policy, said),
                             *_acting(bundle, policy, said, classes), *_doubt(bundle, said)))


def _calibration(bundle: Bundle, said: Classification) -> Sequence[Rule]:
    assert said.result is not None
    found: List[Rule] = []
    if bundle.members:
        return [Rule('members', str(len(bundle.members)), 'whose calibrated probabilities are averaged; raw is the '
                     'softmax of their mean logits')]
    if bundle.vector is not None:
        found.append(Rule('vector scaling', 'yes', 'logits are scaled and shifted class by class before the softmax, '
                          'as fitted to calibration pictures'))
    elif bundle.temperature is not None:
        change = 'less' if bundle.temperature > 1 else 'more'
        found.append(Rule('temperature', f'{bundle.temperature:.3f}', 'the logits are divided by it before the '
                          f'softmax, which makes the probabilities claim {change} than the raw ones; fitted to '
                          'calibration pictures'))
    else:
        found.append(Rule('temperature', 'none', 'the model is not calibrated: its confidences are not probabilities'))
    ood = said.result.assessment.ood
    if bundle.density_aware is not None and ood is not None:
        tau = bundle.density_aware.tau_of(ood.score)
        found.append(Rule('factor for unusual pictures', f'{tau:.3f}', 'times the temperature: it grows with the score '
                          "of unknowns, from 1 for pictures like the calibration's"))
    return found


def _unknown(policy: Policy, said: Classification) -> Sequence[Rule]:
    assert said.result is not None
    if said.result.camera is not None and said.result.camera.fault is not None:
        yield_words = f'the picture shows a fault of the camera ({said.result.camera.reason}), which makes it unknown'
        return [Rule('camera', said.result.camera.fault.value, yield_words)]
    if said.ood_p_value is None or not policy.false_unknown_rate:
        return [Rule('unknown', 'never', 'there are no p-values by which a picture could be called unknown, or too few '
                     'calibration pictures for the wanted rate')]
    sign = '<' if said.ood_p_value < policy.false_unknown_rate else '>='
    return [Rule('p-value of the unknown', f'{said.ood_p_value:.4f} {sign} {policy.false_unknown_rate:.4f}',
                 'share of the calibration pictures that look at least as unusual; a single picture below the second '
                 'number is unknown'),
            Rule('probability of the unknown', f'{said.unknown_probability:.3f}', 'what that comes to; above .5 it is '
                 'unknown, whatever the classes say')]


def _acting(bundle: Bundle, policy: Policy, said: Classification, classes: Sequence[ClassRow]) -> Sequence[Rule]:
    first = classes[0]
    if policy.costs is None:
        needed = 1 - policy.abstain_cost
        sign = '>=' if first.probability >= needed else '<'
        return [Rule('needed to act', f'{first.probability:.3f} {sign} {needed:.3f}', 'probability of the best class, '
                     f'and 1 minus the cost of saying "uncertain" ({policy.abstain_cost:.2f}, where a wrong label '
                     'costs 1)')]
    best = min(classes, key=lambda row: row.cost if row.cost is not None else float('inf'))
    threshold = float(policy.costs.thresholds[bundle.class_names.index(best.name)])
    if not isnan(threshold):
        sign = '>=' if best.probability >= threshold else '<'
        return [Rule('needed to act', f'{best.probability:.3f} {sign} {threshold:.3f}', f'probability of {best.name}, '
                     'and the threshold that the file of costs gives it')]
    assert best.cost is not None
    sign = '<=' if best.cost <= policy.abstain_cost else '>'
    return [Rule('cost of acting', f'{best.cost:.3f} {sign} {policy.abstain_cost:.3f}', f'expected, of {best.name}, '
                 'the cheapest class; and the cost of saying "uncertain"')]


def _doubt(bundle: Bundle, said: Classification) -> Sequence[Rule]:
    assert said.result is not None
    assessment, found = said.result.assessment, []
    if bundle.conformal is not None and said.conformal_set is not None:
        names = ', '.join(said.conformal_set[:8]) + (', ...' if len(said.conformal_set) > 8 else '')
        found.append(Rule('possible classes', f'{len(said.conformal_set)}', f'{names}: a set that holds the true class '
                          f'of {100 * (1 - bundle.conformal.alpha):g} % of such pictures'
                          + ('; none passed, and the best class stands alone' if assessment.conformal_set_was_empty
                             else '')
                          + ('. That holds of all of them taken together and promises nothing of this one: a single '
                             'class can be left, and yet be too improbable to act on'
                             if len(said.conformal_set) == 1 and said.decision is Outcome.UNCERTAIN else '')))
    found.append(Rule('entropy', f'{said.entropy:.3f}', 'of the probabilities: 0 is sure, 1 is even'))
    if assessment.mutual_information is not None:
        found.append(Rule('of it by the model', f'{assessment.mutual_information:.3f}', 'mutual information: the part '
                          'that more training data would reduce; the rest lies in the picture'))
    return found
