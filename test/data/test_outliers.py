"""Pictures of no class, for training alone: read once, and a fixed share of every batch."""
import pickle

import cv2
import numpy as np
import pytest
import torch
from labelled_samples import write_folders

from robot_vision_dl.core.errors import DataError
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.augmentation.augment import TrainTransform
from robot_vision_dl.data.augmentation.config import AugmentConfig
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.dataset import NO_CLASS, EvalTransform, FrameDataset
from robot_vision_dl.data.exposed_dataset import ExposedDataset
from robot_vision_dl.data.outliers import outlier_store, unlike
from robot_vision_dl.data.prepare import DataConfig, prepare
from robot_vision_dl.data.selection import SelectionConfig

SPEC = Preprocessing(40, (32, 32))
NAMES = ('cup', 'mug')


@pytest.fixture
def cache(tmp_path):
    return CacheConfig(str(tmp_path / 'cache'))


@pytest.fixture
def foreign(tmp_path):
    """Pictures at two depths, a file that is none, and one that cannot be read."""
    rng = np.random.default_rng(0)
    for number in range(6):
        path = tmp_path / 'foreign' / ('deep/er' if number % 2 else '') / f'{number}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (6, 6, 3), np.uint8), (48, 48)))
    (tmp_path / 'foreign' / 'notes.txt').write_text('no picture')
    (tmp_path / 'foreign' / 'broken.png').write_bytes(b'no picture')
    return tmp_path / 'foreign'


@pytest.fixture
def store(tmp_path, cache):
    folder = write_folders(tmp_path / 'known', {'cup': 8, 'mug': 8})
    return prepare(DataConfig((str(folder),), selection=SelectionConfig(0.0, -1, least=0), cache=cache), SPEC)


def test_all_pictures_below_a_folder_are_of_no_class_and_are_read_once(foreign, cache):
    read = []
    found = outlier_store([str(foreign)], SPEC, cache, read.append)
    assert len(found) == 6 and {frame.label for frame in found.frames} == {'unknown'}
    assert read == [1, 2, 3, 4, 5, 6]
    assert outlier_store([str(foreign)], SPEC, cache, read.append).key == found.key and len(read) == 6
    assert (FrameDataset(found, range(6), NAMES, EvalTransform(SPEC)).targets == NO_CLASS).all()


def test_a_folder_without_pictures_is_told(tmp_path, cache):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DataError, match='data.outliers: no picture that can be read in .*empty'):
        outlier_store([str(tmp_path / 'empty')], SPEC, cache)


def test_near_duplicates_of_others_are_found():
    hashes = np.array([0, 0xFFFF, 0x3F, 0xFFFFFFFFFFFFFFFF], np.uint64)
    assert unlike(hashes, np.array([0], np.uint64)).tolist() == [1, 3]  # six bits apart are alike
    assert unlike(hashes, np.zeros(0, np.uint64)).tolist() == [0, 1, 2, 3]


def exposed(store, found, share=0.25):
    transform = TrainTransform(AugmentConfig(), SPEC)
    halves = [FrameDataset(found, part, NAMES, transform, 3) for part in ([0, 1, 2], [3, 4, 5])]
    return ExposedDataset(store, range(len(store)), NAMES, transform, 3, halves, share)


@pytest.mark.parametrize('share, extra', [(0.25, 2), (0.01, 1), (2.0, 16)])
def test_a_batch_ends_with_its_share_of_outliers(store, foreign, cache, share, extra):
    data = exposed(store, outlier_store([str(foreign)], SPEC, cache), share)
    items = data.__getitems__(list(range(8)))
    assert len(data) == 16 and len(items) == 8 + extra
    assert [item.target for item in items[:8]] == data.targets[:8].tolist()
    assert all(item.target == NO_CLASS for item in items[8:])
    assert all(torch.equal(item.picture, data[place].picture) for place, item in enumerate(items[:8]))


def test_outliers_follow_from_seed_epoch_and_frames_and_all_come_up(store, foreign, cache):
    found = outlier_store([str(foreign)], SPEC, cache)
    one, other = exposed(store, found), exposed(store, found)
    seen = set()
    for epoch in range(12):
        one.set_epoch(epoch)
        other.set_epoch(epoch)
        for first in (0, 8):
            places = list(range(first, first + 8))
            mine, theirs = one.__getitems__(places)[8:], other.__getitems__(places)[8:]
            assert all(torch.equal(a.picture, b.picture) for a, b in zip(mine, theirs))
            seen |= {item.frame for item in mine}
    assert seen == set(range(6))


def _limited(cache, most_bytes, form):
    cache = CacheConfig(cache.folder, format=form)
    object.__setattr__(cache, 'max_gb', most_bytes / 1e9)
    return cache


def test_outliers_do_not_push_out_the_frames_of_the_same_run(store, cache, foreign):
    """Loaders' processes open the frames anew, so that both are on the disk together, or it is said."""
    one = int(store.sizes.max())
    both = int(store.sizes.sum()) + one  # raw outliers are three times as large
    with pytest.raises(DataError, match='cache.max_gb: frames and outliers are needed together and take more than '
                                        '.* GB, the frames alone .* GB; raise it.*or give fewer data.outliers'):
        outlier_store([str(foreign)], SPEC, _limited(cache, both, 'raw'), beside=[store])
    assert store.pixels(0).shape == tuple(store.shapes[0])
    assert pickle.loads(pickle.dumps(store)).pixels(0).shape == tuple(store.shapes[0])


def test_caches_that_are_not_needed_make_room(store, cache, foreign):
    outlier_store([str(foreign)], SPEC, _limited(cache, int(store.sizes.sum()), 'raw'))
    assert not store.folder.exists() and store.pixels(0).size  # it was open


def test_frames_that_were_removed_by_somebody_else_are_read_on_and_told_where_they_are_opened_anew(cache, foreign):
    store = outlier_store([str(foreign)], SPEC, cache)
    text = pickle.dumps(store)
    (store.folder / 'frames.bin').unlink()
    assert store.pixels(0).size
    with pytest.raises(DataError, match='was removed while it was in use.*give the same command again'):
        pickle.loads(text).pixels(0)
