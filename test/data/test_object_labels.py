"""Detections held against labelled boxes, by hand."""
import pytest

from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.regions.detections import Box, Detection, Hypothesis
from robot_vision_dl.core.types import UNKNOWN, Header
from robot_vision_dl.data.labels.labels import Finding, FrameLabel
from robot_vision_dl.data.object_labels import NOT_LABELLED, class_of, label_detections, object_label

CUP = FrameLabel(Finding.LABELLED, 'cup', 'cup 1')
MUG = FrameLabel(Finding.LABELLED, 'mug')
IGNORED = FrameLabel(Finding.IGNORED)
FALSE = FrameLabel(Finding.LABELLED, UNKNOWN)
NAN = float('nan')


def box(x, side=10.0):
    return Box(x, 50, side, 10)


def test_a_detection_is_of_the_object_that_it_overlaps_most():
    # 12 overlaps 10 by 8 of 12 (IoU .67) and 17 by 5 of 15.
    found = label_detections([box(12), box(17.5), box(90)], [box(10), box(17)], [CUP, MUG])
    assert found.verdicts == (CUP, MUG, FALSE)
    assert (found.objects, found.missed, found.again, found.false_alarms) == (2, 0, 0, 1)


def test_half_of_the_union_is_what_it_takes():
    # Moved by a third of its side: 2/3 of 4/3 shared, which is .5 to the last bit or just below; by more, less.
    assert label_detections([box(13.3)], [box(10)], [CUP]).verdicts == (CUP,)
    assert label_detections([box(13.4)], [box(10)], [CUP]).verdicts == (FALSE,)
    assert label_detections([box(10, 4.9)], [box(10)], [CUP]).verdicts == (FALSE,)


def test_two_detections_of_one_object_are_both_right_and_it_is_missed_by_none():
    found = label_detections([box(10), box(11)], [box(10), box(70)], [CUP, MUG])
    assert found.verdicts == (CUP, CUP)
    assert (found.objects, found.missed, found.again, found.false_alarms) == (2, 1, 1, 0)


def test_what_is_to_be_ignored_is_no_object_and_no_false_alarm():
    found = label_detections([box(10), box(70)], [box(10), box(40)], [IGNORED, IGNORED])
    assert found.verdicts == (IGNORED, FALSE)
    assert (found.objects, found.missed, found.again, found.false_alarms) == (0, 0, 0, 1)


def test_boxes_that_are_none():
    found = label_detections([Box(NAN, 1, 2, 3), box(10, 0), box(10)], [Box(10, 50, NAN, 10), box(10)], [MUG, CUP])
    assert found.verdicts == (NOT_LABELLED, NOT_LABELLED, CUP)
    assert (found.objects, found.missed, found.false_alarms) == (1, 0, 0)
    assert label_detections([], [box(10)], [CUP]).missed == 1
    assert label_detections([box(10)], [], []).verdicts == (FALSE,)


def test_the_likeliest_hypothesis_is_the_class():
    def of(*hypotheses):
        return class_of(Detection(Header(0, ''), tuple(Hypothesis(*one) for one in hypotheses), box(10)))
    assert of(('a', .2), ('b', .7), ('c', NAN)) == 'b' and of() == ''


def test_labels_of_objects():
    assert object_label(' cup ', 'cup 1', (), 'x') == CUP and object_label('mug', '', (), 'x') == MUG
    assert object_label('Unknown', '', (), 'x').label == UNKNOWN
    assert {object_label(name, '', ('mug',), 'x').finding for name in ('', 'ignore', 'mug')} == {Finding.IGNORED}
    with pytest.raises(ConfigError, match="/gt: a frame cannot be labelled 'uncertain'"):
        object_label('uncertain', '', (), '/gt')
