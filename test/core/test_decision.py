"""When a label is accepted."""
import numpy as np
import pytest

from robot_vision_dl.core.decision import decide
from robot_vision_dl.core.types import OodResult, Outcome

NAMES = ('stop_sign', 'yield', 'tree')


def of(posterior, cost=0.3, p_value=None, epsilon=0.01):
    ood = None if p_value is None else OodResult('energy', 1.0, p_value)
    return decide(np.array(posterior, np.float32), NAMES, cost, ood, epsilon)


def test_accepts_where_acting_costs_at_most_what_abstaining_costs():
    decision = of([0.71, 0.2, 0.09])
    assert (decision.outcome, decision.label, decision.class_index) == (Outcome.ACCEPTED, 'stop_sign', 0)
    assert decision.confidence == pytest.approx(0.71)
    assert of([0.7, 0.2, 0.1], cost=0.3 + 1e-6).outcome is Outcome.ACCEPTED
    assert of([0.69, 0.21, 0.1]).outcome is Outcome.UNCERTAIN


def test_uncertain_names_the_rivals():
    decision = of([0.33, 0.61, 0.06])
    assert decision.label == 'uncertain'
    assert decision.class_index == 1
    assert decision.reason == 'yield .61 vs stop_sign .33, needs .70'


def test_accepted_label_is_kept_within_the_hysteresis():
    def again(posterior, before):
        return decide(np.array(posterior), NAMES, 0.3, None, 0.01, hysteresis=0.1, accepted_before=before).outcome
    assert again([0.65, 0.3, 0.05], None) is Outcome.UNCERTAIN
    assert again([0.65, 0.3, 0.05], 0) is Outcome.ACCEPTED
    assert again([0.59, 0.3, 0.11], 0) is Outcome.UNCERTAIN
    assert again([0.65, 0.3, 0.05], 1) is Outcome.UNCERTAIN


@pytest.mark.parametrize('cost, outcome', [(1.0, Outcome.ACCEPTED), (0.0, Outcome.UNCERTAIN)])
def test_extreme_costs(cost, outcome):
    assert of([0.4, 0.35, 0.25], cost=cost).outcome is outcome


def test_unknown_beats_everything():
    decision = of([0.99, 0.005, 0.005], p_value=0.004)
    assert (decision.outcome, decision.label) == (Outcome.UNKNOWN, 'unknown')
    assert decision.confidence == pytest.approx(0.996)
    assert 'p = 0.004' in decision.reason


def test_false_unknown_rate_zero_never_says_unknown():
    assert of([0.9, 0.05, 0.05], p_value=1e-6, epsilon=0.0).outcome is Outcome.ACCEPTED


def test_score_without_calibration_says_nothing():
    decision = decide(np.array([0.9, 0.1]), NAMES[:2], 0.3, OodResult('energy', 9.9, None), 0.01)
    assert decision.outcome is Outcome.ACCEPTED


def test_one_class_has_no_rival():
    assert decide(np.array([1.0]), ('only',), 0.0, None, 0.01).outcome is Outcome.ACCEPTED


def test_share_of_false_unknowns_is_the_rate_asked_for():
    random = np.random.default_rng(0)
    calibration = np.sort(random.normal(size=2000))
    scores = random.normal(size=20000)
    p_values = (1 + 2000 - np.searchsorted(calibration, scores, 'left')) / 2001
    unknown = np.mean([of([0.9, 0.05, 0.05], p_value=p, epsilon=0.05).outcome is Outcome.UNKNOWN for p in p_values])
    assert unknown == pytest.approx(0.05, abs=0.015)
