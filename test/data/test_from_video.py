"""A video as a labelled recording: what is said at the command is what is read from the bag, by either way."""
import cv2
import numpy as np
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.data.frame_sources import open_sources
from robot_vision_dl.data.frame_stream import FrameStream
from robot_vision_dl.data.labels.labels import LabelConfig
from robot_vision_dl.data.labels.stretches import Stretch, parse_stretches
from robot_vision_dl.data.selection import SelectionConfig


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """2 s at 10 Hz."""
    path = tmp_path_factory.mktemp('video') / 'v.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for index in range(20):
        writer.write(np.full((48, 64, 3), 10 * index, np.uint8))
    writer.release()
    return path


def labels_read(bag, source):
    stream = FrameStream(open_sources([bag], LabelConfig((source,))), SelectionConfig(0.0, -1))
    return [sample.frame.label for sample in stream]


@pytest.mark.parametrize('label_type', ['string', 'classification'])
@pytest.mark.parametrize('source', ['auto', 'topic:/label'])
@pytest.mark.parametrize('said, expected', [
    (['fist'], ['fist'] * 20),
    (['cup@0.5-1', 'mug@1-'], ['cup'] * 5 + ['mug'] * 10),
    (['mug@1.5-', 'cup@0-0.5', 'unknown@0.5-1'], ['cup'] * 5 + ['unknown'] * 5 + ['mug'] * 5),
    (['a@b@0-1'], ['a@b'] * 10),
    (['cup@0-99'], ['cup'] * 20),
])
def test_both_ways_of_labelling_say_the_same(video, tmp_path, said, expected, source, label_type):
    bag = tmp_path / 'bag'
    assert main(['bag', 'from-video', str(video), '--out', str(bag), '--label-type', label_type, '--label', *said,
                 '--append-black', '1']) == 0
    assert labels_read(bag, source) == expected


def test_what_was_labelled_is_said_and_without_labels_there_are_none(video, tmp_path, capsys):
    assert main(['bag', 'from-video', str(video), '--out', str(tmp_path / 'a'), '--label', 'fist']) == 0
    assert main(['bag', 'from-video', str(video), '--out', str(tmp_path / 'b'), '--label', 'a@0-0.5', 'b@1-1.5']) == 0
    assert main(['bag', 'from-video', str(video), '--out', str(tmp_path / 'c')]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith(', all labelled (fist)') and second.endswith(', 10 labelled (a, b)')
    assert third.endswith(' MB') and not (tmp_path / 'c' / 'labels.yaml').exists()


def test_stretches_are_sorted_and_read_exactly():
    assert parse_stretches(['b@2-', 'a@0.5-2']) == [Stretch('a', 0.5, 2.0, 'a@0.5-2'), Stretch('b', 2.0, None, 'b@2-')]
    assert parse_stretches(['soap-dish']) == [Stretch('soap-dish', 0.0, None, 'soap-dish')]


@pytest.mark.parametrize('texts, message', [
    (['cup@2,5-7'], r"'cup@2,5-7': expected CLASS, or CLASS@FROM-TO"),
    (['cup@5'], r"'cup@5': expected CLASS"),
    (['cup@7-2'], 'must end after it begins'),
    (['cup@-'], 'expected CLASS'),
    (['@0-1'], 'the label is empty'),
    (['uncertain'], 'cannot be labelled'),
    (['cup', 'mug'], r"'cup' and 'mug' hold at the same time"),
    (['cup@0-3', 'mug@2-'], r"'cup@0-3' and 'mug@2-' hold at the same time"),
])
def test_what_cannot_be_meant_is_refused(texts, message):
    with pytest.raises(ConfigError, match=message):
        parse_stretches(texts)


@pytest.mark.parametrize('options, message', [
    (['--label', 'cup@2.5-'], "--label 'cup@2.5-': begins when the video has ended; of the video 2.000 s"),
    (['--label', 'cup', '--raw', '--topic', '/label'], '/label is the topic of the labels'),
])
def test_a_label_that_cannot_hold_leaves_no_bag(video, tmp_path, capsys, options, message):
    assert main(['bag', 'from-video', str(video), '--out', str(tmp_path / 'bag'), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'bag').exists()
