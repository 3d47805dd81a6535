"""Objects as pictures of their own: the network's input is that of the live crop, and nothing of a picture is split."""
import csv
import json
from collections import defaultdict

import cv2
import numpy as np
import pytest
import torch
from box_samples import COLOURS, draw, venues

from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.core.networks.preprocess import Preprocessing, Preprocessor
from robot_vision_dl.core.regions.crop import crop
from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.data.cache import CacheConfig
from robot_vision_dl.data.crops import CropConfig, cut_out, margin_of
from robot_vision_dl.data.division import Part, SplitConfig
from robot_vision_dl.data.labels.objects.labelled_picture import LabelledObject, LabelledPicture
from robot_vision_dl.data.picture_folder import folder_pictures
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.data.prepare import DataConfig, prepare_parts
from robot_vision_dl.data.selection import SelectionConfig
from robot_vision_dl.data.split import make_split

SPEC = Preprocessing(36, (32, 32))


def index_of(folder):
    with open(folder / 'index.csv', newline='') as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize('spec', [SPEC, Preprocessing(0, (24, 48)), Preprocessing(40, (32, 32), (.5,), (.2,))])
@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_the_networks_input_is_that_of_the_live_crop(tmp_path, spec, suffix):
    """For boxes within, beyond the border, turned, and of a grey picture."""
    source = tmp_path / 'source'
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    pictures = []
    for name, content in (('colour', pixels), ('grey', pixels[..., 0])):
        path = source / f'{name}{suffix}'
        path.parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(path), content)
        boxes = [Box(60, 45, 20, 30), Box(5, 5, 40, 20), Box(118, 80, 30, 90), Box(60, 45, 40, 12, .6),
                 Box(60, 45, 119, 89), Box(30.3, 40.7, 7.2, 3.1)]
        pictures.append(LabelledPicture(path, path.name, 120, 90, tuple(LabelledObject(box, 'thing') for box in boxes)))
    done = cut_out(pictures, source, tmp_path / 'out', spec, CropConfig(margin=.2))
    assert done.counts == {'thing': 12}
    preprocess = Preprocessor(spec, 'cpu')
    rows = index_of(tmp_path / 'out')
    for row, (picture, item) in zip(rows, ((one, item) for one in pictures for item in one.objects)):
        live = crop(read_picture(picture.path), item.box, spec, .2).picture
        saved = read_picture(tmp_path / 'out' / row['file'])
        assert row['picture'] == picture.name
        assert torch.equal(preprocess([saved]), preprocess([live]))


def test_files_index_and_facts(tmp_path):
    pictures = venues(tmp_path / 'source')
    out = tmp_path / 'out'
    done = cut_out(pictures, tmp_path / 'source', out, SPEC,
                   CropConfig(background=2, unknown_classes=('robot',), margin=.15), 'coco')
    assert done.counts == {'ball': 8, 'goal post': 8, 'unknown': 8 + 16} and done.notes == ()
    rows = index_of(out)
    assert rows[0]['file'] == 'ball/source_a__cam_0__00.png' and (out / rows[0]['file']).is_file()
    assert {row['recording'] for row in rows} == {'source/a', 'source/b'}
    assert len({row['picture'] for row in rows}) == 8
    assert len({row['stamp_ns'] for row in rows}) == len(rows)
    facts = json.loads((out / 'crops.json').read_text())
    assert facts['margin'] == .15 and facts['input'] == {'crop': [32, 32], 'resize': 36} and facts['source'] == 'source'
    assert facts['counts'] == done.counts and facts['labels'] == 'coco' and facts['schema'] == 1
    assert margin_of([out]) == .15 and margin_of([tmp_path]) is None
    found = folder_pictures(out, print)
    assert {(one.label, one.recording) for one in found} >= {('goal post', 'source/a'), ('unknown', 'source/b')}
    again = cut_out(pictures, tmp_path / 'source', tmp_path / 'again', SPEC,
                    CropConfig(background=2, unknown_classes=('robot',), margin=.15))
    assert again.counts == done.counts
    assert all((out / row['file']).read_bytes() == (tmp_path / 'again' / row['file']).read_bytes() for row in rows)


