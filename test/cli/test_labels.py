"""``robot-vision labels``: what its user sees."""
import cv2
import numpy as np
import pytest
from labelled_queue import PERIOD, T0, TOPIC, queue_of, say, write_frames
from labelled_samples import pattern, write_bag

from robot_vision_dl.cli.main import main

STAMPS = [T0 + 7 + place * PERIOD for place in range(20)]


@pytest.fixture
def bag(tmp_path):
    return write_frames(tmp_path / 'hall', {TOPIC: STAMPS})


@pytest.fixture
def queue(tmp_path, bag):
    # The film strip has the first frames of each.
    return queue_of(tmp_path / 'queue', {'hall': bag}, [('hall', TOPIC, STAMPS[0], STAMPS[6]), (
        'hall', TOPIC, STAMPS[6], STAMPS[-1] + 1)], frames=1)


def test_write(queue, bag, capsys):
    assert main(['labels', 'write', str(queue)]) == 1
    assert capsys.readouterr().out == f'{queue}: nothing is labelled; `robot-vision label {queue}` opens the page\n'
    say(queue, bag, 'cup', STAMPS[0], STAMPS[6])
    say(queue, bag, 'unknown', STAMPS[6], STAMPS[8])
    (bag / 'labels.yaml').write_text('times: from_start\nintervals:\n- {start: 1.5, label: mug}\n')
    assert main(['labels', 'write', str(queue)]) == 0
    out, err = capsys.readouterr()
    assert out == (f'recording  labels            earlier  file\n'
                   f'hall       cup 1, unknown 1  1        {bag}/labels.yaml  written\n'
                   f'what was there before: {bag}/labels.yaml.bak\n')
    assert 'every frame that they cover keeps its label' in err
    assert main(['labels', 'write', str(queue)]) == 0
    assert 'as it was' in capsys.readouterr().out
    out = queue.with_name('elsewhere')
    assert main(['labels', 'write', str(queue), '--out', str(out)]) == 0
    assert f'use it with --labels {out}/labels.yaml' in capsys.readouterr().out


def test_export_and_import(queue, bag, tmp_path, capsys):
    say(queue, bag, 'cup', STAMPS[0], STAMPS[6], kind='label')
    out = tmp_path / 'out'
    assert main(['labels', 'export', str(queue), str(out), '--format', 'folders', '--what', 'all']) == 0
    assert capsys.readouterr().out == f'{out}: 2 pictures of 2 stretches, folders\n'
    for file in (out / 'unlabelled').iterdir():
        file.rename(out / 'cup' / file.name)
    (out / 'cup' / 'x.jpg').write_bytes(b'')
    assert main(['labels', 'import', str(queue), str(out)]) == 0
    assert capsys.readouterr().out == (
        '3 pictures read, 1 event stored\n'
        '1 stretch got a label\n'
        '1 stretch had it already\n'
        '1 picture of no interval of the queue, the first: x.jpg\n')
    assert main(['labels', 'import', str(queue), str(bag)]) == 1  # a folder of something else
    assert main(['labels', 'import', str(queue), str(tmp_path / 'no')]) == 2
    assert 'no such file or folder' in capsys.readouterr().err


@pytest.mark.parametrize('name, text', [
    ('empty', 'looked for folders of pictures in it, one a label (cup/a.jpg) (--format folders); give the folder'),
    ('queue', 'is a queue, and no export of one; give the folder that `robot-vision labels export` wrote'),
    ('list.json', 'looked for tasks in it (--format label-studio)'), ('none.jsonl', 'looked for lines in it')])
def test_nothing_to_import_is_told_with_what_was_looked_for(queue, tmp_path, capsys, name, text):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'list.json').write_text('[]')
    (tmp_path / 'none.jsonl').write_text('')
    assert main(['labels', 'import', str(queue), str(tmp_path / name)]) == 1
    assert text in capsys.readouterr().err


def test_full_pictures_are_those_of_the_bag(queue, bag, tmp_path, capsys):
    say(queue, bag, 'cup', STAMPS[0], STAMPS[6])
    out = tmp_path / 'out'
    assert main(['labels', 'export', str(queue), str(out), '--format', 'cvat', '--full']) == 0
    file, = (out / 'images').iterdir()
    assert np.abs(cv2.imread(str(file)).astype(int) - pattern(0)).mean() < 5
    bag.rename(tmp_path / 'moved')
    assert main(['labels', 'export', str(queue), str(tmp_path / 'again'), '--format', 'cvat', '--full']) == 2
    assert 'export without --full' in capsys.readouterr().err and not (tmp_path / 'again').exists()
    write_bag(bag, 3)  # another one of the same name
    assert main(['labels', 'export', str(queue), str(tmp_path / 'again'), '--format', 'cvat', '--full']) == 2
    assert '1 frames of the queue cannot be read there' in capsys.readouterr().err


def test_jpeg_frames_are_exported_byte_for_byte(tmp_path):
    bag = write_bag(tmp_path / 'hall', 3, jpeg=True)
    topic = f'{TOPIC}/compressed'
    queue = queue_of(tmp_path / 'queue', {'hall': bag}, [('hall', topic, T0, T0 + 1)], frames=1)
    say(queue, bag, 'cup', T0, T0 + 1, topic)
    assert main(['labels', 'export', str(queue), str(tmp_path / 'out'), '--format', 'folders', '--full']) == 0
    file, = (tmp_path / 'out' / 'cup').iterdir()
    assert file.read_bytes() == cv2.imencode('.jpg', pattern(0), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
