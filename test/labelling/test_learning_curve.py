"""The learning curve, on features whose separability is known."""
import numpy as np
import pytest

from robot_vision_dl.labelling.learning_curve import MOST, learning_curve, sample


def data(n, spread, groups=12, seed=0, size=32, classes=3):
    draws = np.random.default_rng(seed)
    centres = draws.normal(size=(classes, size))
    targets = draws.integers(0, classes, n)
    features = centres[targets] + spread * draws.normal(size=(n, size))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features, [f'class {target}' for target in targets], draws.integers(0, groups, n)


def test_where_classes_are_far_apart_more_labels_do_not_help():
    curve = learning_curve(*data(300, .2))
    assert curve.points[-1].accuracy > .98 and curve.gain_interval[1] < .02
    assert [one.labels for one in curve.points] == sorted(one.labels for one in curve.points)
    assert 200 < curve.points[-1].labels < 300 and curve.points[0].labels < 20


def test_where_they_overlap_more_labels_help():
    curve = learning_curve(*data(600, 2.5))
    accuracies = [one.accuracy for one in curve.points]
    assert accuracies[-1] > accuracies[0] + .1 and curve.gain_interval[0] > 0
    assert curve.gain == pytest.approx(accuracies[-1] - accuracies[-2])
    for one in curve.points:
        assert one.interval[0] <= one.accuracy <= one.interval[1]


def test_labels_that_mean_nothing_stay_at_chance():
    features, labels, groups = data(300, .2)
    np.random.default_rng(1).shuffle(labels)
    assert learning_curve(features, labels, groups).points[-1].accuracy < .45


def test_nothing_of_a_group_is_on_both_sides():
    """Each recording looks alike and has its own label by chance: what saw it would be right, others cannot be."""
    draws = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    features = draws.normal(size=(20, 64))[groups] + .01 * draws.normal(size=(200, 64))
    labels = [f'class {number}' for number in draws.integers(0, 2, 20)[groups]]
    assert learning_curve(features, labels, groups).points[-1].accuracy < .7
    assert learning_curve(features, labels, np.arange(200)).points[-1].accuracy > .95


@pytest.mark.parametrize('n, classes, groups', [(19, 3, 5), (40, 1, 5), (40, 3, 1), (0, 1, 1)])
def test_too_few_give_none(n, classes, groups):
    assert learning_curve(*data(n, .2, groups, classes=classes)) is None


def test_the_same_labels_give_the_same_curve():
    assert learning_curve(*data(100, 1.0)) == learning_curve(*data(100, 1.0))


def test_of_many_a_sample_is_taken():
    assert sample(range(50)) == list(range(50))
    many = sample(range(10, 5000))
    assert len(set(many)) == MOST and many == sorted(many) == sample(range(10, 5000))
