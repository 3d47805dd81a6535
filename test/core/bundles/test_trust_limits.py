"""What few calibration pictures cannot promise is counted rightly, and said."""
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from robot_vision_dl.core.bundles.bundle import Bundle
from robot_vision_dl.core.bundles.trust_limits import p_value_grid, trust_limits
from robot_vision_dl.core.config import DecisionConfig
from robot_vision_dl.core.decision.e_value import OodEvidence
from robot_vision_dl.core.networks.architecture import Architecture
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.uncertainty.attainable_rates import (
    Grid,
    deciding_rate,
    pictures_for_rate,
    rate_in_force,
    smallest_rate,
)
from robot_vision_dl.core.uncertainty.conformal import fit_conformal
from robot_vision_dl.core.uncertainty.ood.p_value import OodCalibration
from robot_vision_dl.core.uncertainty.risk import pictures_for_risk, threshold_for_risk

NAMES = ('fist', 'one', 'palm', 'stop', 'thumb')
MS = 1_000_000


def bundle(n=22, alpha=0.1, **changes):
    rng = np.random.default_rng(0)
    p, labels = rng.dirichlet(np.ones(5), n), rng.integers(5, size=n)
    return replace(Bundle(
        'hands', 'hands', None, '0', Architecture('lenet5', 5), NAMES, Preprocessing(resize=32, crop=(32, 32)),
        temperature=1.2, precision='float32', conformal=fit_conformal(p, labels, alpha),
        ood=OodCalibration('energy', rng.normal(size=n).astype(np.float32)),
        metrics=MappingProxyType({'calibration': {'pictures': n, 'nll_plain': 0.5, 'nll': 0.4}})), **changes)


@pytest.mark.parametrize('rate', [1.0, 0.5, 0.29, 0.1, 0.05, 0.03, 0.01, 0.001, 1 / 3, 1 / 7])
def test_so_many_pictures_reach_a_rate_and_one_less_does_not(rate):
    n = pictures_for_rate(rate)
    assert smallest_rate(n) <= rate * (1 + 1e-12)
    assert n == 1 or smallest_rate(n - 1) > rate
    for count, reached in ((n, True), (n - 1, rate == 1)):
        grid = Grid(1 / (count + 1), 1 / (count + 1))
        assert (deciding_rate(grid, rate, take_smallest=False) > 0) is reached
        assert rate_in_force(grid, rate, False) == (rate if reached else 0)
        assert deciding_rate(grid, rate) > 0 and rate_in_force(grid, rate) == max(rate, grid.smallest)
    assert rate_in_force(None, rate) == rate_in_force(Grid(0.1, 0.1), 0.0) == 0


@pytest.mark.parametrize('n', [1, 22, 99, 100, 500])
@pytest.mark.parametrize('wanted', [0.001, 0.01, 0.05, 0.3])
@pytest.mark.parametrize('take_smallest', [False, True])
def test_the_rate_decided_by_calls_exactly_the_p_values_up_to_the_one_wanted_unknown(n, wanted, take_smallest):
    values = np.arange(1, n + 2) / (n + 1)
    called = values < deciding_rate(Grid(1 / (n + 1), 1 / (n + 1)), wanted, take_smallest)
    expected = values <= wanted
    if take_smallest and not expected.any():
        expected = values <= 1 / (n + 1)
    assert called.tolist() == expected.tolist()


@pytest.mark.parametrize('n, wanted', [(22, 0.01), (99, 0.01), (9, 0.1)])
def test_a_foreign_thing_after_a_known_one_becomes_unknown_with_the_fewest_pictures(n, wanted):
    """The evidence is an average: a threshold at the smallest p-value itself would never be passed."""
    state, rate = OodEvidence(), deciding_rate(Grid(1 / (n + 1), 1 / (n + 1)), wanted, take_smallest=True)
    for i in range(30):
        state.update(0.6, i * 33 * MS, 0.1)
    found = []
    for i in range(30, 60):
        state.update(1 / (n + 1), i * 33 * MS, 0.1)
        found.append(state.probability(rate) > 0.5)
    assert 0 < found.index(True) < 15 and all(found[found.index(True):])
    exact = OodEvidence()
    for i in range(60):
        exact.update(0.6 if i < 30 else 1 / (n + 1), i * 33 * MS, 0.1)
    assert exact.probability(1 / (n + 1)) < 0.5


