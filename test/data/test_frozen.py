"""What models are compared on is not learned from: by its place, and by what it shows."""
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled_samples import pattern

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.bags.writer import ImageBagWriter
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.frozen import describe_frozen, frozen_hashes, unlike_frozen
from robot_vision_dl.data.prepare import DataConfig, prepare_parts
from robot_vision_dl.data.selection import SelectionConfig

EVERY = SelectionConfig(0.0, -1, least=0)
PLAIN = Preprocessing(0, (32, 32), (0.5,), (0.5,))
STEP_NS = 100_000_000


def bag(folder: Path, pictures, label: str = 'cup') -> Path:
    with ImageBagWriter(folder) as writer:
        for index, picture in enumerate(pictures):
            writer.write_raw('/camera', 10**18 + index * STEP_NS, picture)
    (folder / 'labels.yaml').write_text(f'- {{start: {10**18}, end: {10**18 + len(pictures) * STEP_NS}, '
                                        f'label: {label}}}\n')
    return folder


@pytest.fixture
def bags(tmp_path):
    """Two bags to learn from, and a frozen one."""
    for number, name in enumerate(('bags/first', 'bags/second', 'judge')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        bag(tmp_path / name, [pattern(100 * number + index) for index in range(10)])
    return tmp_path


def prepared(root: Path, *frozen: Path):
    return prepare_parts(DataConfig((str(root / 'bags'),), frozen=tuple(map(str, frozen)), selection=EVERY,
                                    cache=CacheConfig(str(root / 'cache'))), PLAIN)


def test_nothing_is_left_out_where_nothing_is_alike(bags):
    store, _, left_out = prepared(bags, bags / 'judge')
    learned = unlike_frozen(store, frozen_hashes([str(bags / 'judge')]))
    assert len(learned) == len(store) == 20 and left_out == ()
    assert describe_frozen(store.frames, learned, left_out) == (
        'frozen: no frame to learn from looks like one of a frozen recording')


def test_a_recording_that_lies_in_what_is_learned_from_is_left_out(bags):
    (bags / 'judge').rename(bags / 'bags' / 'judge')
    store, _, left_out = prepared(bags, bags / 'bags' / 'judge')
    assert left_out == ('judge',) and {frame.recording for frame in store.frames} == {'first', 'second'}
    link = bags / 'linked'
    link.symlink_to(bags / 'bags' / 'second')
    assert prepared(bags, link).left_out == ('second',)
    with pytest.raises(ConfigError, match='data.frozen: holds every recording .* freeze fewer'):
        prepared(bags, bags / 'bags')


def test_what_is_a_copy_under_another_name_is_left_out_frame_by_frame(bags):
    copied = [pattern(200 + index) for index in range(3, 7)]  # of the frozen ones, as others would encode them
    small = [cv2.resize(cv2.resize(picture, None, fx=.5, fy=.5, interpolation=cv2.INTER_AREA), picture.shape[1::-1])
             for picture in copied]
    bag(bags / 'bags' / 'cut', copied[:2] + small[2:])
    folder = bags / 'bags_of_pictures' / 'mug'
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / '0.jpg'), np.asarray(pattern(205)), [cv2.IMWRITE_JPEG_QUALITY, 80])
    cv2.imwrite(str(folder / '1.jpg'), np.asarray(pattern(999)), [cv2.IMWRITE_JPEG_QUALITY, 80])
    config = DataConfig((str(bags / 'bags'), str(bags / 'bags_of_pictures')), frozen=(str(bags / 'judge'),),
                        selection=EVERY, cache=CacheConfig(str(bags / 'cache')))
    store, _, left_out = prepare_parts(config, PLAIN)
    learned = unlike_frozen(store, frozen_hashes(config.frozen))
    gone = [store.frames[index] for index in sorted(set(range(len(store))) - set(learned.tolist()))]
    assert [frame.recording for frame in gone] == ['cut'] * 4 + ['bags_of_pictures'] and gone[-1].path.endswith('0.jpg')
    said = describe_frozen(store.frames, learned, left_out)
    assert 'frozen, not learned from: 5 of 26 frames look like one of a frozen recording' in said
    assert 'cut: 4 of 4: it looks like a copy of a frozen recording' in said and 'bags_of_pictures' not in said


def test_frozen_recordings_need_no_labels_and_frames_that_cannot_be_read_are_passed_over(bags):
    (bags / 'judge' / 'labels.yaml').unlink()
    assert len(frozen_hashes([str(bags / 'judge')])) == 10
    folder = bags / 'pictures' / 'cup'
    folder.mkdir(parents=True)
    (folder / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    cv2.imwrite(str(folder / 'good.png'), np.asarray(pattern(5)))
    assert len(frozen_hashes([str(bags / 'pictures')])) == 1
    shutil.rmtree(bags / 'judge')
