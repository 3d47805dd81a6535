"""Gates on paired differences over recordings: by hand, and by how often they err where the truth is known."""
import numpy as np
import pytest
from evaluation_samples import table_of

from robot_vision_dl.core.errors import DataError
from robot_vision_dl.evaluation.no_worse import (
    FIGURES,
    LEAST_RECORDINGS,
    Decided,
    describe_new_classes,
    expanded_interval,
    gates_json,
    judge,
    t_quantile,
)
from robot_vision_dl.evaluation.table import ACCEPTED, OUT_OF_DISTRIBUTION, UNCERTAIN

NAMES = ('cup', 'mug', 'bowl')
MARGINS = {name: figure.margin for name, figure in FIGURES.items()}
EVERY = 24  # frames a recording


def table(right, recordings=8, classes=3, targets=None, outcome=None, names=NAMES):
    """Frames of ``recordings``; ``right`` (bool, one a frame) says which are answered rightly, by .8 each."""
    n = recordings * EVERY
    targets = np.tile(np.arange(EVERY) % 3, recordings) if targets is None else targets
    called = np.where(right, np.maximum(targets, 0), (np.maximum(targets, 0) + 1) % classes)
    p = np.full((n, classes), .2 / (classes - 1))
    p[np.arange(n), called] = .8
    return table_of(p, targets, recording=np.repeat(np.arange(recordings), EVERY), class_names=names, outcome=outcome)


def by_figure(old, new, margins=MARGINS, **options):
    return {result.figure: result for result in judge(old, new, margins, draws=2000, **options)}


def test_values_are_those_worked_out_by_hand():
    n = 8 * EVERY
    targets = np.tile(np.arange(EVERY) % 4 - 1, 8)  # a quarter unknown
    place = np.arange(n)
    outcome = np.where(place % 5 == 0, OUT_OF_DISTRIBUTION, np.where(place % 7 == 0, UNCERTAIN, ACCEPTED))
    old, new = table(place % 3 > 0, targets=targets, outcome=outcome), table(place % 6 > 0, targets=targets)
    found = by_figure(old, new)
    known, foreign = targets >= 0, targets < 0
    assert found['accuracy'].old == pytest.approx((place % 3 > 0)[known].mean())
    assert found['accuracy'].new == pytest.approx((place % 6 > 0)[known].mean())
    assert found['worst_recall'].new == pytest.approx(min((place % 6 > 0)[targets == c].mean() for c in range(3)))
    right = (place % 3 > 0)[known]
    assert found['nll'].old == pytest.approx(-np.where(right, np.log(.8), np.log(.1)).mean())
    acted = outcome == ACCEPTED
    assert found['foreign_accepted'].old == pytest.approx(acted[foreign].mean())
    assert found['foreign_accepted'].new == 1  # acts on everything
    assert found['false_unknown'].old == pytest.approx((outcome == OUT_OF_DISTRIBUTION)[known].mean())
    assert found['acted_wrong'].old == pytest.approx((acted & (foreign | (place % 3 == 0))).mean())
    assert found['decided_right'].old == pytest.approx(
        ((acted & known & (place % 3 > 0)) | (foreign & (outcome == OUT_OF_DISTRIBUTION))).mean())
    assert found['accuracy'].recordings == 8 and found['accuracy'].shown == 'better'
    assert found['foreign_accepted'].decided is Decided.FAILED and 'worse than the margin of +0.05' in (
        found['foreign_accepted'].reason)


def test_the_same_model_passes_and_is_no_better():
    place = np.arange(8 * EVERY)
    for result in judge(table(place % 3 > 0), table(place % 3 > 0), MARGINS):
        if result.figure == 'foreign_accepted':
            assert result.decided is Decided.UNDECIDED and 'no frozen frame is labelled unknown' in result.reason
            assert result.holds(True) and not result.holds(False)
        else:
            assert result.decided is Decided.PASSED and result.shown == 'no difference shown', result


def test_few_recordings_decide_nothing_unless_values_may():
    few = LEAST_RECORDINGS - 1
    good, bad = table(np.ones(few * EVERY, bool), few), table(np.arange(few * EVERY) % 2 > 0, few)
    better, worse = by_figure(bad, good)['accuracy'], by_figure(good, bad)['accuracy']
    assert better.decided is worse.decided is Decided.UNDECIDED and '5 recordings are too few to tell' in better.reason
    assert not better.holds(False) and better.holds(True) and not worse.holds(True)
    assert 'too few to tell, 6 at least' in worse.said(False)
    assert worse.said(True) == ('accuracy 1.0000 -> 0.5000, -0.5000 (-0.5000 .. -0.5000): too few recordings to tell '
                                '(5), so the value decides, and it is beyond the margin of -0.02')
    assert 'it is within the margin of -0.02' in better.said(True)
    assert gates_json([worse], 'new', True)[0]['reason'] == f'new: {worse.said(True)}'
    assert by_figure(table(np.ones(few * EVERY + EVERY, bool), few + 1), table(np.arange(
        few * EVERY + EVERY) % 2 > 0, few + 1))['accuracy'].decided is Decided.FAILED


