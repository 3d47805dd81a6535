"""Which intervals look nearly the same, against a comparison of all with all."""
import numpy as np
import pytest

from robot_vision_dl.data.selection import hamming
from robot_vision_dl.labelling.mining.near_duplicates import SAME_FEATURE, stand_ins


def scenes(count, each, seed=0):
    """``each`` noisy views of ``count`` scenes: features, hashes, the number of each one's scene."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(np.repeat(np.arange(count), each))
    features = rng.normal(size=(count, 32))[numbers] + rng.normal(0, 0.05, (len(numbers), 32))
    hashes = rng.integers(0, 2**64, count, np.uint64)[numbers] ^ (np.uint64(1) << rng.integers(
        0, 64, len(numbers), np.uint64))
    return features / np.linalg.norm(features, axis=1, keepdims=True), hashes, numbers


def test_views_of_a_scene_have_one_that_stands_for_them_the_first_in_order():
    features, hashes, numbers = scenes(20, 6)
    order = np.random.default_rng(1).permutation(120)
    found = stand_ins(features, hashes, order, [''] * 120)
    rank = np.argsort(order)
    for scene in range(20):
        members = np.flatnonzero(numbers == scene)
        first = members[rank[members].argmin()]
        assert found[first] == -1 and set(found[members[members != first]]) == {first}


def test_hash_and_features_must_both_agree_and_the_kind_too():
    features, hashes, _ = scenes(1, 4)
    other = np.roll(features[0], 1)
    assert 1 - other @ features[0] > SAME_FEATURE
    far = hashes.copy()
    far[3] ^= np.uint64(0xff00)
    kinds = ['', '', 'cup', '']
    found = stand_ins(np.stack([features[0], other, features[2], features[3]]), far, np.arange(4), kinds)
    assert found.tolist() == [-1] * 4
    assert stand_ins(features, hashes, np.arange(4), [''] * 4).tolist() == [-1, 0, 0, 0]
    assert stand_ins(features, hashes, np.array([2, 3]), [''] * 4).tolist() == [-1, -1, -1, 2]


def test_groups_are_around_one_and_no_chain():
    rng = np.random.default_rng(2)
    hashes = rng.integers(0, 4096, 400).astype(np.uint64)  # 12 bits: all within 12, many within 6
    features = np.ones((400, 4)) / 2
    found = stand_ins(features, hashes, np.arange(400), [''] * 400)
    members = np.flatnonzero(found >= 0)
    assert (found[found[members]] == -1).all() and (hamming(hashes[members], hashes[found[members]]) <= 6).all()
    heads = np.flatnonzero(found < 0)
    apart = hamming(hashes[heads][:, None], hashes[heads][None])
    assert (apart[~np.eye(len(heads), dtype=bool)] > 6).all()


@pytest.mark.slow
@pytest.mark.parametrize('count,each', [(1, 100_000), (50_000, 2)])
def test_a_hundred_thousand_intervals_take_seconds(count, each):
    import time
    features, hashes, _ = scenes(count, each)
    started = time.perf_counter()
    found = stand_ins(features.astype(np.float16), hashes, np.arange(count * each), [''] * (count * each))
    assert (found < 0).sum() == count
    assert time.perf_counter() - started < 120
