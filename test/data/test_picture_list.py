"""Lists of labelled pictures: what is read, and what is refused in one clear sentence."""
import cv2
import numpy as np
import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.picture_list import listed_pictures, write_list
from robot_vision_dl.data.prepare import DataConfig, prepare
from robot_vision_dl.data.selection import SelectionConfig


@pytest.fixture
def pictures(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((8, 8, 3), 60 * number, np.uint8))
    return tmp_path


def write(folder, *rows, name='list.csv', head='file,label'):
    path = folder / name
    path.write_text('\n'.join([head, *rows]) + '\n')
    return path


def test_labels_are_names_or_indices_of_classes(pictures):
    path = write(pictures, '2.png,cup', '0.png,1', '1.png,unknown')
    assert [(one.path.name, one.label) for one in listed_pictures(path, ['cup', 'mug'])] == [
        ('2.png', 'cup'), ('0.png', 'mug'), ('1.png', 'unknown')]
    assert [one.label for one in listed_pictures(path)] == ['cup', '1', 'unknown']
    assert [one.label for one in listed_pictures(path, ['1', 'cup'])] == ['cup', '1', 'unknown']  # a name comes first


def test_pictures_of_recordings_say_so(pictures):
    path = write(pictures, '0.png,cup,day1,/camera,cup/0', '1.png,mug,,,', head='file,label,recording,topic,track')
    first, second = listed_pictures(path)
    assert (first.recording, first.topic, first.track) == ('day1', '/camera', 'cup/0')
    assert (second.recording, second.topic, second.track) == (None, '', None)
    (pictures / 'lists').mkdir()
    write_list(pictures / 'lists' / 'again.csv', [first, second], pictures / 'lists')
    assert (pictures / 'lists' / 'again.csv').read_text().splitlines()[1] == '../0.png,cup,day1,/camera,cup/0'
    again = listed_pictures(pictures / 'lists' / 'again.csv')
    assert [one._replace(path=one.path.resolve()) for one in again] == [first, second]


def test_other_columns_and_another_folder(pictures):
    (pictures / 'lists').mkdir()
    path = write(pictures / 'lists', 'x,0.png,cup', head='who,FILE,Label')
    assert listed_pictures(path, root=pictures)[0].path == pictures / '0.png'


@pytest.mark.parametrize('rows, head, said', [
    ((), 'file,label', 'list.csv: lists no picture'),
    (('0.png,cup',), 'path,label', r"first line must be file,label, got .'path', 'label'"),
    (('0.png',), 'file,label', r'list.csv:2: 1 cell\(s\) where 2 are needed'),
    (('0.png,',), 'file,label', 'list.csv:2: file or label is empty'),
    (('9.png,cup',), 'file,label', r'list.csv:2: .*9.png: cannot be read \(there is no such file\)'),
    (('x' * 300 + '.png,cup',), 'file,label', r'list.csv:2: .*cannot be read \(there is no such file\)'),
    (('0.png,cupp',), 'file,label', "list.csv:2: the label 'cupp' is not among the classes; did you mean 'cup'"),
    (('0.png,7',), 'file,label', "the label '7' is not among the classes"),
])
def test_what_is_wrong_is_said_with_its_line(pictures, rows, head, said):
    with pytest.raises(ConfigError, match=said):
        listed_pictures(write(pictures, *rows, head=head), ['cup', 'mug'])


def test_a_list_is_data_as_a_folder_is(pictures, tmp_path):
    path = write(pictures, '0.png,cup', '1.png,1', '2.png,ignore')
    cache = CacheConfig(folder=str(tmp_path / 'cache'))
    config = DataConfig(bags=(str(path),), class_names=('cup', 'mug'), cache=cache,
                        selection=SelectionConfig(duplicate_distance=-1))
    store = prepare(config, Preprocessing(0, (8, 8)))
    assert [(frame.recording, frame.label) for frame in store.frames] == [('list', 'cup'), ('list', 'mug')]
    assert [int(store.pixels(index)[0, 0, 0]) for index in range(2)] == [0, 60]
    write(pictures, '0.png,mug', '1.png,1')
    assert [frame.label for frame in prepare(config, Preprocessing(0, (8, 8))).frames] == ['mug', 'mug']
