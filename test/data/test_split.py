"""Splits: kept apart by recording or by time, stratified, reproducible; leakage; folds."""
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_samples import frames_of, pattern

from robot_vision_dl.core.errors import ConfigError, DataError
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.data.assignment import assign
from robot_vision_dl.data.division import PARTS, Part, SplitConfig
from robot_vision_dl.data.leakage import leakage
from robot_vision_dl.data.selection import duplicate_groups, hamming, perceptual_hash
from robot_vision_dl.data.split import folds, inputs_hash, make_split, random_frame_split
from robot_vision_dl.data.split_file import load_or_make_split

TEN = frames_of({f'run{n}': [('cup', 4 + n % 3), ('mug', 5)] for n in range(10)})


def recordings_of(split, frames, part):
    return {frames[index].recording for index in split.indices(part)}


def distance_between_parts(split, frames):
    """Smallest time in s between frames of different parts of one recording."""
    shortest = float('inf')
    for name in {frame.recording for frame in frames}:
        own = sorted((frame.stamp_ns, part.value) for frame, part in zip(frames, split.parts)
                     if frame.recording == name and part is not None)
        for (at, part), (later, other) in zip(own, own[1:]):
            if part != other:
                shortest = min(shortest, (later - at) / 1e9)
    return shortest


def test_whole_recordings_go_to_one_part():
    split = make_split(TEN, SplitConfig())
    assert split.method == 'recording' and None not in split.parts and split.warnings == ()
    names = [recordings_of(split, TEN, part) for part in PARTS]
    assert [len(part) for part in names] == [7, 1, 1, 1]
    assert not any(a & b for a, b in itertools.combinations(names, 2))
    assert all(set(split.counts(part)) == {'cup', 'mug'} for part in PARTS)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from('abc'), st.integers(1, 6)), min_size=1, max_size=4), min_size=12,
                max_size=16), st.integers(0, 9))
def test_no_recording_is_in_two_parts(recordings, seed):
    frames = frames_of({str(n): stretches for n, stretches in enumerate(recordings)}, 2.0)
    split = make_split(frames, SplitConfig(method='recording', seed=seed))
    parts = {}
    for frame, part in zip(frames, split.parts):
        assert parts.setdefault(frame.recording, part) is part


def test_a_rare_class_is_in_every_part():
    """Four of twelve recordings show it: one for each part, whatever the shares are."""
    rare = [('rare', 1)]
    frames = frames_of({f'run{n}': [('cup', 10), ('mug', 8)] + (rare if n % 3 == 0 else []) for n in range(12)})
    split = make_split(frames, SplitConfig())
    assert split.method == 'recording'
    assert all(split.counts(part).get('rare') == 10 for part in PARTS)


def test_few_recordings_keep_one_for_the_test():
    frames = frames_of({f'run{n}': [('cup', 20), ('mug', 20)] for n in range(3)})
    split = make_split(frames, SplitConfig())
    assert split.method == 'recording+time'
    test, = recordings_of(split, frames, Part.TEST)
    for part in (Part.TRAIN, Part.EARLY_STOP, Part.CALIBRATION):
        assert test not in recordings_of(split, frames, part)
    assert distance_between_parts(split, frames) >= 0.5


def test_a_bag_for_each_class_is_split_by_time():
    frames = frames_of({'cups': [('cup', 60)], 'mugs': [('mug', 60)]})
    split = make_split(frames, SplitConfig(gap_s=1.0))
    assert split.method == 'time'
    for part, share in zip(PARTS, SplitConfig().fractions):
        assert set(split.counts(part)) == {'cup', 'mug'}
        assert len(split.indices(part)) == pytest.approx(share * len(frames), abs=0.08 * len(frames))
    assert distance_between_parts(split, frames) >= 1.0
    assert split.counts(None)


def test_tracks_stay_whole():
    frames = frames_of({'run': [('cup', 2), ('mug', 2)] * 20}, with_tracks=True)
    split = make_split(frames, SplitConfig(gap_s=0.0))
    parts = {}
    for frame, part in zip(frames, split.parts):
        assert parts.setdefault(frame.track, part) is part
    assert len(split.indices(Part.TRAIN)) == 0.7 * len(frames)


