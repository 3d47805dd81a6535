"""Which object is acted on: nearest, largest, a named one; what is never chosen."""
import math
from struct import pack

import pytest

from robot_vision_dl.core.regions.choice import choose, distance, identity, is_sound
from robot_vision_dl.core.regions.detections import Box, Detection, Hypothesis
from robot_vision_dl.core.types import Header

NAN = float('nan')


def pose(x, y, z):
    return pack('=43d', x, y, z, *(0.0,) * 3, 1.0, *(0.0,) * 36)


def one(x, y, side, name='', position=None, **box):
    found = Hypothesis('cup', 0.9) if position is None else Hypothesis('cup', 0.9, pose(*position))
    return Detection(Header(0, ''), (found,), Box(x, y, side, side, **box), name)


def test_largest_is_by_area():
    wide = Detection(Header(0, ''), (), Box(0, 0, 100, 10), 'wide')
    assert choose([one(0, 0, 30), wide, one(0, 0, 32)], 'largest') == 2


def test_nearest_is_by_the_distance_of_the_pose():
    objects = [one(0, 200, 50, position=(0, 0, 4)), one(0, 50, 10, position=(1, -1, 2)), one(0, 90, 20,
               position=(2, 2, 2))]
    assert [distance(each) for each in objects] == pytest.approx([4, math.sqrt(6), math.sqrt(12)])
    assert choose(objects, 'nearest') == 1


def test_nearest_is_by_the_lower_edge_where_no_pose_is_given():
    # The lower edges are 125, 130 and 129.
    assert choose([one(0, 100, 50), one(0, 120, 20), one(0, 124, 10)], 'nearest') == 1


def test_nearest_of_a_turned_box_is_by_its_lowest_corner():
    turned = Detection(Header(0, ''), (), Box(0, 100, 100, 10, math.pi / 2))  # lower edge 150
    assert choose([one(0, 130, 30), turned], 'nearest') == 1
    assert choose([one(0, 136, 30), turned], 'nearest') == 0


@pytest.mark.parametrize('position', [(0, 0, 0), (NAN, 0, 1), (math.inf, 0, 1)])
def test_where_one_has_no_position_all_are_compared_by_the_lower_edge(position):
    """A depth camera may see nothing of what is nearest: too near."""
    objects = [one(0, 50, 20, position=(0, 0, 3)), one(0, 150, 60, position=position)]
    assert distance(objects[1]) is None
    assert choose(objects, 'nearest') == 1


def test_the_position_may_be_of_any_hypothesis():
    both = Detection(Header(0, ''), (Hypothesis('cup', 0.9), Hypothesis('mug', 0.1, pose(0, 3, 4))), Box(0, 0, 1, 1))
    assert distance(both) == 5


@pytest.mark.parametrize('wanted', ['nearest', 'largest', 'id:a'])
@pytest.mark.parametrize('box', [Box(NAN, 0, 9, 9), Box(0, NAN, 9, 9), Box(0, 0, NAN, 9), Box(0, 0, 9, math.inf),
                                 Box(0, 0, 9, 9, NAN), Box(0, 900, 0, 9), Box(0, 900, 9, -9)])
def test_a_box_without_sense_is_never_chosen(wanted, box):
    bad = Detection(Header(0, ''), (Hypothesis('cup', 1.0, pose(0, 0, 0.1)),), box, 'a')
    assert not is_sound(box)
    assert choose([bad], wanted) is None
    assert choose([bad, one(1, 1, 1, 'a', position=(0, 0, 5)), bad], wanted) == 1


def test_of_ties_the_one_before_is_kept_else_the_first():
    objects = [one(0, 100, 50, 'a'), one(90, 100, 50, 'b'), one(180, 100, 50, 'c')]
    for wanted in ('nearest', 'largest'):
        assert choose(objects, wanted) == 0
        assert choose(objects, wanted, 'b') == 1
        assert choose(objects, wanted, 'gone') == 0
        assert choose([*objects, one(0, 110, 60, 'd')], wanted, 'b') == 3, 'it is kept in a tie alone'


def test_a_named_one_is_taken_whatever_it_is_like():
    objects = [one(0, 100, 50, 'a'), one(90, 100, 5, 'id:b')]
    assert choose(objects, 'id:id:b') == 1
    assert choose(objects, 'id:c') is None
    assert choose([], 'nearest') is choose([], 'largest') is choose([], 'id:a') is None


def test_an_id_that_several_have_is_none():
    objects = [one(0, 100, 50, 'a'), one(9, 100, 50, 'a'), one(90, 100, 5, 'b'), one(90, 100, 5)]
    assert [identity(objects, place) for place in range(4)] == ['', '', 'b', '']
