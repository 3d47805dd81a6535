"""The queue, the events and what they add up to, for any number of threads, one at a time."""
import hashlib
import json
import secrets
import threading
from bisect import bisect_right
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ...core.errors import OutputError
from ..events import UNSURE, BusyError, Event, EventStore, MovedError
from ..progress import Tally
from ..queue_file import QueueFile
from ..state import State, fold
from .alike import Alike
from .items import Items, classes, reserved
from .problems import ApiError
from .views import VIEWS, Views
from .wishes import Conflict, ItemId, Refused, action_of, event_id, item_id

MOST_EVENTS = 200
"""In one request."""
MOST_CHANGES = 500
NEIGHBOURS = 5


class Desk:
    """What the server works on."""

    def __init__(self, folder: Path, who: str) -> None:
        """Open a queue.

        Args:
            folder: of the queue.
            who: the person that labels.

        Raises:
            ConfigError: it is no queue, or its labels cannot be read.
            OutputError: labels cannot be written.
        """
        self.who = who
        self.lock = threading.RLock()
        self.mark = secrets.token_urlsafe(9)
        self._queue = QueueFile(folder)
        self._store = EventStore(folder)
        self.alike = Alike(self._queue.features(), [one.id for one in self._queue.intervals(features=False)])
        self._events: List[Event] = []
        self._fold()
        self._topics: Dict[int, List[str]] = {}
        for recording, topic in dict.fromkeys((one.recording, one.topic) for one in self.state.intervals.values()):
            self._topics.setdefault(recording, []).append(topic)
        self.queue_id = _identity(self._queue, self.state)

    def close(self) -> None:
        """Close the files."""
        with self.lock:
            self._store.close()
            self._queue.close()

    @property
    def is_in_place(self) -> bool:
        """Whether the file of labels that was opened still has its name."""
        return self._store.is_in_place

    def queue(self) -> Dict[str, Any]:
        """What the page needs to begin."""
        with self.lock:
            self.catch_up()
            state = self.state
            return {
                'queue_id': self.queue_id, 'session_id': self.mark, 'who': self.who, 'seq': state.seq,
                'classes': classes(state), 'reserved': reserved(), 'views': list(VIEWS), 'counts': self.counts(),
                'recordings': [{'id': one.id, 'name': one.name, 'topics': self._topics.get(one.id, [])}
                               for one in state.recordings.values()],
                'meta': {key: self._queue.meta[key] for key in ('model', 'options') if key in self._queue.meta},
                'first_open': self.views.first_open()}

    @property
    def learned(self) -> int:
        """Intervals drawn at random that the model has learned from, by which its accuracy is not told."""
        drawn = self._queue.meta.get('random')
        count = drawn.get('learned', 0) if isinstance(drawn, dict) else 0  # queues of earlier versions do not say
        return count if isinstance(count, int) else 0

    def counts(self) -> Dict[str, int]:
        """Entries of each view, and how many of the queue are still to be labelled."""
        with self.lock:
            return self.views.counts

    def items(self, view: str, after: Optional[str], before: Optional[str], limit: int) -> Dict[str, Any]:
        """A page of a view."""
        with self.lock:
            self.catch_up()
            page = self.views.page(view, after, before, limit)
            return {'items': self._json((one.item, one.cursor) for one in page.entries), 'next': page.next,
                    'previous': page.previous, 'total': page.total, 'seq': self.state.seq}

    def item(self, text: str) -> Dict[str, Any]:
        """One item.

        Raises:
            ApiError: there is none.
        """
        with self.lock:
            self.catch_up()
            item = item_id(text)
            found = self._json([(item, None)]) if item is not None and item.interval in self.state.intervals else []
            if not found:
                raise ApiError(404, 'there is no such item', 'it may have been cut otherwise; load the page again')
            return {**found[0], 'seq': self.state.seq}

    def neighbours(self, text: str) -> Dict[str, Any]:
        """The nearest labelled pieces of other intervals; none for what is shown again blind."""
        with self.lock:
            item = item_id(text)
            if item is None or item.interval not in self.state.intervals:
                raise ApiError(404, 'there is no such item', 'take one that /api/items lists')
            found: List[Dict[str, Any]] = []
            if not item.again:
                similarity = self.alike.similarity(item.interval)
                for row in (-similarity).argsort(kind='stable'):
                    interval = self.alike.ids[row]
                    if interval == item.interval:
                        continue
                    for piece, label in self.state.pieces(interval):
                        if label is not None and label.name != UNSURE:
                            found.append({
                                'id': str(ItemId(interval, piece.start_ns, False)), 'label': label.name,
                                'similarity': round(float(similarity[row]), 4),
                                'picture': self.picture_of.middle(piece)})
                    if len(found) >= NEIGHBOURS:
                        break
            return {'neighbours': found[:NEIGHBOURS], 'seq': self.state.seq}

    def picture(self, interval: int, place: int) -> Optional[bytes]:
        """The JPEG file of a picture; None: there is none."""
        with self.lock:
            return self._queue.picture(interval, place) if max(interval, place) < 2**63 else None

    def time(self, recording: str, topic: str) -> Dict[str, Any]:
        """Pieces of a camera by time; ``recording`` is an id or a name."""
        with self.lock:
            self.catch_up()
            name = next((one.name for one in self.state.recordings.values()
                         if recording in (str(one.id), one.name)), None)
            order = [] if name is None else self.state.overlapping((name, topic), -2**63, 2**63 - 1)
            if not order:
                raise ApiError(404, 'there is no such camera', 'take a recording and topic of /api/queue')
            return {'pieces': [one for interval in order for one in self.picture_of.bar(interval)],
                    'seq': self.state.seq}

    def changes(self, after: int, tab: str) -> Dict[str, Any]:
        """Events after ``after`` that are not of ``tab``, and the pieces that they concern."""
        with self.lock:
            self.catch_up()
            begin = bisect_right(self._events, after, key=lambda event: event.seq)
            part = self._events[begin:begin + MOST_CHANGES]
            events, touched = [], set()
            for event in part:
                if event.tab == tab:
                    continue
                intervals = self.state.intervals_of(event)
                touched.update(intervals)
                events.append({'seq': event.seq, 'id': event.action.id, 'kind': event.action.kind, 'tab': event.tab,
                               'who': event.who, 'label': event.action.label, 'intervals': intervals})
            last = part[-1].seq if part else self.state.seq
            return {'seq': last, 'events': events, 'items': self._of_intervals(sorted(touched)),
                    'more': last < self.state.seq, **({'classes': classes(self.state)} if any(
                        one['kind'] in ('class', 'undo') for one in events) else {})}

    def act(self, tab: str, wishes: Sequence[Any]) -> Dict[str, Any]:
        """Store what a tab asks for; all of it is on the disk when this returns.

        Raises:
            ApiError: nothing was stored: the disk is full or the file was moved (507), or another process holds it
                (503).
        """
        with self.lock:
            outcomes: List[Tuple[Dict[str, Any], List[ItemId]]] = []
            try:
                with self._store.writing() as store:
                    self.catch_up()
                    for wish in wishes:
                        outcomes.append(self._one(store, tab, wish))
            except BaseException as error:
                with suppress(OutputError):
                    self._fold()  # what was not committed is not there
                if isinstance(error, BusyError):
                    raise ApiError(503, 'another process is writing labels', 'what you said is kept here and tried '
                                   'again', 'busy') from error
                if isinstance(error, MovedError):
                    raise ApiError(507, 'labels.sqlite was removed, moved or replaced while this page was open',
                                   'put it back, or end `robot-vision label` and start it again; what you said since '
                                   'is kept here and sent then', 'moved') from error
                if isinstance(error, OutputError):
                    raise ApiError(507, 'the labels cannot be written to the disk', 'make room on it; what you said is '
                                   'kept here and tried again', 'disk') from error
                raise
            return {'seq': self.state.seq, 'answers': [
                {**answer, 'items': self._json((item, None) for item in items)} for answer, items in outcomes]}

    def _one(self, store: Any, tab: str, wish: Any) -> Tuple[Dict[str, Any], List[ItemId]]:
        """What became of one wish, and the items that it concerns."""
        name = None
        try:
            name = event_id(wish)
            there = self.state.event(name)
            if there is not None:
                return {'id': name, 'status': 'duplicate', 'seq': there.seq}, self._concerned(there, wish)
            stored = store(tab, self.who, action_of(self.state, tab, wish))
        except Refused as error:
            return {'id': name, 'status': 'refused', 'seq': None, 'reason': str(error)}, []
        except Conflict as error:
            return ({'id': name, 'status': 'conflict', 'seq': None, 'reason': str(error)},
                    [ItemId(*piece[:2], False) for interval in error.intervals
                     for piece, _ in self.state.pieces(interval)])
        self._add([stored.event])
        return {'id': name, 'status': 'saved', 'seq': stored.event.seq}, self._concerned(stored.event, wish)

    def _concerned(self, event: Event, wish: Any) -> List[ItemId]:
        action = event.action
        if action.blind or action.kind in ('label', 'clear'):
            named = wish.get('items', [wish.get('item')])
            ids = [item_id(text) for text in named] if isinstance(named, list) else []
            return [one for one in ids if one is not None and one.interval in self.state.intervals]
        blind = self.state.event(action.undoes) if action.kind == 'undo' else None
        return [ItemId(piece.interval, piece.start_ns, again) for interval in self.state.intervals_of(event)
                for piece, _ in self.state.pieces(interval)
                for again in ((False, True) if blind is not None and blind.action.blind else (False,))]

    def catch_up(self) -> bool:
        """Add what other processes have stored meanwhile; whether there was something."""
        with self.lock:
            new = list(self._store.events(self.state.seq)) if self._store.last > self.state.seq else []
            self._add(new)
            return bool(new)

    @property
    def events(self) -> Sequence[Event]:
        """All, in order."""
        return self._events

    def _add(self, events: Sequence[Event]) -> None:
        touched = self.state.extend(events)
        self._events.extend(events)
        self.views.touch(touched)
        self.tally.touch(touched)

    def _fold(self) -> None:
        with self.lock:
            self._events = list(self._store.events())
            self.state: State = fold(self._queue, self._events)
            self.views = Views(self.state, self.alike, self.who)
            self.tally = Tally(self.state)
            self.picture_of = Items(self._queue, self.state, self.mark)

    def _json(self, items: Iterable[Tuple[ItemId, Optional[str]]]) -> List[Dict[str, Any]]:
        found = []
        for item, cursor in items:
            there = self.state.piece(item.interval, item.start_ns)
            second = self.state.seconds(item.interval).get(there[0]) if there and item.again else None
            one = self.picture_of.item(item, second, cursor)
            if one is not None:
                found.append(one)
        return found

    def _of_intervals(self, intervals: Sequence[int]) -> List[Dict[str, Any]]:
        return self._json((ItemId(interval, piece.start_ns, False), None) for interval in intervals
                          for piece, _ in self.state.pieces(interval))


def _identity(queue: QueueFile, state: State) -> str:
    """What the ids of pieces mean: another one after a new mining."""
    digest = hashlib.sha256(json.dumps([
        queue.meta.get('model_hash'), [[one.id, one.name] for one in state.recordings.values()],
        [[one.id, one.recording, one.topic, one.start_ns, one.end_ns] for one in state.intervals.values()],
    ]).encode())
    return digest.hexdigest()[:32]

