"""What we write is read by others as it was meant, and what they write by us: COCO, YOLO and CVAT both ways."""
import math

import numpy as np
import pytest
from box_samples import draw, venues

from robot_vision_dl.core.regions.detections import Box
from robot_vision_dl.data.labels.objects.coco import write_coco
from robot_vision_dl.data.labels.objects.cvat import write_cvat
from robot_vision_dl.data.labels.objects.find import labelled_pictures
from robot_vision_dl.data.labels.objects.labelled_picture import LabelledObject, LabelledPicture
from robot_vision_dl.data.labels.objects.yolo import write_yolo


@pytest.fixture
def pictures(tmp_path):
    """Eight pictures in one folder, for readers that know no folders in folders, and one without objects."""
    found = venues(tmp_path / 'pictures', ['one'], 8)
    found.append(draw(tmp_path / 'pictures' / 'one' / 'cam' / 'nothing.png', tmp_path / 'pictures', []))
    root = tmp_path / 'pictures' / 'one' / 'cam'
    return root, [LabelledPicture(one.path, one.path.name, one.width, one.height, one.objects) for one in found]


def boxes(found):
    """(name, label, left, top, right, bottom), sorted."""
    return sorted((picture.name, item.label, *np.round(item.box.corners, 3).tolist())
                  for picture in found for item in picture.objects)


def near(one, other):
    assert [row[:2] for row in one] == [row[:2] for row in other] and len(one) == 24
    assert np.allclose([row[2:] for row in one], [row[2:] for row in other], atol=2e-3)


def of_globox(found, names=None):
    return sorted((str(one.image_id), (names or {}).get(box.label, box.label), *np.round(box.ltrb, 3).tolist())
                  for one in found for box in one.boxes)


def test_pycocotools_reads_our_coco(pictures, capsys):
    coco = pytest.importorskip('pycocotools.coco', reason='pycocotools is not installed (extra reference)')
    root, ours = pictures
    write_coco(ours, root / 'labels.json')
    theirs = coco.COCO(str(root / 'labels.json'))
    names = {key: item['name'] for key, item in theirs.cats.items()}
    files = {key: item['file_name'] for key, item in theirs.imgs.items()}
    rows = []
    for item in theirs.loadAnns(theirs.getAnnIds(iscrowd=False)):
        left, top, width, height = item['bbox']
        rows.append((files[item['image_id']], names[item['category_id']], left, top, left + width, top + height))
    near(sorted(rows), boxes(ours))
    assert len(theirs.getImgIds()) == 9


def test_globox_reads_our_coco_yolo_and_cvat_and_we_read_its(pictures, tmp_path):
    globox = pytest.importorskip('globox', reason='globox is not installed (extra reference)')
    root, ours = pictures
    write_coco(ours, tmp_path / 'a.json')
    near(of_globox(globox.AnnotationSet.from_coco(tmp_path / 'a.json')), boxes(ours))
    write_cvat(ours, tmp_path / 'a.xml')
    theirs = globox.AnnotationSet.from_cvat(tmp_path / 'a.xml')
    near(of_globox(theirs), boxes(ours))
    write_yolo(ours, tmp_path / 'yolo')
    names = {str(pair[0]): pair[1] for pair in enumerate(
        (tmp_path / 'yolo' / 'obj.names').read_text().splitlines())}
    near(of_globox(globox.AnnotationSet.from_yolo_v5(
        folder=tmp_path / 'yolo', image_folder=root, image_extension='.png'), names), boxes(ours))
    theirs.save_coco(tmp_path / 'theirs.json', auto_ids=True)
    near(boxes(labelled_pictures(root, str(tmp_path / 'theirs.json')).pictures), boxes(ours))
    theirs.save_cvat(tmp_path / 'theirs.xml')
    near(boxes(labelled_pictures(root, str(tmp_path / 'theirs.xml')).pictures), boxes(ours))
    numbers = {name: number for number, name in enumerate(sorted({row[1] for row in boxes(ours)}))}
    theirs.save_yolo_v5(root, label_to_id=numbers)
    (root / 'classes.txt').write_text(''.join(f'{name}\n' for name in sorted(numbers)))
    near(boxes(labelled_pictures(root, 'yolo').pictures), boxes(ours))


def test_supervision_reads_our_yolo_and_we_read_its(pictures, tmp_path):
    supervision = pytest.importorskip('supervision', reason='supervision is not installed (extra reference)')
    root, ours = pictures
    write_yolo(ours, root)
    names = (root / 'obj.names').read_text().splitlines()
    (tmp_path / 'data.yaml').write_text(f'names: {names}\n')
    labels = tmp_path / 'labels'
    labels.mkdir()
    for path in root.glob('*.txt'):
        path.rename(labels / path.name)
    theirs = supervision.DetectionDataset.from_yolo(str(root), str(labels), str(tmp_path / 'data.yaml'))
    rows = [(path.rsplit('/', 1)[1], theirs.classes[number], *map(float, corners))
            for path, _, found in theirs for corners, number in zip(found.xyxy, found.class_id)]
    near(sorted(rows, key=lambda row: row[:2] + tuple(np.round(row[2:], 3))), boxes(ours))
    theirs.as_coco(annotations_path=str(tmp_path / 'theirs.json'))
    near(boxes(labelled_pictures(root, str(tmp_path / 'theirs.json')).pictures), boxes(ours))


def test_supervision_reads_our_turned_boxes(tmp_path):
    supervision = pytest.importorskip('supervision', reason='supervision is not installed (extra reference)')
    root = tmp_path / 'images'
    path = draw(root / 'one.png', root, [], (100, 50)).path
    box = Box(40, 25, 30, 10, math.radians(25))
    write_yolo([LabelledPicture(path, 'one.png', 100, 50, (LabelledObject(box, 'ball'),))], tmp_path / 'labels')
    (tmp_path / 'data.yaml').write_text('names: [ball]\n')
    theirs = supervision.DetectionDataset.from_yolo(str(root), str(tmp_path / 'labels'), str(tmp_path / 'data.yaml'),
                                                    is_obb=True)
    (_, _, found), = theirs
    corners = np.asarray(found.data['xyxyxyxy'][0], float).reshape(4, 2)
    turn = np.array([[math.cos(box.theta), math.sin(box.theta)], [-math.sin(box.theta), math.cos(box.theta)]])
    wanted = np.array([[-15, -5], [15, -5], [15, 5], [-15, 5]]) @ turn + (40, 25)
    assert np.allclose(corners, wanted, atol=.01)
