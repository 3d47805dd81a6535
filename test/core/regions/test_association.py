"""Which object is which of the frames before: with ids, without, with wrong ones, and whatever else detectors send."""
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.regions.association import MOST_FOLLOWED, Tracker, TrackingConfig
from robot_vision_dl.core.regions.detections import Box, Detection, Hypothesis
from robot_vision_dl.core.types import Header


def thing(x, y=240.0, width=60.0, height=60.0, name='', label=''):
    return Detection(Header(0, 'camera'), (Hypothesis(label, 0.9),) if label else (), Box(x, y, width, height), name)


class Camera:
    """Frames at a rate, and what a tracker makes of them."""

    def __init__(self, hz=10.0, **config):
        self.tracker = Tracker(TrackingConfig(**config))
        self.hz, self.time_ns = hz, 10 ** 18

    def sees(self, *detections, after_s=None):
        self.time_ns += round(1e9 * (1 / self.hz if after_s is None else after_s))
        return self.tracker.update(detections, [True] * len(detections), self.time_ns)

    def keys(self, *detections, after_s=None):
        return [track.key for track in self.sees(*detections, after_s=after_s)]


# By boxes

def test_objects_that_stay_keep_their_keys_and_are_new_once():
    camera = Camera()
    first = camera.sees(thing(100), thing(300))
    assert [track.is_new for track in first] == [True, True]
    for _ in range(20):
        again = camera.sees(thing(302), thing(99))
        assert [track.key for track in again] == [first[1].key, first[0].key]
        assert [track.is_new for track in again] == [False, False]
        assert [track.name for track in again] == [first[1].name, first[0].name]
    assert camera.tracker.ended() == []


@pytest.mark.parametrize('hz', [2, 5, 10, 30])
@pytest.mark.parametrize('hidden', [0, 1, 3])
def test_two_objects_that_cross_keep_their_keys(hz, hidden):
    """Seen from the side, at 100 and -80 pixels/s; for some frames around the meeting only the nearer one is seen."""
    hidden = min(hidden, int(0.8 * hz))
    camera, rng = Camera(hz), np.random.default_rng(hz)
    frames = int(5 * hz)
    meeting = (600 - 100) / 180
    order = sorted(range(frames), key=lambda frame: abs(frame / hz - meeting))[:hidden]
    first = None
    for frame in range(frames):
        t = frame / hz
        one = thing(100 + 100 * t + rng.normal(0, 1), 240, 60, 120)
        other = thing(600 - 80 * t + rng.normal(0, 1), 244, 55, 110)
        keys = camera.keys(one) if frame in order else camera.keys(one, other)
        first = first or keys
        assert keys == first[:len(keys)], f'frame {frame}'


def test_what_comes_into_view_while_the_camera_turns_moves_as_the_rest_does():
    """By 90 pixels a frame, 1.5 widths; of two that stand close, only the common motion tells which is which."""
    camera = Camera(5)

    def frame(number, *more):
        return [thing(x - 90 * number, y) for x, y in ((900, 50), (1000, 150), (1100, 300), *more)]
    for number in range(6):
        keys = camera.keys(*frame(number))
    first = camera.keys(*frame(6, (1200, 400), (1290, 400)))
    assert first[:3] == keys
    assert camera.keys(*frame(7, (1200, 400), (1290, 400))) == first


def test_when_the_camera_begins_to_turn_small_objects_are_looked_for_where_large_ones_went():
    camera = Camera()
    large = [thing(x, y, 120, 120) for x, y in ((200, 100), (400, 300), (600, 100))]
    small = [thing(x, 400, 20, 20) for x in (300, 350)]
    for _ in range(5):
        keys = camera.keys(*large, *small)
    moved = [thing(one.box.x + 50, one.box.y, one.box.width, one.box.height) for one in (*large, *small)]
    assert camera.keys(*moved) == keys


def test_a_short_gap_keeps_the_track_and_a_long_one_ends_it():
    camera = Camera()
    key, = camera.keys(thing(100))
    assert camera.keys() == []
    assert camera.keys(thing(101), after_s=0.8) == [key]
    assert camera.tracker.ended() == []
    assert camera.keys(after_s=1.05) == []
    assert camera.tracker.ended() == [key] and camera.tracker.ended() == []
    assert camera.keys(thing(101)) != [key]


def test_an_object_that_moves_is_found_again_where_it_must_be_by_then():
    camera = Camera()
    for frame in range(10):
        key, = camera.keys(thing(100 + 20 * frame))
    assert camera.keys(thing(100 + 20 * 15), after_s=0.6) == [key]


def test_an_object_replaced_within_a_fifth_of_a_second_is_a_new_one():
    camera = Camera()
    for _ in range(5):
        key, = camera.keys(thing(100))
    new, = camera.sees(thing(165), after_s=0.2)
    assert new.key != key and new.is_new