def test_unknown_that_cannot_be_said_is_said_with_what_is_needed():
    limit, = trust_limits(bundle(22), DecisionConfig(smallest_reachable_rate=False))
    assert (limit.what, limit.have, limit.needed) == ('unknown', 22, 99)
    assert 'nothing can be called unknown at decision.false_unknown_rate 0.01' in limit.sentence
    assert '22 calibration pictures' in limit.sentence and '0.0435' in limit.sentence and '99 are' in limit.sentence
    assert 'smallest_reachable_rate' in limit.sentence
    usual, = trust_limits(bundle(22))
    assert usual.what == 'unknown_rate' and 'smallest rate that can be reached, 0.0435' in usual.sentence
    assert trust_limits(bundle(98)) and not trust_limits(bundle(99))
    assert not trust_limits(bundle(22), DecisionConfig(false_unknown_rate=0.0))
    assert not trust_limits(bundle(22), DecisionConfig(false_unknown_rate=0.05))
    assert 'no OOD score' in trust_limits(bundle(500, ood=None))[0].sentence


@pytest.mark.parametrize('pictures', [9, 11, 22, 40, 60, 98])
def test_the_rate_that_is_named_to_accept_is_one_that_can_be_reached(pictures):
    limit, = trust_limits(bundle(pictures))
    accepted = float(limit.text.partition('decision.false_unknown_rate: ')[2])
    assert not trust_limits(bundle(pictures), DecisionConfig(false_unknown_rate=accepted))


def figures(**values):
    return MappingProxyType({'calibration': {'pictures': 200, 'nll_plain': 0.5, 'nll': 0.4, 'top1': 0.9, **values}})


def test_the_number_that_is_needed_is_the_one_to_give():
    limit, = trust_limits(bundle(22, metrics=figures(pictures=44, objects=20, counted='objects')))
    assert '99 labelled pictures with --reference' in limit.text and 'or 198 without, where half' in limit.text
    assert '22 of 44 calibration pictures of 20 objects' in limit.text and (limit.have, limit.needed) == (22, 99)
    kept, = trust_limits(bundle(22, ood=OodCalibration('knn', np.arange(22.0)), provenance={'trained': 'all layers'}))
    assert 'Give `robot-vision calibrate` 99 labelled pictures; or accept it' in kept.text  # its score stays
    of_both, = trust_limits(bundle(60, metrics=figures(pictures=20, scores_of_before=40)))
    assert '60 calibration pictures, 40 of them of a calibration before, give no' in of_both.text
    whole, = trust_limits(bundle(22, metrics=figures(pictures=22, objects=1, counted='recordings')))
    assert ': 22 calibration pictures of 1 recording give no' in whole.text


def test_a_limit_is_said_without_the_name_under_a_heading_with_it():
    limit, = trust_limits(bundle(22, name='hand: left'))
    assert limit.sentence == f'hand: left: {limit.text}' and limit.text.startswith('unknown is said at the smallest')
    assert limit.under('hand: left') == limit.text and limit.under('both hands') == limit.sentence


def test_many_pictures_of_few_objects_are_few():
    limit, = trust_limits(bundle(200, metrics=figures(objects=10, counted='objects')))
    assert (limit.what, limit.have, limit.needed) == ('objects', 10, 99)
    assert '200 calibration pictures of 10 objects' in limit.text and 'pictures of 99 objects are needed' in limit.text
    assert not trust_limits(bundle(200, metrics=figures(objects=99, counted='objects')))
    assert not trust_limits(bundle(200, metrics=figures(objects=3, counted='recordings')))
    assert not trust_limits(bundle(200, metrics=figures(objects='10', counted='objects')))


FAULTY = {'covered lens': 0.0, 'overexposed': 0.0, 'blank wall': 0.0, 'noise': 0.0}


