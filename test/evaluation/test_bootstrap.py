"""Intervals that hold what they promise for frames that are not independent; a planted difference and a planted tie."""
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import table_of

from robot_vision_dl.core.decision.decision import Policy
from robot_vision_dl.evaluation.bootstrap import differences, group_sums, intervals, verdict
from robot_vision_dl.evaluation.picture_messages import TOPIC as PICTURES
from robot_vision_dl.evaluation.summary import errors
from robot_vision_dl.evaluation.table import join


def correlated(seed, tracks=40, length=25, accuracy=0.8, noise=0.02):
    """A table whose frames of a track are nearly all right or nearly all wrong, and which tracks are which."""
    rng = np.random.default_rng(seed)
    good = rng.random(tracks) < accuracy
    return frames_of(good, rng, length, noise)


def frames_of(good, rng, length=25, noise=0.02, tables=1):
    tracks = np.repeat(np.arange(len(good)), length)
    right = good[tracks] ^ (rng.random(len(tracks)) < noise)
    confidence = rng.uniform(0.6, 0.95, len(tracks))
    targets = tracks % 2
    p = np.empty((len(tracks), 2))
    called = np.where(right, targets, 1 - targets)
    p[np.arange(len(p)), called], p[np.arange(len(p)), 1 - called] = confidence, 1 - confidence
    return table_of(p, targets, tracks=tracks)


def groups(table):
    return group_sums(table, 1.0, Policy(0.5))


def test_intervals_over_tracks_hold_the_truth_and_those_over_frames_would_not():
    expected = 0.8 * 0.98 + 0.2 * 0.02
    held, naive_held, runs = 0, 0, 60
    for seed in range(runs):
        table = correlated(seed)
        found = intervals(groups(table), 500, seed)['accuracy']
        held += found.low <= expected <= found.high
        n = len(table)
        naive = 1.96 * np.sqrt(found.value * (1 - found.value) / n)
        naive_held += abs(found.value - expected) <= naive
    assert held / runs >= 0.88
    assert naive_held / runs <= 0.6


def test_a_planted_difference_is_found_and_a_planted_tie_is_called_a_tie():
    found_better, called_tie, runs = 0, 0, 30
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        hard = rng.random(60) < 0.3
        old = frames_of(~hard, rng)
        mended = hard & (rng.random(60) < 0.5)
        new = frames_of(~hard | mended, rng)
        same = frames_of(~hard, np.random.default_rng(seed + 1000))
        found_better += verdict('accuracy', differences(groups(old), groups(new), 500, 0)['accuracy']) == 'better'
        called_tie += verdict('accuracy', differences(groups(old), groups(same), 500, 0)['accuracy']) == 'tie'
    assert found_better >= 0.95 * runs
    assert called_tie >= 0.85 * runs


def test_pairing_sees_what_two_intervals_beside_each_other_do_not():
    rng = np.random.default_rng(0)
    hard = rng.random(60) < 0.4
    old, new = groups(frames_of(~hard, rng)), groups(frames_of(~hard | (np.arange(60) % 4 == 0), rng))
    first, second = intervals(old, 1000, 0)['accuracy'], intervals(new, 1000, 0)['accuracy']
    assert first.high > second.low
    difference = differences(old, new, 1000, 0)['accuracy']
    assert verdict('accuracy', difference) == 'better'
    assert difference.high - difference.low < (first.high - first.low) / 1.5


def test_less_is_better_for_losses():
    rng = np.random.default_rng(0)
    hard = rng.random(60) < 0.4
    old, new = groups(frames_of(~hard, rng)), groups(frames_of(~hard & False, rng))
    found = differences(old, new, 500, 0)
    assert {name: verdict(name, found[name]) for name in ('accuracy', 'nll', 'brier', 'risk', 'cost')} == dict.fromkeys(
        ('accuracy', 'nll', 'brier', 'risk', 'cost'), 'worse')