@pytest.mark.parametrize('hz', [5, 10, 30])
def test_a_small_fast_object_whose_boxes_never_overlap_is_followed(hz):
    """A ball of 12 pixels that moves by 1.1 of its sizes a frame."""
    camera = Camera(hz)
    keys = {camera.keys(thing(50 + 13.2 * frame, 200, 12, 12))[0] for frame in range(20)}
    assert len(keys) == 1


def test_a_box_of_another_size_in_the_same_place_is_another_object():
    camera = Camera()
    key, = camera.keys(thing(100, width=60, height=60))
    assert camera.keys(thing(100, width=66, height=66)) == [key]
    assert camera.keys(thing(100, width=110, height=110)) != [key]


def test_a_class_that_wavers_does_not_break_a_track_and_tells_apart_what_boxes_cannot():
    camera = Camera()
    key, = camera.keys(thing(100, label='cup'))
    assert camera.keys(thing(104, label='bowl')) == [key]
    assert camera.keys(thing(100, label='cup')) == [key]
    camera = Camera()
    cup, hand = camera.keys(thing(100, label='cup'), thing(120, label='hand'))
    assert camera.keys(thing(110, label='hand'), thing(110, label='cup')) == [hand, cup]


def test_turned_boxes_are_followed():
    camera = Camera()
    bar = [Detection(Header(0, ''), (), Box(200 + i, 200, 200, 10, 0.7 + 0.01 * i)) for i in range(5)]
    cross = [Detection(Header(0, ''), (), Box(200, 200 + i, 200, 10, -0.8)) for i in range(5)]
    first = camera.keys(bar[0], cross[0])
    for one, other in zip(bar[1:], cross[1:]):
        assert camera.keys(other, one) == first[::-1]


# By ids

def test_an_id_is_the_name_and_holds_where_boxes_do_not_overlap():
    camera = Camera()
    first, = camera.sees(thing(100, name='7'))
    assert first.name == '7'
    again, = camera.sees(thing(165, name='7'))
    assert again == type(first)(first.key, '7', False)


def test_ids_hold_while_two_objects_meet():
    camera = Camera(5)
    keys = camera.keys(thing(100, name='a'), thing(300, name='b'))
    for step in range(1, 11):
        assert camera.keys(thing(100 + 20 * step, name='a'), thing(300 - 20 * step, name='b')) == keys
    # Both turn round, which no prediction expects.
    for step in range(10):
        assert camera.keys(thing(300 - 20 * step, name='a'), thing(100 + 20 * step, name='b')) == keys


def test_an_id_that_comes_back_after_a_gap_is_a_new_track_and_says_so():
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    back, = camera.sees(thing(100, name='7'), after_s=2.3)
    assert back.key != key and back.is_new and back.name == '7'
    assert back.note == 'id 7 came back after 2.3 s'
    assert camera.tracker.ended() == [key]


def test_an_id_that_is_somewhere_else_is_a_new_track_and_says_so():
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    other, = camera.sees(thing(410, name='7'))
    assert other.key != key and other.is_new and other.name == '7'
    assert other.note == 'id 7 is somewhere else: 310 pixels away within 0.1 s'
    assert camera.keys(thing(411, name='7')) == [other.key]


def test_an_object_too_fast_to_be_believed_loses_its_track_once_only():
    camera = Camera()
    keys = [camera.keys(thing(100 + 150 * frame, name='ball'))[0] for frame in range(8)]
    assert len(set(keys)) == 2 and len(set(keys[1:])) == 1


def test_exchanged_ids_change_names_and_keys_stay_with_the_objects():
    camera = Camera()
    for _ in range(5):
        left, right = camera.keys(thing(100, name='a'), thing(400, name='b'))
    for _ in range(5):
        tracks = camera.sees(thing(100, name='b'), thing(400, name='a'))
        assert [(track.key, track.name, track.is_new) for track in tracks] == [(left, 'b', False), (right, 'a', False)]
    # The same where the objects are near enough to have changed places.
    camera = Camera()
    for _ in range(5):
        left, right = camera.keys(thing(100, name='a'), thing(170, name='b'))
    assert camera.keys(thing(101, name='b'), thing(169, name='a')) == [left, right]


def test_a_renumbered_object_keeps_its_key_and_an_id_next_to_it_is_new():
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    again, = camera.sees(thing(102, name='8'))
    assert (again.key, again.name, again.is_new) == (key, '8', False)
    beside, = camera.sees(thing(140, name='9'))  # IoU 0.22
    assert beside.is_new and beside.key != key


def test_a_new_id_where_an_object_was_some_frames_ago_is_a_new_object():
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    camera.sees()
    assert camera.keys(thing(100, name='8')) == [key]  # 0.2 s
    for _ in range(4):
        camera.sees()
    new, = camera.sees(thing(100, name='9'))
    assert new.is_new and new.key != key


