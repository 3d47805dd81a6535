"""A picture that lies in the folders of two classes is named before anything is learned from it."""
import shutil

import cv2
from labelled_samples import pattern

from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.contradictions import contradictions
from robot_vision_dl.data.prepare import DataConfig, prepare


def folders(root, **classes):
    for name, pictures in classes.items():
        (root / name).mkdir(parents=True)
        for number in pictures:
            cv2.imwrite(str(root / name / f'{number}.png'), pattern(number))


def told(root):
    return contradictions(prepare(DataConfig((str(root),), cache=CacheConfig(str(root.parent / 'cache'))),
                                  Preprocessing(0, (32, 32))))


def test_one_picture_in_two_classes(tmp_path):
    folders(tmp_path / 'data', cup=range(6), mug=range(10, 16))
    assert told(tmp_path / 'data') == ''
    shutil.copy(tmp_path / 'data' / 'cup' / '0.png', tmp_path / 'data' / 'cup' / 'again.png')  # of one label
    assert told(tmp_path / 'data') == ''
    shutil.copy(tmp_path / 'data' / 'cup' / '3.png', tmp_path / 'data' / 'mug' / 'renamed.png')
    found = told(tmp_path / 'data')
    assert found.startswith('1 picture is there with more than one label, of which one can be right')
    assert 'cup/3.png (cup)' in found and 'mug/renamed.png (mug)' in found


def test_many_are_counted_and_some_named(tmp_path):
    folders(tmp_path / 'data', cup=range(8), mug=range(8), unknown=range(20, 22))
    found = told(tmp_path / 'data')
    assert found.startswith('8 pictures are there with more than one label') and found.count('(mug)') == 3
    assert found.endswith('; and 5 more')
