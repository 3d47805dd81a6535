"""Recordings made of pictures: each picture in one of them, near-duplicates together, the same bytes every time."""
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from labelled_samples import S, pattern, write_folders

from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.core.images.image import decode
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.selection import SAME_PICTURE, SelectionConfig, near_pairs, perceptual_hash
from robot_vision_dl.data.synth import SynthConfig, moving_camera, plan_recordings, write_recording

COPIES = [('cup', 2), ('cup', 5), ('mug', 1)]
SMALL = SynthConfig(recordings=3, seconds_per_track=0.5, rate_hz=10.0, width=64, height=48)


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp('synth') / 'pictures', {'cup': 10, 'mug': 7, 'glass': 4}, COPIES)


def digest(folder):
    total = hashlib.sha256()
    for file in sorted(folder.rglob('*')):
        if file.is_file():
            total.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return total.hexdigest()


def test_each_picture_is_in_one_recording(pictures):
    plan = plan_recordings(pictures, SMALL, print)
    used = [picture.path for recording in plan for picture in recording.pictures]
    assert sorted(used) == sorted(pictures.rglob('*.jpg'))
    assert [recording.name for recording in plan] == ['recording_00', 'recording_01', 'recording_02']
    for label, count in (('cup', 12), ('mug', 8), ('glass', 4)):
        counts = [sum(picture.label == label for picture in recording.pictures) for recording in plan]
        assert sum(counts) == count and max(counts) - min(counts) <= 2 and min(counts) >= 1


@pytest.mark.parametrize('seed', range(5))
def test_near_duplicates_are_in_the_same_recording(seed, pictures):
    home = {picture.path: recording.number for recording in plan_recordings(pictures, replace(SMALL, seed=seed), print)
            for picture in recording.pictures}
    for label, number in COPIES:
        assert home[pictures / label / f'{number}.jpg'] == home[pictures / label / f'{number}_copy.jpg']


def test_classes_keep_their_shares_where_not_all_are_used(pictures):
    plan = plan_recordings(pictures, replace(SMALL, recordings=2, tracks_per_recording=6), print)
    for recording in plan:
        counts = [sum(picture.label == label for picture in recording.pictures) for label in ('cup', 'mug', 'glass')]
        assert counts == [3, 2, 1]


def test_more_tracks_than_pictures(pictures):
    with pytest.raises(ConfigError, match=r'of 9 tracks each are wanted, but \d+ pictures of 3 .* make at most 2,'):
        plan_recordings(pictures, replace(SMALL, tracks_per_recording=9), print)
    with pytest.raises(ConfigError, match='used in one recording only'):
        plan_recordings(pictures, replace(SMALL, recordings=30), print)


def test_the_number_of_recordings_that_is_named_can_be_made(pictures):
    with pytest.raises(ConfigError, match='30 .* are wanted') as caught:
        plan_recordings(pictures, replace(SMALL, recordings=30), print)
    most = int(re.search(r'make at most (\d+),', str(caught.value))[1])
    assert most >= 1 and len(plan_recordings(pictures, replace(SMALL, recordings=most), print)) == most


@pytest.mark.parametrize('label_type', ('string', 'classification'))
def test_recording_holds_what_was_planned(label_type, pictures, tmp_path):
    config = replace(SMALL, label_type=label_type)
    recording = plan_recordings(pictures, config, print)[1]
    frames = write_recording(tmp_path / 'bag', recording, config)
    assert frames == 5 * len(recording.pictures)
    with BagReader(tmp_path / 'bag') as reader:
        images = list(reader.image_messages())
        assert not reader.problems and len(images) == frames
        stamps = [message.decode().header.stamp_ns for message in images]
        assert stamps == [message.receive_ns for message in images]
        assert stamps == [(1_700_000_000 + 3600) * S + index * S // 10 for index in range(frames)]
        assert decode(images[0].decode()).pixels.shape == (48, 64, 3)
    expected = [picture for picture in recording.pictures for _ in range(5)]
    for sources in (('auto',), ('topic:/label',)):
        found = [s.frame for s in FrameStream(open_sources([tmp_path / 'bag'], LabelConfig(sources)),
                                              SelectionConfig(0.0, -1))]
        assert [frame.label for frame in found] == [picture.label for picture in expected]
        if sources == ('auto',):
            assert [frame.track for frame in found] == [f'{p.label}/{p.path.stem}' for p in expected]


def test_same_bytes_every_time_and_others_with_another_seed(pictures, tmp_path):
    def written(name, seed):
        config = replace(SMALL, seed=seed)
        recording = plan_recordings(pictures, config, print)[0]
        write_recording(tmp_path / name / 'bag', recording._replace(pictures=recording.pictures[:3]), config)
        return digest(tmp_path / name)

    assert written('a', 0) == written('b', 0) != written('c', 1)


def frames(motion, seed=0, count=12):
    return list(moving_camera(pattern(1, 96, 128), (64, 48), count, 10.0, np.random.default_rng(seed), motion))


def test_camera_moves_and_a_tripod_does_not():
    def change(pictures):
        return np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(pictures, pictures[1:])])

    still, moving = frames(0.0), frames(1.0)
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in moving)
    assert change(moving) > 2 * change(still) > 0  # noise and exposure change on a tripod too
    assert len({frame.tobytes() for frame in still}) == 12


def test_grey_pictures_too():
    grey = pattern(1, 96, 128)[..., 0]
    assert next(moving_camera(grey, (64, 48), 1, 10.0, np.random.default_rng(0))).shape == (48, 64, 3)


def test_a_picture_that_is_none(pictures, tmp_path):
    write_folders(tmp_path / 'p', {'cup': 3, 'mug': 3})
    (tmp_path / 'p' / 'cup' / 'x.jpg').write_bytes(b'text')
    with pytest.raises(BagError, match=r'x.jpg: cannot be decoded.*remove it from the folder'):
        plan_recordings(tmp_path / 'p', SMALL, print)
    with pytest.raises(BagError, match='no pictures; it must hold one folder a class'):
        plan_recordings(tmp_path / 'p' / 'cup', SMALL, print)


@pytest.mark.slow
def test_real_pictures_that_look_the_same_do_not_cross(shared_data):
    """On all of TrashNet that is here: pairs within the near-duplicate distance exist, and none is torn apart."""
    from robot_vision_dl.data.pictures import read_picture
    plan = plan_recordings(shared_data / 'trashnet', SynthConfig(recordings=12), print)
    homes = np.array([recording.number for recording in plan for _ in recording.pictures])
    hashes = np.array([perceptual_hash(read_picture(picture.path)) for recording in plan
                       for picture in recording.pictures], np.uint64)
    pairs = [(a, b) for i, j in near_pairs(hashes, hashes, SAME_PICTURE) for a, b in zip(i, j) if a < b]
    assert len(hashes) == 2162 and len(pairs) >= 30
    assert all(homes[a] == homes[b] for a, b in pairs)
    counts = {label: [sum(p.label == label for p in recording.pictures) for recording in plan] for label in (
        'cardboard', 'glass', 'metal', 'paper', 'plastic', 'trash')}
    assert all(max(c) - min(c) <= 6 for c in counts.values())
