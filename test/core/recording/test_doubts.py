"""Which frames are recorded: by hand, and by properties."""
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_vision_dl.core.config import RecordDoubtsConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.core.recording.doubts import LONGEST_INTERVAL_S, OVER_AFTER_S, Decided, Doubts
from robot_vision_dl.core.types import Outcome

EVERY = RecordDoubtsConfig(folder='/x', min_interval_s=0.0)


def one(label, key=''):
    outcome = {'uncertain': Outcome.UNCERTAIN, 'unknown': Outcome.UNKNOWN}.get(label, Outcome.ACCEPTED)
    return Decided(key, label, outcome)


def looked(doubts, labels, step_s=0.1, begin_s=0.0, camera='front', at_fault=False):
    """Reasons of frames with these labels, one each ``step_s``."""
    return [doubts.reasons(camera, [one(label)], at_fault, begin_s + step_s * place)
            for place, label in enumerate(labels)]


def test_what_was_sure_is_not_recorded():
    assert looked(Doubts(EVERY), ['cup', 'uncertain', 'cup', 'unknown']) == [(), ('uncertain',), (), ('unknown',)]


def test_kinds_that_are_not_wished_for_are_left_out():
    doubts = Doubts(RecordDoubtsConfig(folder='/x', min_interval_s=0.0, kinds=('unknown',)))
    assert looked(doubts, ['uncertain', 'unknown']) == [(), ('unknown',)]
    with pytest.raises(ConfigError, match="record_doubts.kinds: must be of uncertain, unknown, flickering, "
                                          "camera_fault, got 'unsure'"):
        RecordDoubtsConfig(kinds=('unsure',))
    with pytest.raises(ConfigError, match="record_doubts.folder: must be a whole path, from / or ~ on, got 'doubts'"):
        RecordDoubtsConfig(folder='doubts')


def test_a_fault_of_the_camera_is_nothing_else():
    assert looked(Doubts(EVERY), ['unknown', 'uncertain'], at_fault=True) == [(), ()]
    wished = Doubts(RecordDoubtsConfig(folder='/x', min_interval_s=0.0, kinds=('camera_fault', 'unknown')))
    assert looked(wished, ['unknown'], at_fault=True) == [('camera_fault',)]
    assert looked(wished, ['unknown'], begin_s=1.0) == [('unknown',)]


def test_flickering_is_more_changes_than_so_many_in_the_window():
    doubts = Doubts(RecordDoubtsConfig(folder='/x', min_interval_s=0.0, flicker_changes=2, flicker_window_s=1.0))
    # Changes at .1, .2 and .3: the third is one too many, and until the first is a second ago.
    found = looked(doubts, ['cup', 'mug', 'cup', 'mug', *['mug'] * 10])
    assert [place for place, reasons in enumerate(found) if reasons] == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert {reason for reasons in found for reason in reasons} == {'flickering'}
    slow = looked(doubts, ['cup', 'mug'] * 10, step_s=0.6, begin_s=100.0)
    assert not any(slow)


def test_a_doubt_of_minutes_gives_few_frames():
    doubts = Doubts(RecordDoubtsConfig(folder='/x', min_interval_s=0.5))
    found = looked(doubts, ['uncertain'] * 3000)
    times = [place / 10 for place, reasons in enumerate(found) if reasons]
    assert times == pytest.approx([0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5, 123.5, 183.5, 243.5], abs=0.11)
    assert times[-1] - times[-2] == pytest.approx(LONGEST_INTERVAL_S, abs=0.11)


def test_the_next_doubt_is_another_one():
    doubts = Doubts(RecordDoubtsConfig(folder='/x', min_interval_s=0.5))
    looked(doubts, ['uncertain'] * 300)  # the next of this one would be some seconds off
    assert looked(doubts, ['cup'] * 10 + ['uncertain'], begin_s=30.0)[-1] == (), 'a moment without it does not end it'
    seconds = round(10 * OVER_AFTER_S) + 1
    assert looked(doubts, ['cup'] * seconds + ['uncertain'], begin_s=32.0)[-1] == ('uncertain',)
    assert looked(doubts, ['unknown'], begin_s=40.0) == [('unknown',)]


def test_a_slow_camera_does_not_end_a_doubt_between_two_frames():
    doubts = Doubts(RecordDoubtsConfig(folder='/x', min_interval_s=0.5))
    found = looked(doubts, ['unknown'] * 60, step_s=5.0)
    assert sum(map(bool, found)) < 15


def test_cameras_do_not_wait_for_each_other():
    doubts = Doubts(RecordDoubtsConfig(folder='/x', min_interval_s=10.0))
    assert looked(doubts, ['unknown'], camera='front') == looked(doubts, ['unknown'], camera='rear') == [('unknown',)]


def test_any_object_makes_its_frame_worth_it():
    doubts = Doubts(EVERY)
    assert doubts.reasons('front', [one('cup', 'a'), one('unknown', 'b')], False, 0.0) == ('unknown',)
    assert doubts.reasons('front', [one('cup', 'a'), one('cup', 'b')], False, 0.1) == ()
    assert doubts.reasons('front', [], False, 0.2) == ()
    for number in range(5000):  # each is told apart from the others, and none is kept for ever
        assert doubts.reasons('front', [one(f'class{number % 2}', f'track {number}')], False, number) == ()
    assert len(doubts._cameras['front'].changes) <= 1001


def test_frames_at_random_are_drawn_whatever_was_decided():
    """Each with the same probability, also while a doubt is being passed over: no bias towards anything."""
    config = RecordDoubtsConfig(folder='/x', random_share=0.1, min_interval_s=0.5, kinds=('unknown',))
    doubts = Doubts(config, Random(3))
    labels = (['cup'] * 7 + ['unknown'] * 3) * 2000
    found = looked(doubts, labels)
    for wanted in ('cup', 'unknown'):
        drawn = ['random' in reasons for label, reasons in zip(labels, found) if label == wanted]
        share, deviation = sum(drawn) / len(drawn), (0.1 * 0.9 / len(drawn)) ** 0.5
        assert abs(share - 0.1) < 4 * deviation
    assert {reasons for label, reasons in zip(labels, found) if label == 'cup'} == {(), ('random',)}


@settings(max_examples=100, deadline=None)
@given(frames=st.lists(st.tuples(st.floats(0, 100), st.sampled_from(['cup', 'mug', 'uncertain', 'unknown']),
                                 st.booleans()), max_size=80),
       interval=st.floats(0.01, 20))
def test_the_least_interval_is_kept(frames, interval):
    config = RecordDoubtsConfig(folder='/x', min_interval_s=interval, flicker_changes=1,
                                kinds=('uncertain', 'unknown', 'flickering', 'camera_fault'))
    doubts, now_s, times = Doubts(config), 0.0, []
    for wait_s, label, at_fault in frames:
        now_s += wait_s
        if doubts.reasons('front', [one(label)], at_fault, now_s):
            times.append(now_s)
    assert all(after - before >= interval for before, after in zip(times, times[1:]))
