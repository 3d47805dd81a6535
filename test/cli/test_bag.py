"""``robot-vision bag``: what it prints and what it writes."""
import json

import cv2
import numpy as np
import pytest
from bag_samples import write_ros1, write_ros2

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.resources import share_directory
from robot_vision_dl.data.bags.reader import BagReader


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """2 s at 20 Hz of a bar that wanders."""
    path = tmp_path_factory.mktemp('video') / 'v.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 20, (128, 96))
    for index in range(40):
        frame = np.full((96, 128, 3), 128, np.uint8)
        frame[:, 2 * index:2 * index + 8] = (255, 0, 0)
        writer.write(frame)
    writer.release()
    return path


def test_info_table(tmp_path, capsys):
    write_ros2(tmp_path / 'good', 11)
    assert main(['bag', 'info', str(tmp_path / 'good')]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f'{tmp_path / "good"}: 11 messages in 1.00 s, from 2023-11-14 22:13:20 UTC'
    assert out[2].split() == ['/camera/image_raw', 'sensor_msgs/msg/Image', '11', '10.00', '64x48', 'bgr8']


def test_info_of_a_damaged_bag_is_told_and_exits_with_1(tmp_path, capsys):
    path = write_ros1(tmp_path / 'a.bag', 20)
    path.write_bytes(path.read_bytes()[:100_000])
    assert main(['bag', 'info', str(path), '--json']) == 1
    report, = json.loads(capsys.readouterr().out)
    assert report['topics'][0]['count'] == report['messages'] == 10
    assert 'ends in the middle of a record at byte' in report['problems'][0]


def test_info_of_a_bag_with_a_zeroed_sector_says_how_many_are_missing(tmp_path, capsys):
    path = write_ros2(tmp_path / 'bag', 39)
    content = bytearray(path.read_bytes())
    at = len(content) // 2 // 512 * 512
    content[at:at + 512] = bytes(512)
    # Over the head of a message: its length is gone, so where the next one begins must be found.
    at = content.index(b'\0\0\0\0\x07\0\0\0camera', at) - 60
    content[at:at + 512] = bytes(512)
    path.write_bytes(content)
    assert main(['bag', 'info', str(path.parent)]) == 1
    out = capsys.readouterr().out
    assert ': 38 messages in' in out
    assert '/camera/image_raw: 1 of the 39 messages that it claims are missing' in out
    assert '/camera/image_raw: 1 of the 39 messages that metadata.yaml claims are missing' in out


@pytest.mark.parametrize('argv, message', [
    (['info', '/nowhere'], 'robot-vision bag: /nowhere: no such file or folder'),
    (['from-video', '/nowhere.mp4', '--out', '/tmp/never'], '/nowhere.mp4: no such file'),
])
def test_errors_are_one_line(argv, message, capsys):
    assert main(['bag', *argv]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count('\n') == 1


def from_video(video, out, *options):
    return main(['bag', 'from-video', str(video), '--out', str(out), *options])


def test_from_video_as_jpeg_with_scenes(video, tmp_path, capsys):
    picture = tmp_path / 'p.png'
    cv2.imwrite(str(picture), np.full((50, 40, 3), (0, 200, 0), np.uint8))
    out = tmp_path / 'bag'
    assert from_video(video, out, '--rate', '10', '--start', '0.5', '--duration', '1', '--width', '64',
                      '--epoch', '100', '--append-black', '0.5', '--append-picture', str(picture), '0.3') == 0
    assert '18 frames of 64x48, 1.8 s at 10 Hz' in capsys.readouterr().out
    with BagReader(out) as reader:
        messages = list(reader.image_messages())
        assert reader.problems == ()
    images = [message.decode() for message in messages]
    assert {message.topic for message in messages} == {'/camera/image_raw/compressed'}
    assert [image.header.stamp_ns for image in images] == [100 * 10**9 + index * 10**8 for index in range(18)]
    assert {image.header.frame_id for image in images} == {'camera'}
    frames = [cv2.imdecode(image.data, cv2.IMREAD_COLOR) for image in images]
    for index in range(10):
        # Source frame 10 + 2 index, whose bar begins at twice its number, at half the width.
        bar = np.argmax(frames[index].astype(int)[24, :, 0] - frames[index].astype(int)[24, :, 2])
        assert abs(bar - (10 + 2 * index + 1.5)) <= 2.5
    assert all(frame.mean() < 10 for frame in frames[10:15])
    assert all(np.abs(frame.mean(axis=(0, 1)) - (0, 200, 0)).max() < 8 for frame in frames[15:])


def test_from_video_raw_gives_the_pixels_and_the_same_bytes_again(video, tmp_path):
    for name in 'ab':
        assert from_video(video, tmp_path / name / 'bag', '--raw', '--topic', 'front') == 0
    first, second = (sorted((tmp_path / name / 'bag').iterdir()) for name in 'ab')
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    capture = cv2.VideoCapture(str(video))
    with BagReader(tmp_path / 'a' / 'bag') as reader:
        for message in reader.image_messages(['/front']):
            image = message.decode()
            assert (image.encoding, image.step) == ('bgr8', 3 * 128)
            np.testing.assert_array_equal(image.data.reshape(96, 128, 3), capture.read()[1])
    assert not capture.read()[0]


def test_nothing_is_overwritten_unless_asked_and_only_bags_are(video, tmp_path, capsys):
    out = tmp_path / 'bag'
    assert from_video(video, out, '--duration', '0.2') == 0
    assert from_video(video, out, '--duration', '0.2') == 2
    assert 'exists already' in capsys.readouterr().err
    assert from_video(video, out, '--duration', '0.2', '--overwrite') == 0
    (out / 'notes.txt').write_text('mine')
    assert from_video(video, out, '--overwrite') == 2
    assert 'not the folder of a bag' in capsys.readouterr().err and (out / 'notes.txt').is_file()


@pytest.mark.parametrize('options, message', [
    (['--rate', '0'], '--rate: must be 0.001 to 1000, got 0'),
    (['--quality', '101'], '--quality: must be 1 to 100'),
    (['--start', '9'], 'ends at 2.0 s'),
    (['--append-picture', '/nowhere.jpg', '1'], "--append-picture: '/nowhere.jpg' cannot be read"),
])
def test_wrong_options_leave_no_bag_that_looks_whole(video, tmp_path, options, message, capsys):
    assert from_video(video, tmp_path / 'bag', *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'bag' / 'metadata.yaml').exists()


def test_the_demo_bag_is_whole():
    folder = share_directory() / 'config' / 'demo'
    assert (folder / 'ATTRIBUTION.md').is_file()
    assert sum(file.stat().st_size for file in folder.rglob('*')) < 5e6  # a clone must stay small
    with BagReader(folder / 'bottles') as reader:
        topic, = reader.survey()
        assert reader.problems == ()
    assert topic.name == '/camera/image_raw/compressed'
    assert (topic.width, topic.height) == (640, 360)
    assert topic.rate_hz == pytest.approx(12, rel=1e-6)
    assert topic.count == 300


def test_info_says_what_becomes_of_frames_labelled_unknown(capsys):
    from robot_vision_dl.cli import bag_info
    topic = {'topic': '/cam', 'frames': 50, 'ignored': 0, 'conflicts': 0, 'gaps': 0, 'hint': None}
    report = {'path': 'b', 'start_ns': None, 'duration_s': 0.0, 'messages': 50, 'topics': [],
              'notes': [], 'problems': []}
    bag_info._print({**report, 'labels': [{**topic, 'labels': {'cup': 7, 'unknown': 43}}]})
    assert '43 frames are labelled unknown: of no class' in capsys.readouterr().out
    bag_info._print({**report, 'labels': [{**topic, 'labels': {'cup': 50}}]})
    assert 'labelled unknown' not in capsys.readouterr().out


def test_info_tells_names_that_training_refuses(tmp_path, capsys):
    for name, labels in (('a', 'start,label\n0,cup\n0.5,Cup\n'), ('b', 'start,label\n0,CUP\n'), ('c', '0,mug\n')):
        write_ros2(tmp_path / name, 11)
        (tmp_path / name / 'labels.csv').write_text(labels)
    argv = ['bag', 'info', *(str(tmp_path / name) for name in 'abc')]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert out.count('differ in case or spelling of the same letters only; training refuses them') == 2
    assert "'Cup' and 'CUP'" in out and "'Cup' and 'cup'" in out
    assert main(['bag', 'info', str(tmp_path / 'c')]) == 0 and 'differ in case' not in capsys.readouterr().out
