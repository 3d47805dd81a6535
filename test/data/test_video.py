"""Frames of a video, and still pictures as a camera sees them."""
import os

import cv2
import numpy as np
import pytest

from robot_vision_dl.core.errors import BagError
from robot_vision_dl.data.camera_model import READ_NOISE, SHOT_NOISE, covered_lens, handheld, sensor_noise
from robot_vision_dl.data.video import video_frames, video_rate_hz


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """50 frames at 25 Hz; frame i has the grey level 4 i."""
    path = tmp_path_factory.mktemp('video') / 'v.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, (64, 48))
    for index in range(50):
        writer.write(np.full((48, 64, 3), 4 * index, np.uint8))
    writer.release()
    return path


def frame_numbers(frames):
    return [round(frame.mean() / 4) for _, frame in frames]


@pytest.mark.parametrize('rate, start, duration, expected', [
    (None, 0.0, None, list(range(50))),
    (25, 0.4, 0.2, [10, 11, 12, 13, 14]),
    (5, 0.0, 1.0, [0, 5, 10, 15, 20]),
    (10, 0.0, 0.5, [0, 2, 5, 7, 10]),
    (50, 0.0, 0.1, [0, 0, 1, 1, 2]),
    (5, 1.6, None, [40, 45]),
])
def test_frame_on_screen_at_each_tick(video, rate, start, duration, expected):
    assert frame_numbers(video_frames(video, rate, start, duration)) == expected


def test_what_is_no_video(video, tmp_path):
    assert video_rate_hz(video) == 25
    (tmp_path / 'x.mp4').write_text('no video')
    with pytest.raises(BagError, match='cannot read it as a video'):
        next(video_frames(tmp_path / 'x.mp4'))
    with pytest.raises(BagError, match='no such file'):
        next(video_frames(tmp_path / 'y.mp4'))
    with pytest.raises(BagError, match=r'ends at 2\.0 s, before the start'):
        next(video_frames(video, start_s=3.0))


@pytest.mark.parametrize('level', (60, 128, 200))
def test_sensor_noise_has_the_variance_it_claims(level):
    noisy = sensor_noise(np.full((400, 400), level, np.uint8), np.random.default_rng(1)).astype(float)
    # Rounding to whole grey levels adds 1/12; the sample variance of n values has a relative error of sqrt(2/n).
    expected = READ_NOISE**2 + SHOT_NOISE * level + 1 / 12
    assert noisy.mean() == pytest.approx(level, abs=5 * (expected / 400**2) ** 0.5)
    assert noisy.var() == pytest.approx(expected, rel=5 * (2 / 400**2) ** 0.5)


def test_handheld_moves_smoothly_shows_the_picture_and_repeats_with_its_seed():
    picture = np.full((300, 200, 3), 220, np.uint8)
    cv2.circle(picture, (100, 150), 40, (0, 0, 0), -1)
    frames = list(handheld(picture, (320, 180), 24, 12.0, seed=3))
    again = list(handheld(picture, (320, 180), 24, 12.0, seed=3))
    assert all(np.array_equal(a, b) for a, b in zip(frames, again))
    centres = []
    for frame in frames:
        assert frame.shape == (180, 320, 3) and frame.dtype == np.uint8
        rows, columns = np.nonzero(frame[..., 0] < 110)
        centres.append((columns.mean(), rows.mean()))
        radius = np.sqrt(len(rows) / np.pi)
        assert 40 * 0.6 * 0.98 < radius < 40 * 0.6 * 1.06
    steps = np.hypot(*np.diff(np.array(centres), axis=0).T)
    assert 0.05 < steps.mean() and steps.max() < 0.02 * 320
    assert np.abs(np.array(centres) - (160, 90)).max() < 0.05 * 320
    assert not np.array_equal(frames[0], next(handheld(picture, (320, 180), 24, 12.0, seed=4)))


def test_covered_lens_is_nearly_black_and_no_two_frames_are_the_same():
    frames = list(covered_lens((160, 90), 12, 12.0, seed=0))
    assert all(frame.shape == (90, 160, 3) and frame.mean() < 8 and frame.max() < 40 for frame in frames)
    assert len({frame.tobytes() for frame in frames}) == 12
    corner = np.mean([frame[-20:, -30:].mean() for frame in frames])
    assert corner > np.mean([frame[:20, :30].mean() for frame in frames]) + 1


def test_a_video_without_frames_a_folder_and_a_pipe_are_told(tmp_path):
    video = cv2.VideoWriter(str(tmp_path / 'none.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    video.release()
    os.mkfifo(tmp_path / 'pipe.mp4')
    for path, text in ((tmp_path / 'none.avi', r'none.avi: holds no frame'), (tmp_path, 'is a folder; give a video'),
                       (tmp_path / 'pipe.mp4', 'pipe.mp4: is no file; give a video')):
        with pytest.raises(BagError, match=text):
            list(video_frames(path))
