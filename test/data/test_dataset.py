"""Decoded frames on disk and as a data set: as the live node sees them, whole or not there, bounded, reproducible."""
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_samples import write_bag, write_folders

from robot_vision_dl.core.errors import BagError, ConfigError, DataError
from robot_vision_dl.core.files.whole_files import is_part
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.data.augmentation.augment import TrainTransform
from robot_vision_dl.data.augmentation.config import AugmentConfig
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.cache import CacheConfig, FrameStore
from robot_vision_dl.data.contact_sheet import augmented_sheet, write_sheet
from robot_vision_dl.data.dataset import NO_CLASS, EvalTransform, FrameDataset, drawn, known, shuffled, stack
from robot_vision_dl.data.prepare import DataConfig, class_names_of, prepare
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.data.statistics import class_balance, mean_and_std, sample_weights

SPEC = Preprocessing(40, (32, 32))
LABELS = [(0.0, 'mug'), (0.5, 'cup'), (1.5, 'unknown')]
ALL = SelectionConfig(0.0, -1)


@pytest.fixture
def config(tmp_path):
    write_bag(tmp_path / 'bags' / 'one', 20, labels=LABELS, topics=('/camera/image_raw', '/back'))
    write_bag(tmp_path / 'bags' / 'two', 20, labels=LABELS, seed=1, jpeg=True)
    return DataConfig((str(tmp_path / 'bags'),), selection=ALL, cache=CacheConfig(str(tmp_path / 'cache')))


def folders(config):
    return sorted(path.name for path in Path(config.cache.folder).iterdir())


@pytest.mark.parametrize('spec', (SPEC, Preprocessing(0, (24, 40)), Preprocessing(40, (32, 32), (0.5,), (0.2,))))
def test_evaluation_sees_what_the_live_node_sees(spec, config):
    store = prepare(config, spec)
    data = FrameDataset(store, range(len(store)), class_names_of(store), EvalTransform(spec))
    live = Preprocessor(spec, 'cpu')
    for name in ('one', 'two'):
        reader = BagReader(config.bags[0] + '/' + name)
        for topic in [topic for topic in reader.topics if topic != '/label']:
            expected = [live([decode(message.decode())])[0] for message in reader.image_messages([topic])]
            places = [i for i, frame in enumerate(store.frames) if (frame.recording, frame.topic) == (name, topic)]
            assert len(places) == 20
            for place in places:
                assert torch.equal(data[place].picture, expected[store.frames[place].index])


def test_made_once_and_read_again(config):
    store = prepare(config, SPEC)
    time_ns = (store.folder / 'frames.bin').stat().st_mtime_ns
    again = prepare(config, SPEC)
    assert again.frames == store.frames and again.key == store.key
    assert (store.folder / 'frames.bin').stat().st_mtime_ns == time_ns
    assert str(again.label_report) == str(store.label_report) and again.selection_report == store.selection_report
    np.testing.assert_array_equal(again.hashes, store.hashes)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).pixels(7), store.pixels(7))
    assert store.pixels(0).shape == (40, 53, 3) and len(store) == 60
    with pytest.raises(ValueError, match='read-only'):
        store.pixels(0)[0] = 0


def test_key_follows_from_what_the_frames_follow_from(config, tmp_path):
    store = prepare(config, SPEC)
    assert prepare(config, replace(SPEC, mean=(0, 0, 0), crop=(24, 24))).key == store.key
    keys = {store.key, prepare(config, Preprocessing(48, (32, 32))).key,
            prepare(replace(config, selection=SelectionConfig(0.2, -1)), SPEC).key}
    (tmp_path / 'bags' / 'one' / 'labels.yaml').write_text('- {start: 0, label: cup}')
    changed = prepare(config, SPEC)
    assert len(keys | {changed.key}) == 4
    assert changed.data_hash != store.data_hash