def test_recordings_that_differ_leave_it_undecided_and_the_margin_decides():
    rng = np.random.default_rng(0)
    share = np.repeat(rng.uniform(.5, 1, 8), EVERY)
    old, new = table(rng.random(8 * EVERY) < .75), table(rng.random(8 * EVERY) < share)
    low = by_figure(old, new, {'accuracy': .02})['accuracy']
    assert low.decided is Decided.UNDECIDED and '8 recordings cannot tell' in low.reason
    assert by_figure(old, new, {'accuracy': .5})['accuracy'].decided is Decided.PASSED


def test_a_class_that_only_the_new_model_has_counts_where_both_can_be_right():
    n, place = 8 * EVERY, np.arange(8 * EVERY)
    targets = np.tile(np.arange(EVERY) % 4, 8)  # the fourth is new
    is_new = targets == 3
    old_outcome = np.where(is_new & (place % 8 == 3), OUT_OF_DISTRIBUTION, ACCEPTED)  # half of the new class
    old = table(np.ones(n, bool), targets=np.where(is_new, -1, targets), outcome=old_outcome)
    new = table(~is_new | (place % 12 == 3), classes=4, targets=targets, names=(*NAMES, 'jug'))
    found = by_figure(old, new)
    assert found['accuracy'].old == found['accuracy'].new == 1  # of the three that both know
    half, third = np.mean(place[is_new] % 8 == 3), np.mean(place[is_new] % 12 == 3)
    assert found['decided_right'].old == pytest.approx(.75 + .25 * half)  # unknown is right for the old one
    assert found['decided_right'].new == pytest.approx(.75 + .25 * third)
    assert found['acted_wrong'].old == pytest.approx(.25 * (1 - half))
    assert found['foreign_accepted'].recordings == 0  # what is a class of one is not foreign to both
    sentence, = describe_new_classes(old, new)
    assert sentence == (f'jug is new (48 frozen frames of 8 recordings): recall {third:.3f} of single frames, mostly '
                        f'missed: label more of it; the old model acted on {1 - half:.3f} of them, wrongly, and '
                        f'called {half:.3f} unknown, rightly; the new one acts rightly on {third:.3f}')
    assert not describe_new_classes(old, old)
    shown = table(np.ones(n, bool), targets=np.where(is_new, -1, targets))
    assert describe_new_classes(shown, table(np.ones(n, bool), classes=4, names=(*NAMES, 'jug'))) == [
        'jug is new: no frozen frame shows it, so nothing here tells how well it is known']


def test_frames_that_one_model_failed_on_are_left_out_of_both():
    place = np.arange(8 * EVERY)
    old, new = table(place % 3 > 0), table(place % 3 > 0)
    found = by_figure(old.where(place % 2 > 0), new.where(place % 3 > 0))
    both = (place % 2 > 0) & (place % 3 > 0)
    assert found['accuracy'].old == found['accuracy'].new == pytest.approx((place % 3 > 0)[both].mean())


def test_nothing_labelled_is_an_error():
    old = table(np.ones(8 * EVERY, bool), targets=np.full(8 * EVERY, -2))
    with pytest.raises(DataError, match='label the frozen recordings'):
        judge(old, old, MARGINS)


@pytest.mark.parametrize('freedom, expected', [(5, 2.5706), (7, 2.3646), (9, 2.2622), (19, 2.0930), (99, 1.9842)])
def test_t_quantiles_are_those_of_the_tables(freedom, expected):
    assert t_quantile(freedom) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize('recordings', [6, 10, 30])
def test_a_model_that_is_worse_by_the_margin_passes_about_one_time_in_forty(recordings):
    """At the edge of the margin, in 1 500 worlds of normal recordings; a plain interval errs up to .08 of the time."""
    rng = np.random.default_rng(recordings)
    weights = rng.multinomial(recordings, np.full(recordings, 1 / recordings), size=10_000) / recordings
    effects = rng.normal(-.02, .05, (1500, recordings))
    passed = [expanded_interval(0, weights @ effect, recordings).low >= -.02 for effect in effects]
    assert .01 < np.mean(passed) < .045


def test_gates_stand_in_a_report_as_demands_do():
    place = np.arange(8 * EVERY)
    results = judge(table(place % 3 > 0), table(place % 6 > 0), {'accuracy': .02})
    gate, = gates_json(results, 'new', False)
    assert gate['passed'] and gate['model'] == 'new' and gate['limit'] == .02
    assert gate['value'] == pytest.approx(-1 / 6, abs=1e-5) and gate['reason'].startswith('new: accuracy 0.6667 -> ')
