"""A long run in parts."""
from math import isnan

from robot_vision_dl.bench.trend import course


def test_parts_hold_all_frames_in_order_and_the_memory_at_their_end():
    parts = course(range(103), [10, 11, 12, 13, 14, 15], parts=3)
    assert [part['part'] for part in parts] == [1, 2, 3]
    assert sum(part['n'] for part in parts) == 103
    assert parts[0]['max'] < parts[1]['p50'] < parts[2]['p50'] and parts[2]['max'] == 102
    assert [part['memory_mb'] for part in parts] == [11, 13, 15]


def test_what_is_not_known_is_said_so():
    assert course([1.0, 2.0], [5.0], parts=10) == []
    assert all(isnan(part['memory_mb']) for part in course(range(20), []))
