"""Orders in which pieces are shown, and pages of them.

Each entry has a key that does not change while labels come, so that a cursor is the key of an entry: what is labelled
meanwhile neither repeats nor skips another one.
"""
import re
from bisect import bisect_left, bisect_right, insort
from functools import lru_cache
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from ..events import IGNORE, UNSURE
from ..repeats import repeats
from ..state import Piece, State
from ..timeline import Label
from .alike import Alike
from .problems import ApiError
from .wishes import ItemId, item_id

VIEWS = ('queue', 'disagreement', 'unsure', 'labelled', 'camera_faults', 'all')
"""Besides ``alike:ITEM``."""
_CURSOR = re.compile(r'-?[0-9]{1,19}(_-?[0-9]{1,19}){0,3}')

Key = Tuple[int, ...]


class Entry(NamedTuple):
    """A piece at its place in a view."""

    key: Key
    item: ItemId
    is_open: bool

    @property
    def cursor(self) -> str:
        """The key as a text."""
        return '_'.join(map(str, self.key))


class Page(NamedTuple):
    """Some entries of a view, and cursors to go on; None: there is no more."""

    entries: List[Entry]
    next: Optional[str]
    previous: Optional[str]
    total: int


class Views:
    """Views of a state, kept up to date by the intervals that change."""

    def __init__(self, state: State, alike: Alike, who: str) -> None:
        """``who``: the person, whose own labels are shown again."""
        self._state = state
        self._alike = alike
        self._who = who
        self.chosen = [one.id for one in state.intervals.values() if one.chosen or one.random]
        self._place = {interval: place for place, interval in enumerate(self.chosen)}
        self._repeats = {one.interval: one for one in repeats([
            (interval, _mark(state, interval)) for interval in self.chosen])}
        self._makers: Dict[str, Callable[[int], List[Entry]]] = {
            'queue': self._queue, 'disagreement': self._disagreement, 'unsure': self._unsure,
            'labelled': self._labelled, 'camera_faults': self._camera_fault, 'all': self._all}
        self._made: Dict[str, List[Entry]] = {}
        self._of: Dict[str, Dict[int, List[Entry]]] = {}
        self._open = 0
        self._orders = lru_cache(8)(self._order)
        for view in VIEWS:
            self._of[view] = {interval: self._makers[view](interval) for interval in state.intervals}
            self._made[view] = sorted(one for found in self._of[view].values() for one in found)
        self._open = sum(one.is_open for one in self._made['queue'])

    def touch(self, intervals: Iterable[int]) -> None:
        """Make what is shown of these intervals anew."""
        for interval in intervals:
            for view in VIEWS:
                old, new = self._of[view][interval], self._makers[view](interval)
                if old == new:
                    continue
                self._of[view][interval] = new
                made = self._made[view]
                for one in old:
                    del made[bisect_left(made, one)]
                for one in new:
                    insort(made, one)
                if view == 'queue':
                    self._open += sum(one.is_open for one in new) - sum(one.is_open for one in old)

    @property
    def counts(self) -> Dict[str, int]:
        """Entries of each view; ``open``: how many of the queue are still to be labelled."""
        return {**{view: len(made) for view, made in self._made.items()}, 'open': self._open}

    def page(self, view: str, after: Optional[str], before: Optional[str], limit: int) -> Page:
        """Entries after or before a cursor.

        Raises:
            ApiError: there is no such view or cursor.
        """
        if view.startswith('alike:'):
            return self._alike_page(view.partition(':')[2], after, before, limit)
        if view not in VIEWS:
            raise ApiError(404, 'there is no such view', f'views are {", ".join(VIEWS)}, alike:ITEM')
        entries = self._made[view]
        if before is not None:
            end = bisect_left(entries, _key(before), key=lambda one: one.key)
            begin = max(0, end - limit)
        else:
            begin = 0 if after is None else bisect_right(entries, _key(after), key=lambda one: one.key)
            end = min(len(entries), begin + limit)
        part = entries[begin:end]
        return Page(part, part[-1].cursor if part and end < len(entries) else None,
                    part[0].cursor if part and begin > 0 else None, len(entries))

    def first_open(self) -> Optional[str]:
        """Cursor after which the first unlabelled entry of the queue comes; None: it is the first, or there is none."""
        entries = self._made['queue']
        place = next((place for place, one in enumerate(entries) if one.is_open), 0)
        return entries[place - 1].cursor if place else None

    def _alike_page(self, text: str, after: Optional[str], before: Optional[str], limit: int) -> Page:
        """The most alike first, the interval itself before all; only what is shown is made."""
        item = item_id(text)
        if item is None or item.interval not in self._state.intervals:
            raise ApiError(404, 'there is no such item', 'take one that /api/items lists')
        order = self._orders(item.interval)
        found: List[Entry] = []
        if before is not None:
            key = _key(before)
            rank = min(key[0], len(order) - 1)
            while rank >= 0 and len(found) <= limit:
                found = [one for one in self._ranked(rank, order) if one.key < key] + found
                rank -= 1
            part = found[-limit:]
            is_first, is_last = len(part) == len(found), False
        else:
            key = () if after is None else _key(after)
            rank = max(0, key[0]) if key else 0
            while rank < len(order) and len(found) <= limit:
                found += [one for one in self._ranked(rank, order) if one.key > key]
                rank += 1
            part = found[:limit]
            is_first, is_last = after is None, len(part) == len(found)
        return Page(part, part[-1].cursor if part and not is_last else None,
                    part[0].cursor if part and not is_first else None, len(self._made['all']))

    def _order(self, interval: int) -> List[int]:
        distance = -self._alike.similarity(interval)
        distance[self._alike.rows([interval])] = -2
        return [self._alike.ids[row] for row in distance.argsort(kind='stable')]

    def _ranked(self, rank: int, order: Sequence[int]) -> List[Entry]:
        return [_entry((rank, piece.start_ns), piece, label) for piece, label in self._state.pieces(order[rank])]

    def _queue(self, interval: int) -> List[Entry]:
        """In order; what is shown again once its interval is labelled, and by the same person."""
        place = self._place.get(interval)
        if place is None:
            return []
        found = [_entry((place, 0, piece.start_ns), piece, label) for piece, label in self._state.pieces(interval)]
        repeat = self._repeats.get(interval)
        if repeat is not None:
            piece, label = self._state.pieces(interval)[0]
            is_done = piece in self._state.seconds(interval)
            if label is not None and label.name not in (UNSURE, IGNORE) and (label.who == self._who or is_done):
                found.append(Entry((repeat.after, 1, repeat.place), ItemId(interval, piece.start_ns, True),
                                   not is_done))
        return found

    def _disagreement(self, interval: int) -> List[Entry]:
        """The surest of the model first; and what was called otherwise the second time."""
        proposals, seconds = self._state.intervals[interval].proposals, self._state.seconds(interval)
        sure = round(proposals[0][1] * 10**6) if proposals else 0
        return [_entry((-sure, interval, piece.start_ns), piece, label)
                for piece, label in self._state.pieces(interval)
                if label is not None and label.name not in (UNSURE, IGNORE) and (
                    (proposals and proposals[0][0] != label.name) or
                    (piece in seconds and seconds[piece].name != label.name))]

    def _unsure(self, interval: int) -> List[Entry]:
        return [_entry((interval, piece.start_ns), piece, label) for piece, label in self._state.pieces(interval)
                if label is not None and label.name == UNSURE]

    def _labelled(self, interval: int) -> List[Entry]:
        """The newest first."""
        return [_entry((-label.seq, interval, piece.start_ns), piece, label)
                for piece, label in self._state.pieces(interval) if label is not None]

    def _camera_fault(self, interval: int) -> List[Entry]:
        return self._all(interval) if self._state.intervals[interval].reason == 'camera_fault' else []

    def _all(self, interval: int) -> List[Entry]:
        return [_entry((interval, piece.start_ns), piece, label) for piece, label in self._state.pieces(interval)]


def _entry(key: Key, piece: Piece, label: Optional[Label]) -> Entry:
    return Entry(key, ItemId(piece.interval, piece.start_ns, False), label is None)


def _key(cursor: str) -> Key:
    if not _CURSOR.fullmatch(cursor):
        raise ApiError(400, 'there is no such cursor', 'take one that /api/items gave')
    return tuple(map(int, cursor.split('_')))


def _mark(state: State, interval: int) -> str:
    """A name of an interval that does not depend on what else was mined."""
    one = state.intervals[interval]
    return '\0'.join([*state.camera(one), str(one.start_ns)])
