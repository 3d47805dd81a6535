"""What a tab asks for, checked against what holds now: an action that can be stored, a refusal, or a conflict.

Nothing is overwritten silently: what another tab has said since the one that asks has looked is a conflict. A tab's own
events never are, since it sends them in order and does not wait for answers.
"""
import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar

from ...core.class_name import new_name_problem
from ...core.text.printable import printable
from ...data.labels.labels import alike
from ..cuts import cut_times
from ..events import RESERVED, Action, Event, Stretch
from ..state import Piece, State
from ..timeline import Label

MOST_ITEMS = 1000
MOST_CLASSES = 1000
_EVENT_ID = re.compile(r'[0-9A-Za-z_-]{8,64}')
_ITEM = re.compile(r'([0-9]{1,15})-(-?[0-9]{1,19})(-again)?')
_TIME = re.compile(r'-?[0-9]{1,19}')
T = TypeVar('T')
_TAKEN = (*RESERVED, 'uncertain')


class Refused(Exception):
    """It can never be stored; the message says why."""


class Conflict(Exception):
    """Another tab was quicker; the message says with what."""

    def __init__(self, reason: str, intervals: Sequence[int]) -> None:
        super().__init__(reason)
        self.intervals = list(intervals)


class ItemId(NamedTuple):
    """A piece as the page names it; ``again``: its blind repeat."""

    interval: int
    start_ns: int
    again: bool

    def __str__(self) -> str:
        return f'{self.interval}-{self.start_ns}{"-again" if self.again else ""}'


@dataclass(frozen=True)
class _Target:
    piece: Piece
    label: Optional[Label]
    item: ItemId


def item_id(text: Any) -> Optional[ItemId]:
    """Read the name of a piece; None: it is none."""
    match = _ITEM.fullmatch(text) if isinstance(text, str) else None
    return ItemId(int(match[1]), int(match[2]), match[3] is not None) if match else None


def event_id(wish: Any) -> str:
    """The id of what is asked for; Refused: it has none."""
    found = wish.get('id') if isinstance(wish, dict) else None
    if not isinstance(found, str) or not _EVENT_ID.fullmatch(found):
        raise Refused('an event needs an id of 8 to 64 letters, digits, _ and -')
    return found


def action_of(state: State, tab: str, wish: Mapping[str, Any]) -> Action:
    """What is to be stored for what a tab asks for.

    Raises:
        Refused, Conflict: nothing is.
    """
    action_id, kind = event_id(wish), wish.get('kind')
    if kind == 'class':
        return Action(action_id, 'class', label=_new_class(state, wish))
    if kind == 'undo':
        return Action(action_id, 'undo', undoes=_undone(state, wish))
    if kind not in ('label', 'clear', 'cut', 'span'):
        raise Refused(f'there is no kind of event {printable(kind, 40)!r}')
    targets = _all([partial(_target, state, text) for text in _items(wish)])
    again = any(one.item.again for one in targets)
    if again and (kind != 'label' or len(targets) > 1):
        raise Refused('what is shown again can be labelled, and nothing else')
    base = _base(wish)
    if kind == 'cut':
        return Action(action_id, 'cut', (state.stretch(targets[0].piece),), at_ns=_cut(targets, wish))
    if kind == 'span':
        name, stretch = _known_label(state, wish), _span(state, targets, wish)
        _check_span(state, tab, stretch, name, base)
        return Action(action_id, 'span', (stretch,), name)
    name = _known_label(state, wish) if kind == 'label' else ''
    if not again:
        _all([partial(_check, state, tab, one.piece, one.label, name, base.get(str(one.item), base.get('', 0)))
              for one in targets])
    return Action(action_id, kind, tuple(state.stretch(one.piece) for one in targets), name, blind=again)


def _all(steps: Sequence[Callable[[], T]]) -> List[T]:
    """What all steps give; the conflicts of all are one, so that whoever asked can decide once."""
    found, reasons, intervals = [], [], []
    for step in steps:
        try:
            found.append(step())
        except Conflict as conflict:
            reasons.append(str(conflict))
            intervals += conflict.intervals
    if reasons:
        raise Conflict('; '.join(dict.fromkeys(reasons)), list(dict.fromkeys(intervals)))
    return found


def _items(wish: Mapping[str, Any]) -> List[Any]:
    items = wish.get('items', [wish.get('item')])
    if not isinstance(items, list) or not 0 < len(items) <= MOST_ITEMS or (
            len(items) > 1 and wish.get('kind') in ('cut', 'span')):
        raise Refused(f'{printable(wish.get("kind"), 20)} takes 1 to {MOST_ITEMS} items, cut and span one')
    return list(dict.fromkeys(items)) if all(isinstance(one, str) for one in items) else items


def _target(state: State, text: Any) -> _Target:
    item = item_id(text)
    if item is None or item.interval not in state.intervals:
        raise Refused(f'there is no item {printable(text, 60)!r}')
    found = state.piece(item.interval, item.start_ns)
    if found is None:
        raise Conflict('it has been cut otherwise meanwhile', [item.interval])
    return _Target(*found, item)


