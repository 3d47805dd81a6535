"""Labels of objects in three formats: what is read is what was written, and what is wrong is told or left out."""
import json
from collections import Counter
from math import pi

import cv2
import numpy as np
import pytest
from box_samples import draw, venues
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from robot_vision_dl.core.errors import BagError, ConfigError
from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.core.text.xml_text import xml_elements
from robot_vision_dl.data.folders import LeftOut
from robot_vision_dl.data.labels.objects.coco import write_coco
from robot_vision_dl.data.labels.objects.cvat import write_cvat
from robot_vision_dl.data.labels.objects.find import labelled_pictures
from robot_vision_dl.data.labels.objects.labelled_picture import (
    MOST_OBJECTS,
    LabelledObject,
    LabelledPicture,
    Objects,
    bounds,
)
from robot_vision_dl.data.labels.objects.yolo import write_yolo

WRITERS = {'yolo': lambda pictures, folder: write_yolo(pictures, folder),
           'coco': lambda pictures, folder: write_coco(pictures, folder / 'labels.json'),
           'cvat': lambda pictures, folder: write_cvat(pictures, folder / 'labels.xml')}


def read(source, labels='auto'):
    notes = []
    return labelled_pictures(source, labels, notes.append), '\n'.join(notes)


def close(a, b):
    return np.allclose([a.x, a.y, a.width, a.height], [b.x, b.y, b.width, b.height], atol=1e-4) and (
        abs(np.sin((a.theta - b.theta) / 2)) < 1e-6)


def one_picture(folder, text=None, name='one.png', names='ball\ngoal post\nrobot\n'):
    """A picture of 100x50 with its YOLO labels, if any."""
    draw(folder / name, folder, [], (100, 50))
    if names is not None:
        (folder / 'obj.names').write_text(names)
    if text is not None:
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name).with_suffix('.txt').write_bytes(data)
    return folder


def coco(folder, **changes):
    content = {'images': [{'id': 7, 'file_name': 'one.png', 'width': 100, 'height': 50}],
               'categories': [{'id': 3, 'name': 'ball'}],
               'annotations': [{'id': 1, 'image_id': 7, 'category_id': 3, 'bbox': [10, 20, 30, 5]}]}
    one_picture(folder, names=None)
    (folder / 'a.json').write_text(json.dumps({**content, **changes}))
    return folder


def cvat(folder, inner='<box label="ball" xtl="10" ytl="20" xbr="40" ybr="25"/>', head='', name='one.png'):
    one_picture(folder, names=None)
    (folder / 'a.xml').write_text(f'<?xml version="1.0"?>{head}<annotations><version>1.1</version>\n<image id="0" '
                                  f'name="{name}" width="100" height="50">\n{inner}\n</image></annotations>')
    return folder


@pytest.mark.parametrize('kind', WRITERS)
def test_a_round_trip_gives_the_same(tmp_path, kind):
    pictures = venues(tmp_path)
    pictures.append(draw(tmp_path / 'b' / 'cam' / 'nothing.png', tmp_path, []))
    WRITERS[kind](pictures, tmp_path)
    found, notes = read(tmp_path)
    assert found.format == kind and notes == ''
    assert [picture.name for picture in found.pictures] == [picture.name for picture in pictures]
    for picture, given_one in zip(found.pictures, pictures):
        assert (picture.path, picture.width, picture.height) == (given_one.path, given_one.width, given_one.height)
        assert [item.label for item in picture.objects] == [item.label for item in given_one.objects]
        assert all(close(a.box, b.box) for a, b in zip(picture.objects, given_one.objects))


def test_a_turned_box_reaches_as_far_up_as_it_is_wide(tmp_path):
    path = draw(tmp_path / 'one.png', tmp_path, [], (1000, 50)).path
    item = LabelledObject(Box(500, 25, 900, 20, 1.5), 'ball')
    write_yolo([LabelledPicture(path, 'one.png', 1000, 50, (item,))], tmp_path)
    found, _ = read(tmp_path)
    assert close(found.pictures[0].objects[0].box, item.box)


