"""Objects, times to decision, changes and recoveries, by hand."""
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import table_of

from robot_vision_dl.evaluation.picture_messages import TOPIC as PICTURES
from robot_vision_dl.evaluation.summary import errors
from robot_vision_dl.evaluation.tracks import error_starts, steadiness, timed, tracks_of, watched_s

A, B = [.9, .1], [.1, .9]
ACCEPTED, UNCERTAIN, UNKNOWN = 0, 1, 2


def table(said, targets, outcome, **options):
    return table_of(np.array(said, float), np.array(targets), outcome=np.array(outcome), **options)


def test_a_stretch_of_one_label_is_a_track():
    found = tracks_of(table([A, A, A, B, A, A], [0, 0, 1, 1, -2, 1], [1, 0, 0, 0, 0, 0]), 1.0)
    assert [(t.target, t.places.tolist()) for t in found] == [(0, [0, 1]), (1, [2, 3]), (1, [5])]
    assert found[0].first_right_s == pytest.approx(0.1)
    assert found[1].first_right_s == pytest.approx(0.1) and found[1].first_acted_s == 0
    assert (found[1].acted, found[1].acted_right) == (2, 1)
    assert not found[2].right and np.isnan(found[2].first_right_s)


def test_a_gap_in_time_ends_a_track_and_named_tracks_go_on():
    broken = table([A] * 6, [0] * 6, [0] * 6)
    broken.rows['stamp_ns'][3:] += 2_000_000_000
    assert [t.places.tolist() for t in tracks_of(broken, 1.0)] == [[0, 1, 2], [3, 4, 5]]
    named = table([A] * 4, [0] * 4, [0] * 4, tracks=[0, 1, 0, 1], step_ns=2_000_000_000)
    assert [t.places.tolist() for t in tracks_of(named, 1.0)] == [[0, 2], [1, 3]]


def test_a_slow_camera_sees_its_objects_for_as_long_as_another():
    slow = table([A] * 8, [0] * 4 + [1] * 4, [0] * 8, step_ns=2_000_000_000)
    assert [t.places.tolist() for t in tracks_of(slow, 1.0)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    slow.rows['stamp_ns'][2:] += 10_000_000_000
    assert [len(t.places) for t in tracks_of(slow, 1.0)] == [2, 2, 4]
    pictures = replace(slow, topics=('/pictures',))
    assert len(tracks_of(pictures, 1.0)) == 8


def test_majority_and_its_tie():
    assert tracks_of(table([A, B, B], [1, 1, 1], [0, 0, 0]), 1.0)[0].right
    assert tracks_of(table([A, B], [0, 0], [0, 0]), 1.0)[0].majority == 0
    unknown = tracks_of(table([A, A], [-1, -1], [UNKNOWN, ACCEPTED]), 1.0)[0]
    assert unknown.right and unknown.acted == 1 and unknown.acted_right == 0


def test_changes_and_recoveries():
    #        right wrong wrong right | unc | wrong to the end
    found = steadiness(table([A, B, B, A, A, B], [0] * 6, [0, 0, 0, 0, 1, 0]), 1.0)
    assert found.changes == 4
    assert found.seconds == pytest.approx(0.5)
    assert found.changes_per_s == pytest.approx(8)
    np.testing.assert_allclose(found.recoveries_s, [0.2, 0.0], atol=1e-9)


def test_nothing_is_counted_across_gaps_and_recordings():
    gap = table([A, A, A, B, B, B], [0] * 6, [0] * 6)
    gap.rows['stamp_ns'][3:] += 2_000_000_000
    found = steadiness(gap, 1.0)
    assert found.changes == 0 and found.seconds == pytest.approx(.4)
    alone = steadiness(table([A], [0], [0]), 1.0)
    assert alone.seconds == 0 and np.isnan(alone.changes_per_s)
    two = steadiness(table([A, B], [0, 0], [0, 0], recording=np.array([0, 1])), 1.0)
    assert two.changes == 0


def test_an_error_is_counted_once_however_long_it_lasts():
    # object 0 rightly, object 1 wrongly twice with an abstention between, object 2 unknown and acted on, object 3 the
    # same label wrongly again: another object, another error
    targets = np.array([0, 0, 1, 1, 1, 1, -1, -1, 1, 1])
    tracks = np.array([0, 0, 1, 1, 1, 1, 2, 2, 3, 3])
    outcome = np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 2])
    found = table_of(np.tile([[.9, .1]], (10, 1)), targets, tracks=tracks, outcome=outcome)
    assert error_starts(found, 1.0).tolist() == [False, False, True, False, False, True, True, False, True, False]
    # A gap ends one, another label too.
    found.rows['stamp_ns'][3:] += 5 * 10**9
    assert error_starts(found, 1.0)[3]
    found = table_of(np.array([[.9, .1, 0], [.1, 0, .9]]), np.array([1, 1]), tracks=np.zeros(2, int))
    assert error_starts(found, 1.0).tolist() == [True, True]


def test_a_camera_slower_than_the_gap_has_time_and_errors_that_last():
    """Each frame stands until the next: two of its steps are no gap, ten are."""
    targets, wrong = np.zeros(8, int), np.array([0, 1, 1, 0, 0, 1, 1, 1], bool)
    found = table_of(np.where(wrong[:, None], [.1, .9], [.9, .1]), targets)
    found.rows['stamp_ns'] = np.array([0, 2, 4, 6, 10, 30, 32, 34]) * 10**9
    assert watched_s(found, 1.0).tolist() == [2, 2, 2, 4, 2, 2, 2, 2]
    assert np.flatnonzero(error_starts(found, 1.0)).tolist() == [1, 5]
    lasted = steadiness(found, 1.0)
    assert lasted.seconds == 14 and lasted.recoveries_s.tolist() == [4, 4]


def test_an_error_that_begins_on_two_frames_of_one_stamp_has_a_time():
    """The first of them lasts no time by itself."""
    found = table_of(np.where(np.arange(12)[:, None] < 4, [.9, .1], [.1, .9]), np.zeros(12, int))
    found.rows['stamp_ns'][4] = found.rows['stamp_ns'][5]
    assert watched_s(found, 1.0)[4] == 0 and timed(found, 1.0).all()
    told = errors(found, found.known, 1.0)
    assert told['count'] == told['timed'] == 1 and told['per_hour'] > 0
    assert not timed(found.where(np.isin(np.arange(12), (4, 5))), 1.0).any()  # of one stamp only: no time passes


def test_pictures_of_folders_have_no_time():
    """They come with stamps that number them."""
    found = table_of(np.tile([[.1, .9]], (4, 1)), np.zeros(4, int))
    found = replace(found, topics=(PICTURES,))
    assert watched_s(found, 5.0).tolist() == [0] * 4 and error_starts(found, 5.0).all()
    assert steadiness(found, 5.0).seconds == 0 and not timed(found, 5.0).any()


def test_each_frame_stands_for_the_time_until_the_next():
    found = table_of(np.tile([[.9, .1]], (4, 1)), np.zeros(4, int))
    found.rows['stamp_ns'] = np.array([0, 1, 3, 60]) * 10**9
    assert watched_s(found, 5.0).tolist() == [1, 2, 1.5, 1.5]  # a gap and the end count as one usual step
    assert watched_s(found.where(np.arange(4) == 0), 5.0).tolist() == [0]