def test_unknown_is_split_like_a_class():
    frames = frames_of({f'run{n}': [('cup', 2), ('mug', 2), ('unknown', 1)] for n in range(10)})
    split = make_split(frames, SplitConfig())
    assert all(split.counts(part)['unknown'] for part in PARTS)


def test_too_little_to_split():
    with pytest.raises(DataError, match=r'no frame is left for .* \(2 frames of 1 recording'):
        make_split(frames_of({'run': [('cup', 0.2)]}), SplitConfig())


def test_class_that_lacks_in_a_part_is_warned_of():
    frames = frames_of({f'run{n}': [('cup', 10)] + ([('rare', 1)] if n < 2 else []) for n in range(10)})
    split = make_split(frames, SplitConfig(method='recording'))
    assert sum('has no frame of rare' in text for text in split.warnings) == 2
    assert str(split).count('warning:') == len(split.warnings)


def test_shares_must_add_up():
    with pytest.raises(ConfigError, match=r'must add up to 1, got 1.1'):
        SplitConfig(train=0.8)


def test_parts_may_be_left_out():
    split = make_split(TEN, SplitConfig(0.8, 0.0, 0.0, 0.2))
    assert set(split.parts) == {Part.TRAIN, Part.TEST}
    assert len(recordings_of(split, TEN, Part.TEST)) == 2


def test_written_read_and_refused(tmp_path):
    path = tmp_path / 'run' / 'split.json'
    config = SplitConfig()
    split = load_or_make_split(path, TEN, config)
    assert load_or_make_split(path, TEN, config) == split == make_split(TEN, config)
    text = json.loads(path.read_text())
    assert sorted(sum(text['recordings'].values(), [])) == sorted({frame.recording for frame in TEN})
    for frames, other in ((TEN[1:], config), (TEN, SplitConfig(seed=1)), (TEN[::-1], config)):
        with pytest.raises(DataError, match='made of other frames, labels or settings.*--restart'):
            load_or_make_split(path, frames, other)
    path.write_text(path.read_text()[:-50])
    with pytest.raises(DataError, match='cannot be read.*--restart'):
        load_or_make_split(path, TEN, config)
    assert load_or_make_split(path, TEN, config, in_use=False) == split
    other = load_or_make_split(path, TEN[1:], config, in_use=False)
    assert other == make_split(TEN[1:], config) == load_or_make_split(path, TEN[1:], config)


@pytest.mark.parametrize('foreign', [1, 2, 5])
def test_recordings_of_nothing_known_change_nothing_for_the_others(foreign):
    more = TEN + frames_of({f'foreign{n}': [('unknown', 56)] for n in range(foreign)})
    alone, split = make_split(TEN, SplitConfig()), make_split(more, SplitConfig())
    assert split.method == 'recording' and split.counts(None) == {}
    assert split.parts[:len(TEN)] == alone.parts
    parts = {}
    for frame, part in zip(more, split.parts):
        assert parts.setdefault(frame.recording, part) is part
    assert split.counts(Part.TRAIN)['unknown'] > 0
    for fold in folds(more, 10, SplitConfig()):
        assert set(fold.counts(Part.TEST)) == {'cup', 'mug'}


@pytest.mark.parametrize('recordings, method, said', [
    ({'cups': [('cup', 60)], 'mugs': [('mug', 60)]}, 'time', 'would '),
    ({'one': [('cup', 60), ('mug', 60)]}, 'time', 'no frame would be left for'),
    ({f'run{n}': [('cup', 20), ('mug', 20)] for n in range(3)}, 'recording+time', 'only the test has recordings'),
    ({f'run{n}': [('cup', 9)] + [('rare', 40)] * (n == 0) for n in range(9)}, 'time', 'would have no frame of rare'),
])
def test_why_auto_does_not_split_by_recording_is_said(recordings, method, said):
    frames = frames_of(recordings)
    split = make_split(frames, SplitConfig())
    assert split.method == method and said in split.warnings[0]
    assert f'warning: {split.warnings[0]}' in str(split)
    assert not any('with whole recordings' in text for text in make_split(frames, SplitConfig(method='time')).warnings)


