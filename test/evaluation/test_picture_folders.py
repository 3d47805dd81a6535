"""Folders of pictures are judged as bags are: the same pixels, labels by folder, each picture alone."""
import shutil

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
from robot_vision_dl.evaluation.options import EvaluationOptions
from robot_vision_dl.evaluation.recordings import check_are_bags, open_recordings

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