def test_data_hash_does_not_depend_on_the_place(config, tmp_path):
    store = prepare(config, SPEC)
    (tmp_path / 'bags').rename(tmp_path / 'moved')
    moved = prepare(replace(config, bags=(str(tmp_path / 'moved'),)), SPEC)
    assert moved.key != store.key and moved.data_hash == store.data_hash


@pytest.mark.parametrize('form', ('jpeg', 'auto'))
def test_jpeg_where_asked_or_where_raw_does_not_fit(form, config):
    raw = prepare(config, SPEC)
    size = (raw.folder / 'frames.bin').stat().st_size
    small = limited(config, size * (20 if form == 'jpeg' else 0.9), form)
    store = prepare(small, replace(SPEC, resize=44))
    assert store.is_jpeg and len(store) == 60
    assert (store.folder / 'frames.bin').stat().st_size < 0.7 * size
    bigger = prepare(config, replace(SPEC, resize=44))
    errors = [np.abs(store.pixels(i).astype(int) - bigger.pixels(i)).mean() for i in range(60)]
    assert max(errors) < 3


def limited(config, most_bytes, form='auto'):
    """The config with a limit below the smallest that a user may set."""
    cache = CacheConfig(config.cache.folder, format=form)
    object.__setattr__(cache, 'max_gb', most_bytes / 1e9)
    return replace(config, cache=cache)


def test_no_room_is_said(config):
    with pytest.raises(DataError, match=r'cache.max_gb: \d+ decoded frames fill 1e-05 GB.*selection.every_s'):
        prepare(limited(config, 1e4), SPEC)
    assert folders(config) == []


def test_oldest_cache_makes_room(config):
    first = prepare(config, SPEC)
    size = (first.folder / 'frames.bin').stat().st_size
    second = prepare(config, Preprocessing(41, (32, 32)))
    os.utime(first.folder / 'index.json', (1, 1))
    third = prepare(limited(config, 2.5 * size), Preprocessing(42, (32, 32)))
    assert folders(config) == sorted([second.key, third.key])


def test_damaged_cache_is_made_anew(config):
    store = prepare(config, SPEC)
    expected = np.array(store.pixels(3))
    for damage in (lambda: (store.folder / 'frames.bin').write_bytes(b'x'),
                   lambda: (store.folder / 'index.json').write_text('{"schema": 1')):
        damage()
        with pytest.raises(DataError, match='remove this folder'):
            FrameStore(store.folder)
        np.testing.assert_array_equal(prepare(config, SPEC).pixels(3), expected)


SLOW_PREPARE = """
import sys, time
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.prepare import DataConfig, prepare
from robot_vision_dl.data.selection import SelectionConfig
def slowly(count):
    print(count, flush=True)
    time.sleep(0.01)
prepare(DataConfig((sys.argv[1],), selection=SelectionConfig(0.0, -1), cache=CacheConfig(sys.argv[2])),
        Preprocessing(40, (32, 32)), slowly)
"""


def start(script, config):
    return subprocess.Popen([sys.executable, '-c', script, config.bags[0], config.cache.folder],
                            stdout=subprocess.PIPE, text=True)


def test_killed_in_the_middle_leaves_nothing_that_could_be_taken_for_whole(config):
    process = start(SLOW_PREPARE, config)
    while process.stdout.readline().strip() != '5':
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(folders(config)) == 1 and is_part(folders(config)[0])
    store = prepare(config, SPEC)
    assert len(store) == 60 and folders(config) == [store.key]


def test_processes_that_make_the_same_cache_at_once(config):
    processes = [start(SLOW_PREPARE, config) for _ in range(3)]
    said = [process.communicate()[0].split()[-1:] for process in processes]
    # One that begins when another has finished says nothing: it takes what is there.
    assert ['60'] in said and all(last in ([], ['60']) for last in said)
    assert [process.returncode for process in processes] == [0] * 3
    assert folders(config) == [prepare(config, SPEC).key]


