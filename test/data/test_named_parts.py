"""Recordings that the training file names for a part: by name, pattern or path; no overlap, nothing unknown."""
import cv2
import numpy as np
import pytest
from labelled_samples import frames_of, write_bag

from robot_vision_dl.core.errors import ConfigError, DataError
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.division import PARTS, Part, SplitConfig
from robot_vision_dl.data.leakage import leakage
from robot_vision_dl.data.prepare import DataConfig, prepare_parts
from robot_vision_dl.data.split import inputs_hash, make_split
from robot_vision_dl.data.split_file import load_or_make_split
from robot_vision_dl.training.config_file import load_config

RUNS = frames_of({f'run{n}': [('cup', 4), ('mug', 5)] for n in range(8)})
SPEC = Preprocessing(48, (48, 48))


@pytest.fixture(scope='module')
def day(tmp_path_factory):
    """Four recordings in one folder and one elsewhere."""
    root = tmp_path_factory.mktemp('day')
    for number in range(4):
        write_bag(root / 'bags' / f'run{number}', 12, labels=[(0.0, 'cup'), (0.6, 'mug')], seed=number)
    write_bag(root / 'monday', 12, labels=[(0.0, 'cup'), (0.6, 'mug')], seed=9)
    return root


def prepared(day, tmp_path, **named):
    config = DataConfig((str(day / 'bags'),), cache=CacheConfig(str(tmp_path / 'cache')), **named)
    return prepare_parts(config, SPEC)


def recordings_of(frames, split, part):
    return {frame.recording for frame, own in zip(frames, split.parts) if own is part}


def test_named_recordings_are_in_their_part_and_in_no_other():
    named = {'run1': Part.TEST, 'run2': Part.TEST, 'run5': Part.CALIBRATION}
    split = make_split(RUNS, SplitConfig(), named)
    assert split.method == 'recording; calibration, test as named'
    assert recordings_of(RUNS, split, Part.TEST) == {'run1', 'run2'}
    assert recordings_of(RUNS, split, Part.CALIBRATION) == {'run5'}
    others = recordings_of(RUNS, split, Part.TRAIN) | recordings_of(RUNS, split, Part.EARLY_STOP)
    assert others == {'run0', 'run3', 'run4', 'run6', 'run7'}
    assert len(recordings_of(RUNS, split, Part.EARLY_STOP)) == 1


def test_all_parts_named_leave_the_rest_for_training():
    named = {'run0': Part.TEST, 'run1': Part.CALIBRATION, 'run2': Part.EARLY_STOP}
    split = make_split(RUNS, SplitConfig(), named)
    for name, part in named.items():
        assert recordings_of(RUNS, split, part) == {name}
    assert len(recordings_of(RUNS, split, Part.TRAIN)) == 5


def test_what_is_named_is_in_the_hash_and_in_the_file(tmp_path):
    config, named = SplitConfig(), {'run1': Part.TEST}
    hashes = {inputs_hash(RUNS, config, parts) for parts in (None, named, {'run2': Part.TEST})}
    assert len(hashes) == 3 and inputs_hash(RUNS, config, {}) == inputs_hash(RUNS, config)
    path = tmp_path / 'split.json'
    split = load_or_make_split(path, RUNS, config, named=named)
    assert load_or_make_split(path, RUNS, config, named=named) == split
    with pytest.raises(DataError, match='other frames, labels or settings'):
        load_or_make_split(path, RUNS, config)


def test_leakage_is_looked_for_in_what_is_named():
    hashes = np.random.default_rng(0).integers(0, 2**63, len(RUNS), dtype=np.uint64)
    split = make_split(RUNS, SplitConfig(), {'run1': Part.TEST})
    test, train = split.indices(Part.TEST), split.indices(Part.TRAIN)
    hashes[test[:9]] = hashes[train[:9]]
    assert leakage(RUNS, hashes, split).test_in_train == 9 / len(test)


@pytest.mark.parametrize('named, expected', [
    ({'test': ('run3',)}, {'run3': Part.TEST}),
    ({'test': ('run[12]',), 'calibration': ('run0',)},
     {'run1': Part.TEST, 'run2': Part.TEST, 'run0': Part.CALIBRATION}),
    ({'early_stop': ('{day}/bags/run1',)}, {'run1': Part.EARLY_STOP}),
    ({'calibration': ('{day}/bags/run[01]',)}, {'run0': Part.CALIBRATION, 'run1': Part.CALIBRATION}),
    ({'test': ('{day}/monday',)}, {'monday': Part.TEST}),
    ({'test': ('{day}/bags/run2', 'run2')}, {'run2': Part.TEST}),
])
def test_names_patterns_and_paths(day, tmp_path, named, expected):
    named = {part: tuple(text.format(day=day) for text in texts) for part, texts in named.items()}
    store, found, _ = prepared(day, tmp_path, **named)
    assert found == expected
    assert ('monday' in {frame.recording for frame in store.frames}) == ('monday' in expected)
    assert not any('second time' in note for note in store.label_report.notes)
    again = prepared(day, tmp_path, **named)
    assert again.named == expected and again.store.key == store.key


@pytest.mark.parametrize('named, message', [
    ({'test': ('run33',)}, r"data.test: 'run33' is no recording of data.bags.*did you mean 'run3'"),
    ({'test': ('nothing*',)}, r"data.test: 'nothing\*' is no recording"),
    ({'test': ('run1',), 'calibration': ('run[01]',)}, r"data.test: 'run1' is the recording 'run1', which "
     r"data.calibration has already \(by 'run\[01\]'\)"),
    ({'test': ('run?',)}, r'data.test: name every recording that there is \(4\), so that none is left to train on'),
])
def test_what_cannot_be_is_told_before_any_frame_is_decoded(day, tmp_path, named, message):
    with pytest.raises(ConfigError, match=message):
        prepared(day, tmp_path, **named)
    assert not (tmp_path / 'cache').exists()


def test_recordings_of_a_list_can_be_named_beside_bags(day, tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a', 'b'):
        cv2.imwrite(str(tmp_path / f'{name}.png'), rng.integers(0, 255, (48, 48, 3), np.uint8))
    (tmp_path / 'list.csv').write_text('file,label,recording,topic,track\na.png,cup,run0,/camera,1\n'
                                       'b.png,mug,other,/camera,2\n')
    config = DataConfig((str(day / 'bags'), str(tmp_path / 'list.csv')), cache=CacheConfig(str(tmp_path / 'cache')),
                        test=('run1', 'other'))
    assert prepare_parts(config, SPEC).named == {'run1': Part.TEST, 'other': Part.TEST}


def test_names_of_recordings_go_before_what_lies_in_the_working_folder(day, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('run1', 'runs'):
        (tmp_path / name).mkdir()
    assert prepared(day, tmp_path, test=('run1',), calibration=('run[02]',)).named == {
        'run1': Part.TEST, 'run0': Part.CALIBRATION, 'run2': Part.CALIBRATION}
    with pytest.raises(ConfigError, match='name every recording that there is'):
        prepared(day, tmp_path, test=('run?',))


def test_paths_in_a_file_are_relative_to_it_and_names_stay_names(day, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (day / 'train.yaml').write_text(
        'data: {bags: [bags], test: [monday], calibration: [run3], early_stop: ["run[12]"]}')
    config = load_config(day / 'train.yaml')
    assert config.data.test == (str(day / 'monday'),) and config.data.calibration == ('run3',)
    assert config.data.early_stop == ('run[12]',)
    assert set(config.data.named) == set(PARTS) - {Part.TRAIN}