@pytest.mark.parametrize('box', [Box(50, 25, 300, 10), Box(50, 25, 1000, 10, 0.5)])
def test_yolo_is_not_written_with_what_its_reader_takes_for_pixels(tmp_path, box):
    path = draw(tmp_path / 'one.png', tmp_path, [], (100, 50)).path
    with pytest.raises(ConfigError, match='no share'):
        write_yolo([LabelledPicture(path, 'one.png', 100, 50, (LabelledObject(box, 'ball'),))], tmp_path)


@settings(max_examples=60, deadline=None)
@example([('ball', 0.0, 50.0, 90.0, 44.0, 2.0)], 'yolo')
@given(st.lists(st.tuples(st.sampled_from(['ball', 'goal post', '<&"\'>', 'Tor\u00fc']), st.floats(0, 100),
                          st.floats(0, 50), st.floats(.5, 300), st.floats(.5, 300), st.floats(-3.1, 3.1)), max_size=6),
       st.sampled_from(['yolo', 'cvat']))
def test_turned_boxes_survive(tmp_path_factory, objects, kind):
    folder = tmp_path_factory.mktemp('turned')
    path = draw(folder / 'one.png', folder, [], (100, 50)).path
    # YOLO tells corners as shares of the picture and not which is the first of an upright box.
    items = tuple(LabelledObject(Box(x, y, min(w, 90), min(h, 45), theta if abs(theta) > .1 and min(
        abs(abs(theta) - pi / 2), abs(abs(theta) - pi)) > .1 else 0.0), label) for label, x, y, w, h, theta in objects)
    WRITERS[kind]([LabelledPicture(path, 'one.png', 100, 50, items)], folder)
    found, notes = read(folder, kind)
    left = [item for item in items if not any(close(item.box, other.box) and item.label == other.label
                                              for other in found.pictures[0].objects)]
    outside = [item for item in left if bounds(item.box)[0] >= 100 or bounds(item.box)[1] >= 50]
    assert left == outside and ('left out' in notes) == (len(found.pictures[0].objects) < len(items))


def test_tracks_scores_and_crowds_of_coco(tmp_path):
    annotations = [{'image_id': 7, 'category_id': 3, 'bbox': [10, 20, 30, 5], 'attributes': {'track_id': 4}},
                   {'image_id': 7, 'category_id': 3, 'bbox': [50, 20, 30, 5], 'track_id': 'x', 'score': .5},
                   {'image_id': 7, 'category_id': 3, 'bbox': [0, 0, 99, 9], 'iscrowd': 1}]
    found, notes = read(coco(tmp_path, annotations=annotations))
    picture, = found.pictures
    assert [(item.track, item.score) for item in picture.objects] == [('4', None), ('x', .5)]
    assert picture.objects[0].box == Box(25, 22.5, 30, 5) and picture.crowds == (Box(49.5, 4.5, 99, 9),)
    assert 'left out 1, annotations of crowds (iscrowd)' in notes and 'a.json, annotations[2]' in notes


def test_a_detectors_confidence_and_polygons_of_yolo(tmp_path):
    one_picture(tmp_path, '0 .5 .5 .2 .4 .75\n1 .1 .2 .3 .2 .2 .6\n2 .1 .1 .5 .1 .5 .9 .1 .9 .25\n')
    items = read(tmp_path)[0].pictures[0].objects
    assert [item.score for item in items] == [.75, None, .25]
    assert close(items[0].box, Box(50, 25, 20, 20)) and close(items[1].box, Box.of_corners(10, 10, 30, 30))
    assert close(items[2].box, Box.of_corners(10, 5, 50, 45)) and items[2].box.theta == 0


def test_an_upright_box_is_upright_whichever_corner_is_first(tmp_path):
    corners = [(.1, .1), (.5, .1), (.5, .9), (.1, .9)]
    lines = []
    for first in range(4):
        for order in (corners, corners[::-1]):
            turned = order[first:] + order[:first]
            lines.append('0 ' + ' '.join(f'{a} {b}' for a, b in turned))
    for line in lines:
        one_picture(tmp_path, line)
        assert read(tmp_path)[0].pictures[0].objects[0].box == pytest.approx(Box.of_corners(10, 5, 50, 45)) or close(
            read(tmp_path)[0].pictures[0].objects[0].box, Box.of_corners(10, 5, 50, 45))


