"""Objects that take turns."""
from hypothesis import given
from hypothesis import strategies as st

from robot_vision_dl.core.regions.turns import Turns


def test_all_are_looked_at_where_there_is_time():
    assert Turns().choose(['a', 'b', 'c'], 3) == [0, 1, 2]
    assert Turns().choose([], 3) == []


def test_those_that_were_not_looked_at_for_longest_go_first():
    turns = Turns()
    assert turns.choose(range(60), 32) == list(range(32))
    assert set(turns.choose(range(60), 32)) >= set(range(32, 60))
    # The two that are over are of those that were looked at a frame longer ago.
    seen = [set(turns.choose(range(60), 32)) for _ in range(15)]
    assert set.union(*seen) == set(range(60))
    for first, second in zip(seen, seen[1:]):
        assert first | second == set(range(60))


def test_objects_that_nobody_follows_take_turns_by_their_place():
    turns = Turns()
    frames = [turns.choose([f'{frame}/{place}' for place in range(10)], 4) for frame in range(5)]
    assert set().union(*frames[:3]) == set(range(10))
    assert all(len(chosen) == 4 for chosen in frames)


def test_objects_that_come_and_go_do_not_take_the_turns_of_those_that_stay():
    turns, looks = Turns(), 0
    for frame in range(40):
        objects = [f'steady {number}' for number in range(10)] + [f'{frame}/{number}' for number in range(40)]
        looks += sum(place < 10 for place in turns.choose(objects, 32))
    assert looks / 400 > 0.55  # an even share would be .64


@given(st.lists(st.sets(st.integers(0, 30), max_size=30), min_size=1, max_size=20), st.integers(1, 8))
def test_nothing_starves(frames, most):
    """Who is there all the time is looked at at least once in as many frames as it takes to look at all others."""
    turns, waited, longest = Turns(), 0, 0
    for others in frames:
        objects = [99, *others]
        chosen = turns.choose(objects, most)
        assert chosen == sorted(set(chosen)) and len(chosen) == min(most, len(objects))
        waited = 0 if 0 in chosen else waited + 1
        longest = max(longest, waited)
    assert longest <= 31 // most + 31
