"""What a card is made of."""
from types import SimpleNamespace

import cv2
import numpy as np

from robot_vision_dl.core.networks.preprocess import Preprocessing
from robot_vision_dl.data.labels.labels import LabelledFrame
from robot_vision_dl.evaluation.tested import mistakes_sheet, track_accuracy

LABELS = ('a', 'b')


def store(tracks: list) -> SimpleNamespace:
    """What a card asks of a FrameStore."""
    frames = tuple(LabelledFrame('r', '/t', number, 'a', track, number, number, 'p')
                   for number, track in enumerate(tracks))
    return SimpleNamespace(frames=frames, pixels=lambda index: np.full((40, 50, 3), 40 * index, np.uint8))


def test_tracks_are_called_by_the_mean_log_probability_of_their_frames():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6],  # log-odds 2.2 - .4 - .4: right, though most frames are wrong
                  [0.9, 0.1], [0.001, 0.999],  # 2.2 - 6.9: wrong
                  [0.6, 0.4]])
    found = track_accuracy(store(['x', 'x', 'x', 'y', 'y', 'z']), np.arange(6), p, np.zeros(6, int))
    assert found == (2 / 3, 3)


def test_frames_without_tracks_have_no_track_accuracy():
    assert track_accuracy(store(['x', None]), np.arange(2), np.full((2, 2), 0.5), np.zeros(2, int)) is None


def test_mistakes_are_shown_once_a_track_the_most_confident_first():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.3, 0.7]])
    sheet = mistakes_sheet(store(['w', 'x', 'x', 'y']), np.arange(4), p, np.zeros(4, int), LABELS,
                           Preprocessing(40, (40, 40)))
    picture = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR)
    side = picture.shape[1] // 6
    greys = [int(np.median(picture[60:100, k * side + 60:k * side + 100])) for k in range(3)]
    assert np.allclose(greys, [80, 120, 255], atol=3)  # frame 2 of track x, then frame 3; then nothing
    none = mistakes_sheet(store(['w']), np.arange(1), p[:1], np.zeros(1, int), LABELS, Preprocessing(40, (40, 40)))
    assert none is None