def test_names_and_labels_where_tools_put_them(tmp_path):
    draw(tmp_path / 'images' / 'train' / 'one.png', tmp_path, [], (100, 50))
    (tmp_path / 'labels' / 'train').mkdir(parents=True)
    (tmp_path / 'labels' / 'train' / 'one.txt').write_bytes(b'\xef\xbb\xbf1 .5 .5 .2 .4\r\n\r\n')  # BOM, CRLF
    for text in ('names: [ball, goal post]\n', 'names: {0: ball, 1: goal post}\nnc: 2\n'):
        (tmp_path / 'data.yaml').write_text(text)
        found, notes = read(tmp_path)
        assert found.pictures[0].objects[0].label == 'goal post' and notes == ''
    (tmp_path / 'labels' / 'classes.txt').write_text('x\ny\n')  # the nearer one
    assert read(tmp_path)[0].pictures[0].objects[0].label == 'y'
    (tmp_path / 'mine.list').write_text('p\nq\n')
    assert read(tmp_path, str(tmp_path / 'mine.list'))[0].pictures[0].objects[0].label == 'q'


def test_what_is_left_out_is_counted(tmp_path):
    one_picture(tmp_path, '0 nan .5 .2 .4\n0 inf .5 .1 .1\n1 .5 .5 -.2 .4\n1 .5 .5 0 0\n2 1.4 .5 .1 .1\n'
                '0 .5 .5 .2 .4\n0 .5 .5 .2 .4\n')
    draw(tmp_path / 'unlabelled.png', tmp_path, [])
    draw(tmp_path / 'empty.png', tmp_path, [])
    (tmp_path / 'empty.txt').write_text('')
    (tmp_path / 'nobody.txt').write_text('0 .5 .5 .2 .4\n')
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8\xff nothing')
    (tmp_path / 'broken.txt').write_text('0 .5 .5 .2 .4\n')
    found, notes = read(tmp_path)
    assert [(picture.name, len(picture.objects)) for picture in found.pictures] == [('empty.png', 0), ('one.png', 1)]
    for reason in ('left out 2, boxes that are not finite numbers: one.txt:1, one.txt:2',
                   'left out 2, boxes without area: one.txt:3, one.txt:4',
                   'left out 1, boxes of which nothing is in the picture: one.txt:5',
                   'left out 1, boxes that are in the labels twice: one.txt:7',
                   'left out 1, pictures that no labels name: unlabelled.png',
                   'left out 1, files of labels without a picture: nobody.txt',
                   'left out 1, pictures that cannot be decoded: broken.jpg'):
        assert reason in notes


@pytest.mark.parametrize('text, words', [
    ('0 .5 .5 .2', 'one.txt:1: has 4 numbers'), ('\n0 .5 .5 .2 x', "one.txt:2: 'x' is no number"),
    ('0 50 20 10 5', 'one.txt:1: 50 is no share of a picture; are these pixels?'),
    ('0 .5 .5 .2 1_0', "'1_0' is no number"), ('9 .5 .5 .1 .1', 'class 9 has no name'),
    ('-1 .5 .5 .1 .1', 'no number of a class'), ('ball .5 .5 .1 .1', "'ball' is no number of a class"),
    (b'0 .5 .5 .1 .1\n\xff\xfe', 'see line 2'), (b'0 .5\0', 'NUL')])