def test_memory_does_not_grow_with_the_bag(tmp_path):
    def peak(count):
        write_bag(tmp_path / f'b{count}', count, 100.0, labels=[(0.0, 'cup')], jpeg=True)
        config = DataConfig((str(tmp_path / f'b{count}'),), selection=ALL, cache=CacheConfig(str(tmp_path / 'cache')))
        tracemalloc.start()
        prepare(config, SPEC)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    # More than fits into one chunk of a bag.
    few, many = peak(800), peak(2000)
    # What is kept of a frame is its row in the index, not its 12 kB of pixels.
    assert many - few < 1200 * 1500


def test_classes(config):
    store = prepare(config, SPEC)
    assert class_names_of(store) == ('cup', 'mug')
    assert class_names_of(store, ('mug', 'cup')) == ('mug', 'cup')
    with pytest.raises(DataError, match='no frame is labelled glass; labels with frames: cup, mug'):
        class_names_of(store, ('cup', 'glass'))
    with pytest.raises(ConfigError, match="'mug' is not among the classes"):
        prepare(replace(config, class_names=('cup', 'glass')), SPEC)
    with pytest.raises(ConfigError, match="'unknown' is reserved"):
        DataConfig(class_names=('cup', 'unknown'))
    with pytest.raises(BagError, match='no bags given'):
        prepare(replace(config, bags=()), SPEC)


def test_one_class_only(tmp_path):
    write_bag(tmp_path / 'bag', 3, labels=[(0.0, 'cup')])
    store = prepare(DataConfig((str(tmp_path / 'bag'),), cache=CacheConfig(str(tmp_path / 'c'))), SPEC)
    with pytest.raises(DataError, match='at least two classes are needed, got cup'):
        class_names_of(store)


def test_nothing_labelled(tmp_path):
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / 'labels.yaml').write_text('- {start: 100, label: cup}')
    with pytest.raises(DataError, match='no frame is labelled and readable:') as caught:
        prepare(DataConfig((str(bag),), cache=CacheConfig(str(tmp_path / 'c'))), SPEC)
    assert 'by the receive clock the labels begin at 1700000100.000 s' in str(caught.value)


def dataset(config, transform=None, seed=0):
    store = prepare(config, SPEC)
    return FrameDataset(store, known(store, range(len(store))), class_names_of(store),
                        transform or TrainTransform(AugmentConfig(), SPEC), seed)


def test_targets(config):
    store = prepare(config, SPEC)
    data = FrameDataset(store, range(len(store)), ('mug', 'cup'), EvalTransform(SPEC))
    for item, frame in zip((data[i] for i in range(len(data))), store.frames):
        assert item.target == {'mug': 0, 'cup': 1, 'unknown': NO_CLASS}[frame.label]
        assert store.frames[item.frame] == frame
    assert len(known(store, range(len(store)))) == 45


def test_random_changes_follow_from_seed_epoch_and_frame_alone(config):
    data = dataset(config)

    def epoch(number, workers):
        data.set_epoch(number)
        loader = torch.utils.data.DataLoader(data, 4, num_workers=workers)
        return torch.cat([batch.picture for batch in loader])

    alone = epoch(0, 0)
    assert torch.equal(epoch(0, 2), alone)
    torch.manual_seed(99)
    assert torch.equal(epoch(0, 0), alone)
    other = epoch(1, 0)
    assert (other != alone).flatten(1).any(1).all()
    data.set_epoch(0)
    assert torch.equal(data[7].picture, alone[7])
    assert not torch.equal(dataset(config, seed=1)[7].picture, alone[7])


def test_workers_that_stay_see_the_epoch(config):
    data = dataset(config)
    loader = torch.utils.data.DataLoader(data, 16, num_workers=1, persistent_workers=True)
    for number in (0, 1):
        data.set_epoch(number)
        assert torch.equal(next(iter(loader)).picture[3], data[3].picture)


