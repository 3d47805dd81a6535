"""When a label is accepted."""
import os

import numpy as np
import pytest

from robot_vision_dl.core.decision.costs import costs_from, read_costs, relabelled
from robot_vision_dl.core.decision.decision import Policy, decide
from robot_vision_dl.core.decision.e_value import e_value, unknown_probability
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.types import OodResult, Outcome

NAMES = ('stop_sign', 'yield', 'tree')


def of(posterior, cost=0.3, p_value=None, epsilon=0.01):
    ood = None if p_value is None else OodResult('energy', 1.0, p_value)
    unknown = 0.0 if p_value is None else unknown_probability(e_value(p_value), epsilon)
    return decide(np.array(posterior, np.float32), NAMES, Policy(cost, epsilon), ood, unknown)


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
    assert of([0.698, 0.2, 0.102]).reason == 'stop_sign just below .70 vs yield .20, needs .70'


def test_accepted_label_is_kept_within_the_hysteresis():
    def again(posterior, before):
        accepted = None if before is None else of(np.eye(3)[before])
        return decide(np.array(posterior), NAMES, Policy(0.3, 0.01, 0.1), before=accepted).outcome
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
    assert decision.confidence == pytest.approx(unknown_probability(e_value(0.004), 0.01))
    assert 'p = 0.004' in decision.reason


def test_false_unknown_rate_zero_never_says_unknown():
    assert of([0.9, 0.05, 0.05], p_value=1e-6, epsilon=0.0).outcome is Outcome.ACCEPTED


def test_score_without_calibration_says_nothing():
    decision = decide(np.array([0.9, 0.1]), NAMES[:2], Policy(0.3, 0.01), OodResult('energy', 9.9, None))
    assert decision.outcome is Outcome.ACCEPTED


def test_one_class_has_no_rival():
    assert decide(np.array([1.0]), ('only',), Policy(0.0, 0.01)).outcome is Outcome.ACCEPTED


def test_share_of_false_unknowns_is_the_rate_asked_for():
    random = np.random.default_rng(0)
    calibration = np.sort(random.normal(size=2000))
    scores = random.normal(size=20000)
    p_values = (1 + 2000 - np.searchsorted(calibration, scores, 'left')) / 2001
    unknown = np.mean([of([0.9, 0.05, 0.05], p_value=p, epsilon=0.05).outcome is Outcome.UNKNOWN for p in p_values])
    assert unknown == pytest.approx(0.05, abs=0.015)


def test_unknown_stays_within_the_hysteresis_and_says_so():
    policy = Policy(0.3, 0.01, 0.1)
    unknown = of([0.9, 0.05, 0.05], p_value=0.004)
    now = OodResult('energy', 1.0, 0.2)
    kept = decide(np.array([0.9, 0.05, 0.05]), NAMES, policy, now, 0.45, unknown)
    assert kept.outcome is Outcome.UNKNOWN
    assert kept.reason == 'unlike anything in training a moment ago: unknown .45'
    assert decide(np.array([0.9, 0.05, 0.05]), NAMES, policy, now, 0.45, None).outcome is Outcome.ACCEPTED
    assert decide(np.array([0.9, 0.05, 0.05]), NAMES, policy, now, 0.39, unknown).outcome is Outcome.ACCEPTED


COSTS = {'costs': {'tree': {'stop_sign': 20}}, 'thresholds': {'yield': 0.9}, 'abstain': 0.3}


def with_costs(posterior, cost=0.3, before=None, hysteresis=0.0, **changes):
    costs = costs_from({**COSTS, **changes}, NAMES)
    return decide(np.array(posterior), NAMES, Policy(cost, 0.01, hysteresis, costs), before=before)


def test_costs_choose_the_class_with_the_least_expected_cost():
    # tree .90 would cost .03 * 20 + .07 = .67, stop_sign .97, yield .93.
    decision = with_costs([0.03, 0.07, 0.90])
    assert (decision.outcome, decision.class_index) == (Outcome.UNCERTAIN, 2)
    assert decision.reason == 'tree .90 vs yield .07, expected cost 0.67, at most 0.30'
    assert with_costs([0.005, 0.015, 0.98]).label == 'tree'
    # Where a stop sign is possible, saying tree is so dear that stop_sign is said at .4.
    assert with_costs([0.4, 0.05, 0.55], cost=0.7).label == 'stop_sign'


def test_thresholds_of_classes_take_the_place_of_costs():
    assert with_costs([0.08, 0.89, 0.03]).outcome is Outcome.UNCERTAIN
    assert with_costs([0.05, 0.92, 0.03]).label == 'yield'
    before = with_costs([0.05, 0.92, 0.03])
    assert with_costs([0.08, 0.85, 0.07], before=before, hysteresis=0.1).label == 'yield'


def test_costs_of_one_are_chow_s_rule():
    random = np.random.default_rng(1)
    costs = costs_from({}, NAMES)
    for _ in range(200):
        p, cost = random.dirichlet(np.ones(3)), random.uniform()
        plain, same = decide(p, NAMES, Policy(cost)), decide(p, NAMES, Policy(cost, costs=costs))
        assert (plain.outcome, plain.class_index) == (same.outcome, same.class_index)