def test_three_ids_that_go_round_change_names_only():
    camera = Camera()
    places = 100, 300, 500
    for _ in range(3):
        keys = camera.keys(*(thing(x, name=name) for x, name in zip(places, 'abc')))
    tracks = camera.sees(*(thing(x, name=name) for x, name in zip(places, 'bca')))
    assert [track.key for track in tracks] == keys and [track.name for track in tracks] == ['b', 'c', 'a']


def test_an_id_that_was_free_goes_with_its_object_and_not_with_its_former_track():
    """Object a is gone, and the detector calls b by its id."""
    camera = Camera()
    for _ in range(3):
        first, second = camera.keys(thing(100, name='a'), thing(400, name='b'))
    again, = camera.sees(thing(401, name='a'))
    assert (again.key, again.name) == (second, 'a')
    back, other = camera.sees(thing(100), thing(402, name='a'))
    assert (back.key, other.key) == (first, second) and back.name != 'a'


def test_one_object_at_a_time_with_the_same_number_is_not_one_object():
    camera = Camera()
    for _ in range(5):
        key, = camera.keys(thing(100, name='0'))
    for _ in range(3):
        camera.sees()
    new, = camera.sees(thing(220, name='0'))  # 2 sizes away
    assert new.key != key


def test_ids_that_are_missing_now_and_then_are_bridged_by_boxes():
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    between, = camera.sees(thing(103))
    assert (between.key, between.name) == (key, '7')
    assert camera.keys(thing(105, name='7')) == [key]


def test_of_two_detections_with_one_id_the_better_fitting_keeps_it():
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    tracks = camera.sees(thing(400, name='7'), thing(102, name='7'))
    assert [track.key == key for track in tracks] == [False, True]
    assert tracks[1].name == '7' and tracks[0].name != '7'
    assert tracks[0].note == 'id 7 was given to 2 objects of this frame'


def test_ids_that_are_places_in_the_array_are_noticed_and_nothing_leaks_meanwhile():
    """The objects come in the order of a score that wavers, and some are missed."""
    rng = np.random.default_rng(3)
    camera, places, owner = Camera(), [100, 250, 400, 550], {}
    for frame in range(60):
        order = [int(i) for i in rng.permutation(4) if rng.random() > 0.1]
        tracks = camera.sees(*(thing(places[i] + rng.normal(0, 2), name=str(n)) for n, i in enumerate(order)))
        for i, track in zip(order, tracks):
            assert owner.setdefault(track.key, i) == i, f'frame {frame}: the belief of one object went to another'
        if frame >= 5:
            assert not any(track.name.isdigit() for track in tracks)
    assert len(owner) <= 6


def test_ids_that_are_new_with_every_frame_are_noticed():
    camera = Camera()
    keys = []
    for frame in range(60):
        # Slow at first, then so fast that a new id alone would make a new track.
        x = 100 + 2 * frame if frame < 10 else 120 + 25 * (frame - 10)
        keys += camera.keys(thing(x, name=str(1000 + frame)))
    assert len(set(keys)) == 1


def test_ids_are_trusted_again_where_they_hold():
    camera, number = Camera(), 0
    for _ in range(10):
        number += 1
        camera.sees(thing(100, name=f'n{number}'))
    assert not camera.tracker.trusts_ids
    for _ in range(60):
        track, = camera.sees(thing(100, name='x'))
    assert camera.tracker.trusts_ids and track.name == 'x'


def test_untrusted_ids_are_not_gone_by():
    camera = Camera(trust_ids=False)
    left, right = camera.sees(thing(100, name='a'), thing(400, name='b'))
    assert not {left.name, right.name} & {'a', 'b'}
    assert camera.keys(thing(100, name='b'), thing(400, name='a')) == [left.key, right.key]


def test_the_configuration_may_be_replaced_between_frames():
    camera = Camera()
    left, right = camera.keys(thing(100, name='a'), thing(400, name='b'))
    camera.tracker.config = TrackingConfig(trust_ids=False, forget_after_s=0.05)
    tracks = camera.sees(thing(100, name='a'), thing(400, name='b'))
    assert not {track.key for track in tracks} & {left, right} and not {track.name for track in tracks} & {'a', 'b'}
    assert camera.tracker.ended() == [left, right]


# Whatever else is sent

def test_an_id_of_a_million_characters_is_none():
    camera = Camera()
    track, = camera.sees(thing(100, name='7' * 10 ** 6))
    assert len(track.name) < 100
    assert camera.keys(thing(100, name='8' * 10 ** 6)) == [track.key]