def test_the_same_table_twice_is_a_tie_without_width():
    table = groups(correlated(1))
    found = differences(table, table, 200, 0)
    there = {name: d for name, d in found.items() if d.value == d.value}
    assert all(d == (0, 0, 0) for d in there.values()) and set(found) - set(there) == {
        'foreign_accepted', 'foreign_errors_per_h'}
    assert verdict('accuracy', found['accuracy']) == 'tie'


def acting(accepted_known, accepted_foreign, objects=40, length=20):
    """A table of objects, every second of none of its classes; shares of either are acted on, known ones rightly."""
    targets = np.repeat(np.where(np.arange(objects) % 2, -1, 0), length)
    number = np.repeat(np.arange(objects) // 2 / (objects // 2), length)
    outcome = np.where(number < np.where(targets < 0, accepted_foreign, accepted_known), 0, 1)
    return table_of(np.tile([[.9, .1]], (len(targets), 1)), targets, tracks=np.repeat(np.arange(objects), length),
                    outcome=outcome)


@pytest.mark.parametrize('known,foreign,expected', [
    (0.5, 0.5, {'coverage': 'more', 'acted_right': 'tie', 'acted_wrong': 'worse', 'foreign_accepted': 'worse',
                'risk': 'worse', 'cost': 'worse', 'errors_per_h': 'worse', 'foreign_errors_per_h': 'worse'}),
    (1.0, 0.0, {'coverage': 'more', 'acted_right': 'better', 'acted_wrong': 'tie', 'foreign_accepted': 'tie',
                'cost': 'better', 'errors_per_h': 'tie'}),
    (0.0, 0.0, {'coverage': 'less', 'acted_right': 'worse', 'acted_wrong': 'tie', 'cost': 'worse'})],
    ids=['OOD frames gained', 'right ones gained', 'nothing said any more'])
def test_acting_more_often_is_judged_by_what_is_gained(known, foreign, expected):
    first, second = groups(acting(0.5, 0.0)), groups(acting(known, foreign))
    found = differences(first, second, 500, 0)
    assert {name: verdict(name, found[name]) for name in expected} == expected


def test_where_no_error_was_seen_the_interval_says_how_many_may_have_been_missed():
    found = groups(acting(0.5, 0.0))
    hours = found.sums['hours'].sum()
    assert hours == pytest.approx(40 * 20 * 0.1 / 3600)
    assert intervals(found, 200, 0)['errors_per_h'] == pytest.approx((0, 0, 3.689 / hours), rel=1e-3)
    some = intervals(groups(acting(0.5, 0.5)), 500, 0)['errors_per_h']
    assert some.value == pytest.approx(10 / hours) and 0 < some.low < some.value < some.high


def test_errors_of_pictures_without_time_are_none_an_hour():
    """A folder beside a recording: its errors were told as if they had come within the recording's seconds."""
    recording, folder = acting(0.5, 0.0), acting(0.5, 1.0)
    folder = replace(folder, topics=(PICTURES,))
    names = recording.class_names
    both = join([recording, replace(folder, recordings=('folder',))], names)
    hours = 40 * 20 * 0.1 / 3600
    more = join([both, replace(acting(0.5, 0.5), recordings=('another',))], names)
    for table, count in ((recording, 0), (both, 0), (more, 10)):
        found, rows = groups(table), table.known | table.unknown
        told = errors(table, rows, 1.0)
        assert told['timed'] == count and found.sums['errors'].sum() == count
        assert told['hours'] == pytest.approx(hours * (2 if count else 1), rel=1e-4)
        assert told['per_hour'] == pytest.approx(count / told['hours'], rel=1e-4)
        assert intervals(found, 200, 0)['errors_per_h'].value == pytest.approx(told['per_hour'], rel=1e-4)
    assert errors(both, both.known | both.unknown, 1.0)['count'] > 0


def test_nothing_foreign_is_not_no_errors_on_it():
    """Or a demand on them would be met where none was shown."""
    table = acting(0.5, 0.0)
    table.rows['target'] = 0
    told = errors(table, table.known, 1.0)
    assert told['foreign_per_hour'] is None and told['per_hour'] == 0
    found = intervals(groups(table), 200, 0)
    assert np.isnan(found['foreign_errors_per_h'].value) and found['errors_per_h'].value == 0
    # Foreign pictures of a folder beside the recording have no time either.
    folder = replace(acting(0.5, 1.0), topics=(PICTURES,), recordings=('folder',))
    both = join([table, folder], table.class_names)
    assert errors(both, both.known | both.unknown, 1.0)['foreign_per_hour'] is None
    assert np.isnan(intervals(groups(both), 200, 0)['foreign_errors_per_h'].value)
    with_foreign = acting(0.5, 0.0)
    assert errors(with_foreign, with_foreign.known | with_foreign.unknown, 1.0)['foreign_per_hour'] == 0


def test_a_figure_of_one_group_alone_has_no_interval():
    table = acting(0.5, 0.5)
    table.rows['target'][(table['target'] < 0) & (table['track'] != 1)] = 0
    found = groups(table)
    one = intervals(found, 200, 0)['foreign_accepted']
    assert one.value == 1 and np.isnan(one.low)
    assert verdict('foreign_accepted', differences(found, found, 200, 0)['foreign_accepted']) == 'unclear'
    assert np.isfinite(intervals(found, 200, 0)['accuracy'].low)


def test_sums_of_an_earlier_version_are_compared_by_what_they_have():
    table = groups(acting(0.5, 0.5))
    early = replace(table, sums={name: values for name, values in table.sums.items()
                                 if name not in ('hours', 'errors', 'foreign_accepted', 'accepted_right')})
    found = differences(early, table, 200, 0)
    assert 'risk' in found and not {'errors_per_h', 'acted_right', 'foreign_accepted'} & set(found)


def test_a_seed_gives_the_same_intervals():
    table = groups(correlated(2))
    assert str(intervals(table, 300, 5)) == str(intervals(table, 300, 5))
    assert str(intervals(table, 300, 5)) != str(intervals(table, 300, 6))


@pytest.mark.parametrize('recordings, tracks, by', [(12, 24, 'recording'), (3, 24, 'track'), (1, 1, 'block')])
def test_what_is_drawn(recordings, tracks, by):
    n = 1200
    p = np.tile([[.8, .2]], (n, 1))
    table = table_of(p, np.zeros(n, int), tracks=np.arange(n) * tracks // n, recording=np.arange(n) * recordings // n)
    found = groups(table)
    assert found.by == by
    assert found.sums['known'].sum() == n


def test_one_group_gives_no_interval():
    table = table_of(np.array([[.8, .2]] * 5), np.zeros(5, int))
    found = intervals(groups(table), 100, 0)['accuracy']
    assert found.value == 1 and np.isnan(found.low)
    assert verdict('accuracy', differences(groups(table), groups(table), 100, 0)['accuracy']) == 'unclear'


@pytest.mark.parametrize('right', [True, False])
def test_where_all_groups_are_alike_an_interval_is_no_point(right):
    """Drawn from objects that are all right, the accuracy is 1 each time; as many may be right by chance."""
    objects, frames = 12, 6
    targets = np.repeat(np.arange(objects) % 2, frames)
    p = np.where((targets == 0)[:, None] == right, [0.9, 0.1], [0.1, 0.9])
    groups = group_sums(table_of(p, targets, tracks=np.repeat(np.arange(objects), frames)), 1.0, Policy(0.5))
    found = intervals(groups, 200, 0)
    end = 0.025 ** (1 / objects)
    value = float(right)
    assert found['accuracy'] == ((1.0, pytest.approx(end), 1.0) if right else (0.0, 0.0, pytest.approx(1 - end)))
    assert found['risk'].value == 1 - value and found['risk'].high - found['risk'].low == pytest.approx(1 - end)
    assert found['nll'].low == pytest.approx(found['nll'].high)  # of what has no bounds nothing is known
