"""Frames are counted by what they show."""
from dataclasses import replace

from labelled_samples import frames_of

from robot_vision_dl.core.bundles.calibration_figures import count_of
from robot_vision_dl.data.objects import count_objects


def test_objects_where_all_frames_have_tracks_else_recordings_else_nothing():
    tracked = frames_of({'a': [('cup', 2), ('mug', 2)], 'b': [('cup', 2)]}, with_tracks=True)
    assert count_objects(tracked) == {'objects': 3, 'counted': 'objects'}
    assert count_of(count_objects(tracked)) == ' of 3 objects'
    some = [replace(tracked[0], track=None), *tracked[1:]]
    assert count_of(count_objects(some)) == ' of 2 recordings'
    assert count_of(count_objects(some[:1])) == ' of 1 recording'
    assert count_objects([replace(some[0], topic='')]) == {} == count_objects([])
    assert count_of({}) == count_of({'objects': 'x', 'counted': 'objects'}) == ''