def test_lines_that_are_wrong_are_told_with_their_place(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        read(one_picture(tmp_path, text))
    assert words in str(caught.value) and 'one.txt' in str(caught.value)


def test_names_that_are_missing_or_at_odds(tmp_path):
    with pytest.raises(ConfigError, match=r'class 0 has no name: neither obj.names nor classes.txt nor data.yaml'):
        read(one_picture(tmp_path, '0 .5 .5 .1 .1', names=None))
    (tmp_path / 'obj.names').write_text('a\nb\n')
    (tmp_path / 'classes.txt').write_text('b\na\n')
    with pytest.raises(ConfigError, match='name the classes differently; name the one that is right with --labels'):
        read(tmp_path)
    assert read(tmp_path, str(tmp_path / 'classes.txt'))[0].pictures[0].objects[0].label == 'b'


def test_two_pictures_of_one_file_of_labels(tmp_path):
    one_picture(tmp_path, '0 .5 .5 .1 .1')
    draw(tmp_path / 'one.bmp', tmp_path, [])
    with pytest.raises(ConfigError, match=r'one.txt: is the file of labels of one.bmp and of one.png; keep one'):
        read(tmp_path)


@pytest.mark.parametrize('changes, words', [
    ({'annotations': [{'image_id': 7, 'category_id': 3, 'bbox': [.1, .2, .3, .1]}]}, 'are they shares of the picture?'),
    ({'annotations': [{'image_id': 7, 'category_id': 4, 'bbox': [1, 2, 30, 1]}]}, 'category 4 has no name; add it'),
    ({'annotations': [{'image_id': 7, 'category_id': 3, 'bbox': [1, 2, 30]}]}, 'annotations[0]: bbox must be four'),
    ({'annotations': [{'image_id': 7, 'category_id': 3, 'bbox': [1, 2, 30, True]}]}, 'bbox must be four numbers'),
    ({'annotations': [{'image_id': 7, 'category_id': 3, 'bbox': [1, 2, 30, 10**400]}]}, 'than 400 digits'),
    ({'annotations': [{'image_id': 7, 'category_id': 3, 'bbox': [1, 2, 30, 10**350]}]}, 'a number that is too large'),
    ({'annotations': [{'image_id': [7], 'category_id': 3, 'bbox': [1, 2, 3, 4]}]}, 'image_id must be a whole number'),
    ({'annotations': 7}, 'annotations must be a list'), ({'images': [7]}, 'images must be a list'),
    ({'categories': [{'id': 3}]}, 'categories[0]: name must be a text'),
    ({'categories': [{'id': 3, 'name': 'uncertain'}]}, "cannot be labelled 'uncertain'"),
    ({'images': [{'id': 7, 'file_name': 'one.png'}] * 2}, 'the id 7 is that of images[0] already'),
    ({'images': [{'id': i, 'file_name': 'one.png'} for i in (7, 8)]}, 'one.png is listed a second time'),
    ({'images': [{'id': 7, 'file_name': 5}]}, 'file_name must be a text')])
def test_coco_that_is_wrong(tmp_path, changes, words):
    with pytest.raises(ConfigError) as caught:
        read(coco(tmp_path, **changes))
    assert words in str(caught.value) and 'a.json' in str(caught.value)


@pytest.mark.parametrize('changes, words', [
    ({'images': [{'id': 7, 'file_name': 'one.png', 'width': 200, 'height': 100}]}, 'pictures of another size'),
    ({'images': [{'id': 7, 'file_name': '../../etc/passwd'}]}, 'that labels name and that are not there'),
    ({'images': [{'id': 8, 'file_name': 'one.png'}, {'id': 7, 'file_name': 'two.png'}]}, 'annotations[0]'),
])
def test_coco_of_other_pictures(tmp_path, changes, words):
    coco(tmp_path, **changes)
    try:
        notes = read(tmp_path)[1]
    except ConfigError as error:
        notes = str(error)
    assert 'left out 1, pictures' in notes and (words in notes or 'pictures that labels name' in notes)


def test_coco_annotations_that_are_not_used(tmp_path):
    annotations = [{'image_id': 7, 'category_id': 3}, {'image_id': 1, 'category_id': 3, 'bbox': [1, 2, 3, 4]},
                   {'image_id': 7, 'category_id': 3, 'bbox': [1, 2, -3, 4]}]
    found, notes = read(coco(tmp_path, annotations=annotations))
    assert found.pictures[0].objects == ()
    assert 'left out 1, annotations without a bbox' in notes and 'left out 1, boxes without area' in notes
    assert 'left out 1, annotations of a picture that the file does not list' in notes


def test_of_coco_files_of_the_same_pictures_the_instances_are_read(tmp_path):
    coco(tmp_path).joinpath('a.json').rename(tmp_path / 'instances_val.json')
    for name in ('captions_val', 'person_keypoints_val'):
        (tmp_path / f'{name}.json').write_text((tmp_path / 'instances_val.json').read_text())
    found, notes = read(tmp_path)
    assert len(found.pictures) == 1
    assert 'left out 2, COCO files beside those named instances...: captions_val.json, person_' in notes
    with pytest.raises(ConfigError, match='one.png is listed a second time, the first in .*captions_val.json'):
        (tmp_path / 'instances_val.json').unlink()
        read(tmp_path)


def test_json_bombs_end_in_one_line(tmp_path):
    one_picture(tmp_path, names=None)
    for text, words in (('[' * 100_000, 'nested more than'), ('{"images": [NaN]}', 'NaN'), ('{', 'line 1')):
        (tmp_path / 'a.json').write_text(text)
        with pytest.raises(ConfigError, match=words):
            read(tmp_path)


@pytest.mark.parametrize('make, name', [(coco, 'a.json'), (cvat, 'a.xml')])
def test_files_of_other_programs(tmp_path, make, name):
    """A byte order mark, other line ends, UTF-16; what is no UTF-8 is told with its line."""
    path = make(tmp_path) / name
    text = path.read_text()
    for data in (b'\xef\xbb\xbf' + text.replace('\n', '\r\n').encode(), text.encode('utf-16')):
        path.write_bytes(data)
        assert len(read(tmp_path, str(path))[0].pictures[0].objects) == 1
    path.write_bytes(text.replace('ball', 'b\xe4ll').encode('latin-1'))
    with pytest.raises(ConfigError, match=f'{name}: is no UTF-8 text; see line [0-9]. Save it as UTF-8'):
        read(tmp_path, str(path))


def test_files_that_are_too_large_are_refused_before_they_are_read(tmp_path):
    one_picture(tmp_path, names=None)
    for name, size in (('a.json', 600), ('a.xml', 300)):
        with open(tmp_path / name, 'wb') as file:
            file.truncate(size << 20)  # sparse
        with pytest.raises(ConfigError, match='larger than any such file'):
            read(tmp_path, str(tmp_path / name))


def test_a_foreign_json_file_is_in_nobodys_way(tmp_path):
    one_picture(tmp_path, '0 .5 .5 .1 .1')
    for name, text in (('settings.json', '{}'), ('broken.json', '{'), ('package.xml', '<package/>')):
        (tmp_path / name).write_text(text)
    assert read(tmp_path)[0].format == 'yolo'


def test_names_in_folders_are_found_by_their_ends(tmp_path):
    for folder in ('a', 'b'):
        draw(tmp_path / folder / 'one.png', tmp_path, [], (100, 50))
    content = {'images': [{'id': 1, 'file_name': 'C:\\data\\b\\one.png'}], 'categories': [{'id': 3, 'name': 'ball'}],
               'annotations': [{'image_id': 1, 'category_id': 3, 'bbox': [10, 20, 30, 5]}]}
    (tmp_path / 'a.json').write_text(json.dumps(content))
    assert [picture.name for picture in read(tmp_path)[0].pictures] == ['b/one.png']
    content['images'][0]['file_name'] = 'one.png'
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="'one.png' may be a/one.png or b/one.png; name the folder"):
        read(tmp_path)


