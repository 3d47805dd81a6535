"""Which pair counts for more, by hand."""
import pytest

from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.core.regions.motion import Motion
from robot_vision_dl.core.regions.overlap import overlaps
from robot_vision_dl.core.regions.track_matching import Candidate, Followed, Sight, pair


def sight(x, name='', label='', side=100.0):
    return Sight(0, name, name, Box(x, 0, side, side), label)


def track(key, x, name='', label='', fresh=True, age_s=0.1, sights=5, side=100.0):
    box = Box(x, 0, side, side)
    return Candidate(Followed(key, name, name, box, label, Motion.first(x, 0, side), 0, sights), box, age_s, fresh)


def pairs(sights, tracks, least_overlap=0.3, doubtful_ids=False):
    fit = overlaps([one.box for one in sights], [one.expected for one in tracks])
    return pair(sights, tracks, fit, least_overlap, doubtful_ids)


def test_the_larger_overlap_first_and_the_older_of_equal_ones():
    assert pairs([sight(0)], [track(1, 20), track(2, 10)]) == {0: 1}
    assert pairs([sight(0)], [track(2, 10), track(1, 10)]) == {0: 1}
    assert pairs([sight(0), sight(10)], [track(1, 12)]) == {1: 0}


def test_an_id_counts_for_more_than_overlap_until_boxes_say_much_else():
    for apart, followed in ((30, {0: 1, 1: 0}),  # IoU 0.54 with its own and 1 with the other's
                            (60, {0: 0, 1: 1}),  # 0.25 and 1
                            (120, {0: 0, 1: 1})):
        assert pairs([sight(0, 'b'), sight(apart, 'a')], [track(1, 0, 'a'), track(2, apart, 'b')]) == followed


@pytest.mark.parametrize('x, age_s, found', [(100, 0.1, True), (120, 0.1, False), (300, 0.5, True), (360, 0.5, False)])
def test_how_far_an_id_reaches(x, age_s, found):
    """Half a size and six a second: 110 pixels after 0.1 s, 350 after 0.5 s."""
    assert bool(pairs([sight(x, 'a')], [track(1, 0, 'a', age_s=age_s)])) == found


def test_a_doubtful_id_reaches_no_further_than_a_box():
    assert pairs([sight(100, 'a')], [track(1, 0, 'a')], doubtful_ids=True) == {}
    assert pairs([sight(60, 'a')], [track(1, 0, 'a')], doubtful_ids=True) == {0: 0}


@pytest.mark.parametrize('x, found', [(64, {0: 0}), (66, {}), (110, {})])
def test_without_an_id_what_is_expected_elsewhere_is_another_object(x, found):
    """0.5 + 1.5 * 0.1 = 0.65 sizes; at 64 pixels the IoU is 0.22."""
    assert pairs([sight(x)], [track(1, 0)]) == found


def test_a_young_track_may_be_farther_only_while_it_is_seen():
    assert pairs([sight(140)], [track(1, 0, sights=2)]) == {0: 0}
    assert pairs([sight(140)], [track(1, 0, sights=2, fresh=False)]) == {}
    assert pairs([sight(160)], [track(1, 0, sights=2)]) == {}


def test_a_hidden_track_gives_way_to_one_that_was_seen():
    assert pairs([sight(0)], [track(1, 5, fresh=False, age_s=0.2), track(2, 12)]) == {0: 1}
    assert pairs([sight(0)], [track(1, 5, fresh=False, age_s=0.2), track(2, 40)]) == {0: 0}


def test_a_class_tells_only_where_boxes_hardly_do():
    assert pairs([sight(0, label='cup')], [track(1, 10, label='hand'), track(2, 11, label='cup')]) == {0: 1}
    assert pairs([sight(0, label='cup')], [track(1, 10, label='hand'), track(2, 30, label='cup')]) == {0: 0}


def test_another_area_is_another_object_unless_the_id_is_the_same():
    assert pairs([sight(0, side=160)], [track(1, 0)]) == {}
    assert pairs([sight(0, side=150)], [track(1, 0)]) == {0: 0}
    assert pairs([sight(0, 'a', side=160)], [track(1, 0, 'a')]) == {0: 0}


def test_a_size_is_the_width_across_and_the_height_down():
    slim = Box(0, 0, 20, 200)
    candidate = Candidate(Followed(1, '', '', slim, '', Motion.first(0, 0, 60), 0, 5), slim, 0.1, True)
    assert pairs([Sight(0, '', '', Box(14, 0, 20, 200), '')], [candidate]) == {}
    assert pairs([Sight(0, '', '', Box(12, 0, 20, 200), '')], [candidate]) == {0: 0}
    assert pairs([Sight(0, '', '', Box(0, 125, 20, 200), '')], [candidate]) == {0: 0}
    assert pairs([Sight(0, '', '', Box(0, 135, 20, 200), '')], [candidate]) == {}
