"""``robot-vision crop`` as a user calls it."""
import json

import pytest
from box_samples import venues

from robot_vision_dl.cli.main import main
from robot_vision_dl.data.labels.objects.coco import write_coco
from robot_vision_dl.data.labels.objects.yolo import write_yolo


@pytest.fixture
def source(tmp_path):
    write_yolo(venues(tmp_path / 'source'), tmp_path / 'source')
    return tmp_path / 'source'


def test_objects_of_a_folder(source, tmp_path, capsys):
    out = tmp_path / 'objects'
    (source / 'a' / 'cam' / '0.txt').write_text('0 nan .5 .1 .1\n')
    assert main(['crop', str(source), str(out), '--background', '1', '--unknown-classes', 'robot']) == 0
    said = capsys.readouterr()
    assert f'{out}: 29 objects (ball 7, goal post 7, unknown 15) of 8 pictures, labels yolo; margin 0.1' in said.out
    assert 'for an input of 224x224' in said.out
    assert 'left out 1, boxes that are not finite numbers: a/cam/0.txt:1' in said.err
    assert json.loads((out / 'crops.json').read_text())['input'] == {'crop': [224, 224], 'resize': 256}


@pytest.mark.parametrize('text, crop, resize', [
    ('96/128', [96, 96], 128), ('320x240', [240, 320], 0), ('64', [64, 64], 0)])
def test_the_shape_of_the_input(source, tmp_path, text, crop, resize):
    assert main(['crop', str(source), str(tmp_path / 'out'), '--input', text]) == 0
    assert json.loads((tmp_path / 'out' / 'crops.json').read_text())['input'] == {'crop': crop, 'resize': resize}


@pytest.mark.parametrize('options, code, words', [
    (['--input', '0'], 2, 'crop must be'), (['--input', 'x'], 2, 'must be as 224/256'),
    (['--margin', '-1'], 2, '--margin'),
    (['--labels', 'cvat'], 2, 'no labels of the format cvat'), (['--model', 'nothing_like_it'], 2, 'no model bundle'),
    (['--classes', 'dog'], 2, "no object is labelled 'dog'")])
def test_wrong_use_is_one_line(source, tmp_path, capsys, options, code, words):
    try:
        found = main(['crop', str(source), str(tmp_path / 'out'), *options])
    except SystemExit as stop:
        found = stop.code
    said = capsys.readouterr().err
    assert found == code and words in said and 'Traceback' not in said
    assert not (tmp_path / 'out').exists()


def test_a_file_of_labels(tmp_path, capsys):
    pictures = venues(tmp_path / 'source')
    write_coco(pictures, tmp_path / 'elsewhere.json')
    assert main(['crop', str(tmp_path / 'source'), str(tmp_path / 'out'), '--labels', str(tmp_path / 'elsewhere.json'),
                 '--input', '32']) == 0
    assert 'ball 8, goal post 8, robot 8' in capsys.readouterr().out