def test_cvat_turned_boxes_and_other_shapes(tmp_path):
    found, notes = read(cvat(tmp_path, '<box label="ball" xtl="10" ytl="20" xbr="40" ybr="25" rotation="350"/>'
                             '<polygon label="ball" points="1,2;3,4"/><tag label="night"/>'))
    item, = found.pictures[0].objects
    assert close(item.box, Box(25, 22.5, 30, 5, -pi / 18)) and item.box.theta < 0
    assert 'left out 1, shapes that are no boxes (polygon): a.xml:3' in notes


@pytest.mark.parametrize('inner, words', [
    ('<box label="ball" xtl="1" ytl="2" xbr="x" ybr="9"/>', 'a.xml:3: xbr must be a number of pixels (degrees'),
    ('<box xtl="1" ytl="2" xbr="8" ybr="9"/>', 'a.xml:3: <box> has no label'),
    ('<box label="ball" ytl="2" xbr="8" ybr="9"/>', 'a.xml:3: <box> has no xtl'),
    ('<box label="ball" xtl="1"', 'is not XML that can be read (line 4')])
def test_cvat_that_is_wrong(tmp_path, inner, words):
    with pytest.raises(ConfigError) as caught:
        read(cvat(tmp_path, inner))
    assert words in str(caught.value)