def test_a_name_of_our_own_is_none_of_the_detectors():
    camera = Camera()
    mine, = camera.sees(thing(100))
    tracks = camera.sees(thing(100), thing(400, name=mine.name))
    assert tracks[0].key == mine.key and tracks[1].name == mine.name != tracks[0].name


def test_time_that_goes_back_begins_everything_anew_and_the_same_time_does_not():
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    assert camera.keys(thing(103, name='7'), after_s=0) == [key]
    assert camera.keys(thing(106, name='7')) == [key]
    again, = camera.sees(thing(100, name='7'), after_s=-0.5)
    assert again.key != key and again.note == 'id 7 begins anew: time went back by 0.5 s'
    assert camera.tracker.ended() == [key]


@pytest.mark.parametrize('box', [Box(nan, 0, 1, 1), Box(0, 0, inf, 1), Box(0, 0, 0, 1), Box(0, 0, 1, -1),
                                 Box(1e300, 0, 1, 1), Box(0, 0, 1, 1, nan)])
@pytest.mark.parametrize('usable', [True, False])
def test_what_cannot_be_used_is_of_a_track_that_ends_at_once(box, usable):
    camera = Camera()
    key, = camera.keys(thing(100, name='7'))
    bad = Detection(Header(0, ''), (), box, '7')
    track, other = camera.tracker.update([bad, thing(100, name='7')], [usable, True], camera.time_ns + 1)
    assert track.is_new and track.name != '7' and other.key == key
    assert camera.tracker.ended() == [track.key]


def test_ten_thousand_objects_a_frame_are_bounded():
    camera = Camera(30)
    rng = np.random.default_rng(0)
    for frame in range(4):
        found = camera.sees(*(thing(*place, name=f'{frame}/{i}')
                              for i, place in enumerate(rng.uniform(0, 2000, (10_000, 2)).tolist())))
        assert len({track.key for track in found}) == 10_000
    assert len(camera.tracker._tracks) <= 2 * MOST_FOLLOWED
    assert f'more than {MOST_FOLLOWED} objects' in found[-1].note


BOXES = st.builds(Box, st.sampled_from([0, 50, 60, 75, 300]), st.sampled_from([0, 10, 300]),
                  st.sampled_from([0, 40, 50, 100]), st.sampled_from([40, 50, nan]), st.sampled_from([0, 0, 0.4]))
DETECTIONS = st.builds(Detection, st.just(Header(0, '')),
                       st.lists(st.builds(Hypothesis, st.sampled_from('ab'), st.sampled_from([0.2, 0.9, nan])),
                                max_size=2).map(tuple),
                       BOXES, st.sampled_from(['', '', '0', '1', '2', 'x', 'track-0']))
STEPS_MS = st.sampled_from([0, 30, 200, 500, 1500, -100])
FRAMES = st.lists(st.tuples(st.lists(DETECTIONS, max_size=6), STEPS_MS), max_size=12)


@settings(max_examples=150, deadline=None)
@given(FRAMES, st.booleans())
def test_keys_are_one_to_one_never_used_again_and_every_one_ends(frames, trust_ids):
    tracker, time_ms = Tracker(TrackingConfig(trust_ids=trust_ids)), 10_000
    known, over = set(), set()
    for detections, step_ms in frames:
        time_ms += step_ms
        tracks = tracker.update(detections, [True] * len(detections), time_ms * 10 ** 6)
        assert len(tracks) == len(detections)
        keys = [track.key for track in tracks]
        assert len(set(keys)) == len(keys)
        names = [track.name for track in tracks]
        assert len(set(names)) == len(names) and all(names)
        for track in tracks:
            assert track.is_new == (track.key not in known) and track.key not in over
        known |= set(keys)
        over |= set(tracker.ended())
        assert over <= known
    tracker.update([], [], (time_ms + 2000) * 10 ** 6)
    assert over | set(tracker.ended()) == known


@settings(max_examples=100, deadline=None)
@given(FRAMES, st.randoms(use_true_random=False))
def test_the_order_of_the_detections_does_not_matter(frames, random):
    """But for ids that are places in the array, and for objects that are alike to the last digit."""
    one, other, time_ms = Tracker(TrackingConfig()), Tracker(TrackingConfig()), 10_000
    for detections, step_ms in frames:
        time_ms += step_ms
        detections = [d for d in dict.fromkeys(detections) if d.track_id not in ('0', '1', '2') and d.box.width
                      and d.box.height == d.box.height]
        different = {(d.box, d.track_id, d.hypotheses[:1]): d for d in detections}
        detections = list({key[0]: d for key, d in different.items()}.values())
        order = list(range(len(detections)))
        random.shuffle(order)
        usable = [True] * len(detections)
        straight = one.update(detections, usable, time_ms * 10 ** 6)
        shuffled = other.update([detections[i] for i in order], usable, time_ms * 10 ** 6)
        assert [straight[i] for i in order] == shuffled
