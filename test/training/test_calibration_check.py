"""What is known about a calibration before the first epoch is said before the first epoch."""
import numpy as np
import pytest

from robot_vision_dl.core.errors import DataError
from robot_vision_dl.data.division import Part
from robot_vision_dl.training.calibration_check import check_calibration, describe_strange

NAMES = ('fist', 'one', 'palm', 'stop', 'thumb')


def targets(*counts):
    return np.repeat(np.arange(len(counts)), counts)


def test_enough_of_everything_is_silent():
    assert check_calibration(targets(20, 20, 20, 20, 20), NAMES, 0.1) == {}


@pytest.mark.parametrize('counts, message', [
    ((3, 3, 3, 3, 2), 'needs 20 frames at least that are of a class, and its part of the split has 14: record more'),
    ((10, 10, 10, 0, 0), 'no calibration frame is labelled stop, thumb, so nobody would know'),
])
def test_what_cannot_be_calibrated_is_refused_with_the_remedy(counts, message):
    with pytest.raises(DataError, match=message) as caught:
        check_calibration(targets(*counts), NAMES, 0.1)
    assert 'data.split.calibration' in str(caught.value)


def test_frames_that_the_table_counts_and_the_refusal_does_not_are_explained():
    with pytest.raises(DataError, match=r'has 14 \(of 19, 5 labelled unknown, which do not count\): record more'):
        check_calibration(targets(3, 3, 3, 3, 2), NAMES, 0.1, strange=5)


def test_what_will_not_hold_is_said_with_the_number_that_is_needed():
    few, unknown = check_calibration(targets(7, 7, 4, 3, 1), NAMES, 0.1).values()
    assert 'palm (4), stop (3), thumb (1)' in few and 'fist' not in few and '5 of each are needed' in few
    assert 'with 22 calibration frames unknown is said at 0.0435 at best' in unknown and '99 are needed' in unknown
    conformal = check_calibration(targets(5, 5, 5, 5, 5), NAMES, 0.01)['conformal']
    assert 'every class is in every conformal set' in conformal


def test_objects_are_counted_beside_their_frames():
    ten = {'objects': 10, 'counted': 'objects'}
    few = check_calibration(targets(4, 4, 4, 4, 4), NAMES, 0.1, objects=ten)
    assert 'with 20 calibration frames of 10 objects unknown is said at 0.0476 at best' in few['unknown_rate']
    enough = targets(20, 20, 20, 20, 20)
    sentence, = check_calibration(enough, NAMES, 0.1, objects=ten).values()
    assert '100 calibration frames of 10 objects' in sentence and '99 objects are needed' in sentence
    for other in ({'objects': 99, 'counted': 'objects'}, {'objects': 2, 'counted': 'recordings'}):
        assert check_calibration(enough, NAMES, 0.1, objects=other) == {}


def test_frames_labelled_unknown_are_counted():
    text = describe_strange({Part.TRAIN: np.arange(30), Part.EARLY_STOP: np.arange(5), Part.CALIBRATION: np.arange(6),
                             Part.TEST: np.arange(2)})
    assert text.startswith('43 frames are labelled unknown: the network does not learn from them. 41 of them')