def test_relabelling_classes_relabels_decisions():
    random, order = np.random.default_rng(2), np.array([2, 0, 1])
    costs = costs_from(COSTS, NAMES)
    names = [NAMES[i] for i in order]
    for _ in range(200):
        p = random.dirichlet(np.ones(3))
        one = decide(p, NAMES, Policy(0.3, costs=costs))
        other = decide(p[order], names, Policy(0.3, costs=relabelled(costs, order)))
        assert one.label == other.label


@pytest.mark.parametrize('values, message', [
    ({'cost': 1}, '^is none of the settings wrong, abstain, costs, thresholds$'),
    ({'costs': {'tre': {'yield': 1}}}, "^costs: is not a class of the model; did you mean 'tree'"),
    ({'costs': {'tree': {'tree': 1}}}, 'costs.tree.tree: being right costs nothing'),
    ({'costs': {'tree': {'yield': -1}}}, 'costs.tree.yield: must be a number in 0..1e[+]09$'),
    ({'costs': ['tree']}, '^costs: must be settings as `name: value`'),
    ({'thresholds': {'tree': 1.1}}, 'thresholds.tree: must be a number in 0..1$'),
])
def test_costs_that_cannot_be_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        costs_from(values, NAMES)


def test_costs_come_from_a_file(tmp_path):
    file = tmp_path / 'costs.yaml'
    file.write_text('wrong: 2\ncosts:\n  tree: {stop_sign: 20}\n')
    assert read_costs(file, NAMES).matrix.tolist() == [[0, 2, 2], [2, 0, 2], [20, 2, 0]]
    file.write_text('a: [')
    with pytest.raises(ConfigError, match='costs.yaml: is not YAML that can be read .line 2, column 1'):
        read_costs(file, NAMES)
    with pytest.raises(ConfigError, match='cannot be read'):
        read_costs(tmp_path / 'none.yaml', NAMES)


@pytest.mark.parametrize('name, text, message', [
    ('no', 'costs: {no: {off: 7}}\nthresholds: {010: .5}', ''),
    ('a', 'wrong: 1\ncosts:\n  tre: {yield: 1}\n', 'line 3, column 3: costs: is not a class of the model; there'),
    ('a', 'wrong: [1]', 'line 1, column 1: wrong: must be a number'),
    ('a', 'abstain:', 'line 1, column 1: abstain: must be a number'),
    ('a', 'wrong: yes', 'line 1, column 1: wrong: must be a number'),
    ('a', 'thresholds: {a: .nan}', 'line 1, column 14: thresholds.a: must be a number'),
    ('a', 'root:x:0:0:root:/root:/bin/bash', 'must be settings as `name: value`'),
    ('a', 'user: root\npassword: hunter2\n', 'line 1, column 1: is none of the settings'),
    ('a', 'password: {', 'line 2, column 1'), ('a', '- root\n- hunter2\n', 'must be settings'),
    ('a', 'costs: [hunter2]', 'line 1, column 1: costs: must be settings'),
    ('a', 'wrong: hunter2', 'wrong: must be a number'), ('a', 'costs: {hunter2: root}', 'costs: is not a class'),
    ('a', 'costs: {a: {hunter2: 3}}', 'line 1, column 13: costs.a: is not a class'),
    ('a', 'costs: {a: hunter2}', 'costs.a: must be settings'), ('a', 'thresholds: {hunter2: 1}', 'is not a class'),
    ('a', 'hunter2 root: : :', 'is not YAML'), ('a', 'wrong: 1\nwrong: hunter2', 'line 2, column 1: a key that'),
    ('a', 'a\\\x00hunter2', 'line 1 holds a NUL'), ('a', 'wrong: ' + '9' * 5000, 'more than 100 digits'),
    ('a', 'wrong: 2001-99-99', 'wrong: must be a number'), ('a', '[' * 6000, 'nest'),
])
def test_nothing_of_a_file_that_is_none_of_costs_is_told(tmp_path, name, text, message):
    file = tmp_path / 'costs.yaml'
    file.write_text(text)
    if not message:
        costs = read_costs(file, ('no', 'off', '010'))
        assert costs.matrix[0, 1] == 7 and costs.thresholds[2] == .5
        return
    with pytest.raises(ConfigError) as caught:
        read_costs(file, (name, 'b'))
    said = str(caught.value).replace(str(tmp_path), '')
    assert message in said and 'costs.yaml' in said and '\n' not in said
    assert not any(word in said for word in ('hunter2', 'root', 'password', '999', 'user'))


def test_costs_that_are_no_file_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / 'fifo')
    for path in (tmp_path / 'fifo', '/dev/zero', tmp_path, '~nosuchuser/costs.yaml', 'x' * 300, 'a\0b'):
        with pytest.raises(ConfigError):
            read_costs(path, NAMES)
