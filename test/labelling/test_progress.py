"""Counts that are kept up to date, agreement, speed, and the sentence about more labels."""
import random

import pytest
from queue_samples import CLASSES, SECOND, make_queue, true_class

from robot_vision_dl.core.metrics.classification import wilson_interval
from robot_vision_dl.labelling.events import Action, Event
from robot_vision_dl.labelling.learning_curve import CurvePoint, LearningCurve
from robot_vision_dl.labelling.progress import Share, Tally, per_minute, self_agreement, verdict
from robot_vision_dl.labelling.state import fold


@pytest.fixture
def state(tmp_path):
    with make_queue(tmp_path, intervals=40, frames=0) as queue:
        yield fold(queue, [])


def say(state, interval, name, who='Ann', blind=False, kind='label', **more):
    seq = state.seq + 1
    stretch = state.stretch(state.pieces(interval)[0][0]) if interval else None
    state_touched = state.extend([Event(seq, 'tab', who, 1000 * seq, Action(
        f'event-{seq:04}', kind, (stretch,) if stretch else (), name, blind=blind, **more))])
    return state_touched


def test_a_tally_is_the_same_however_it_came_about(state):
    tally, draws = Tally(state), random.Random(0)
    for _ in range(300):
        interval = draws.randint(1, 40)
        kind = draws.choice(['label', 'label', 'clear', 'cut', 'undo'])
        if kind == 'undo':
            touched = say(state, None, '', kind='undo', undoes=f'event-{draws.randint(1, max(1, state.seq)):04}')
        else:
            start = state.pieces(interval)[0][0].start_ns
            touched = say(state, interval, draws.choice([*CLASSES, 'unsure', 'ignore', 'unknown']) if kind == 'label'
                          else '', kind=kind, **({'at_ns': start + SECOND} if kind == 'cut' else {}))
        tally.touch(touched)
    new = Tally(state)
    assert (tally.classes, tally.whole) == (new.classes, new.whole) and len(tally.whole) > 5
    for chosen in (False, True):
        assert tally.model_agreement(chosen) == new.model_agreement(chosen)
    assert new.model_agreement().n > 5


def test_only_what_is_labelled_as_a_whole_counts(state):
    say(state, 1, '', kind='cut', at_ns=state.intervals[1].start_ns + SECOND)
    say(state, 1, 'metal')  # its first half
    say(state, 2, 'ignore')
    say(state, 3, 'unknown')
    say(state, 10, true_class(10))
    tally = Tally(state)
    assert tally.whole == {3: 'unknown', 10: true_class(10)}
    assert tally.classes == {'glass': 0, 'metal': 2, 'paper': 0, 'ignore': 1, 'unknown': 1}
    assert tally.model_agreement() == Share(2, 1) and tally.model_agreement(random=True) == Share(1, 1)
    # What was cut counts by the label of most of its time, once all of it is labelled.
    state.extend([Event(9, 'tab', 'Ann', 9, Action('event-0009', 'label', (state.stretch(
        state.pieces(1)[1][0]),), 'paper'))])
    say(state, 20, '', kind='cut', at_ns=state.intervals[20].start_ns + SECOND // 2)
    for piece, _ in state.pieces(20):
        state.extend([Event(state.seq + 1, 'tab', 'Ann', 9, Action(f'event-{state.seq + 1:04}', 'label', (
            state.stretch(piece),), 'unknown' if piece.start_ns == state.intervals[20].start_ns else 'paper'))])
    tally = Tally(state)
    assert 20 not in tally.whole and state.intervals[20].proposals[0][0] == 'paper'
    assert tally.model_agreement(random=True) == Share(2, 2)


def test_agreement_with_oneself_is_of_one_person(state):
    for interval, first, second, who in ((1, 'glass', 'glass', 'Ann'), (2, 'glass', 'metal', 'Ann'),
                                         (3, 'glass', 'metal', 'Bob'), (4, 'glass', 'unsure', 'Ann')):
        say(state, interval, first)
        say(state, interval, second, who=who, blind=True)
    share = self_agreement(state)
    assert share == Share(2, 1) and share.interval == wilson_interval(1, 2) and share.rate == .5
    assert Share(0, 0).interval is None and Share(0, 0).rate is None


def test_speed_leaves_pauses_out(state):
    events = []
    for seq, second in enumerate((0, 1, 2, 3, 103, 104, 105, 106), 1):
        events.append(Event(seq, 'tab', 'Ann', 1000 * second, Action(
            f'event-{seq:04}', 'label', (state.stretch(state.pieces(1)[0][0]),), 'glass')))
    assert per_minute(events, 110_000) == pytest.approx(60)
    assert per_minute(events[:3], 110_000) is None and per_minute(events, 10**9) is None


def curve(half, full, low, high):
    return LearningCurve((CurvePoint(40, half, (0, 1)), CurvePoint(80, full, (0, 1))), full - half, (low, high))


@pytest.mark.parametrize('found, counts, words', [
    (None, {'glass': 3}, 'Too few labels to tell'), (None, {'glass': 300}, 'Too few'),
    (None, {'glass': 30, 'metal': 30}, 'being computed'),
    (curve(.8, .9, .05, .15), {'glass': 40, 'metal': 40},
     'More labels are likely to help. From 40 to 80 labels .* went from 80 % to 90 % right .*gain \\+10.0 points, 95 % '
     'interval \\+5.0 to \\+15.0'),
    (curve(.9, .9, -.02, .005), {'glass': 40, 'metal': 40}, 'unlikely to help much'),
    (curve(.8, .82, -.02, .06), {'glass': 40, 'metal': 40}, 'cannot be told yet'),
    (curve(.8, .9, .05, .15), {'glass': 40, 'metal': 40, 'paper': 1, 'ignore': 1, 'brass': 0},
     'paper has only 1 label: look for more of it'),
])
def test_the_sentence(found, counts, words):
    import re
    assert re.search(words, verdict(found, counts))
