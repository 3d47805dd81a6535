"""Pictures that a model has learned from are recognised, however they come, and others are not."""
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import BundleError
from robot_vision_dl.core.networks.network import build_network
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.core.types import ColorOrder, Picture
from robot_vision_dl.data.learned_pictures import (
    FILE,
    MOST,
    SAME,
    LearnedPictures,
    fingerprint,
    is_plain,
    learned_pictures,
    look_like,
)
from robot_vision_dl.data.selection import hamming, perceptual_hash


def scene(seed, size=(480, 640)):
    """Soft blobs of colour, as different from one seed to the next as photographs are."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def prints_of(*pictures):
    return np.array([fingerprint(Picture(one, ColorOrder.BGR)) for one in pictures])


def random_prints(count, seed=0):
    return np.random.default_rng(seed).integers(0, 2**64, (count, 4), np.uint64, endpoint=False)


def bundle_with(tmp_path, text):
    tmp_path.mkdir(exist_ok=True)
    network = build_network('lenet5', 2, in_channels=1)
    files = {} if text is None else {FILE: text.encode()}
    return save_bundle(tmp_path / 'bundle', network, ('a', 'b'), Preprocessing(0, (32, 32), (0.5,), (0.5,)),
                       card_files=files)


KIND = f'{{"schema": 1, "fingerprint": "{json.loads(LearnedPictures.of().card_file()[FILE])["fingerprint"]}", '
SEEN = LearnedPictures.of(prints_of(*map(scene, range(20))))
CHANGES = {
    'as it was': lambda a: a, 'JPEG of quality 30': lambda a: cv2.imdecode(
        cv2.imencode('.jpg', a, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR),
    'a third as large': lambda a: cv2.resize(a, (213, 160), interpolation=cv2.INTER_AREA),
    'four times as large': lambda a: cv2.resize(a, (2560, 1920), interpolation=cv2.INTER_LINEAR),
    'square': lambda a: cv2.resize(a, (224, 224), interpolation=cv2.INTER_AREA),
    'brighter': lambda a: cv2.convertScaleAbs(a, alpha=0.9, beta=20)}


@pytest.mark.parametrize('change', CHANGES)
def test_a_picture_that_comes_otherwise_is_recognised(change):
    found = SEEN.recognise(prints_of(*(CHANGES[change](scene(seed)) for seed in range(20))))
    assert found.trained_on.sum() >= 19 and not found.calibrated_on.any() and found.training_is_known


def test_others_are_not():
    found = SEEN.recognise(prints_of(*map(scene, range(100, 400))))
    assert not found.either.any() and found.words() == ''


def test_plain_things_on_one_ground_are_told_apart():
    """A camera that stands still sees the same ground again and again; what lies there makes the difference."""
    rng = np.random.default_rng(0)
    ground = scene(0, (240, 320)) // 4 + 120

    def thing():
        picture = ground.copy()
        x, y = rng.integers(60, 260), rng.integers(50, 190)
        cv2.circle(picture, (int(x), int(y)), int(rng.integers(15, 40)), tuple(rng.integers(0, 256, 3).tolist()), -1)
        return cv2.add(picture, rng.integers(0, 6, picture.shape, dtype=np.uint8))
    seen, others = [thing() for _ in range(50)], [thing() for _ in range(200)]
    known = LearnedPictures.of(prints_of(*seen))
    assert known.recognise(prints_of(*others)).either.mean() < 0.05
    again = [CHANGES['JPEG of quality 30'](one) for one in seen]
    assert known.recognise(prints_of(*again)).trained_on.mean() > 0.9


def test_large_pictures_are_averaged_in_two_steps_to_the_same():
    for size in ((720, 1280), (1080, 1920), (723, 1281)):
        large = [scene(seed, size) for seed in range(20)]
        small = [cv2.resize(one, (640, 480), interpolation=cv2.INTER_AREA) for one in large]
        distances = hamming(prints_of(*large), prints_of(*small)).sum(axis=1, dtype=int)
        assert distances.max() <= SAME and distances.mean() < SAME / 2
        hashes = [np.array([perceptual_hash(Picture(one, ColorOrder.BGR)) for one in some], np.uint64)
                  for some in (large, small)]
        assert hamming(*hashes).max() <= 4 and hamming(*hashes).mean() < 1


@pytest.mark.parametrize('trained, calibrated, words', [
    (1, 0, 'of 6 pictures 1 looks like one that it was trained on (perceptual hash)'),
    (0, 2, 'of 6 pictures 2 look like ones that its calibration or early stop used (perceptual hash)'),
    (2, 1, 'of 6 pictures 2 look like ones that it was trained on and 1 looks like one that its '
           'calibration or early stop used (perceptual hash)'),
    (0, 0, '')])
def test_in_words(trained, calibrated, words):
    prints = prints_of(*map(scene, range(6)))
    # What was trained on and calibrated on, too, counts once.
    seen = LearnedPictures.of(prints[:trained], np.concatenate([prints[:trained], prints[6 - calibrated:]]))
    assert seen.recognise(prints).words() == words


def test_written_and_read(tmp_path):
    trained, calibrated = random_prints(500), random_prints(30, 1)
    seen = LearnedPictures.of(np.concatenate([trained, trained[:9]]), calibrated)
    found = learned_pictures(bundle_with(tmp_path, seen.card_file()[FILE].decode()))
    assert np.array_equal(found.trained_on, np.unique(trained, axis=0))
    assert np.array_equal(found.calibrated_on, np.unique(calibrated, axis=0))
    assert len(json.loads(seen.card_file()[FILE])['trained_on']) < 44 * 500
    both = found | LearnedPictures.of(calibrated_on=trained) | None
    assert len(both.trained_on) == 500 and len(both.calibrated_on) == 530


def test_of_an_ensemble_each_member_counts_and_a_bundle_may_say_nothing(tmp_path):
    one, two = (bundle_with(tmp_path / str(n), LearnedPictures.of(random_prints(1, n)).card_file()[FILE].decode())
                for n in (1, 2))
    silent = bundle_with(tmp_path / 'silent', None)
    (silent.folder / 'card').mkdir()
    (silent.folder / 'card' / FILE).write_bytes((one.folder / 'card' / FILE).read_bytes())  # which it does not list
    both = learned_pictures(SimpleNamespace(folder=None, members=(one, two, silent)))
    assert both.recognise(np.concatenate([random_prints(1, n) for n in (1, 2, 3)])).trained_on.tolist() == [
        True, True, False]
    assert not both.training_is_known  # one of them does not say
    assert learned_pictures(SimpleNamespace(folder=None, members=(one, two))).training_is_known
    assert learned_pictures(silent) is learned_pictures(SimpleNamespace(folder=None, members=())) is None


@pytest.mark.parametrize('text, said', [
    ('', 'is not JSON'), ('[]', 'is none of the lists'), ('{"schema": 2}', 'update robot_vision_dl'),
    ('{"schema": 1, "fingerprint": "md5", "trained_on": "", "calibrated_on": ""}', 'update robot_vision_dl'),
    (KIND.replace('1', 'true', 1) + '"trained_on": "", "calibrated_on": ""}', 'update robot_vision_dl'),
    (KIND + '"trained_on": ""}', 'calibrated_on: must be'), (KIND + '"trained_on": 3, "calibrated_on": ""}', 'must be'),
    (KIND + '"trained_on": "AAAA", "calibrated_on": ""}', 'trained_on: must be'),
    (KIND + '"trained_on": "", "calibrated_on": "?"}', 'calibrated_on: must be')])
def test_a_damaged_list_is_told(tmp_path, text, said):
    with pytest.raises(BundleError, match=said):
        learned_pictures(bundle_with(tmp_path, text))


def test_of_very_many_some_are_kept():
    every = np.zeros((3 * MOST, 4), np.uint64)
    every[:, 0] = np.arange(3 * MOST) << 20
    kept = LearnedPictures.of(every).trained_on
    assert kept.shape == (MOST, 4) and np.isin(kept[:, 0], every[:, 0]).all()
    assert (kept[0, 0], kept[-1, 0]) == (every[0, 0], every[-1, 0])


def test_plain_pictures_are_like_none():
    """A wall of one colour that was learned does not make all walls, covered lenses and gradients known."""
    rise = np.linspace(0, 255, 640).astype(np.uint8)[None, :, None]
    across = np.broadcast_to(rise, (480, 640, 3))
    plain = prints_of(*(np.full((480, 640, 3), level, np.uint8) for level in (0, 1, 90, 255)),
                      across, across.swapaxes(0, 1))
    scenes = prints_of(scene(1), scene(2))
    assert is_plain(plain).all() and not is_plain(scenes).any()
    learned = LearnedPictures.of(np.concatenate([plain, scenes[:1]]))
    found = learned.recognise(np.concatenate([plain, scenes])).trained_on
    assert found.tolist() == [False] * len(plain) + [True, False]


def test_equal_to_one_by_one():
    rng, others = np.random.default_rng(1), random_prints(300, 2)
    some = np.concatenate([others[:280], others[:5], random_prints(20, 3)])
    for row in range(280):
        for bit in rng.choice(256, row % 64, False).tolist():
            some[row, bit // 64] ^= np.uint64(1 << bit % 64)
    expected = [min(sum(bin(int(a) ^ int(b)).count('1') for a, b in zip(one, other)) for other in others) <= SAME
                for one in some]
    assert look_like(some, others).tolist() == expected and 0 < sum(expected) < len(some)
    assert look_like(some, others[:0]).sum() == 0 and len(look_like(some[:0], others)) == 0


def test_the_model_that_ships_says_what_it_was_trained_on():
    found = learned_pictures(load_bundle('waste_sorter'))
    card = (Path(share_directory()) / 'models' / 'waste_sorter' / 'MODEL_CARD.md').read_text()
    parts = {line.split('|')[1].strip(): int(line.split('|')[2]) for line in card.splitlines() if line.startswith((
        '| train |', '| early_stop |', '| calibration |'))}
    assert 0.99 * parts['train'] <= len(found.trained_on) <= parts['train']
    fitted = parts['early_stop'] + parts['calibration']
    assert 0.99 * fitted <= len(found.calibrated_on) <= fitted
    assert found.recognise(random_prints(50)).words() == ''
