"""Frames that are cut out of one picture are of one part, whatever their tracks and classes are."""
import csv
from collections import defaultdict

import pytest
from labelled_samples import write_folders

from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.division import SplitConfig
from robot_vision_dl.data.labels.labels import LabelledFrame
from robot_vision_dl.data.objects import groups_of
from robot_vision_dl.data.picture_folder import folder_pictures
from robot_vision_dl.data.picture_list import listed_pictures, write_list
from robot_vision_dl.data.prepare import DataConfig, prepare
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.data.split import make_split

S = 1_000_000_000


def frames(pictures, each=3, track=None):
    """``each`` frames of a picture, one after another, of classes in turn."""
    return [LabelledFrame('venue', '', (picture * each + n + 1) * S, f'class {n % 2}',
                          None if track is None else track(picture, n), n, 0, f'{picture}_{n}.png',
                          f'picture {picture}')
            for picture in range(pictures) for n in range(each)]


def parts_of(found, split):
    parts = defaultdict(set)
    for frame, part in zip(found, split.parts):
        parts[frame.picture].add(part)
    return parts


@pytest.mark.parametrize('block_s', [1.0, 10.0])
def test_a_picture_is_in_one_part(block_s):
    found = frames(40)
    split = make_split(found, SplitConfig(method='time', block_s=block_s))
    assert all(len(parts) == 1 and None not in parts for parts in parts_of(found, split).values())
    assert len({part for parts in parts_of(found, split).values() for part in parts}) == 4


def test_pictures_that_share_a_track_are_together():
    found = frames(40, track=lambda picture, n: f'track {picture // 2}' if n == 0 else f'own {picture} {n}')
    split = make_split(found, SplitConfig(method='time'))
    parts = parts_of(found, split)
    for picture in range(0, 40, 2):
        assert parts[f'picture {picture}'] == parts[f'picture {picture + 1}']
        assert len(parts[f'picture {picture}']) == 1


def test_they_are_one_object_where_a_score_needs_others():
    numbers = groups_of(frames(2, 3)).tolist()
    assert numbers == [0, 0, 0, 1, 1, 1]


def test_what_the_split_follows_from_has_the_pictures(tmp_path):
    one, other = frames(40), frames(40)
    other[0] = LabelledFrame(**{name: getattr(other[0], name) for name in other[0].__slots__[:-1]}, picture='another')
    config = SplitConfig(method='time')
    assert make_split(one, config).inputs_hash != make_split(other, config).inputs_hash


def test_index_list_and_cache_keep_it(tmp_path):
    folder = tmp_path / 'objects'
    write_folders(folder, {'cup': 4, 'mug': 4})
    files = sorted(folder.rglob('*.*g'))
    with open(folder / 'index.csv', 'w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['file', 'label', 'recording', 'topic', 'stamp_ns', 'receive_ns', 'track', 'index', 'picture'])
        for n, path in enumerate(files):
            rows.writerow([path.relative_to(folder), path.parent.name, 'venue', '', (n + 1) * S, (n + 1) * S, '', n,
                           f'p{n % 4}'])
    found = folder_pictures(folder, print)
    assert [one.picture for one in found] == [f'p{n % 4}' for n in range(8)]
    write_list(tmp_path / 'list.csv', found, tmp_path)
    listed = listed_pictures(tmp_path / 'list.csv')
    assert [(one.picture, one.recording) for one in listed] == [(one.picture, 'venue') for one in found]
    for bags in (folder, tmp_path / 'list.csv'):
        config = DataConfig(bags=(str(bags),), cache=CacheConfig(folder=str(tmp_path / 'cache')),
                            selection=SelectionConfig(duplicate_distance=-1))
        for _ in ('made', 'from the cache'):
            store = prepare(config, Preprocessing(0, (32, 32)))
            assert [frame.picture for frame in store.frames] == [f'p{n % 4}' for n in range(8)]
