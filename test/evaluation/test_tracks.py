"""Objects, times to decision, changes and recoveries, by hand."""
import numpy as np
import pytest
from evaluation_samples import table_of

from robot_vision_dl.evaluation.tracks import steadiness, tracks_of

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
    stretched = table([A] * 4, [0] * 4, [0] * 4, step_ns=2_000_000_000)
    assert len(tracks_of(stretched, 1.0)) == 4
    named = table([A] * 4, [0] * 4, [0] * 4, tracks=[0, 1, 0, 1], step_ns=2_000_000_000)
    assert [t.places.tolist() for t in tracks_of(named, 1.0)] == [[0, 2], [1, 3]]


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
    found = steadiness(table([A, B, A, B], [0] * 4, [0] * 4, step_ns=2_000_000_000), 1.0)
    assert (found.changes, found.seconds) == (0, 0)
    assert np.isnan(found.changes_per_s)
    two = steadiness(table([A, B], [0, 0], [0, 0], recording=np.array([0, 1])), 1.0)
    assert two.changes == 0