def test_cvat_of_a_video_is_refused_with_the_remedy(tmp_path):
    cvat(tmp_path)
    (tmp_path / 'a.xml').write_text('<annotations>\n<track id="0" label="ball"><box frame="0"/></track></annotations>')
    with pytest.raises(ConfigError, match='a.xml:2: holds tracks of a video.*export the task as "CVAT for images 1.1"'):
        read(tmp_path)


@pytest.mark.parametrize('head', [
    '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>', '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
    '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://nowhere/">%x;]>'])
def test_xml_entities_are_refused(tmp_path, head):
    with pytest.raises(ConfigError, match='a document type .*, which is not read; remove it'):
        read(cvat(tmp_path, head=head), str(tmp_path / 'a.xml'))


def test_xml_within_bounds():
    with pytest.raises(ConfigError, match='nested more than 50 deep'):
        list(xml_elements('<a>' * 60, 'it'))
    with pytest.raises(ConfigError, match='it: is not XML'):
        list(xml_elements('', 'it'))
    found = list(xml_elements('<a>\n<b c="&lt;&#228;"/></a>', 'it'))
    assert [(one.name, one.line, one.path) for one in found] == [('a', 1, ()), ('b', 2, ('a',))]
    assert found[1].attributes == {'c': '<\u00e4'}


def test_formats_that_are_mixed_or_missing(tmp_path):
    one_picture(tmp_path)
    with pytest.raises(ConfigError, match='no labels for its 1 pictures: neither YOLO text'):
        read(tmp_path)
    with pytest.raises(ConfigError, match='no labels of the format cvat'):
        read(tmp_path, 'cvat')
    with pytest.raises(ConfigError, match='neither auto, yolo, coco, cvat nor a file'):
        read(tmp_path, 'voc')
    with pytest.raises(BagError, match='no such folder'):
        read(tmp_path / 'nowhere')
    with pytest.raises(BagError, match='no pictures'):
        (tmp_path / 'empty').mkdir()
        read(tmp_path / 'empty')
    one_picture(tmp_path, '0 .5 .5 .1 .1')
    write_coco([draw(tmp_path / 'one.png', tmp_path, [])], tmp_path / 'a.json')
    with pytest.raises(ConfigError, match=r'several formats: coco \(.*a.json\), yolo \(.*one.txt\); choose one with'):
        read(tmp_path)
    assert read(tmp_path, 'yolo')[0].format == 'yolo'


def test_a_picture_that_exif_turns_has_the_size_that_is_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((50, 100, 3), np.uint8)).save(tmp_path / 'one.jpg', exif=exif)
    (tmp_path / 'one.txt').write_text('0 .5 .5 .2 .2')
    (tmp_path / 'obj.names').write_text('ball\n')
    picture, = read(tmp_path)[0].pictures
    assert (picture.width, picture.height) == (50, 100) == cv2.imread(str(tmp_path / 'one.jpg')).shape[1::-1]


def test_coco_cannot_tell_turned_boxes(tmp_path):
    path = draw(tmp_path / 'one.png', tmp_path, []).path
    with pytest.raises(ConfigError, match='is turned, which COCO cannot tell; write CVAT'):
        write_coco([LabelledPicture(path, 'one.png', 9, 9, (LabelledObject(Box(1, 1, 2, 2, .5), 'a'),))],
                   tmp_path / 'x')


LONG = 'x' * 5000


@pytest.mark.parametrize('track, words', [
    ('\ud800', r"the track '\\ud800' is not UTF-8"), ('a\0b', r"'a\\x00b' has the control character U\+0000"),
    (LONG, 'has 5000 characters, and 200 are allowed; shorten it'), (10 ** 300, 'has 301 characters')])
