"""Which intervals are shown again: a twentieth, later, always the same."""
from robot_vision_dl.labelling.repeats import repeats

MARKS = [(number, f'hall\0/camera\0{number * 10**9}') for number in range(1, 4001)]


def test_a_twentieth_is_shown_again_some_places_later():
    found = repeats(MARKS)
    assert 150 < len(found) < 250
    assert all(MARKS[one.place][0] == one.interval for one in found)
    gaps = [one.after - one.place for one in found if one.place < 3900]
    assert min(gaps) >= 20 and max(gaps) <= 60 and len(set(gaps)) > 20


def test_it_does_not_depend_on_what_else_is_in_the_queue():
    assert {one.interval for one in repeats(MARKS[1000:2000])} <= {one.interval for one in repeats(MARKS)}
    assert repeats(MARKS) == repeats(MARKS) != repeats(MARKS, seed=1)


def test_what_would_be_shown_again_at_once_is_left_out():
    for n in range(1, 60):
        assert all(5 <= one.after - one.place and one.after < n for one in repeats(MARKS[:n]))
