"""Posterior and costs -> accept, uncertain or unknown."""
from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np

from ..types import UNCERTAIN, UNKNOWN, CameraCheck, Decision, OodResult, Outcome
from .costs import Costs


@dataclass(frozen=True)
class Policy:
    """What acting and abstaining cost.

    Attributes:
        abstain_cost: of saying "uncertain", where a wrong label costs 1.
        false_unknown_rate: epsilon in [0, 1]; 0 never says unknown. Of a pipeline: that of
            :func:`~.uncertainty.attainable_rates.deciding_rate`.
        hysteresis: what was accepted, or unknown, before needs so much less to stay so.
        costs: of each confusion, and thresholds; None: every wrong label costs 1.
    """

    abstain_cost: float
    false_unknown_rate: float = 0.0
    hysteresis: float = 0.0
    costs: Optional[Costs] = None


def short(probability: float) -> str:
    """A probability as people write it: ``.61``, ``.99`` at most short of certainty."""
    return f'{min(probability, 0.99):.2f}'.lstrip('0') if probability < 0.995 else '>.99'


def decide(posterior: np.ndarray, class_names: Sequence[str], policy: Policy, ood: Optional[OodResult] = None,
           unknown_probability: float = 0.0, before: Optional[Decision] = None) -> Decision:
    """Gate the fused posterior (Chow 1970: accept if the expected cost of acting is at most that of abstaining).

    With a cost of 1 for every wrong label, acting on the best class costs 1 - max p, so it is accepted from
    max p >= 1 - abstain_cost. With costs of confusions, the best class is the one with the least expected cost. What
    is more likely unknown than not is ``unknown`` whatever the posterior says: that only tells the known classes apart.

    Args:
        posterior: shape (C,), sums to 1.
        class_names: C names.
        policy: costs and rates.
        ood: of the newest frame, for the reason.
        unknown_probability: fused posterior of the unknown.
        before: the decision before, for the hysteresis.
    """
    kept_unknown = before is not None and before.outcome is Outcome.UNKNOWN
    costs = policy.costs
    expected_costs = None if costs is None else costs.matrix @ posterior
    best = int(posterior.argmax() if expected_costs is None else expected_costs.argmin())
    probability = float(posterior[best])
    if unknown_probability > 0.5 - (policy.hysteresis if kept_unknown else 0.0) and policy.false_unknown_rate > 0:
        return Decision(Outcome.UNKNOWN, UNKNOWN, unknown_probability,
                        _why_unknown(ood, unknown_probability, policy.false_unknown_rate), best)
    is_kept = before is not None and before.outcome is Outcome.ACCEPTED and before.class_index == best
    slack, said = policy.hysteresis if is_kept else 0.0, short(probability)
    threshold = float('nan') if costs is None else costs.thresholds[best]
    if expected_costs is None or threshold == threshold:
        needed = max((1.0 - policy.abstain_cost if expected_costs is None else threshold) - slack, 0.0)
        accepted, rule = probability >= needed, f'needs {short(needed)}'
        if not accepted and said == short(needed):
            said = f'just below {said}'
    else:
        cost, most = float(expected_costs[best]), policy.abstain_cost + slack
        accepted, rule = cost <= most, f'expected cost {cost:.2f}, at most {most:.2f}'
    if accepted:
        return Decision(Outcome.ACCEPTED, class_names[best], probability,
                        f'{class_names[best]} {said}, {rule}', best)
    rival = ''
    if len(class_names) > 1:
        first, second = posterior.argpartition(-2)[-2:]
        runner_up = int(first if second == best else second)
        rival = f' vs {class_names[runner_up]} {short(float(posterior[runner_up]))}'
    return Decision(Outcome.UNCERTAIN, UNCERTAIN, probability,
                    f'{class_names[best]} {said}{rival}, {rule}', best)


def unfit(check: CameraCheck, class_index: int) -> Decision:
    """The decision about a frame whose camera is at fault: unknown, whatever was believed before."""
    return Decision(Outcome.UNKNOWN, UNKNOWN, 1.0, f'camera {check.reason}', class_index)


def _why_unknown(ood: Optional[OodResult], probability: float, epsilon: float) -> str:
    if ood is None or ood.p_value is None or ood.p_value >= epsilon:
        return f'unlike anything in training a moment ago: unknown {short(probability)}'
    by = f'{ood.part}, p' if ood.part else f'{ood.method} p'
    return f'unlike anything in training: {by} = {ood.p_value:.3f}, below {epsilon:.2g}'
