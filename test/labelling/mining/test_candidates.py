"""Reasons, doubts and words of intervals, worked out by hand."""
from dataclasses import replace

import numpy as np
import pytest

from robot_vision_dl.labelling.mining.candidates import LabelVerdict, doubt_of, label_verdicts
from robot_vision_dl.labelling.mining.intervals import Interval

NAMES = ('cup', 'mug', 'bowl')


def interval(top=((0, 0.9), (1, 0.1)), frames=4, **values):
    plain = Interval('/c', 0, 1, frames, np.ones(1, np.float32), 0, top, unknown=0, uncertain=0, changes=0,
                     runs=('cup',), surprise=0.0, ood_p=0.5, faults=0, fault='', given='')
    return replace(plain, **values)


@pytest.mark.parametrize('values,reason,doubt,said', [
    ({}, 'sure', 0.2, 'cup .90'),
    ({'unknown': 3, 'surprise': 0.8, 'ood_p': 0.02}, 'unknown', 1 - 0.8 * 0.2,
     'unlike anything in training in 3 of 4 frames, p-value 0.020 on average'),
    ({'surprise': 0.5}, 'unknown', 0.6,
     'hardly like anything in training, p-value 0.500 on average; else cup .90 or mug .10'),
    ({'uncertain': 4, 'top': ((1, 0.5), (2, 0.3))}, 'uncertain', 0.8, 'mug .50 or bowl .30'),
    ({'top': ((1, 0.7), (2, 0.3))}, 'uncertain', 0.6, 'mug .70 or bowl .30'),
    ({'changes': 3, 'runs': ('cup', 'mug', 'cup', 'mug')}, 'flickering', 1.0,
     'the decision changes 3 times in 4 frames: cup, mug, cup, mug'),
    ({'faults': 3, 'fault': 'covered: x', 'unknown': 4}, 'camera_fault', 0.0, 'camera: covered: x')])
def test_reasons(values, reason, doubt, said):
    found = doubt_of(interval(**values), NAMES)
    assert (found.reason, found.explanation) == (reason, said)
    assert found.doubt == pytest.approx(doubt, abs=1e-6)


def test_what_is_called_unknown_is_proposed_first_and_a_wrong_label_comes_before_all():
    assert doubt_of(interval(unknown=3), NAMES).proposals == (('unknown', 0.75), ('cup', 0.9), ('mug', 0.1))
    verdict = LabelVerdict(True, 0.1, ('bowl', 0.8))
    found = doubt_of(interval(given='mug', unknown=4), NAMES, verdict)
    assert found.reason == 'label'
    assert found.explanation == ('labelled mug; models that have not seen this recording say bowl .80 and mug .10; '
                                 'unlike anything in training, p-value 0.500 on average')
    assert found.doubt == pytest.approx(1 - 0.8 * 0.1)
    right = doubt_of(interval(given='mug'), NAMES, LabelVerdict(False, 0.1, ('bowl', 0.8)))
    assert right.reason == 'sure' and right.doubt == pytest.approx(0.2)


def test_what_is_proposed_is_what_the_model_itself_says():
    found = doubt_of(interval(given='mug'), NAMES, LabelVerdict(True, 0.1, ('bowl', 0.8)))
    assert found.reason == 'label' and found.proposals == (('cup', 0.9), ('mug', 0.1))


def test_exchanged_colours_are_a_fault_of_a_camera_and_not_of_an_interval():
    found = doubt_of(interval(exchanged=3), NAMES)
    assert (found.reason, found.explanation) == ('sure', 'cup .90; red and blue look exchanged in 3 of 4 frames')
    found = doubt_of(interval(exchanged=1), NAMES, exchanged=True)
    assert (found.reason, found.doubt) == ('camera_fault', 0) and 'red and blue' in found.explanation


def test_a_swapped_label_is_told_and_what_has_no_class_is_not_judged():
    rng = np.random.default_rng(0)
    kinds = np.tile([0, 1, 2], 40)
    features = np.eye(8)[kinds] + rng.normal(0, 0.1, (120, 8))
    given = [('cup', 'mug', 'plate')[kind] for kind in kinds]
    given[7], given[11], given[13], given[14] = 'cup', 'unknown', '', 'ignore'  # 7 was a mug
    found, notes = label_verdicts(features.astype(np.float16), given, np.repeat(np.arange(10), 12), NAMES, 0)
    assert [place for place, one in found.items() if one.is_wrong] == [7] and notes == ()
    assert found[7].suggested[0] == 'mug' and found[7].confidence < 0.2
    assert not {11, 13, 14} & set(found) and len(found) == 117
    assert label_verdicts(features, [''] * 120, kinds, NAMES, 0) == ({}, ())
    alone = label_verdicts(features, given, np.zeros(120, int), NAMES, 0)
    assert not alone[0] and 'one recording' in alone[1][0]