def test_hash_does_not_depend_on_where_bags_lie():
    from dataclasses import replace
    moved = [replace(frame, path='/elsewhere') for frame in TEN]
    relabelled = [replace(TEN[0], label='mug'), *TEN[1:]]
    assert inputs_hash(moved, SplitConfig()) == inputs_hash(TEN, SplitConfig())
    assert inputs_hash(relabelled, SplitConfig()) != inputs_hash(TEN, SplitConfig())


@pytest.mark.parametrize('count', (2, 5, 10))
def test_folds_by_recording(count):
    found = folds(TEN, count, SplitConfig())
    tested = [recordings_of(split, TEN, Part.TEST) for split in found]
    assert sorted(sum(map(list, tested), [])) == sorted({frame.recording for frame in TEN})
    for split, test in zip(found, tested):
        assert {max(map(len, tested)) - len(test)} <= {0, 1}
        for part in (Part.TRAIN, Part.EARLY_STOP, Part.CALIBRATION):
            assert len(split.indices(part)) and not recordings_of(split, TEN, part) & test
    assert len({split.inputs_hash for split in found}) == count


def test_more_folds_than_recordings():
    with pytest.raises(DataError, match=r'11 folds need .* recordings \(10\)'):
        folds(TEN, 11, SplitConfig())


@settings(max_examples=25, deadline=None)
@given(st.sampled_from((5, 7, 11)), st.integers(0, 10**6))
def test_assignment_is_the_best_there_is(groups, seed):
    """Against all others; for many groups among the best of 500 at random. By the same measure, written down anew."""
    counts = np.random.default_rng(seed).integers(0, 20, (groups, 2)) + np.eye(2, dtype=int)[np.arange(groups) % 2]
    fractions = np.array([0.6, 0.2, 0.2])

    def cost(parts):
        total = 0.0
        for part, fraction in enumerate(fractions):
            for label in range(2):
                share = counts[[p == part for p in parts], label].sum() / counts[:, label].sum()
                total += (share - fraction)**2 / fraction + (10 if share == 0 else 0)
        return total

    if groups < 8:  # all 3^n
        best = min(map(cost, itertools.product(range(3), repeat=groups)))
        assert cost(assign(counts, fractions, seed)) == pytest.approx(best)
    else:
        tries = np.random.default_rng(1).integers(0, 3, (500, groups))
        assert cost(assign(counts, fractions, seed)) <= np.quantile([cost(parts) for parts in tries], 0.01)


def test_assignment_of_many_groups_is_quick_and_close():
    counts = np.random.default_rng(0).integers(0, 30, (3000, 6))
    parts = assign(counts, SplitConfig().fractions, 0)
    for part, fraction in enumerate(SplitConfig().fractions):
        np.testing.assert_allclose(counts[parts == part].sum(0) / counts.sum(0), fraction, atol=0.01)


def picture_hashes(seeds):
    return np.array([perceptual_hash(Picture(pattern(seed), ColorOrder.BGR)) for seed in seeds], np.uint64)


def test_leakage_finds_what_was_planted():
    hashes = picture_hashes(range(len(TEN)))
    split = make_split(TEN, SplitConfig())
    assert leakage(TEN, hashes, split).test_in_train == 0
    train, test = split.indices(Part.TRAIN), split.indices(Part.TEST)
    hashes[test[:3]] = hashes[train[[5, 5, 8]]] ^ np.uint64(0b101)
    found = leakage(TEN, hashes, split)
    assert found.test_in_train == 3 / len(test)
    pairs = next(item for item in found.parts if (item.part, item.other) == (Part.TEST, Part.TRAIN)).examples
    assert pairs == ((test[0], train[5]), (test[1], train[5]), (test[2], train[8]))
    assert leakage(TEN, hashes, split, distance=1).test_in_train == 0


