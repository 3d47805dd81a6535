"""Which frames a report shows: of different objects, none twice."""
import numpy as np
import pytest

from robot_vision_dl.core.types import ColorOrder, Frame, Header, Picture
from robot_vision_dl.evaluation.example_frames import (
    APART,
    OF_A_CELL,
    OF_A_WRONG_CELL,
    WORST,
    ExampleFrames,
    Key,
    Shot,
    different_first,
    joined,
)
from robot_vision_dl.evaluation.picture_messages import TOPIC as PICTURES
from robot_vision_dl.evaluation.table import ACCEPTED, ROW, UNCERTAIN, UNKNOWN_TARGET


def offered(frames, name='bag'):
    """The choice after ``frames``: (track, target, outcome, trust) one after the other."""
    gallery = ExampleFrames(name, ['m'], 10**9)
    picture = Picture(np.zeros((8, 8, 3), np.uint8), ColorOrder.RGB)
    for index, (track, target, outcome, trust) in enumerate(frames):
        row = np.zeros(1, ROW)[0]
        row['index'], row['track'], row['target'], row['outcome'], row['trust'] = index, track, target, outcome, trust
        gallery.offer('m', Frame('camera', Header(index, 'camera'), picture, 'rgb8'), row)
    return gallery.choices['m'], gallery.pictures()


def test_different_objects_before_more_of_the_surest():
    """20 objects of 40 frames each, the first of them surer than all others: it has no more room than any other."""
    choice, pictures = offered([(track, UNKNOWN_TARGET, ACCEPTED, 0.99 if not track else 0.5 + track / 100)
                                for track in range(20) for _ in range(40)])
    for shots in (choice.ood, choice.cells[UNKNOWN_TARGET, 0]):
        assert len(shots) == 12 and len({shot.object for shot in shots}) == 12
        assert [shot.score for shot in shots] == sorted((shot.score for shot in shots), reverse=True)
        assert shots[0].score == 0.99
    assert set(choice.keys()) == set(pictures)


@pytest.mark.parametrize('slope', [-1e-3, 0, 1e-3])
def test_two_objects_of_24_frames_fill_what_room_there_is(slope):
    choice, _ = offered([(index // 24, UNKNOWN_TARGET, ACCEPTED, 0.9 + slope * index) for index in range(48)])
    assert len(choice.ood) == 8
    places = sorted(shot.key.number for shot in choice.ood)
    assert min(np.diff(places)) >= APART


def test_wrong_cells_have_more_room_than_others_and_no_tracks_are_needed():
    choice, _ = offered([(-1, 1, ACCEPTED if index % 2 else UNCERTAIN, 0.5) for index in range(600)])
    assert len(choice.cells[1, 0]) == OF_A_WRONG_CELL == WORST
    assert len(choice.cells[1, -2]) == OF_A_CELL


def test_what_is_shown_first_is_of_other_recordings_and_objects():
    shots = [Shot(score, Key(bag, '/camera', number), (bag, thing)) for number, (score, bag, thing) in enumerate((
        (.9, 'a', 1), (.8, 'a', 1), (.7, 'a', 2), (.6, 'b', 1), (.5, 'b', 1), (.4, 'c', 1)))]
    assert [shot.score for shot in different_first(shots)] == [.9, .6, .4, .7, .5, .8]
    pictures = [shot._replace(key=shot.key._replace(topic=PICTURES), object=shot.score) for shot in shots]
    assert different_first(pictures) == pictures  # the surest first


def test_choices_of_recordings_are_joined_by_the_same_rule():
    many = offered([(index // 20, UNKNOWN_TARGET, ACCEPTED, 0.9) for index in range(240)], 'a')[0]
    one = offered([(0, UNKNOWN_TARGET, ACCEPTED, 0.6) for index in range(240)], 'b')[0]
    found = joined([many, one])
    assert len(found.ood) == 12 and len(one.ood) == 12
    more = joined([one, offered([(0, UNKNOWN_TARGET, ACCEPTED, 0.1)], 'c')[0]])
    assert {shot.key.recording for shot in more.ood} == {'b', 'c'}
