"""What somebody said of a queue, and how it is stored: a row of ``labels.sqlite``."""
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, Tuple

from ..core.errors import ConfigError
from ..core.text.json_text import parse_json
from ..core.text.printable import printable

LABELS = 'labels.sqlite'
"""Name of the file in a queue's folder."""
KINDS = ('label', 'clear', 'cut', 'span', 'undo', 'class')
UNKNOWN, IGNORE, UNSURE = RESERVED = ('unknown', 'ignore', 'unsure')
"""Labels that are no class: none of the classes; not to be used for anything; to be looked at by somebody else."""
_ID = re.compile(r'[0-9A-Za-z_-]{8,64}')


@dataclass(frozen=True)
class Stretch:
    """A piece of time of one camera that an event is about.

    Attributes:
        recording: its name in the queue.
        path: the bag, as it was given to the mining.
        topic: image topic.
        start_ns, end_ns: start_ns <= stamp < end_ns.
    """

    recording: str
    path: str
    topic: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class Action:
    """What somebody did.

    Attributes:
        id: made by whoever did it, 8 to 64 of ``0-9A-Za-z_-``: an action of the same id is stored once.
        kind: one of :data:`KINDS`. ``label`` and ``clear`` give stretches a label or take it; ``cut`` divides the
            stretch at ``at_ns``; ``span`` labels a stretch and cuts at both its ends; ``undo`` takes another event
            back (or an undo); ``class`` adds a class.
        stretches: what it is about; empty for ``undo`` and ``class``.
        label: of ``label``, ``span`` and ``class``.
        at_ns: of ``cut``.
        undoes: id of the event that ``undo`` takes back.
        blind: a second label that was given without seeing the first: it is compared with that, and changes nothing.
    """

    id: str
    kind: str
    stretches: Tuple[Stretch, ...] = ()
    label: str = ''
    at_ns: int = 0
    undoes: str = ''
    blind: bool = False

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ConfigError(f'id of an event: {printable(self.id)!r}; 8 to 64 letters, digits, _ and - are allowed')
        if self.kind not in KINDS:
            raise ConfigError(f'kind of an event: {printable(self.kind)!r}; there are {", ".join(KINDS)}')
        for one in self.stretches:
            if not -2**63 <= one.start_ns < one.end_ns < 2**63:
                raise ConfigError(f'a stretch from {one.start_ns} to {one.end_ns} ns: it has to end after its start')


@dataclass(frozen=True)
class Event:
    """An action that is stored.

    Attributes:
        seq: place in the order of all events, from 1.
        tab: window of the browser, or program, that it came from.
        who: the person.
        time_ms: when it was stored, ms since 1970.
        action: what was done.
    """

    seq: int
    tab: str
    who: str
    time_ms: int
    action: Action


def body_of(action: Action) -> str:
    """What of an action has no column, without what is empty."""
    content: Dict[str, Any] = {key: value for key, value in asdict(action).items()
                               if key not in ('id', 'kind') and value}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(',', ':'))


def event_of(row: Tuple[Any, ...]) -> Event:
    """An event of its row; ConfigError: somebody else wrote it, or the disk has damaged it."""
    seq, action_id, kind, tab, who, time_ms, body = row
    try:
        content = parse_json(body, 'body')
        stretches = tuple(Stretch(**one) for one in content.pop('stretches', ()))
        action = Action(action_id, kind, stretches, **content)
        texts, numbers = [tab, who, action.label, action.undoes], [time_ms, action.at_ns]
        for one in stretches:
            texts += [one.recording, one.path, one.topic]
            numbers += [one.start_ns, one.end_ns]
        if not (all(type(one) is str for one in texts) and all(type(one) is int for one in numbers) and
                type(action.blind) is bool):
            raise ValueError('a value is of another type')
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ConfigError(f'{LABELS}: event {printable(seq, 30)} cannot be read ({printable(error)}); it was not '
                          'written by this program, or is damaged: move the file away, and keep it') from error
    return Event(seq, tab, who, time_ms, action)