@pytest.mark.parametrize('within', [False, True])
def test_a_track_that_cannot_be_stored_is_told(tmp_path, track, words, within):
    said = {'track_id': track}
    with pytest.raises(ConfigError, match=words) as caught:
        read(coco(tmp_path, annotations=[{'image_id': 7, 'category_id': 3, 'bbox': [10, 20, 30, 5],
                                          **({'attributes': said} if within else said)}]))
    text = str(caught.value)
    assert 'a.json, annotations[0]: ' in text and '\n' not in text and len(text) - len(str(tmp_path)) < 200
    text.encode()


@pytest.mark.parametrize('name, words', [(LONG, 'has 5000 characters, and 200 are allowed'),
                                         ('a\u2028b', 'control character U\\+2028'), ('\ud800', 'is not UTF-8')])
def test_a_class_that_cannot_be_stored_is_told_in_every_format(tmp_path, name, words):
    makers = [lambda folder: coco(folder, categories=[{'id': 3, 'name': name}])]
    if name != '\ud800':  # which neither XML nor a text file can hold
        makers.append(lambda folder: cvat(folder, f'<box label="{name}" xtl="10" ytl="20" xbr="40" ybr="25"/>'))
    if name == LONG:
        makers.append(lambda folder: one_picture(folder, '0 .5 .5 .1 .1', names=name))
    for number, make in enumerate(makers):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(ConfigError, match=words) as caught:
            read(make(folder))
        assert 'cannot be a label: it ' in str(caught.value) and len(str(caught.value)) - len(str(folder)) < 250


def test_a_score_that_is_too_large_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r'annotations\[0\]: score is a number that is too large'):
        read(coco(tmp_path, annotations=[{'image_id': 7, 'category_id': 3, 'bbox': [1, 2, 3, 4], 'score': 10 ** 350}]))


def test_many_objects_are_read_in_linear_time_and_too_many_refused(tmp_path):
    lines = [f'0 .5 .5 .1 {.1 + number / 1e6:.6f}' for number in range(MOST_OBJECTS + 1)]
    asked = Counter()

    class Counting(LabelledObject):
        __hash__ = LabelledObject.__hash__

        def __eq__(self, other):
            asked['equal'] += 1
            return LabelledObject.__eq__(self, other)

    objects = Objects(100, 50, LeftOut(), tmp_path)
    for number in range(2000):
        objects.add(Counting(Box(50, 25, 10, 5 + number / 1e4), 'ball'), tmp_path / 'one.txt')
    assert len(objects.all()) == 2000 and asked['equal'] < 2000  # not each with each
    assert len(read(one_picture(tmp_path, '\n'.join(lines[:-1])))[0].pictures[0].objects) == MOST_OBJECTS
    with pytest.raises(ConfigError, match='one.txt:10001: one picture has more than 10000 objects; remove'):
        read(one_picture(tmp_path, '\n'.join(lines)))


SECRET = 'root:x:0:0:a-secret-of-somebody:/root:/bin/bash'


@pytest.mark.parametrize('kind', ['yolo', 'coco', 'cvat', 'binary'])
def test_links_to_labels_are_followed_as_those_to_pictures_and_errors_quote_little(tmp_path, kind):
    """A data set may be a folder of links; of a file that is none of labels nothing much is told."""
    source, outside = tmp_path / 'source', tmp_path / 'outside'
    source.mkdir()
    outside.mkdir()
    suffix = {'coco': '.json', 'cvat': '.xml'}.get(kind, '.txt')
    make = {'coco': coco, 'cvat': cvat}.get(kind, lambda folder: one_picture(folder, '0 .5 .5 .1 .1'))
    make(source)
    file, = source.glob(f'*{suffix}')
    for path in (file, source / 'one.png'):
        path.rename(outside / path.name)
        path.symlink_to(outside / path.name)
    assert len(read(source)[0].pictures[0].objects) == 1
    (outside / file.name).write_bytes(SECRET.encode() + (b'\xff' if kind == 'binary' else b''))
    with pytest.raises(ConfigError) as caught:
        read(source, {'coco': str(file), 'cvat': str(file)}.get(kind, 'auto'))
    assert 'a-secret' not in str(caught.value)
