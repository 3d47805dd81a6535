"""Frames that are due, where tracks are in view one after another and together."""
from robot_vision_dl.data.selection import SelectionConfig, Selector

SECOND = 1_000_000_000


def kept(frames, every_s=1.0):
    """How many of (seconds, label, track) are due."""
    selector = Selector(SelectionConfig(every_s=every_s, duplicate_distance=-1, least=0))
    return sum(selector.is_due('bag', '/camera', round(at * SECOND), label, track) for at, label, track in frames)


def test_a_new_label_or_track_is_due_at_once():
    assert kept([(0, 'cup', None), (0.1, 'cup', None), (0.2, 'mug', None), (0.3, 'mug', None)]) == 2
    assert kept([(0, 'cup', 'a'), (0.1, 'cup', 'a'), (0.2, 'cup', 'b'), (0.3, 'cup', 'b')]) == 2


def test_tracks_in_view_together_are_thinned_as_one_alone_is():
    alone = [(n / 10, 'cup', 'a') for n in range(100)]
    together = [(n / 10, 'cup', track) for n in range(100) for track in 'ab']
    assert kept(alone) == 10 and kept(together) == 20
