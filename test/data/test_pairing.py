"""Images and detections brought together by their stamps; counts that add up whatever comes."""
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.data.pairing import NO_DETECTIONS, NO_IMAGE, NO_STAMP, SAME_STAMP, pair_by_stamp


def test_equal_stamps_in_whatever_order():
    found = pair_by_stamp([10, 20, 30], [30, 10, 20], 0)
    assert found.array_of.tolist() == [1, 2, 0] and not found.alone and not found.arrays_alone and not found.nearest


def test_an_equal_stamp_comes_before_a_near_one():
    # 19 is near 20, whose own array is there; it may go to 18, which has none.
    found = pair_by_stamp([18, 20], [19, 20], 3)
    assert found.array_of.tolist() == [0, 1] and found.nearest == 1


def test_the_nearest_pair_is_taken_first_and_nothing_twice():
    found = pair_by_stamp([100, 110], [106], 10)
    assert found.array_of.tolist() == [-1, 0] and found.alone == {0: NO_DETECTIONS}
    found = pair_by_stamp([100, 110], [106, 95, 200], 10)
    assert found.array_of.tolist() == [1, 0] and found.arrays_alone == {NO_IMAGE: 1}


def test_beyond_the_tolerance_both_stay_alone():
    assert pair_by_stamp([100], [110], 10).array_of.tolist() == [0]
    found = pair_by_stamp([100], [111], 10)
    assert found.array_of.tolist() == [-1]
    assert found.alone == {0: NO_DETECTIONS} and found.arrays_alone == {NO_IMAGE: 1}


def test_stamps_of_zero_and_stamps_that_come_twice():
    found = pair_by_stamp([0, 5, 5, 0], [0, 5, 5, 5], 10)
    assert found.array_of.tolist() == [-1, 1, -1, -1]
    assert found.alone == {0: NO_STAMP, 2: SAME_STAMP, 3: NO_STAMP}
    assert found.arrays_alone == {NO_STAMP: 1, SAME_STAMP: 2}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=20), st.lists(st.integers(0, 60), max_size=20), st.integers(0, 8))
def test_everything_is_accounted_for(images, arrays, tolerance):
    found = pair_by_stamp(images, arrays, tolerance)
    paired = [(image, array) for image, array in enumerate(found.array_of.tolist()) if array >= 0]
    assert len({array for _, array in paired}) == len(paired)
    assert len(paired) + len(found.alone) == len(images)
    assert len(paired) + sum(found.arrays_alone.values()) == len(arrays)
    assert all(abs(images[image] - arrays[array]) <= tolerance and images[image] for image, array in paired)
    assert found.nearest == sum(images[image] != arrays[array] for image, array in paired)
    # Nobody who is left could still be paired.
    alone = [images[place] for place, why in found.alone.items() if why == NO_DETECTIONS]
    free = set(arrays) - {arrays[array] for _, array in paired} - {0}
    assert not any(abs(stamp - other) <= tolerance for stamp in alone for other in free)