@pytest.mark.parametrize('rates, named', [
    (FAULTY, list(FAULTY)),
    ({**FAULTY, 'noise': 0.3}, list(FAULTY)),
    ({**FAULTY, 'noise': 1.0, 'kettles': 0.04, 'hats': 0.5}, ['kettles']),
    ({**FAULTY, 'noise': 1.0, 'kettles': 0.5}, []),
    ({'unknown': 0.0}, ['unknown']),
    ({'noise': 'x', 'hats': None, 'a': float('nan')}, []),
    ('nonsense', []),
])
def test_a_score_that_misses_what_it_is_for_is_said(rates, named):
    values = figures(unknown_rate=rates, unknown_rate_at=0.01, ood_auroc={'noise': 0.54, 'kettles': 0.6})
    found = trust_limits(bundle(200, metrics=values))
    assert [limit.what for limit in found] == ['foreign'] * bool(named)
    for limit in found:
        assert all(f'{name} 0.' in limit.text for name in named) and 'false_unknown_rate 0.01' in limit.text
        assert ('hats' in limit.text) is ('hats' in named) and ('AUROC' in limit.text) is (named != ['unknown'])
    assert not trust_limits(bundle(200, metrics=values), DecisionConfig(false_unknown_rate=0.0))


@pytest.mark.parametrize('rate, remedy', [
    (1 / 23, 'With 22 calibration pictures its threshold lies beyond all of them: calibrate on more, 99 at least'),
    (0.01, 'Raise decision.false_unknown_rate, or calibrate on pictures of the deployment'),
])
def test_a_score_that_ranks_well_is_not_blamed_for_its_threshold(rate, remedy):
    values = figures(unknown_rate={'ood': 0.0}, unknown_rate_at=round(rate, 6), ood_auroc={'ood': 0.96})
    limit, = (limit for limit in trust_limits(bundle(200, metrics=values)) if limit.what == 'foreign')
    assert f'called unknown at false_unknown_rate {rate:.4g}: ood 0.0000 (AUROC 0.96). {remedy}' in limit.text
    assert '--ood-pictures' not in limit.text and 'misses' not in limit.text
    values = figures(unknown_rate={'ood': 0.0, 'hats': 0.0}, unknown_rate_at=0.01, ood_auroc={'ood': 0.96, 'hats': 0.6})
    limit, = trust_limits(bundle(200, metrics=values))
    missed, _, ranked = limit.text.partition('; ')
    assert 'hats' in missed and 'ood 0' not in missed and 'ood 0' in ranked and 'hats' not in ranked


@pytest.mark.parametrize('values, said', [
    ({'nll_plain': 2.0, 'nll': 1.62, 'top1': 0.22}, 'log-likelihood of 1.620 (knowing nothing: ln 5 = 1.609)'),
    ({'top1': 0.2}, 'an accuracy of 0.200 (guessing: 0.200)'),
    ({'top1': 0.3, 'pictures_by_class': [60, 35, 35, 35, 35]}, 'an accuracy of 0.300 (always the most frequent class'),
    ({'top1': 0.31, 'pictures_by_class': [60, 35, 35, 35, 35]}, None),
    ({'top1': None, 'nll': 'x'}, None),
])
def test_a_model_that_is_no_better_than_chance_is_said(values, said):
    found = [limit.text for limit in trust_limits(bundle(200, metrics=figures(**values)))]
    assert len(found) == (said is not None)
    if said:
        assert said in found[0] and 'on 200 calibration pictures it is no better than chance' in found[0]


def test_a_model_that_is_often_right_and_far_too_sure_is_not_called_no_better_than_chance():
    limit, = trust_limits(bundle(200, metrics=figures(nll_plain=5.0, nll=3.2, top1=0.87)))
    assert 'it is far too sure where it is wrong: a negative log-likelihood of 3.200' in limit.text
    assert 'though it gets 0.870 right' in limit.text and 'chance' not in limit.text


