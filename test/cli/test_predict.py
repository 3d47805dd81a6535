"""``robot-vision predict`` as a user runs it."""
import csv
import io
import json
import os
import stat
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from evaluation_samples import small_model
from labelled_samples import pattern

from robot_vision_dl import Classifier
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.processes import Children, isolated_environment

SETTING = ('--set', 'decision.abstain_cost=.3')


@pytest.fixture(scope='module')
def here(tmp_path_factory):
    """A model, a folder of five pictures and a file of another kind, and a video."""
    folder = tmp_path_factory.mktemp('predict')
    small_model(folder / 'small')
    (folder / 'photos' / 'deep' / 'er').mkdir(parents=True)
    for place, name in enumerate(('cup2.png', 'cup10.png', 'deep/a.jpg', 'deep/er/a.jpg', '=1+1.png')):
        cv2.imwrite(str(folder / 'photos' / name), pattern(place))
    (folder / 'photos' / 'notes.txt').write_text('no picture')
    video = cv2.VideoWriter(str(folder / 'drive.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 20, (64, 48))
    for index in range(40):
        video.write(pattern(index // 10))
    video.release()
    return folder


@pytest.fixture(scope='module')
def classifier(here):
    return Classifier(here / 'small', device='cpu', decision={'abstain_cost': 0.3})


def run(here, *arguments, model='small'):
    return main(['predict', str(here / model), *map(str, arguments), '--device', 'cpu', *SETTING])


def test_a_line_for_each_picture_of_a_folder(here, classifier, capsys):
    assert run(here, here / 'photos') == 0
    text = capsys.readouterr()
    head, *lines, total = text.out.splitlines()
    assert head.split() == ['picture', 'decision', 'class', 'confidence', 'why']
    names = ['=1+1.png', 'cup2.png', 'cup10.png', 'deep/a.jpg', 'deep/er/a.jpg']
    assert [line.split()[0] for line in lines] == [str(here / 'photos' / name) for name in names]
    results = [classifier(here / 'photos' / name) for name in names]
    for line, result in zip(lines, results):
        assert line.split(None, 1)[1] == (f'{result.decision.value:<9}  {result.best or "-":<5}  '
                                          f'{result.confidence:10.2f}  {result.why}')
    assert total == '5 pictures: ' + ', '.join(
        f'{count} {name}' for name in ('accepted', 'uncertain', 'unknown')
        if (count := sum(result.decision == name for result in results)))
    assert 'left out 1, no pictures: notes.txt' in text.err
    assert all(line.startswith('note: ') for line in text.err.splitlines())
    assert '\x1b' not in text.out + text.err


def test_json_has_all_fields_of_each_picture_and_frame(here, classifier, capsys):
    assert run(here, here / 'photos' / 'cup2.png', here / 'drive.avi', '--json', '--top-k', 2) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    two = Classifier.from_config(replace(classifier.config, top_k=2))
    wanted = [two(here / 'photos' / 'cup2.png'), *two.stream(here / 'drive.avi')]
    assert len(wanted) == 41
    assert rows == [result.as_dict() for result in wanted]


def test_csv_is_for_spreadsheets_and_computes_nothing(here, classifier, capsys, monkeypatch):
    monkeypatch.chdir(here / 'photos')
    assert run(here, '=1+1.png', 'cup2.png', '--csv') == 0
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    result = classifier('cup2.png')
    assert (first['file'], second['file']) == ("'=1+1.png", 'cup2.png')
    assert (second['label'], second['decision'], second['why']) == (result.label, result.decision.value, result.why)
    assert float(second['confidence']) == pytest.approx(result.confidence, rel=1e-5)
    assert second['time_s'] == ''
    assert second['top'].split('; ')[0] == f'{result.top[0].label}={result.top[0].probability:.6g}'
    assert second['conformal_set'].split('; ') == list(result.conformal_set)


def test_a_video_is_fused_and_has_a_line_for_each_change(here, classifier, capsys, tmp_path):
    assert run(here, here / 'drive.avi', '--rate', 10, '--out', tmp_path / 'out') == 0
    results = list(classifier.stream(here / 'drive.avi', 10))
    assert len(results) == 20
    changes = [result for before, result in zip([None, *results], results)
               if before is None or result.label != before.label]
    _, *lines, total = capsys.readouterr().out.splitlines()
    assert len(changes) > 1
    assert [line.split()[1:4] for line in lines] == [
        [f'{change.time_s:.1f}', 's', change.decision.value] for change in changes]
    share = sum(result.label == results[0].label for result in results) / 20
    assert total.startswith(f'{here}/drive.avi: 20 frames, 1.9 s: ') and f'{results[0].label} {share:.0%}' in total
    assert sorted(path.name for path in (tmp_path / 'out' / 'drive.avi').iterdir()) == [
        f'{change.time_s:07.2f}s.jpg' for change in changes]


def test_overlays_lie_as_their_pictures_do(here, capsys, tmp_path):
    assert run(here, here / 'photos', '--out', tmp_path / 'out') == 0
    found = {str(path.relative_to(tmp_path / 'out')) for path in (tmp_path / 'out').rglob('*.jpg')}
    assert found == {'=1+1.png.jpg', 'cup2.png.jpg', 'cup10.png.jpg', 'deep/a.jpg', 'deep/er/a.jpg'}
    assert cv2.imread(str(tmp_path / 'out' / 'deep' / 'a.jpg')).shape == (480, 640, 3)
    # Of several arguments none covers another's.
    deep = here / 'photos' / 'deep'
    assert run(here, deep, deep / 'a.jpg', deep / 'er' / 'a.jpg', '--out', tmp_path / 'more') == 0
    found = {str(path.relative_to(tmp_path / 'more')) for path in (tmp_path / 'more').rglob('*.jpg')}
    assert found == {'deep/a.jpg', 'deep/er/a.jpg', 'a.jpg', 'a_2.jpg'}


def test_a_picture_is_not_covered_by_its_overlay(here, capsys, tmp_path):
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), pattern(0))
    before = path.read_bytes()
    assert run(here, path, '--out', tmp_path) == 1
    assert 'a.jpg: is one of the pictures that are read, and would be replaced' in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize('inside', ['', 'decided', 'a/b/../c'])
def test_overlays_do_not_lie_among_what_is_read(here, capsys, tmp_path, inside):
    cv2.imwrite(str(tmp_path / 'a.jpg'), pattern(0))
    assert run(here, tmp_path, '--out', tmp_path / inside) == 2
    assert 'next time the overlays would be among them' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['a.jpg']


def test_damaged_files_are_told_and_the_others_done(here, capsys, tmp_path):
    for name in 'ac':
        cv2.imwrite(str(tmp_path / f'{name}.png'), pattern(1))
    (tmp_path / 'b.jpg').write_bytes(b'\xff\xd8\xff\xe0 no more')
    (tmp_path / 'clip.mp4').write_bytes(b'no video')
    assert run(here, tmp_path, tmp_path / 'clip.mp4', '--json') == 1
    text = capsys.readouterr()
    assert [json.loads(line)['file'][-5:] for line in text.out.splitlines()] == ['a.png', 'c.png']
    assert f'note: left out: {tmp_path}/b.jpg: ' in text.err and f'note: left out: {tmp_path}/clip.mp4: ' in text.err
    assert '2 of 4 files could not be read' in text.err


def test_what_is_not_there_is_told_and_the_others_are_done(here, tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    assert run(here, here / 'photos' / 'cup2.png', tmp_path / 'missing.jpg', tmp_path / 'empty',
               here / 'photos' / 'cup10.png', '--json') == 1
    text = capsys.readouterr()
    assert [json.loads(line)['file'].rpartition('/')[2] for line in text.out.splitlines()] == ['cup2.png', 'cup10.png']
    assert f'note: left out: {tmp_path}/missing.jpg: no such file or folder' in text.err
    assert f'note: left out: {tmp_path}/empty: holds no picture' in text.err
    assert '2 of 4 files could not be read' in text.err


@pytest.mark.parametrize('arguments, text', [
    (('nowhere.jpg',), 'nowhere.jpg: no such file or folder'),
    (('empty',), 'empty: holds no picture'),
    (('photos', '--set', 'decision.abstain=1'), 'decision.abstain'),
    (('photos', '--rate', '0'), '--rate: must be 0.001 to 1000'),
])
def test_wrong_use_is_told_before_any_work(here, capsys, arguments, text, monkeypatch):
    monkeypatch.chdir(here)
    (here / 'empty').mkdir(exist_ok=True)
    assert main(['predict', 'small/', *arguments]) == 2
    output = capsys.readouterr()
    assert text in output.err and output.out == ''


def test_a_model_that_was_forgotten(here, capsys):
    picture = str(here / 'photos' / 'cup2.png')
    assert main(['predict', picture, picture]) == 2
    assert 'stands where the model belongs: robot-vision predict MODEL' in capsys.readouterr().err


def test_what_an_uncalibrated_model_says_is_cautioned(here, capsys, tmp_path):
    small_model(tmp_path / 'raw', calibrated=False)
    assert main(['predict', str(tmp_path / 'raw'), str(here / 'photos' / 'cup2.png')]) == 0
    assert 'raw is not calibrated: its confidences are not probabilities' in capsys.readouterr().err


def test_the_parameters_of_a_deployment(here, capsys, tmp_path):
    (tmp_path / 'node.yaml').write_text(
        '/arm/eye:\n  ros__parameters:\n    top_k: 1\n    decision:\n      abstain_cost: 1.0\n'
        '      false_unknown_rate: 0.0\n')
    assert main(['predict', str(here / 'small'), str(here / 'photos'), '--json', '--params-file',
                 str(tmp_path / 'node.yaml'), '--node', '/arm/eye']) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row['decision'] for row in rows} == {'accepted'}
    assert {len(row['top']) for row in rows} == {1}


def test_results_come_one_by_one(here, tmp_path):
    """A folder need not be done before its first line is there: the second picture is a pipe that is never filled."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((40, 50, 3), np.uint8))
    os.mkfifo(tmp_path / 'b.png')
    assert stat.S_ISFIFO(os.stat(tmp_path / 'b.png').st_mode)
    log = tmp_path / 'log'
    with Children(isolated_environment()) as children:
        process = children.robot_vision('predict', str(here / 'small'), str(tmp_path / 'a.png'),
                                        str(tmp_path / 'b.png'), '--device', 'cpu', log=log)
        deadline = time.monotonic() + 60
        while 'a.png' not in log.read_text():
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            time.sleep(0.05)