def _base(wish: Mapping[str, Any]) -> Dict[str, int]:
    """What the tab knew of: ``seq`` by item; '' for all others."""
    base = wish.get('base')
    known = base if isinstance(base, dict) else {'': 0 if base is None else base}
    if not all(type(value) is int and 0 <= value < 2**63 for value in known.values()):
        raise Refused('base has to be a version, or versions by item')
    return known


def _known_label(state: State, wish: Mapping[str, Any]) -> str:
    name = wish.get('label')
    if not isinstance(name, str) or (name not in RESERVED and name not in state.class_names):
        raise Refused(f'there is no class {printable(name, 60)!r}; add it first')
    return name


def _new_class(state: State, wish: Mapping[str, Any]) -> str:
    name = wish.get('name')
    if not isinstance(name, str) or not name.strip():
        raise Refused('a class needs a name')
    name = name.strip()
    problem = new_name_problem(name)
    if problem is not None:
        raise Refused(f'the name {problem}')
    for there in (*_TAKEN, *state.class_names):
        if there == name or alike((there, name)):
            raise Refused(f'{printable(there)} is there already')
    if len(state.class_names) >= MOST_CLASSES:
        raise Refused(f'there are {MOST_CLASSES} classes already, and no more can be added')
    return name


def _undone(state: State, wish: Mapping[str, Any]) -> str:
    target = wish.get('event')
    if not isinstance(target, str) or state.event(target) is None:
        raise Refused('there is no such event to undo')
    if state.is_undone(target):
        raise Refused('it is undone already')
    name = _class_taken_away(state, target)
    count = 0 if name is None else sum(one.label == name for one in state.labelled(unsure=True))
    if count:
        raise Refused(f'{count} {"piece is" if count == 1 else "pieces are"} labelled {printable(name, 60)}, so that '
                      f'the class stays; label {"it" if count == 1 else "them"} otherwise first')
    return target


def _class_taken_away(state: State, target: str) -> Optional[str]:
    """The class that is not there any more once an event is undone; None: there is none."""
    event, taken = state.event(target), True
    while event is not None and event.action.kind == 'undo':  # to undo that makes the class again
        event, taken = state.event(event.action.undoes), not taken
    return event.action.label if event is not None and taken and event.action.kind == 'class' else None


def _time(wish: Mapping[str, Any], name: str) -> int:
    text = wish.get(name)
    if not isinstance(text, str) or not _TIME.fullmatch(text) or not -2**63 <= int(text) < 2**63:
        raise Refused(f'{name} has to be a time in ns, as a text of digits')
    return int(text)


def _cut(targets: Sequence[_Target], wish: Mapping[str, Any]) -> int:
    at_ns, piece = _time(wish, 'at_ns'), targets[0].piece
    if not piece.start_ns < at_ns < piece.end_ns:
        raise Refused('the cut is not within the item')
    return at_ns


def _span(state: State, targets: Sequence[_Target], wish: Mapping[str, Any]) -> Stretch:
    start_ns, end_ns = _time(wish, 'from_ns'), _time(wish, 'to_ns')
    whole = state.stretch(targets[0].piece)
    if start_ns >= end_ns:
        raise Refused('a span has to end after its start')
    if not state.overlapping((whole.recording, whole.topic), start_ns, end_ns):
        raise Refused('nothing of this camera is within the span')
    return Stretch(whole.recording, whole.path, whole.topic, start_ns, end_ns)


def _check_span(state: State, tab: str, stretch: Stretch, name: str, base: Mapping[str, int]) -> None:
    steps = []
    for interval in state.overlapping((stretch.recording, stretch.topic), stretch.start_ns, stretch.end_ns):
        for piece, label in state.pieces(interval):
            if piece.start_ns < stretch.end_ns and piece.end_ns > stretch.start_ns:
                known = base.get(str(ItemId(interval, piece.start_ns, False)), base.get('', 0))
                steps.append(partial(_check, state, tab, piece, label, name, known))
    _all(steps)


def _check(state: State, tab: str, piece: Piece, label: Optional[Label], name: str, base: int) -> None:
    """Raise :class:`Conflict` if another tab has changed a piece since ``base``, and to something else."""
    for event in reversed(state.history(piece.interval)):
        if event.seq <= base:
            return
        if event.tab == tab:
            continue
        cuts, touches = _reach(state, event, piece)
        if cuts:
            raise Conflict('it has been cut otherwise meanwhile', [piece.interval])
        if touches and label is not None and label.name != name:
            raise Conflict(f'{printable(label.who)} has called it {printable(label.name)} meanwhile', [piece.interval])


def _reach(state: State, event: Event, piece: Piece) -> Tuple[bool, bool]:
    """Whether an event cut at a piece's edges or within it, and whether it gave or took labels there."""
    action = event.action
    while action.kind == 'undo':
        target = state.event(action.undoes)
        if target is None or target.seq >= event.seq:
            return False, False
        event, action = target, target.action
    if action.blind:
        return False, False
    near = [one for one in action.stretches if one.start_ns < piece.end_ns and one.end_ns > piece.start_ns]
    edges = [at_ns for one in near for at_ns in cut_times(action, one)]
    interval = state.intervals[piece.interval]
    return (any(piece.start_ns <= at <= piece.end_ns and interval.start_ns < at < interval.end_ns for at in edges),
            bool(near) and action.kind != 'cut')
