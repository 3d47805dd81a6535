"""Label errors: found where they were planted, by folds that hold, and as cleanlab finds them."""
import numpy as np
import pytest

from robot_vision_dl.labelling.label_errors import label_doubts

CLASSES = ('cup', 'fork', 'plate')


def clouds(n: int, seed: int, spread: float = 1.0, frames: int = 1):
    """n objects of a few frames each: features, labels, objects."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centres = np.random.default_rng(0).normal(0, 2, (3, 8))
    objects = centres[y] + rng.normal(0, spread, (n, 8))
    features = np.repeat(objects, frames, axis=0) + rng.normal(0, 0.3, (n * frames, 8))
    return features.astype(np.float32), np.repeat(np.array(CLASSES)[y], frames), np.repeat(np.arange(n), frames)


def planted(labels, groups, rows):
    """The same labels with those of some groups moved on by one class."""
    found = np.array(labels)
    for row in rows:
        found[groups == row] = CLASSES[(CLASSES.index(found[groups == row][0]) + 1) % 3]
    return found


def test_planted_errors_come_first_with_what_is_right():
    x, right, groups = clouds(120, 1)
    wrong = [3, 40, 77, 101]
    doubts = label_doubts(x, planted(right, groups, wrong), groups, CLASSES)
    assert set(doubts.order[:4].tolist()) == set(wrong)
    assert [CLASSES[one] for one in doubts.suggested[wrong]] == right[wrong].tolist()
    assert doubts.likely_wrong[wrong].all() and doubts.likely_wrong.sum() <= 8
    assert (np.diff(doubts.self_confidence[doubts.order]) >= 0).all()
    assert np.allclose(doubts.probabilities.sum(axis=1), 1) and doubts.notes == ()


def test_an_object_does_not_vouch_for_itself():
    """Ten nearly equal frames with one wrong label: learned from each other the label would look right."""
    x, right, groups = clouds(60, 2, frames=10)
    given = planted(right, groups, [7])
    of_object = groups == 7
    apart = label_doubts(x, given, groups, CLASSES)
    together = label_doubts(x, given, np.arange(len(x)), CLASSES)
    assert apart.self_confidence[of_object].max() < together.self_confidence[of_object].min()


def test_a_unit_is_judged_by_the_mean_of_its_frames_logarithms():
    x, right, groups = clouds(60, 3, frames=5)
    units = groups * 10 + 4  # numbers need not be places
    frames = label_doubts(x, right, groups, CLASSES)
    doubts = label_doubts(x, right, groups, CLASSES, units=units)
    logs = np.log(frames.probabilities).reshape(60, 5, 3).mean(axis=1)
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    assert np.allclose(doubts.probabilities, expected)
    assert doubts.labels.tolist() == (np.arange(60) % 3).tolist()
    with pytest.raises(ValueError, match='unit 14 has frames of two labels'):
        label_doubts(x, planted(right, np.arange(300), [7]), groups, CLASSES, units=units)


def test_what_is_no_class_is_left_out():
    x, right, groups = clouds(60, 4)
    given = right.astype('<U8')
    given[[0, 1, 2, 3]] = ['unknown', 'ignore', 'unsure', '']
    doubts = label_doubts(x, given, groups, CLASSES)
    assert np.isnan(doubts.self_confidence[:4]).all() and not np.isnan(doubts.self_confidence[4:]).any()
    assert not doubts.likely_wrong[:4].any() and set(doubts.order.tolist()) == set(range(4, 60))
    # Nothing was learned from them: what they are called does not matter, nor what they look like.
    x[:4] += 100
    assert np.array_equal(doubts.self_confidence[4:], label_doubts(x, given, groups, CLASSES).self_confidence[4:])
    # But what they show is told.
    assert [CLASSES[one] for one in label_doubts(clouds(60, 4)[0], given, groups, CLASSES).suggested[:4]
            ] == right[:4].tolist()


def test_a_class_of_one_recording_is_not_judged_and_it_is_said():
    x, right, groups = clouds(60, 5)
    given = right.astype('<U8')
    given[[10, 11]] = 'spoon'
    groups = groups.copy()
    groups[[10, 11]] = 10
    doubts = label_doubts(x, given, groups, (*CLASSES, 'spoon'))
    assert np.isnan(doubts.self_confidence[[10, 11]]).all() and 10 not in doubts.order
    assert len(doubts.order) == 58
    assert doubts.notes == ('spoon: 2 of 2 frames cannot be judged, since no other recording shows spoon (it is in 1)',)


def test_a_class_of_fewer_recordings_than_folds_is_judged_and_it_is_said():
    x, right, groups = clouds(60, 6)
    given = right.astype('<U8')
    given[[10, 11]] = 'spoon'
    x[[10, 11]] += 20
    doubts = label_doubts(x, given, groups, (*CLASSES, 'spoon'))
    assert not np.isnan(doubts.self_confidence).any() and doubts.suggested[10] == 3
    assert doubts.notes == (
        'spoon: only 2 recordings show it, fewer than the 5 folds; each is judged by the other 1',)


@pytest.mark.parametrize('groups, labels, note', [
    ([0] * 6, ['cup', 'fork'] * 3, 'one recording'),
    ([0, 1, 2, 3, 4, 5], ['cup'] * 6, 'fewer than two classes'),
    ([0, 1, 2, 3, 4, 5], ['unknown'] * 6, 'fewer than two classes')])
def test_where_nothing_can_be_judged_it_is_said(groups, labels, note):
    x = clouds(6, 7)[0]
    doubts = label_doubts(x, labels, groups, CLASSES)
    assert len(doubts.order) == 0 and np.isnan(doubts.self_confidence).all()
    assert any(note in one for one in doubts.notes)
    assert np.allclose(doubts.probabilities, 1 / 3)


def test_folds_follow_from_the_seed_and_groups_from_nothing_but_equality():
    x, right, groups = clouds(90, 8, 2.0)
    one = label_doubts(x, right, groups, CLASSES, seed=3)
    assert np.array_equal(one.probabilities, label_doubts(x, right, groups * 7 + 5, CLASSES, seed=3).probabilities)
    assert not np.array_equal(one.probabilities, label_doubts(x, right, groups, CLASSES, seed=4).probabilities)


def test_lengths_must_agree():
    x, right, groups = clouds(6, 9)
    with pytest.raises(ValueError, match='6 features, 5 labels and 6 groups: must be as many'):
        label_doubts(x, right[:5], groups, CLASSES)


def test_as_cleanlab():
    """The same ranking and the same confident joint from the same probabilities."""
    count = pytest.importorskip('cleanlab.count', reason='cleanlab is not installed')
    rank = pytest.importorskip('cleanlab.rank')
    x, right, groups = clouds(300, 10, 2.0)
    given = planted(right, groups, range(0, 300, 20))
    doubts = label_doubts(x, given, groups, CLASSES)
    y = np.array([CLASSES.index(one) for one in given])
    expected = rank.get_label_quality_scores(y, doubts.probabilities, method='self_confidence')
    assert np.allclose(doubts.self_confidence, expected)
    assert np.array_equal(expected[doubts.order], np.sort(expected))
    _, off_diagonal = count.compute_confident_joint(y, doubts.probabilities, calibrate=False,
                                                    return_indices_of_off_diagonals=True)
    assert np.flatnonzero(doubts.likely_wrong).tolist() == sorted(int(one) for one in off_diagonal)
    assert doubts.likely_wrong.sum() > 15