def test_members_of_an_ensemble_are_counted_together():
    """Twice the mean of p-values: with 99 pictures each it is .02 at least."""
    members = (bundle(99), bundle(99))
    both = bundle(ood=None, conformal=None, members=members, temperature=1.0)
    assert p_value_grid(both) == pytest.approx((0.02, 0.01))
    limit, = trust_limits(both)
    assert limit.needed == 199
    assert not trust_limits(replace(both, members=(bundle(199), bundle(199))))
    assert p_value_grid(replace(both, members=(bundle(99), bundle(99, ood=None)))) is None


@pytest.mark.parametrize('method, n, needed', [('lac', 8, 9), ('aps', 8, 9), ('raps', 10, 11)])
def test_sets_that_hold_every_class_for_want_of_pictures_are_said(method, n, needed):
    def fitted(count):
        rng = np.random.default_rng(1)
        p = rng.dirichlet(np.ones(5), count)
        figures = {'pictures': count, 'nll_plain': 1.0, 'nll': 1.0}
        return bundle(500, conformal=fit_conformal(p, rng.integers(5, size=count), 0.1, method),
                      metrics=MappingProxyType(figures))
    limit, = trust_limits(fitted(n))
    assert (limit.what, limit.have, limit.needed) == ('conformal', n, needed)
    assert 'hold every class' in limit.sentence
    assert not trust_limits(fitted(needed))


def test_classes_without_a_threshold_of_their_own_and_with_few_pictures_are_named():
    rng = np.random.default_rng(2)
    labels = np.array([0] * 40 + [1] * 40 + [2] * 40 + [3] * 4)
    figures = {'pictures': 124, 'nll_plain': 1.0, 'nll': 1.0, 'pictures_by_class': [40, 40, 40, 4, 0]}
    found = trust_limits(bundle(124, conformal=fit_conformal(rng.dirichlet(np.ones(5), 124), labels, 0.1, 'per_class'),
                                metrics=MappingProxyType(figures)))
    assert [limit.what for limit in found] == ['conformal', 'classes']
    assert 'stop, thumb' in found[0].sentence and found[0].needed == 9
    assert 'stop (4), thumb (0)' in found[1].sentence and 'fist' not in found[1].sentence


def test_a_bundle_whose_calibration_made_it_worse_is_found_out():
    """As it was made before: five classes, 22 frames, temperature .05."""
    figures = {'calibration': {'pictures': 22, 'nll_plain': 0.11, 'nll': 1.70}}
    sentences = [limit.sentence for limit in trust_limits(bundle(22, temperature=0.05,
                                                                 metrics=MappingProxyType(figures)))]
    assert any('0.1100 became 1.7000' in one and 'calibrate' in one for one in sentences)
    assert any('end of the range' in limit.sentence for limit in trust_limits(bundle(200, temperature=0.05)))
    assert not trust_limits(bundle(200))


def test_a_risk_needs_so_many_frames_that_are_all_right():
    for risk in (0.01, 0.05, 0.2):
        n = pictures_for_risk(risk)
        confidence, wrong = np.linspace(1, 0.5, n), np.zeros(n, bool)
        assert threshold_for_risk(confidence, wrong, risk).accepted == n
        assert not threshold_for_risk(confidence[1:], wrong[1:], risk).accepted


def test_a_scaling_of_before_that_a_few_pictures_find_worse_is_not_one_that_was_made_worse():
    tried = {'plain': 0.5, 'as before': 0.6, 'temperature': 0.65}
    kept = bundle(200, metrics=MappingProxyType({'calibration': {
        'pictures': 200, 'nll_plain': 0.5, 'nll': 0.6, 'nll_by_scaling': tried}}))
    assert not trust_limits(kept)
    made = replace(kept, metrics=MappingProxyType({'calibration': {
        'pictures': 200, 'nll_plain': 0.5, 'nll': 0.65, 'nll_by_scaling': tried}}))
    assert 'made its probabilities worse' in trust_limits(made)[0].text


def test_pictures_of_few_of_very_many_classes_are_told():
    few, = trust_limits(bundle(200, metrics=figures(classes_seen=2)))
    assert (few.what, few.have, few.needed) == ('classes', 2, 5) and 'of 2 of its 5 classes' in few.text
    assert not trust_limits(bundle(200, metrics=figures(classes_seen=3)))