def test_background_shows_no_labelled_object(tmp_path):
    """Objects are of three strong colours on dull noise."""
    pictures = venues(tmp_path / 'source', pictures=8)
    cut_out(pictures, tmp_path / 'source', tmp_path / 'out', SPEC, CropConfig(background=2, margin=.1))
    spoilt = 0
    files = sorted((tmp_path / 'out' / 'unknown').iterdir())
    for path in files:
        pixels = cv2.imread(str(path)).astype(int)
        middle = pixels[len(pixels) // 3:-len(pixels) // 3, len(pixels[0]) // 3:-len(pixels[0]) // 3].reshape(-1, 3)
        spoilt += any(np.mean(np.abs(middle - colour).max(axis=1) < 5) > .2 for colour in COLOURS.values())
    assert len(files) == 32 and spoilt <= 2  # what is cut out is a square, and a thin box has neighbours


@pytest.mark.parametrize('method', ['auto', 'recording', 'time'])
def test_a_split_keeps_pictures_and_venues_together(tmp_path, method):
    pictures = venues(tmp_path / 'source', names=[f'v{n}' for n in range(12)], pictures=6)
    cut_out(pictures, tmp_path / 'source', tmp_path / 'out', SPEC, CropConfig(background=1))
    config = DataConfig(bags=(str(tmp_path / 'out'),), test=('*/v1?',), split=SplitConfig(method=method),
                        selection=SelectionConfig(), cache=CacheConfig(folder=str(tmp_path / 'cache')))
    store, named, _ = prepare_parts(config, SPEC)
    assert {frame.label for frame in store.frames} == {*COLOURS, 'unknown'} and len(store) > 250
    split = make_split(store.frames, config.split, named)
    by_picture, by_venue = defaultdict(set), defaultdict(set)
    for frame, part in zip(store.frames, split.parts):
        by_picture[frame.picture].add(part)
        by_venue[frame.recording].add(part)
    assert all(len(parts) == 1 for parts in by_picture.values()) and None not in set().union(*by_picture.values())
    assert {name for name, parts in by_venue.items() if Part.TEST in parts} == {'source/v10', 'source/v11'}
    if method == 'recording':
        assert all(len(parts) == 1 for parts in by_venue.values())


def test_several_folders_keep_their_recordings_apart(tmp_path):
    for day in ('day1', 'day2'):
        cut_out(venues(tmp_path / day, ['cam']), tmp_path / day, tmp_path / f'out_{day}', SPEC, CropConfig())
    config = DataConfig(bags=(str(tmp_path / 'out_day1'), str(tmp_path / 'out_day2')),
                        test=(str(tmp_path / 'out_day2'),), cache=CacheConfig(folder=str(tmp_path / 'cache')))
    _, named, _ = prepare_parts(config, SPEC)
    assert named == {'day2/cam': Part.TEST}


def test_recordings_by_depth(tmp_path):
    pictures = venues(tmp_path / 'source', ['a'])
    for depth, name in ((0, 'source'), (1, 'source/a'), (2, 'source/a/cam'), (9, 'source/a/cam')):
        cut_out(pictures, tmp_path / 'source', tmp_path / f'out{depth}', SPEC, CropConfig(depth=depth))
        assert {row['recording'] for row in index_of(tmp_path / f'out{depth}')} == {name}
    assert index_of(tmp_path / 'out0')[0]['file'] == 'ball/source__a_cam_0__00.png'


def test_what_is_left_out_and_refused(tmp_path):
    source = tmp_path / 'source'
    path = draw(source / 'one.png', source, [], (100, 50)).path
    items = (LabelledObject(Box(10, 10, 9, 9), 'ball'), LabelledObject(Box(10, 10, 2, 9), 'ball'),
             LabelledObject(Box(0, -30, 30, 9, .5), 'ball'), LabelledObject(Box(20, 20, 9, 9), 'ignore'),
             LabelledObject(Box(20, 20, 9, 9), 'cone'), LabelledObject(Box(50, 20, 9, 9), 'unknown'))
    picture = LabelledPicture(path, 'one.png', 100, 50, items)
    (source / 'broken.jpg').write_bytes(b'\xff\xd8\xff')
    broken = LabelledPicture(source / 'broken.jpg', 'broken.jpg', 100, 50, items[:1])
    done = cut_out([broken, picture], source, tmp_path / 'out', SPEC, CropConfig(classes=('ball',), least_side=4))
    notes = '\n'.join(done.notes)
    assert done.counts == {'ball': 1, 'unknown': 1}
    for reason in ('left out 1, pictures that cannot be decoded: broken.jpg', 'smaller in the picture than',
                   'left out 1, boxes of which nothing is in the picture', 'left out 1, objects that are labelled',
                   'left out 1, objects of classes that are not named: cone'):
        assert reason in notes
    with pytest.raises(BagError, match='is not empty, and nothing in it is replaced'):
        cut_out([picture], source, tmp_path / 'out', SPEC, CropConfig())
    with pytest.raises(BagError, match='is within .*; choose a folder outside'):
        cut_out([picture], source, source / 'objects', SPEC, CropConfig())
    with pytest.raises(ConfigError, match="--classes: no object is labelled 'bal'; did you mean 'ball'"):
        cut_out([picture], source, tmp_path / 'new', SPEC, CropConfig(classes=('bal',)))
    with pytest.raises(ConfigError, match='both name ball'):
        cut_out([picture], source, tmp_path / 'new', SPEC, CropConfig(classes=('ball',), unknown_classes=('ball',)))
    with pytest.raises(BagError, match='nothing is left to cut out: .*broken.jpg'):
        cut_out([broken], source, tmp_path / 'new', SPEC, CropConfig())
    assert not (tmp_path / 'new').exists()


def test_names_that_are_no_names_of_files(tmp_path):
    source = tmp_path / 'source'
    paths = [draw(source / name, source, [], (100, 50)).path for name in ('a b.png', 'a_b.png', f'{"x" * 200}.png')]
    pictures = [LabelledPicture(path, path.name, 100, 50, (LabelledObject(Box(10, 10, 9, 9), label),))
                for path in paths for label in ('../up/:?', '=cmd')]
    done = cut_out(pictures, source, tmp_path / 'out', SPEC, CropConfig())
    assert done.counts == {'../up/:?': 3, '=cmd': 3}
    rows = index_of(tmp_path / 'out')
    assert len({row['file'] for row in rows}) == 6 and {path.parent for path in (tmp_path / 'out').rglob('*.png')} == {
        tmp_path / 'out' / '_._up___', tmp_path / 'out' / '=cmd'}
    assert {one.label for one in folder_pictures(tmp_path / 'out', print)} == {'../up/:?', '=cmd'}


@pytest.mark.parametrize('label, words', [
    ('index.csv', r'is the name of a file that is written beside the folders \(index.csv, crops.json\); rename it'),
    ('Crops.JSON', 'is the name of a file'), ('lost+found', 'is the name of what the system'),
    ('x' * 5000, 'has 5000 characters, and 200'), ('\U00020000' * 100, 'has 400 bytes, and the name of a folder 255'),
    ('\ud800', 'is not UTF-8')])
def test_a_class_that_cannot_have_a_folder(tmp_path, label, words):
    source = tmp_path / 'source'
    path = draw(source / 'one.png', source, [], (100, 50)).path
    picture = LabelledPicture(path, path.name, 100, 50, tuple(
        LabelledObject(Box(10 + 20 * number, 10, 9, 9), name) for number, name in enumerate(('ball', label))))
    with pytest.raises(ConfigError, match=f'the class .* cannot have a folder: it {words}') as caught:
        cut_out([picture], source, tmp_path / 'out', SPEC, CropConfig())
    assert not (tmp_path / 'out').exists() and len(str(caught.value)) < 250
    done = cut_out([picture], source, tmp_path / 'out', SPEC, CropConfig(unknown_classes=(label,)))
    assert done.counts == {'ball': 1, 'unknown': 1}


def test_names_of_many_bytes_fit_a_file_system(tmp_path):
    source = tmp_path / 'source'
    path = draw(source / 'one.png', source, [], (100, 50)).path
    many, longest = '\u4e2d' * 80, '\u4e2d' * 85
    picture = LabelledPicture(path, f'{many}/{many}.png', 100, 50, (LabelledObject(Box(10, 10, 9, 9), longest),))
    assert cut_out([picture], source, tmp_path / 'out', SPEC, CropConfig()).counts == {longest: 1}
