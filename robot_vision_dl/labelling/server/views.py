"""Orders in which pieces are shown, and pages of them.

Each entry has a key that does not change while labels come, so that a cursor is the key of an entry: what is labelled
meanwhile neither repeats nor skips another one.
"""
import re
from bisect import bisect_left, bisect_right
from typing import Dict, List, NamedTuple, Optional, Tuple

from ..events import IGNORE, UNSURE
from ..repeats import Repeat, repeats
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
    """Views of a state, made once until it changes."""

    def __init__(self, state: State, alike: Alike, who: str) -> None:
        """``who``: the person, whose own labels are shown again."""
        self._state = state
        self._alike = alike
        self._who = who
        self._made: Dict[str, Tuple[int, List[Entry]]] = {}
        self._seconds: Tuple[int, Dict[Piece, Label]] = (-1, {})
        self.chosen = [one.id for one in state.intervals.values() if one.chosen or one.random]
        self._repeats = repeats([(interval, _mark(state, interval)) for interval in self.chosen])

    def seconds(self) -> Dict[Piece, Label]:
        """What pieces were called blind, the last time."""
        if self._seconds[0] != self._state.seq:
            self._seconds = self._state.seq, {one.piece: one.second for one in self._state.second_looks()}
        return self._seconds[1]

    def entries(self, view: str) -> List[Entry]:
        """All entries of a view, by key.

        Raises:
            ApiError: there is no such view.
        """
        if view in self._made and self._made[view][0] == self._state.seq:
            return self._made[view][1]
        if view == 'queue':
            made = self._queue()
        elif view in VIEWS:
            made = getattr(self, f'_{view}')()
        elif view.startswith('alike:'):
            made = self._alike_to(view.partition(':')[2])
        else:
            raise ApiError(404, 'there is no such view', f'views are {", ".join(VIEWS)}, alike:ITEM')
        made.sort(key=lambda one: one.key)
        if len(self._made) > 20:
            self._made.clear()
        self._made[view] = self._state.seq, made
        return made

    def page(self, view: str, after: Optional[str], before: Optional[str], limit: int) -> Page:
        """Entries after or before a cursor.

        Raises:
            ApiError: no such view or cursor.
        """
        entries = self.entries(view)
        keys = [one.key for one in entries]
        if before is not None:
            end = bisect_left(keys, _key(before))
            begin = max(0, end - limit)
        else:
            begin = 0 if after is None else bisect_right(keys, _key(after))
            end = min(len(entries), begin + limit)
        part = entries[begin:end]
        return Page(part, part[-1].cursor if part and end < len(entries) else None,
                    part[0].cursor if part and begin > 0 else None, len(entries))

    def cursor_of(self, view: str, item: ItemId) -> Optional[str]:
        """Where an item is in a view; None: nowhere."""
        return next((one.cursor for one in self.entries(view) if one.item == item), None)

    def first_open(self) -> Optional[str]:
        """Cursor after which the first unlabelled entry of the queue comes; None: it is the first, or there is none."""
        entries = self.entries('queue')
        place = next((place for place, one in enumerate(entries) if one.is_open), 0)
        return entries[place - 1].cursor if place else None

    def is_again(self, repeat: Repeat) -> Optional[ItemId]:
        """The item of a repeat; None: its interval is not labelled yet, or by somebody else."""
        piece, label = self._state.pieces(repeat.interval)[0]
        if label is None or label.name in (UNSURE, IGNORE):
            return None
        return ItemId(piece.interval, piece.start_ns, True) if (
            label.who == self._who or piece in self.seconds()) else None

    def _queue(self) -> List[Entry]:
        found = [_entry((place, 0, piece.start_ns), piece, label) for place, interval in enumerate(self.chosen)
                 for piece, label in self._state.pieces(interval)]
        for repeat in self._repeats:
            item = self.is_again(repeat)
            if item is not None:
                piece = self._state.pieces(repeat.interval)[0][0]
                found.append(Entry((repeat.after, 1, repeat.place), item, piece not in self.seconds()))
        return found

    def _disagreement(self) -> List[Entry]:
        """The surest of the model first; and what was called otherwise the second time."""
        found = []
        for piece, label in self._state.all_pieces():
            if label is None or label.name in (UNSURE, IGNORE):
                continue
            proposals = self._state.intervals[piece.interval].proposals
            second = self.seconds().get(piece)
            if (proposals and proposals[0][0] != label.name) or (second is not None and second.name != label.name):
                sure = round(proposals[0][1] * 10**6) if proposals else 0
                found.append(_entry((-sure, piece.interval, piece.start_ns), piece, label))
        return found

    def _unsure(self) -> List[Entry]:
        return [_entry((piece.interval, piece.start_ns), piece, label) for piece, label in self._state.all_pieces()
                if label is not None and label.name == UNSURE]

    def _labelled(self) -> List[Entry]:
        """The newest first."""
        return [_entry((-label.seq, piece.interval, piece.start_ns), piece, label)
                for piece, label in self._state.all_pieces() if label is not None]

    def _camera_faults(self) -> List[Entry]:
        return [_entry((piece.interval, piece.start_ns), piece, label) for piece, label in self._state.all_pieces()
                if self._state.intervals[piece.interval].reason == 'camera_fault']

    def _all(self) -> List[Entry]:
        return [_entry((piece.interval, piece.start_ns), piece, label) for piece, label in self._state.all_pieces()]

    def _alike_to(self, text: str) -> List[Entry]:
        item = item_id(text)
        if item is None or item.interval not in self._state.intervals:
            raise ApiError(404, 'there is no such item', 'take one that /api/items lists')
        distance = -self._alike.similarity(item.interval)
        distance[self._alike.rows([item.interval])] = -2  # itself first
        return [_entry((rank, piece.start_ns), piece, label)
                for rank, row in enumerate(distance.argsort(kind='stable'))
                for piece, label in self._state.pieces(self._alike.ids[row])]


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