def test_reading_leaves_the_generator_alone(config):
    data = dataset(config)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = torch.rand(1)
    data[0]
    assert torch.equal(torch.cat((first, torch.rand(1))), expected)


def test_orders_are_reproducible():
    assert shuffled(50, 1, 2) == shuffled(50, 1, 2) != shuffled(50, 1, 3)
    assert sorted(shuffled(50, 1, 2)) == list(range(50))
    places = drawn([1.0, 0.0, 3.0], 4000, 0, 0)
    assert places == drawn([1.0, 0.0, 3.0], 4000, 0, 0) and 1 not in places
    assert places.count(2) / 4000 == pytest.approx(0.75, abs=0.03)


def test_mean_and_deviation_are_those_of_all_pixels(config):
    data = dataset(config, EvalTransform(Preprocessing(40, (32, 32), (0, 0, 0), (1, 1, 1))))
    pictures, targets = stack(data)
    mean, std = mean_and_std(data.store, data.indices, SPEC)
    assert pictures.shape == (45, 3, 32, 32) and targets.tolist() == data.targets.tolist()
    np.testing.assert_allclose(mean, pictures.double().mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(std, pictures.double().std((0, 2, 3), unbiased=False), atol=1e-6)


def test_class_weights():
    targets = np.array([0] * 90 + [1] * 10 + [NO_CLASS] * 5)
    balance = class_balance(targets, ('a', 'b', 'none'), 'inverse')
    np.testing.assert_array_equal(balance.counts, [90, 10, 0])
    np.testing.assert_allclose(balance.weights, [100 / 180, 100 / 20, 0])
    np.testing.assert_allclose(class_balance(targets, ('a', 'b'), 'sqrt').weights[1] /
                               class_balance(targets, ('a', 'b'), 'sqrt').weights[0], 3)
    np.testing.assert_allclose(class_balance(targets, ('a', 'b'), 'none').weights, 1)
    effective = class_balance(targets, ('a', 'b'), 'effective').weights
    np.testing.assert_allclose(effective[1] / effective[0], (1 - .999**90) / (1 - .999**10))
    weights = sample_weights(targets, balance.weights)
    assert weights[:90].sum() == pytest.approx(weights[90:100].sum()) and not weights[100:].any()
    with pytest.raises(ConfigError, match="must be one of none, inverse, sqrt, effective, got 'more'"):
        class_balance(targets, ('a', 'b'), 'more')


def test_contact_sheet(config, tmp_path):
    import cv2
    sheet = augmented_sheet(dataset(config), SPEC, 4, 5, EvalTransform(SPEC))
    write_sheet(tmp_path / 'new' / 'sheet.png', sheet)
    read = cv2.imread(str(tmp_path / 'new' / 'sheet.png'))[..., ::-1]
    np.testing.assert_array_equal(read, sheet)
    assert sheet.shape[1] == 5 * 132 and sheet.shape[0] == 4 * 148
    assert len({sheet[2:130, 2 + 132 * i:130 + 132 * i].tobytes() for i in range(5)}) == 5


def test_index_is_json_that_others_can_read(config):
    store = prepare(config, SPEC)
    index = json.loads((store.folder / 'index.json').read_text())
    assert len(index['frames']) == len(index['hashes']) == 60


def test_pictures_in_folders(tmp_path):
    folder = write_folders(tmp_path / 'pictures', {'cup': 5, 'mug': 4})
    store = prepare(DataConfig((str(folder),), cache=CacheConfig(str(tmp_path / 'cache'))), SPEC)
    assert store.selection_report.kept == 9 and class_names_of(store) == ('cup', 'mug')
    time.sleep(0.01)
    (folder / 'cup' / '0.jpg').write_bytes((folder / 'mug' / '0.jpg').read_bytes())
    assert prepare(DataConfig((str(folder),), cache=CacheConfig(str(tmp_path / 'cache'))), SPEC).key != store.key
