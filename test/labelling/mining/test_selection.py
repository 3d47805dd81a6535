"""A batch is doubtful and diverse, and its random share says how it is on the whole."""
import numpy as np
import pytest

from robot_vision_dl.labelling.mining.selection import select


def clusters(each, dimensions=8, seed=0):
    """Points of length 1 in tight clusters of so many each, and the number of each point's cluster."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0][:len(each)]
    numbers = np.repeat(np.arange(len(each)), each)
    points = centres[numbers] + rng.normal(0, 0.02, (len(numbers), dimensions))
    return points / np.linalg.norm(points, axis=1, keepdims=True), numbers


def test_each_kind_of_doubt_is_shown_once_and_not_the_most_doubted_kind_alone():
    features, kinds = clusters([200, 20, 20, 20, 20])
    doubt = np.where(kinds == 0, 0.9, 0.5) + np.random.default_rng(1).uniform(0, 0.05, len(kinds))
    top = np.argsort(-doubt)[:5]
    assert set(kinds[top]) == {0}  # what doubt alone would give
    found = select(features, doubt, 5, random_share=0)
    assert not found.random.any() and len(set(found.chosen)) == 5
    wide = select(features, doubt, 25, random_share=0)  # 250 candidates: all kinds are among them
    assert set(kinds[wide.chosen]) == {0, 1, 2, 3, 4}
    assert (np.diff(doubt[wide.chosen]) <= 0).all()


def test_what_is_sure_is_not_chosen_while_something_is_doubted():
    features, _ = clusters([50, 50])
    doubt = np.zeros(100)
    doubt[60:70] = 0.3
    assert set(select(features, doubt, 10, random_share=0).chosen) == set(range(60, 70))
    assert set(range(60, 70)) < set(select(features, doubt, 12, random_share=0).chosen)


def test_the_random_share_is_spread_evenly_and_has_the_asked_size():
    features, _ = clusters([300, 300])
    doubt = np.linspace(0, 1, 600)
    found = select(features, doubt, 100, seed=3)
    assert found.random.sum() == 10 and len(set(found.chosen.tolist())) == 100
    assert [int(found.random[begin:begin + 10].sum()) for begin in range(0, 100, 10)] == [1] * 10
    assert select(features, doubt, 3).random.sum() == 1


def test_the_random_share_is_drawn_from_all_whatever_is_doubted_or_eligible():
    features, _ = clusters([100, 100])
    doubt = np.linspace(0, 1, 200)
    eligible = np.arange(200) >= 100
    hits = np.zeros(200)
    for seed in range(400):
        found = select(features, doubt, 22, seed, 20 / 22, eligible)
        hits[found.chosen[found.random]] += 1
        assert eligible[found.chosen[~found.random]].all()
    assert hits.sum() == 400 * 20
    # Each has the same chance of 20 / 200; chi-square with 199 degrees of freedom, its mean 179 without replacement.
    assert ((hits - 40) ** 2 / 40).sum() < 270


def test_the_accuracy_of_the_random_ones_is_that_of_all_on_average_and_that_of_the_chosen_is_not():
    rng = np.random.default_rng(0)
    features, _ = clusters([250] * 4)
    doubt = rng.beta(0.6, 2, 1000)
    right = rng.random(1000) > doubt
    estimates, naive = [], []
    for seed in range(200):
        found = select(features, doubt, 40, seed, 0.5)
        estimates.append(right[found.chosen[found.random]].mean())
        naive.append(right[found.chosen].mean())
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - right.mean()) < 3 * error
    assert np.mean(naive) < right.mean() - 10 * error


def test_the_same_arguments_give_the_same_batch_and_equal_points_are_no_trouble():
    features, _ = clusters([100, 100])
    doubt = np.random.default_rng(0).random(200)
    a, b, c = (select(features, doubt, 40, seed) for seed in (1, 1, 2))
    assert (a.chosen == b.chosen).all() and (a.random == b.random).all() and (a.chosen != c.chosen).any()
    same = select(np.ones((200, 4)), np.full(200, 0.5), 15)
    assert len(set(same.chosen.tolist())) == 15


@pytest.mark.parametrize('total,count', [(0, 5), (1, 5), (7, 7), (7, 100), (7, 0)])
def test_small_queues(total, count):
    found = select(np.ones((total, 3)), np.full(total, 0.2), count)
    assert sorted(found.chosen.tolist()) == list(range(min(total, count))) or count < total
    assert len(found.chosen) == min(total, count) == len(found.random)


def test_a_large_batch_is_chosen_in_parts_and_no_interval_twice():
    features, _ = clusters([2000] * 3)
    doubt = np.random.default_rng(0).random(6000)
    doubt[:3000] = 0
    found = select(features, doubt, 1400, random_share=0.05)
    assert len(set(found.chosen.tolist())) == 1400 and found.random.sum() == 70
    own = doubt[found.chosen[~found.random]]
    assert (np.diff(own) <= 0).all() and own.min() > 0
    assert len(select(features, doubt, 6000).chosen) == 6000
    few = select(features, doubt, 1400, random_share=0, eligible=np.arange(6000) >= 5300)
    assert sorted(few.chosen.tolist()) == list(range(5300, 6000))


def test_wrong_arguments_are_told():
    with pytest.raises(ValueError, match=r'got \(3, 2\) and \(4,\)'):
        select(np.ones((3, 2)), np.ones(4), 1)
    with pytest.raises(ValueError, match='random_share'):
        select(np.ones((3, 2)), np.ones(3), 1, random_share=2)
    with pytest.raises(ValueError, match='finite'):
        select(np.ones((3, 2)), np.array([0, np.nan, 1]), 1)
