"""Frames are counted by what they show."""
from dataclasses import replace

from labelled_samples import frames_of, write_folders

from robot_vision_dl.core.bundles.calibration_figures import count_of
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.objects import count_objects
from robot_vision_dl.data.prepare import DataConfig, prepare


def test_objects_where_all_frames_have_tracks_else_recordings_else_nothing():
    tracked = frames_of({'a': [('cup', 2), ('mug', 2)], 'b': [('cup', 2)]}, with_tracks=True)
    assert count_objects(tracked) == {'objects': 3, 'counted': 'objects'}
    assert count_of(count_objects(tracked)) == ' of 3 objects'
    some = [replace(tracked[0], track=None), *tracked[1:]]
    assert count_of(count_objects(some)) == ' of 2 recordings'
    assert count_of(count_objects(some[:1])) == ' of 1 recording'
    assert count_objects([replace(some[0], topic='')]) == {} == count_objects([])
    assert count_of({}) == count_of({'objects': 'x', 'counted': 'objects'}) == ''


def test_of_pictures_of_a_folder_nobody_says_how_many_objects_they_show(tmp_path):
    """Other views of an object are no near-duplicates, and no other objects either."""
    write_folders(tmp_path / 'pictures', {'cup': 6, 'mug': 6})
    store = prepare(DataConfig((str(tmp_path / 'pictures'),), cache=CacheConfig(str(tmp_path / 'cache'))),
                    Preprocessing(32, (32, 32)))
    assert len(store.frames) > 5 and all(frame.track for frame in store.frames)
    assert count_objects(store.frames) == {}
