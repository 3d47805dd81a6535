"""Posterior and costs -> accept, uncertain or unknown."""
from typing import Optional, Sequence

import numpy as np

from .types import UNCERTAIN, UNKNOWN, Decision, OodResult, Outcome


def short(probability: float) -> str:
    """A probability as people write it: ``.61``, ``.99`` at most short of certainty."""
    return f'{min(probability, 0.99):.2f}'.lstrip('0') if probability < 0.995 else '>.99'


def needed_probability(abstain_cost: float, hysteresis: float = 0.0) -> float:
    """What the posterior of the best class must reach to be accepted, in [0, 1]."""
    return max(1.0 - abstain_cost - hysteresis, 0.0)


def decide(posterior: np.ndarray, class_names: Sequence[str], abstain_cost: float, ood: Optional[OodResult],
           false_unknown_rate: float, hysteresis: float = 0.0, accepted_before: Optional[int] = None) -> Decision:
    """Gate the fused posterior (Chow 1970: accept if the expected cost of acting is at most that of abstaining).

    With a cost of 1 for every wrong label, acting on the best class costs 1 - max p, so it is accepted from
    max p >= 1 - abstain_cost. A frame whose OOD p-value lies below ``false_unknown_rate`` is ``unknown`` whatever the
    posterior says: that posterior only tells the known classes apart.

    Args:
        posterior: shape (C,), sums to 1.
        class_names: C names.
        abstain_cost: in [0, 1].
        ood: of the newest frame, or None.
        false_unknown_rate: epsilon in [0, 1]; 0 never says unknown.
        hysteresis: the class accepted before needs so much less to stay accepted.
        accepted_before: index of the class that the decision before accepted, or None.
    """
    best = int(posterior.argmax())
    probability = float(posterior[best])
    if ood is not None and ood.p_value is not None and ood.p_value < false_unknown_rate:
        return Decision(Outcome.UNKNOWN, UNKNOWN, 1.0 - ood.p_value,
                        f'unlike anything in training: {ood.method} p = {ood.p_value:.3f}, '
                        f'below {false_unknown_rate:g}', best)
    needed = needed_probability(abstain_cost, hysteresis if best == accepted_before else 0.0)
    if probability >= needed:
        return Decision(Outcome.ACCEPTED, class_names[best], probability,
                        f'{class_names[best]} {short(probability)}, needs {short(needed)}', best)
    if len(class_names) > 1:
        runner_up = int(np.argpartition(posterior, -2)[-2])
        rival = f' vs {class_names[runner_up]} {short(float(posterior[runner_up]))}'
    else:
        rival = ''
    return Decision(Outcome.UNCERTAIN, UNCERTAIN, probability,
                    f'{class_names[best]} {short(probability)}{rival}, needs {short(needed)}', best)
