"""Folders of pictures are judged as bags are: the same pixels, labels by folder, each picture alone."""
import csv
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled_samples import pattern

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.config import with_values
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.pictures import read_picture
from robot_vision_dl.evaluation.evaluator import evaluate
from robot_vision_dl.evaluation.example_frames import room_of
from robot_vision_dl.evaluation.options import EvaluationOptions
from robot_vision_dl.evaluation.recordings import check_are_bags, open_recordings
from robot_vision_dl.evaluation.report.markdown import markdown
from robot_vision_dl.evaluation.report.report import report_html
from robot_vision_dl.evaluation.table import decided

MODEL = str(share_directory() / 'models' / 'waste_sorter')
OPTIONS = EvaluationOptions()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Frames of the demo bag in folders of classes, one that is no JPEG, one grey, one that cannot be decoded."""
    root = tmp_path_factory.mktemp('pictures')
    for label in ('glass', 'paper', 'unknown'):
        (root / label).mkdir()
    bag = share_directory() / 'config' / 'demo' / 'waste'
    with BagReader(next(path for path in sorted(bag.rglob('*.mcap'))).parent) as reader:
        topics = [topic.name for topic in reader.topics.values() if topic.is_image]
        for index, message in enumerate(reader.image_messages(topics)):
            if index % 20 == 0:
                jpeg = message.decode().data.tobytes()
                (root / ('glass', 'paper')[index // 20 % 2] / f'{index}.jpg').write_bytes(jpeg)
            if index == 160:
                break
    cv2.imwrite(str(root / 'paper' / 'lossless.png'), pattern(1, 200, 300))
    cv2.imwrite(str(root / 'unknown' / 'grey.png'), pattern(2, 200, 300)[..., 0])
    (root / 'glass' / 'broken.jpg').write_bytes(b'\xff\xd8\xff\xe0 no picture')
    return root


def test_each_picture_is_a_frame_with_the_label_of_its_folder(folder):
    recording, = open_recordings([folder], OPTIONS)
    messages = list(recording.reader().image_messages(recording.topics))
    assert len(messages) == len(recording.pictures) == recording.frames == 12
    labels = [recording.verdict(message.topic, message.receive_ns, message.receive_ns).label for message in messages]
    assert labels == [picture.label for picture in recording.pictures]
    assert {picture.label for picture in recording.pictures} == {'glass', 'paper', 'unknown'}
    steps = np.diff([message.receive_ns for message in messages]) / 1e9
    assert steps.min() > OPTIONS.deployment.fusion.reset_gap_s


def test_the_pixels_are_those_of_the_file(folder):
    from robot_vision_dl.core.images.image import decode
    recording, = open_recordings([folder], OPTIONS)
    for message, picture in zip(recording.reader().image_messages(recording.topics), recording.pictures):
        if picture.path.name != 'broken.jpg':
            expected = read_picture(picture.path)
            found = decode(message.decode())
            np.testing.assert_array_equal(found.pixels.squeeze(), expected.pixels.squeeze())


def test_nothing_is_fused_and_that_is_said(folder):
    alone = EvaluationOptions(with_values(OPTIONS.deployment, {'fusion.enabled': False}))
    found, single = evaluate([folder], [MODEL], OPTIONS), evaluate([folder], [MODEL], alone)
    model = found.metrics['models']['waste_sorter']
    assert model['frames']['decided'] == 11 and model['frames']['unknown'] == 1
    assert found.metrics['recordings'][0]['dropped'] == {'truncated': 1}
    for column in ('fused_predicted', 'outcome'):
        np.testing.assert_array_equal(found.tables['waste_sorter'].rows[column],
                                      single.tables['waste_sorter'].rows[column])
    assert model['decisions']['errors']['per_hour'] is None and model['time']['watched_s'] == 0
    assert any('each is decided alone, nothing is fused over time' in text for text in found.problems)


def test_the_command_reports_them(folder, tmp_path, capsys):
    assert main(['evaluate', str(folder), '--model', MODEL, '--out', str(tmp_path / 'report')]) == 0
    out = capsys.readouterr()
    assert 'each is decided alone' in out.err and 'each stands alone, nothing is fused' in out.out
    page = (tmp_path / 'report' / 'report.html').read_text()
    assert 'there are no time lines' in page and 'seconds to the right decision' not in page


def test_other_pictures_under_the_same_names_are_not_compared(folder, tmp_path, capsys):
    """Paired differences are of the same pictures, whatever the folder is called."""
    for version, taken in (('v1', slice(0, 3)), ('v2', slice(3, 6)), ('again', slice(0, 3))):
        for label in ('glass', 'paper'):
            (tmp_path / version / 'test' / label).mkdir(parents=True)
            for number, path in enumerate(sorted((folder / label).glob('[0-9]*.jpg'))[taken][:2]):
                shutil.copy(path, tmp_path / version / 'test' / label / f'{number}.jpg')
        assert main(['evaluate', str(tmp_path / version / 'test'), '--model', MODEL, '--out',
                     str(tmp_path / f'of_{version}')]) == 0
    told = [str(tmp_path / f'of_{version}') for version in ('v1', 'v2', 'again')]
    capsys.readouterr()
    assert main(['compare', told[0], told[1], '--fail-if-worse', 'accuracy']) == 1
    out = capsys.readouterr().out
    assert 'not judged on the same labelled frames (test: other pictures)' in out and 'cannot be compared' in out
    assert main(['compare', told[0], told[2]]) == 0
    assert 'accuracy' in capsys.readouterr().out
    # One of an earlier version does not tell its pictures.
    for name in told[:2]:
        metrics = json.loads(Path(name, 'metrics.json').read_text())
        del metrics['recordings'][0]['labelled_pictures']
        Path(name, 'metrics.json').write_text(json.dumps(metrics))
    assert main(['compare', told[0], told[1]]) == 0


def test_bags_and_folders_together(folder):
    bag = share_directory() / 'config' / 'demo' / 'waste'
    recordings = open_recordings([folder, bag], OPTIONS)
    assert bool(recordings[0].pictures) and not any(recording.pictures for recording in recordings[1:])


@pytest.mark.parametrize('option', ['--write-bag', '--live'])
def test_what_needs_times_names_the_way_to_a_bag(folder, tmp_path, option, capsys):
    with pytest.raises(ConfigError, match=f'{option}: .* is a folder of pictures, which have no times.*from-images'):
        check_are_bags(open_recordings([folder], OPTIONS), option)
    value = [str(tmp_path / 'x.mcap')] if option == '--write-bag' else []
    assert main(['evaluate', str(folder), '--model', MODEL, '--out', str(tmp_path / 'report'), option, *value]) == 2
    assert 'bag from-images' in capsys.readouterr().err


def test_labels_none_leaves_them_without(folder):
    from robot_vision_dl.data.labels.labels import LabelConfig
    recording, = open_recordings([folder], EvaluationOptions(labels=LabelConfig(('none',))))
    assert recording.labels is None


def test_a_label_that_is_no_class_gets_the_usual_remedy(folder, tmp_path, capsys):
    other = tmp_path / 'pictures'
    shutil.copytree(folder, other)
    (other / 'paper').rename(other / 'papre')
    assert main(['evaluate', str(other), '--model', MODEL, '--out', str(tmp_path / 'report')]) == 2
    assert "the label 'papre' is no class of waste_sorter; did you mean" in capsys.readouterr().err


@pytest.fixture(scope='module')
def judged(folder, tmp_path_factory):
    """An evaluation of the folder without what is labelled unknown, at a rate at which some of it is called so."""
    known = tmp_path_factory.mktemp('known') / 'pics'
    shutil.copytree(folder, known)
    shutil.rmtree(known / 'unknown')
    changes = {'decision.false_unknown_rate': 0.5, 'decision.abstain_cost': 0.3}
    return evaluate([known], [MODEL], EvaluationOptions(with_values(OPTIONS.deployment, changes)))


def test_each_row_and_caption_names_its_file(judged, tmp_path):
    judged.save(tmp_path / 'out')
    with open(tmp_path / 'out' / 'frames.csv', encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    files = [str(picture.path.relative_to(judged.recordings[0].path)) for picture in judged.recordings[0].pictures]
    assert [row['file'] for row in rows] == [name for name in files if name != 'glass/broken.jpg']
    assert all(row['stamp_ns'] == row['receive_ns'] == row['time_s'] == '' for row in rows)
    page = (tmp_path / 'out' / 'report.html').read_text()
    where = re.findall(r'class="where">([^<]*)<', page)
    assert where and set(where) <= set(files) and 'this frame alone' not in page
    assert 'pics: not decided: glass/broken.jpg' in judged.problems
    assert not any('clock' in text for text in judged.problems)


def test_each_row_tells_what_is_wrong_with_its_camera(folder, tmp_path):
    pictures = tmp_path / 'pics' / 'glass'
    pictures.mkdir(parents=True)
    sound = next(path for path in sorted((folder / 'glass').iterdir()) if path.stem != 'broken')
    shutil.copy(sound, pictures / f'b{sound.suffix}')
    cv2.imwrite(str(pictures / 'a.png'), np.full((480, 640, 3), 255, np.uint8))
    evaluate([tmp_path / 'pics'], [MODEL], OPTIONS).save(tmp_path / 'out')
    with open(tmp_path / 'out' / 'frames.csv', encoding='utf-8', newline='') as file:
        found = {row['file']: (row['camera_fault'], row['outcome']) for row in csv.DictReader(file)}
    assert found['glass/a.png'] == ('overexposed', 'unknown')
    assert found[f'glass/b{sound.suffix}'][0] == ''


def test_what_is_called_unknown_does_not_inherit_the_belief_about_the_picture_before(judged):
    rows = judged.tables['waste_sorter'].rows
    assert (rows['outcome'] == 2).any()
    for column in ('predicted', 'confidence', 'p_target', 'rank'):
        np.testing.assert_array_equal(rows[f'fused_{column}'], rows[column])
    model = judged.metrics['models']['waste_sorter']
    assert model['fused'] == model['frame']


def test_nothing_is_said_of_time_or_fusion(judged):
    page, summary = report_html(judged), markdown(judged.metrics)
    for text in (page, summary):
        for wrong in ('labelled video', 'fusing over time', 'accuracy, fused', 'time to decision', 'from 1 recording',
                      'fused over time', 'in a row one', 'too few recordings'):
            assert wrong not in text.replace('nothing is fused over time', ''), wrong
    assert '1 folder of pictures (pics)' in page and 'from 1 folder of pictures' in summary
    assert 'decision_s' not in judged.metrics['models']['waste_sorter']['time']
    # No picture is labelled unknown: the last row is one of a class.
    assert 'right in the last row alone' not in page and 'calling it so is wrong in every row' in page


def test_pictures_beside_each_other_are_all_shown(judged):
    """Of frames in a row one is shown, of pictures each: as many as there are, or room for, in each cell."""
    choice, rows = judged.choices['waste_sorter'], judged.tables['waste_sorter'].rows
    for (target, said), shots in choice.cells.items():
        is_cell = (rows['target'] == target) & (decided(rows) == said)
        assert len(shots) == min(int(is_cell.sum()), room_of((target, said)))
    assert any(len(shots) > 1 for shots in choice.cells.values())
