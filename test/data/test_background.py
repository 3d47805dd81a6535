"""Background boxes: where nothing is labelled, of the sizes of what is, and the same for the same seed."""
import numpy as np
import pytest

from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.data.background import background_boxes

SIZE = (200, 100)


def shares(box, other, margin):
    """(IoU, share of the other, share of its own) of a box with its margin and another, within the picture."""
    around = margin * max(box.width, box.height)
    own = Box(box.x, box.y, box.width + 2 * around, box.height + 2 * around).corners
    own = (max(own[0], 0), max(own[1], 0), min(own[2], SIZE[0]), min(own[3], SIZE[1]))
    width, height = (min(own[2 + i], other[2 + i]) - max(own[i], other[i]) for i in (0, 1))
    both = max(width, 0) * max(height, 0)
    a, b = ((one[2] - one[0]) * (one[3] - one[1]) for one in (own, other))
    return both / (a + b - both), both / b, both / a


@pytest.mark.parametrize('margin', [0.0, 0.3])
def test_they_overlap_nothing_that_is_labelled(margin):
    rng = np.random.default_rng(0)
    labelled = [(10, 10, 60, 60), (150, 0, 200, 100)]
    sizes = [(20, 30), (40, 10), (300, 20)]
    found = background_boxes(SIZE, labelled, sizes, 40, margin, rng)
    assert len(found) > 5 and {(box.width, box.height) for box in found} == {(20, 30), (40, 10)}
    for box in found:
        left, top, right, bottom = box.corners
        assert left >= 0 and top >= 0 and right <= SIZE[0] and bottom <= SIZE[1]
        assert all(max(shares(box, other, margin)) <= 0.1 + 1e-9 for other in labelled)
    for place, box in enumerate(found):
        assert all(max(shares(box, other.corners, margin)) <= 0.1 + 1e-9 for other in found[:place])


def test_a_small_thing_in_a_large_box_is_not_background():
    """Its IoU with the large box would be small."""
    rng = np.random.default_rng(0)
    found = background_boxes(SIZE, [(95, 45, 105, 55)], [(80, 80)], 3, 0.0, rng)
    assert found and all(max(shares(box, (95, 45, 105, 55), 0)) <= 0.1 for box in found)
    assert background_boxes(SIZE, [(0, 0, *SIZE)], [(5, 5)], 3, 0.0, rng) == []


def test_places_are_spread_and_seeded():
    one, other = (background_boxes(SIZE, [], [(10, 10)], 1, 0.1, np.random.default_rng(seed)) for seed in (3, 3))
    assert one == other
    many = [background_boxes(SIZE, [], [(10, 10)], 1, 0.1, np.random.default_rng(seed))[0] for seed in range(400)]
    assert np.mean([box.x for box in many]) == pytest.approx(100, abs=8)
    assert np.std([box.x for box in many]) == pytest.approx(190 / 12 ** .5, rel=.1)
    assert background_boxes(SIZE, [], [], 3, 0.1, np.random.default_rng(0)) == []