def test_a_random_split_leaks_and_ours_does_not():
    """Ten frames a second of ten tracks: neighbours are near-duplicates."""
    frames = frames_of({f'run{n}': [('cup', 2), ('mug', 2)] for n in range(10)})
    hashes = picture_hashes([100 * int(f.recording[3:]) + 10 * (f.label == 'cup') + f.index // 5 for f in frames])
    config = SplitConfig()
    assert leakage(frames, hashes, make_split(frames, config)).test_in_train == 0
    assert leakage(frames, hashes, random_frame_split(frames, config)).test_in_train > 0.9


def test_hash_is_the_same_for_the_same_picture():
    import cv2
    for seed in range(20):
        picture = pattern(seed, 240, 320)
        own = perceptual_hash(Picture(picture, ColorOrder.BGR))
        small = cv2.resize(picture, (160, 120), interpolation=cv2.INTER_AREA)
        jpeg = cv2.imdecode(cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_QUALITY, 50))[1], cv2.IMREAD_COLOR)
        assert perceptual_hash(Picture(picture[..., ::-1], ColorOrder.RGB)) == own
        assert bin(own ^ perceptual_hash(Picture(small, ColorOrder.BGR))).count('1') <= 4
        assert bin(own ^ perceptual_hash(Picture(jpeg, ColorOrder.BGR))).count('1') <= 4
        assert bin(own ^ perceptual_hash(Picture(pattern(seed + 100), ColorOrder.BGR))).count('1') > 10


def test_hamming_and_groups(monkeypatch):
    a, b = np.random.default_rng(0).integers(0, 2**63, (2, 50), dtype=np.uint64)
    expected = [bin(int(x) ^ int(y)).count('1') for x, y in zip(a, b)]
    np.testing.assert_array_equal(hamming(a, b), expected)
    monkeypatch.delattr(np, 'bitwise_count', raising=False)  # as numpy 1 is
    np.testing.assert_array_equal(hamming(a, b), expected)
    np.testing.assert_array_equal(hamming(a[:, None], b[None]).shape, (50, 50))
    chain = np.array([0b0, 0b11, 0b1111, 0xFFFF << 40, 0b111111], np.uint64)
    np.testing.assert_array_equal(duplicate_groups(chain, 2), [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(duplicate_groups(chain, 0), np.arange(5))


def marked(frames, *names):
    return np.array([frame.recording in names for frame in frames])


def test_what_the_starting_weights_were_trained_on_is_in_no_other_part():
    learned = marked(TEN, *(f'run{n}' for n in range(6)))
    for seed in range(5):
        split = make_split(TEN, SplitConfig(seed=seed), learned=learned)
        names = [recordings_of(split, TEN, part) for part in PARTS]
        assert names[0] >= {f'run{n}' for n in range(6)} and len(names[0]) == 7 and all(names)
        assert 'frames look like ones that the starting weights' in split.warnings[-1]
    drawn = make_split(TEN, SplitConfig(), learned=np.zeros(len(TEN), bool))
    assert drawn == make_split(TEN, SplitConfig()) and drawn.inputs_hash != split.inputs_hash


def test_a_named_part_stays_and_it_is_said_where_the_weights_know_it():
    split = make_split(TEN, SplitConfig(), {'run0': Part.TEST, 'run7': Part.TEST}, marked(TEN, 'run0', 'run1'))
    assert recordings_of(split, TEN, Part.TEST) == {'run0', 'run7'}
    assert 'run1' in recordings_of(split, TEN, Part.TRAIN)
    assert any('named for other parts than train' in text for text in split.warnings)


def test_where_the_weights_know_all_frames_it_is_said():
    split = make_split(TEN, SplitConfig(), learned=np.ones(len(TEN), bool))
    assert split.parts == make_split(TEN, SplitConfig()).parts and 'all frames look like ones' in split.warnings[-1]


def test_a_split_of_what_other_weights_know_is_another(tmp_path):
    path, config = tmp_path / 'split.json', SplitConfig()
    load_or_make_split(path, TEN, config, learned=marked(TEN, 'run0'))
    assert load_or_make_split(path, TEN, config, learned=marked(TEN, 'run0')).parts
    with pytest.raises(DataError, match='made of other frames'):
        load_or_make_split(path, TEN, config, learned=marked(TEN, 'run1'))
