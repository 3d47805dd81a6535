"""Folders of pictures: what is a class, what is a picture, what is told to be left out, and what is refused."""
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled_samples import pattern, write_bag, write_folders

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import BagError, ConfigError, DataError
from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.picture_folder import all_pictures, folder_pictures, is_picture_folder
from robot_vision_dl.data.picture_list import listed_pictures
from robot_vision_dl.data.pictures import read_picture, readable_pictures
from robot_vision_dl.data.prepare import DataConfig, class_names_of, prepare
from robot_vision_dl.data.selection import SelectionConfig

SPEC = Preprocessing(resize=32, crop=(32, 32))


def found_in(folder):
    """(labels with counts, notes)."""
    notes = []
    counts = {}
    for picture in folder_pictures(folder, notes.append):
        counts[picture.label] = counts.get(picture.label, 0) + 1
    return counts, ' | '.join(notes)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folders(tmp_path / 'pictures', {'cup': 3, 'mug': 2})


def jpeg(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode('.jpg', pattern(seed))[1].tobytes())
    return path


def test_a_folder_whose_name_is_not_utf_8_is_looked_into(tmp_path):
    """OpenCV 5.0, asked whether it can read a file of such a name, ends the process."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b'/pictures\xff'))
    jpeg(folder / 'cup' / 'without_a_suffix')
    (folder / 'cup' / 'notes').write_text('no picture')
    assert [path.name for path in all_pictures(folder, [].append)] == ['without_a_suffix']
    assert is_picture_folder(folder)
    assert read_picture(folder / 'cup' / 'without_a_suffix').pixels.shape == pattern(0).shape


@pytest.mark.parametrize('name', (
    '.ipynb_checkpoints', '__MACOSX', '@eaDir', '#recycle', 'lost+found', '.thumbnails', '$RECYCLE.BIN', '.Trash-1000',
    'System Volume Information', '__pycache__', '#snapshot', '.git'))
@pytest.mark.parametrize('place', ('', 'cup'))
def test_folders_of_other_programs_are_no_classes_and_are_told(folder, name, place):
    jpeg(folder / place / name / 'a.jpg')
    counts, notes = found_in(folder)
    assert counts == {'cup': 3, 'mug': 2}
    assert f'left out 1, hidden, or of the operating system or another program: {Path(place, name)}' in notes


def test_files_of_other_programs_are_told(folder):
    for name in ('Thumbs.db', 'desktop.ini', '.DS_Store', '._0.jpg'):
        (folder / 'cup' / name).write_bytes(b'x')
    counts, notes = found_in(folder)
    assert counts == {'cup': 3, 'mug': 2}
    assert 'left out 4, hidden, or of the operating system' in notes and '._0.jpg' in notes


@pytest.mark.parametrize('suffix', ('.jpg', '.JPG', '.jpeg', '.jfif', '.jpe', '.png', '.bmp', '.webp', '.tif', '.TIFF',
                                    '.ppm', '.pgm', '.pnm', '.jp2', '.sr', '.ras', ''))
def test_every_format_that_opencv_reads_is_read(suffix, folder, tmp_path):
    form = {'.jfif': '.jpg', '.jpe': '.jpg', '': '.png', '.pnm': '.ppm', '.sr': '.ras'}.get(suffix, suffix.lower())
    pixels = pattern(5) if form != '.pgm' else pattern(5)[..., 0]
    (folder / 'glass').mkdir()
    (folder / 'glass' / f'a{suffix}').write_bytes(cv2.imencode(form, pixels)[1].tobytes())
    assert found_in(folder) == ({'cup': 3, 'mug': 2, 'glass': 1}, '')
    stream = FrameStream(open_sources([folder], LabelConfig()), SelectionConfig(0.0, -1))
    assert sum(sample.frame.label == 'glass' for sample in stream) == 1


@pytest.mark.parametrize('name', ('a.HEIC', 'b.avif', 'c.CR2', 'd.jxl', 'e.svg', 'f.gif'))
def test_formats_that_cannot_be_read_are_named(name, folder):
    (folder / 'cup' / name).write_bytes(b'\0\0\0\x18ftypheic' + bytes(50))
    counts, notes = found_in(folder)
    assert counts == {'cup': 3, 'mug': 2}
    assert f'left out 1, of a format that OpenCV does not read here (convert them to JPEG or PNG): cup/{name}' in notes
    shutil.rmtree(folder / 'cup')
    (folder / 'cup').mkdir()
    (folder / 'cup' / name).write_bytes(b'\0\0\0\x18ftypheic' + bytes(50))
    with pytest.raises(BagError, match=rf'cup: a class without a picture that can be read \(.*format.*{name}\)'):
        found_in(folder)


def test_files_that_are_no_pictures_are_counted(folder):
    for number in range(5):
        (folder / 'cup' / f'{number}.txt').write_text('0 .5 .5 .1 .1')
    jpeg(folder / 'loose.jpg')
    (folder / 'labels').mkdir()
    (folder / 'labels' / 'classes.txt').write_text('cup')
    counts, notes = found_in(folder)
    assert counts == {'cup': 3, 'mug': 2}
    assert 'left out 6, no pictures: cup/0.txt, cup/1.txt, cup/2.txt, ...' in notes
    assert 'left out 1, pictures that lie beside the folders of the classes, not in one: loose.jpg' in notes
    assert 'left out 1, folders without pictures: labels' in notes


@pytest.mark.parametrize('fill, why', [
    (lambda cup: None, 'a class without a picture that can be read; put some in'),
    (lambda cup: (cup / 'a.jpg').write_bytes(b''), 'of 1 none, the first because: .*a.jpg: cannot be decoded'),
    (lambda cup: (cup / 'a.png').write_bytes(b'GIF89a..'), 'of 1 none, the first because: .*a.png: cannot be decoded'),
    (lambda cup: (cup / '.a.jpg').write_bytes(b'x'), r'can be read \(left out 1, hidden'),
    (lambda cup: (cup / 'a.jpg').symlink_to(cup / 'gone.jpg'), r'can be read \(left out 1, links to what is not there'),
])
def test_class_without_readable_pictures_is_an_error(fill, why, folder, capsys):
    (folder / 'glass').mkdir()
    fill(folder / 'glass')
    with pytest.raises(BagError, match=f'glass: a class without .*{why}|glass: {why}'):
        found_in(folder)
    assert main(['bag', 'from-images', str(folder), '--out', str(folder.parent / 'bag')]) == 2
    assert 'glass' in capsys.readouterr().err and not (folder.parent / 'bag').exists()


def test_all_classes_without_pictures_are_named_at_once(folder):
    for number in range(12):
        (folder / f'empty{number:02}').mkdir()
    for name in ('bad', 'worse'):
        (folder / name).mkdir()
        (folder / name / 'a.jpg').write_bytes(b'x')
    with pytest.raises(BagError, match='empty00.*empty09 and 2 more: 12 classes without a picture that can be read; '
                                       '.*bad: a class .*; .*worse: a class without') as caught:
        found_in(folder)
    assert 'empty11' not in str(caught.value)


@pytest.mark.parametrize('command', [('from-images',), ('synth', '--recordings', '1')])
@pytest.mark.parametrize('count', [1, 3, 14])
def test_all_pictures_that_cannot_be_read_are_named_at_once(command, count, folder, tmp_path, capsys):
    for number in range(count):
        (folder / 'mug' / f'x{number:02}.jpg').write_bytes(b'no picture')
    kind, *more = command
    assert main(['bag', kind, str(folder), '--out', str(tmp_path / 'bag'), *more]) == 2
    said = capsys.readouterr().err
    assert f'{count} pictures cannot be read; remove them' in said if count > 1 else 'remove it from the folder' in said
    assert all((f'x{number:02}.jpg' in said) == (number < 11) for number in range(count))
    assert ('and 3 more' in said) == (count == 14) and not (tmp_path / 'bag').exists()


def test_folder_of_nothing_but_what_cannot_be_read_says_why(tmp_path):
    for name in ('cup', 'mug'):
        (tmp_path / 'pictures' / name).mkdir(parents=True)
    with pytest.raises(BagError, match='no bag in this folder.*as a folder of pictures: .*mug: 2 classes without'):
        open_sources([tmp_path / 'pictures'], LabelConfig())
    for name in ('cup', 'mug'):
        (tmp_path / 'pictures' / name / 'a.HEIC').write_bytes(bytes(30))
    with pytest.raises(BagError, match='2 classes without .*OpenCV does not read here.*cup/a.HEIC'):
        open_sources([tmp_path / 'pictures'], LabelConfig())
    jpeg(tmp_path / 'flat' / 'a.jpg')
    with pytest.raises(BagError, match='left out 1, pictures that lie beside the folders of the classes'):
        open_sources([tmp_path / 'flat'], LabelConfig())


def test_pictures_at_any_depth_and_behind_links(folder, tmp_path):
    jpeg(folder / 'cup' / 'monday' / 'camera 2' / 'a.jpg', 1)
    jpeg(tmp_path / 'elsewhere' / 'b.jpg', 2)
    jpeg(tmp_path / 'elsewhere' / 'deep' / 'c.jpg', 3)
    (folder / 'glass').symlink_to(tmp_path / 'elsewhere')
    (folder / 'mug' / 'one.jpg').symlink_to(jpeg(tmp_path / 'd.jpg', 4))
    assert found_in(folder) == ({'cup': 4, 'mug': 3, 'glass': 2}, '')
    assert is_picture_folder(folder)


def test_circles_of_links_end_and_nothing_is_read_twice(folder):
    (folder / 'cup' / 'up').symlink_to(folder)
    (folder / 'cup' / 'self').symlink_to(folder / 'cup')
    (folder / 'mug' / 'other').symlink_to(folder / 'cup')
    counts, notes = found_in(folder)
    assert counts == {'cup': 3, 'mug': 2}
    assert notes.count('reached a second time by a link') == 2 and 'mug/other' in notes
    (folder / 'same').symlink_to(folder / 'cup')
    with pytest.raises(BagError, match='same: a class without .*reached a second time'):
        found_in(folder)


@pytest.mark.parametrize('names, refused', [
    (('train/cup', 'train/mug', 'val/cup', 'test/cup'), 'test/, train/, val/ look like parts of a split.*one by one'),
    (('Training/cup', 'Validation/cup'), 'Training/, Validation/ look like parts'),
    (('train2017/cup', 'val2017/cup'), 'look like parts'),
    (('fold_0/cup', 'fold_1/cup'), 'look like parts'),
    (('train/cup',), 'look like parts'),
    (('train/cup', 'test/cup', 'extra/cup'), 'look like parts'),
    (('train', 'test'), 'give the pictures in them folders of classes'),
    (('train', 'car', 'bus'), ''),  # a vehicle
    (('train/2024', 'car/2024', 'bus'), ''),
    (('testtube', 'cup'), ''),
])
def test_parts_of_a_split_are_no_classes(names, refused, tmp_path):
    for number, name in enumerate(names):
        jpeg(tmp_path / 'data' / name / 'a.jpg', number)
    if refused:
        with pytest.raises(BagError, match=refused):
            found_in(tmp_path / 'data')
    else:
        assert set(found_in(tmp_path / 'data')[0]) == {name.split('/')[0] for name in names}


def test_parts_named_one_by_one_are_read(tmp_path):
    for part in ('train', 'val'):
        write_folders(tmp_path / part, {'cup': 3, 'mug': 3})
    store = prepare(DataConfig((str(tmp_path / 'train'), str(tmp_path / 'val')),
                               cache=CacheConfig(str(tmp_path / 'cache'))), SPEC)
    assert class_names_of(store) == ('cup', 'mug')
    assert {frame.recording for frame in store.frames} == {'train', 'val'}


def test_names_that_differ_in_case_only_are_refused(folder, tmp_path):
    jpeg(folder / 'Cup' / 'a.jpg')
    with pytest.raises(BagError, match="the folders 'Cup' and 'cup' differ in case"):
        found_in(folder)
    shutil.move(folder / 'Cup', tmp_path / 'second' / 'Cup')
    config = DataConfig((str(folder), str(tmp_path / 'second')), cache=CacheConfig(str(tmp_path / 'cache')))
    with pytest.raises(DataError, match="labels 'Cup' and 'cup' differ in case"):
        class_names_of(prepare(config, SPEC))


@pytest.mark.skipif(sys.platform != 'linux', reason='names of bytes')
def test_name_that_is_no_text_is_refused_before_anything_is_read(folder):
    os.rename(folder / 'cup', os.fsencode(folder) + b'/caf\xe9')
    with pytest.raises(ConfigError, match=r"'caf\\udce9' cannot be a label: .*not UTF-8"):
        found_in(folder)
    os.rename(os.fsencode(folder) + b'/caf\xe9', folder / 'a\x1b[31mb')
    with pytest.raises(ConfigError, match=r"'a\\x1b\[31mb' cannot be a label"):
        found_in(folder)


def test_extracted_without_labels_is_no_class(tmp_path, capsys):
    bag = write_bag(tmp_path / 'bag', 5)
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'all'), '--labels', 'none']) == 0
    assert (tmp_path / 'all' / 'unlabelled').is_dir()
    with pytest.raises(BagError, match='all: no pictures.*left out 5, pictures without a label .*: unlabelled'):
        found_in(tmp_path / 'all')
    # Sorted by hand, in place: what the index knows of recording and time still holds.
    names = sorted((tmp_path / 'all' / 'unlabelled').iterdir())
    for name, path in zip(('cup', 'mug'), names):
        (tmp_path / 'all' / name).mkdir()
        path.rename(tmp_path / 'all' / name / path.name)
    notes = []
    pictures = folder_pictures(tmp_path / 'all', notes.append)
    assert [(picture.label, picture.recording) for picture in pictures] == [('cup', 'bag'), ('mug', 'bag')]
    assert pictures[1].stamp_ns - pictures[0].stamp_ns == 100_000_000
    assert 'left out 3, pictures without a label' in notes[0]


def test_bags_without_labels_are_nothing_to_learn_from(tmp_path):
    config = DataConfig((str(write_bag(tmp_path / 'bag', 3)),), labels=LabelConfig(('none',)),
                        cache=CacheConfig(str(tmp_path / 'cache')))
    with pytest.raises(ConfigError, match='none gives no frame of a bag a class'):
        prepare(config, SPEC)


def test_index_with_pictures_gone_is_told(tmp_path):
    bag = write_bag(tmp_path / 'bag', 5, labels=[(0.0, 'cup')])
    assert main(['bag', 'extract', str(bag), '--out', str(tmp_path / 'all')]) == 0
    sorted((tmp_path / 'all' / 'cup').iterdir())[0].unlink()
    assert '1 of 5 pictures that it lists are not there: cup/' in found_in(tmp_path / 'all')[1]
    (tmp_path / 'all' / 'index.csv').write_text('file,label\ncup/x.jpg\n')
    with pytest.raises(BagError, match='index.csv, line 2: not as `robot-vision bag extract` writes it'):
        found_in(tmp_path / 'all')


def test_every_user_of_picture_folders_goes_by_the_same_rule(folder, tmp_path, capsys):
    """The same folder through all that reads one: as many pictures, and the same told."""
    (folder / 'cup' / 'x.heic').write_bytes(bytes(20))
    (folder / 'cup' / 'y.jfif').write_bytes((folder / 'cup' / '0.jpg').read_bytes())
    jpeg(folder / '.hidden' / 'a.jpg')
    expected = {'cup': 4, 'mug': 2}
    told = 'left out 1, of a format that OpenCV does not read here (convert them to JPEG or PNG): cup/x.heic'
    assert found_in(folder)[0] == expected and told in found_in(folder)[1]
    notes = []
    assert len(all_pictures(folder, notes.append)) == 6 and told in ' '.join(notes)
    store = prepare(DataConfig((str(folder),), cache=CacheConfig(str(tmp_path / 'cache'))), SPEC)
    assert store.label_report.counts == expected and told in str(store.label_report)
    again = prepare(DataConfig((str(folder),), cache=CacheConfig(str(tmp_path / 'cache'))), SPEC)
    assert again.key == store.key and told in str(again.label_report)
    assert main(['bag', 'from-images', str(folder), '--out', str(tmp_path / 'bag')]) == 0
    said = capsys.readouterr()
    assert 'cup 4, mug 2' in said.out and told in said.err
    assert main(['bag', 'synth', str(folder), '--out', str(tmp_path / 'bags'), '--recordings', '1']) == 0
    said = capsys.readouterr()
    assert 'cup 4, mug 2' in said.out and told in said.err


def test_bags_beside_pictures_are_read_and_the_pictures_told(folder):
    write_bag(folder / 'run', 3, labels=[(0.0, 'cup')])
    stream = FrameStream(open_sources([folder], LabelConfig()), SelectionConfig(0.0, -1))
    assert len(list(stream)) == 3
    assert 'holds bags and folders of pictures; the bags are read' in str(stream.label_report)


@pytest.mark.parametrize('content, message', [
    (b'\xef\xbb\xbffile,label\ncup/0.jpg,cup\n', ''),
    ('file,label\ncup/0.jpg,cup\n'.encode('utf-16'), ''),
    (b'File;Label\ncup/0.jpg;cup\n', ''),
    (b'file,label,comment\r\ncup/0.jpg,0,"a, b"\r\n', ''),
    (b'file,label\ncup/0.jpg\n', 't.csv:2: 1 cell.s. where 2 are needed'),
    (b'file,label\n\ncup/0.jpg,\n', 't.csv:3: file or label is empty'),
    (b'file,label\ncup/0.jpg,caf\xe9\n', r't.csv: is no UTF-8 text; line 2 is .*caf\\xe9.*iconv'),
    (b'file,label\ncup/0.jpg,cap\n', "t.csv:2: the label 'cap' is not among the classes"),
    (b'cup/0.jpg,cup\n', 'first line must be file,label'),
    (b'', 'first line must be file,label'),
    (b'file,label\ncup/0.jpg,\0\n', 'line 2 holds a NUL'),
])
def test_lists_are_read_however_they_were_saved(content, message, folder, tmp_path):
    (tmp_path / 't.csv').write_bytes(content)
    if message:
        with pytest.raises(ConfigError, match=message):
            listed_pictures(tmp_path / 't.csv', ('cup', 'mug'), folder)
    else:
        picture, = listed_pictures(tmp_path / 't.csv', ('cup', 'mug'), folder)
        assert (picture.path, picture.label) == (folder / 'cup' / '0.jpg', 'cup')


@pytest.mark.parametrize('form, keep', (('.jpg', .6), ('.png', .6), ('.jpg', .97), ('.png', .9)))
def test_pictures_that_are_cut_off_are_told_by_every_user(form, keep, folder, tmp_path, capsys):
    """OpenCV 4 shows them with a grey lower part."""
    data = cv2.imencode(form, np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8))[1].tobytes()
    (folder / 'cup' / f'cut{form}').write_bytes(data[:int(keep * len(data))])
    stream = FrameStream(open_sources([folder], LabelConfig()), SelectionConfig(0.0, -1))
    assert len(list(stream)) == 5 and stream.selection_report.unreadable == 1
    problem, = stream.selection_report.problems
    assert problem.startswith(f'{folder.name}: ') and f'cut{form}' in problem and problem.endswith(' (left out)')
    (folder / 'mug' / f'too{form}').write_bytes(data[:int(keep * len(data))])
    again = FrameStream(open_sources([folder], LabelConfig()), SelectionConfig(0.0, -1))
    assert len(list(again)) == 5 and again.selection_report.problems[0].endswith(' (2 such pictures are left out)')
    (folder / 'mug' / f'too{form}').unlink()
    notes = []
    assert len(list(readable_pictures(all_pictures(folder, print), notes.append))) == 5
    assert 'left out 1, pictures that cannot be decoded, the first because:' in notes[0] and f'cut{form}' in notes[0]
    for command in (['from-images', '--out', str(tmp_path / 'a')],
                    ['synth', '--recordings', '1', '--out', str(tmp_path / 'b')]):
        assert main(['bag', command[0], str(folder), *command[1:]]) == 2
        said = capsys.readouterr().err
        assert f'cut{form}: ' in said and 'remove it from the folder' in said
    assert not (tmp_path / 'a').exists()


def test_trashnet_is_read_as_it_is(shared_data):
    counts, notes = found_in(shared_data / 'trashnet')
    assert notes == '' and sum(counts.values()) == 2162 and len(counts) == 6


def test_pictures_of_robots_with_their_boxes(shared_data):
    notes = []
    found = all_pictures(shared_data / 'robocup', notes.append)
    assert len(found) == 310 and 'left out' in notes[0] and 'no pictures' in notes[0]
    assert isinstance(read_picture(found[0]).pixels, np.ndarray)
