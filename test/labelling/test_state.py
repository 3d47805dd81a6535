"""Events of a queue, added up: compared with a slow reference that paints second by second."""
import random
import time
from typing import Dict, List, Optional

import pytest
from queue_samples import CLASSES, SECOND, START, TOPIC, make_queue

from robot_vision_dl.labelling.events import Action, Event, Stretch
from robot_vision_dl.labelling.state import Piece, State, fold


class Desk:
    """Numbers events."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.events: List[Event] = []

    def do(self, kind: str, stretches=(), label: str = '', tab: str = 'tab', **more) -> Event:
        seq = len(self.events) + 1
        event = Event(seq, tab, 'Ann', 1000 + seq, Action(f'event-{seq:06}', kind, tuple(stretches), label, **more))
        self.events.append(event)
        self.touched = self.state.extend([event])
        return event

    def label(self, piece: Piece, name: str, **more) -> Event:
        return self.do('label', [self.state.stretch(piece)], name, **more)


@pytest.fixture
def queue(tmp_path):
    with make_queue(tmp_path, intervals=12) as queue:
        yield queue


@pytest.fixture
def desk(queue):
    return Desk(fold(queue, []))


def names(state: State, interval: int) -> List[Optional[str]]:
    return [label and label.name for _, label in state.pieces(interval)]


def first(state: State, interval: int) -> Piece:
    return state.pieces(interval)[0][0]


def test_a_label_holds_for_its_piece_alone(desk):
    state = desk.state
    event = desk.label(first(state, 3), 'metal')
    assert desk.touched == [3] and state.version(3) == 1 and state.version(4) == 0
    assert [names(state, number) for number in (1, 2, 3, 4)] == [[None], [None], ['metal'], [None]]
    label = state.pieces(3)[0][1]
    assert (label.who, label.event, label.seq, label.time_ms) == ('Ann', event.action.id, 1, 1001)
    desk.label(first(state, 3), 'glass')
    desk.do('clear', [state.stretch(first(state, 3))])
    assert names(state, 3) == [None] and [one.seq for one in state.history(3)] == [1, 2, 3]


def test_a_cut_makes_two_pieces_that_keep_the_label(desk):
    state = desk.state
    whole = first(state, 3)
    desk.label(whole, 'metal')
    desk.do('cut', [state.stretch(whole)], at_ns=whole.start_ns + SECOND // 2)
    left, right = (piece for piece, _ in state.pieces(3))
    assert (left.start_ns, left.end_ns, right.end_ns) == (whole.start_ns, right.start_ns, whole.end_ns)
    assert right.start_ns == whole.start_ns + SECOND // 2 and names(state, 3) == ['metal', 'metal']
    desk.label(right, 'glass')
    assert names(state, 3) == ['metal', 'glass'] and state.piece(3, right.start_ns)[1].name == 'glass'
    assert [(one.label, one.end_ns - one.start_ns) for one in state.labelled()] == [
        ('metal', SECOND // 2), ('glass', 3 * SECOND // 2)]
    assert state.piece(3, 7) is None and state.piece(99, right.start_ns) is None


def test_a_span_cuts_and_labels_over_several_intervals(desk):
    state = desk.state
    begin, end = first(state, 1), first(state, 5)  # of one camera, with interval 3 between them
    stretch = Stretch('yard', '/bags/yard', TOPIC, begin.start_ns + SECOND, end.start_ns + SECOND)
    desk.do('span', [stretch], 'paper')
    assert desk.touched == [1, 3, 5]
    assert [names(state, number) for number in (1, 3, 5)] == [[None, 'paper'], ['paper'], ['paper', None]]
    assert [(one.recording, one.path, one.start_ns, one.end_ns, one.label) for one in state.labelled()] == [
        ('yard', '/bags/yard', stretch.start_ns, stretch.end_ns, 'paper')]
    desk.do('undo', undoes='event-000001')
    assert [names(state, number) for number in (1, 3, 5)] == [[None]] * 3 and state.labelled() == []


def test_undo_brings_back_what_was_below_and_keeps_what_is_above(desk):
    state = desk.state
    piece = first(state, 3)
    for name in ('glass', 'metal', 'paper'):
        desk.label(piece, name)
    desk.do('undo', undoes='event-000002')
    assert names(state, 3) == ['paper'] and desk.touched == [3]
    desk.do('undo', undoes='event-000003')
    assert names(state, 3) == ['glass'] and state.is_undone('event-000002') and not state.is_undone('event-000001')
    desk.do('undo', undoes='event-000005')  # redo
    assert names(state, 3) == ['paper'] and not state.is_undone('event-000003')
    desk.do('undo', undoes='event-000006')  # and back
    assert names(state, 3) == ['glass'] and state.is_undone('event-000003')
    for target in ('event-000002', 'event-999999', 'event-000009'):  # undone already; not there; itself
        desk.do('undo', undoes=target)
    assert names(state, 3) == ['glass']


def test_classes_are_added_and_taken_back(desk):
    state = desk.state
    desk.do('class', label='bottle')
    desk.do('class', label='bottle')
    assert state.class_names == (*CLASSES, 'bottle')
    desk.do('undo', undoes='event-000001')
    assert state.class_names == CLASSES
    desk.do('undo', undoes='event-000003')
    assert state.class_names == (*CLASSES, 'bottle')


def test_unsure_is_left_out_and_ignore_is_not(desk):
    state = desk.state
    for number, name in ((1, 'unsure'), (3, 'ignore'), (5, 'unknown')):
        desk.label(first(state, number), name)
    assert [one.label for one in state.labelled()] == ['ignore', 'unknown']
    assert [one.label for one in state.labelled(unsure=True)] == ['unsure', 'ignore', 'unknown']


def test_a_blind_second_label_changes_nothing_and_is_compared(desk):
    state = desk.state
    for number in (1, 3, 5):
        desk.label(first(state, number), 'glass')
    for number, name in ((1, 'metal'), (3, 'metal'), (3, 'glass'), (5, 'metal'), (2, 'paper')):
        desk.label(first(state, number), name, blind=True)
    desk.do('undo', undoes='event-000007')
    assert [names(state, number) for number in (1, 2, 3, 5)] == [['glass'], [None], ['glass'], ['glass']]
    assert [(one.piece.interval, one.first.name, one.second.name) for one in state.second_looks()] == [
        (1, 'glass', 'metal'), (3, 'glass', 'glass')]


def test_labels_survive_another_mining(queue, desk, tmp_path):
    for number in (1, 3, 5, 2):
        desk.label(first(desk.state, number), 'metal')
    before = desk.state.labelled()
    gone = [one for one in before if one.recording == 'hall']
    with make_queue(tmp_path / 'moved', intervals=40, seconds=.5, topics=('/other', TOPIC)) as moved:
        state = fold(moved, desk.events)
        assert state.labelled() == before and gone
        labelled = {piece for piece, label in state.all_pieces() if label}
        inside = {piece for piece, _ in state.all_pieces()
                  if any((one.recording, one.topic) == state.camera(state.intervals[piece.interval])
                         and one.start_ns <= piece.start_ns and piece.end_ns <= one.end_ns for one in before)}
        assert labelled == inside and labelled
    with make_queue(tmp_path / 'gone', intervals=9, recordings=('attic',), seconds=3.0) as other:
        state = fold(other, desk.events)
        assert state.labelled() == before and not any(label for _, label in state.all_pieces())


def test_a_label_of_a_part_is_shown_for_that_part_alone(desk):
    """As it is written: after a new mining labels may end anywhere in an interval."""
    state = desk.state
    piece = first(state, 3)
    for share in (.2, .5, .8):
        end = piece.start_ns + int(share * 2 * SECOND)
        desk.do('label', [Stretch('yard', '/bags/yard', TOPIC, piece.start_ns - SECOND, end)], 'metal')
        assert names(state, 3) == ['metal', None] and state.pieces(3)[1][0] == Piece(3, end, piece.end_ns)
    desk.do('label', [state.stretch(state.pieces(3)[1][0])], 'metal')
    assert names(state, 3) == ['metal'] and first(state, 3) == piece


def test_long_chains_of_undo_do_not_end_it(desk):
    desk.label(first(desk.state, 1), 'glass')
    for number in range(1, 1501):
        desk.do('undo', undoes=f'event-{number:06}')
    assert names(desk.state, 1) == ['glass'] and desk.touched == [1]


@pytest.mark.parametrize('seed', range(12))
def test_any_events_add_up_as_painted_second_by_second(queue, seed):
    """Random labels, clears, spans and undos: each second of the camera is compared with a replay from nothing."""
    draws = random.Random(seed)
    desk = Desk(fold(queue, []))
    zero = START + 2 * 10**15
    stretch = lambda a, b: Stretch('yard', '/bags/yard', TOPIC, zero + a * SECOND, zero + b * SECOND)  # noqa: E731
    for _ in range(120):
        kind = draws.choice(['label', 'label', 'clear', 'span', 'undo', 'cut'])
        begin = draws.randrange(14)
        if kind == 'undo':
            target = draws.choice(desk.events).action.id if desk.events else 'event-000000'
            desk.do('undo', undoes=target)
        elif kind == 'cut':
            desk.do('cut', [stretch(begin, begin + 1)], at_ns=zero + begin * SECOND)
        else:
            two = [stretch(begin, begin + draws.randint(1, 5)), stretch(15, 16)][:draws.randint(1, 2)]
            desk.do(kind, two, '' if kind == 'clear' else draws.choice(CLASSES))
        expected = _painted(desk.events)
        got = {}
        for one in desk.state.labelled():
            for at in range((one.start_ns - zero) // SECOND, (one.end_ns - zero) // SECOND):
                assert at not in got
                got[at] = one.label
        assert got == expected
        borders = {at for event in _effective(desk.events) for at in (
            [event.action.at_ns] if event.action.kind == 'cut' else
            [edge for one in event.action.stretches for edge in (one.start_ns, one.end_ns)]
            if event.action.kind == 'span' else [])}
        for number in (1, 3, 5, 7):
            pieces = [piece for piece, _ in desk.state.pieces(number)]
            interval = desk.state.intervals[number]
            changes = {zero + at * SECOND for at in range(25) if expected.get(at) != expected.get(at - 1)}
            assert [one.start_ns for one in pieces] == sorted({interval.start_ns} | {
                at for at in borders | changes if interval.start_ns < at < interval.end_ns})
            assert names(desk.state, number) == [expected.get((one.start_ns - zero) // SECOND) for one in pieces]
    whole = fold(queue, desk.events)
    assert whole.labelled() == desk.state.labelled()
    assert list(whole.all_pieces()) == list(desk.state.all_pieces())


def _effective(events: List[Event]) -> List[Event]:
    """Those that hold: an undo of what is undone already, or is not there, does nothing."""
    undone: Dict[str, bool] = {}
    by_id: Dict[str, Event] = {}
    void = set()

    def flip(action_id, value):
        undone[action_id] = value
        event = by_id[action_id]
        if event.action.kind == 'undo' and action_id not in void:
            flip(event.action.undoes, not value)
    for event in events:
        by_id[event.action.id] = event
        if event.action.kind == 'undo':
            target = event.action.undoes
            if target not in by_id or target == event.action.id or undone.get(target):
                void.add(event.action.id)
            else:
                flip(target, True)
    return [event for event in events if not undone.get(event.action.id) and event.action.kind != 'undo']


def _painted(events: List[Event]) -> Dict[int, str]:
    zero = START + 2 * 10**15
    result: Dict[int, str] = {}
    for event in _effective(events):
        if event.action.kind == 'cut':
            continue
        for one in event.action.stretches:
            for at in range((one.start_ns - zero) // SECOND, (one.end_ns - zero) // SECOND):
                result[at] = event.action.label
    return {at: name for at, name in result.items() if name}


@pytest.mark.slow
def test_an_event_is_added_quickly_to_many(tmp_path):
    with make_queue(tmp_path, intervals=10_000, frames=0) as queue:
        state = fold(queue, [])
        draws = random.Random(0)
        begin = time.process_time()
        events = []
        for seq in range(1, 100_001):
            piece = state.pieces(draws.randint(1, 10_000))[0][0]
            events.append(Event(seq, 'tab', 'Ann', 0, Action(f'event-{seq:06}', 'label', (state.stretch(piece),),
                                                             draws.choice(CLASSES))))
        state.extend(events)
        folded = time.process_time() - begin
        begin = time.process_time()
        for seq in range(100_001, 100_101):
            state.extend([Event(seq, 'tab', 'Ann', 0, Action(f'event-{seq:06}', 'label', (
                state.stretch(piece),), 'glass'))])
        one = (time.process_time() - begin) / 100
        begin = time.process_time()
        for number in range(1, 6):
            state.extend([Event(100_100 + number, 'tab', 'Ann', 0, Action(
                f'undo-{number:06}', 'undo', undoes=f'event-{number:06}'))])
        undo = (time.process_time() - begin) / 5
        print(f'100 000 events {folded:.1f} s, one more {one * 1e3:.2f} ms, an undo {undo * 1e3:.1f} ms')
        assert folded < 20 and one < .01 and undo < .5
