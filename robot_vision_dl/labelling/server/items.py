"""Pieces as the page gets them. What comes of a bag is text in JSON, and never becomes part of a path or of HTML."""
import colorsys
from functools import lru_cache
from typing import Any, Dict, List, Optional, Tuple

from ..events import IGNORE, RESERVED, UNKNOWN, UNSURE
from ..queue_file import QueueFile
from ..state import Piece, State
from ..timeline import Label
from .wishes import ItemId

# P. Tol, "Colour schemes" (2021), muted: told apart also by people who see few colours.
_COLOURS = ('#332288', '#88ccee', '#44aa99', '#117733', '#999933', '#ddcc77', '#cc6677', '#882255', '#aa4499')
_RESERVED_COLOURS = {UNKNOWN: '#555555', IGNORE: '#bbbbbb', UNSURE: '#e69f00'}
_KEYS = 9
_FAR_NS = 3600 * 10**9


class Items:
    """Makes the JSON of pieces of a queue."""

    def __init__(self, queue: QueueFile, state: State, mark: str) -> None:
        """``mark`` is part of the addresses of pictures, so that none of another queue is taken from a cache."""
        self._state = state
        self._mark = mark
        self._frames = lru_cache(4096)(queue.frames)
        self._alike: Dict[int, int] = {}
        for one in state.intervals.values():
            stands = one.id if one.alike is None else one.alike
            self._alike[stands] = self._alike.get(stands, 0) + 1
        self._zero = _zeros(state)

    def item(self, item: ItemId, second: Optional[Label], cursor: Optional[str] = None) -> Optional[Dict[str, Any]]:
        """A piece; of a blind repeat without what would give the first label away. None: there is no such piece.

        Args:
            second: what it was called blind.
            cursor: its place in the view that is shown.
        """
        found = self._state.piece(item.interval, item.start_ns)
        if found is None:
            return None
        piece, label = found
        one = self._state.intervals[piece.interval]
        blind = item.again
        shown = second if blind else label
        zero = self._zero[one.recording]
        return {
            'id': str(item), 'interval': one.id, 'recording': self._state.recordings[one.recording].name,
            'recording_id': one.recording, 'topic': one.topic,
            'start_ns': str(piece.start_ns), 'end_ns': str(piece.end_ns),
            'start_s': _seconds(piece.start_ns - zero), 'end_s': _seconds(piece.end_ns - zero),
            'frames': [{
                'place': place, 't_s': _seconds(stamp - zero), 'stamp_ns': str(stamp),
                'decision': None if blind else decision, 'confidence': None if blind else round(confidence, 4),
                'picture': self.picture(one.id, place)} for place, stamp, confidence, decision in self.frames(piece)],
            'proposals': [] if blind else [[name, round(p, 4)] for name, p in one.proposals],
            'doubt': None if blind else round(one.doubt, 4), 'reason': '' if blind else one.reason,
            'explanation': '' if blind else one.explanation, 'given': '' if blind else one.given,
            'label': label_json(shown), 'version': self._state.version(one.id), 'blind': blind,
            'chosen': one.chosen, 'random': one.random, 'camera_fault': one.reason == 'camera_fault',
            'alike_count': self._alike.get(one.id if one.alike is None else one.alike, 1),
            **({} if cursor is None else {'cursor': cursor})}

    def frames(self, piece: Piece) -> List[Tuple[int, int, float, str]]:
        """Place, stamp, confidence and decision of a piece's pictures; the nearest where none is within it."""
        rows = [(place, *row) for place, row in enumerate(self._frames(piece.interval))]
        inside = [row for row in rows if piece.start_ns <= row[1] < piece.end_ns]
        middle = (piece.start_ns + piece.end_ns) // 2
        return inside or sorted(rows, key=lambda row: abs(row[1] - middle))[:1]

    def picture(self, interval: int, place: int) -> str:
        """Address of a picture."""
        return f'/api/pictures/{interval}/{place}.jpg?q={self._mark}'

    def middle(self, piece: Piece) -> Optional[str]:
        """Address of the picture in the middle of a piece; None: it has none."""
        rows = self.frames(piece)
        return self.picture(piece.interval, rows[len(rows) // 2][0]) if rows else None

    def bar(self, interval: int) -> List[Dict[str, Any]]:
        """The pieces of an interval for the bar of times."""
        one = self._state.intervals[interval]
        zero = self._zero[one.recording]
        return [{
            'id': str(ItemId(interval, piece.start_ns, False)), 'start_ns': str(piece.start_ns),
            'end_ns': str(piece.end_ns), 'start_s': _seconds(piece.start_ns - zero),
            'end_s': _seconds(piece.end_ns - zero), 'label': label and label.name,
            'proposal': one.proposals[0][0] if one.proposals else None}
            for piece, label in self._state.pieces(interval)]


def classes(state: State) -> List[Dict[str, Any]]:
    """Classes with the key that chooses each, and a colour."""
    return [{'name': name, 'key': place + 1 if place < _KEYS else None, 'colour': _colour(place)}
            for place, name in enumerate(state.class_names)]


def reserved() -> List[Dict[str, str]]:
    """Labels that are no class, with their colours."""
    return [{'name': name, 'colour': _RESERVED_COLOURS[name]} for name in RESERVED]


def label_json(label: Optional[Label]) -> Optional[Dict[str, Any]]:
    """A label as the page gets it."""
    return None if label is None else {'name': label.name, 'who': label.who, 'event': label.event, 'seq': label.seq}


def _colour(place: int) -> str:
    if place < len(_COLOURS):
        return _COLOURS[place]
    # Steps of the golden ratio around the circle of hues are far apart however many there are.
    red, green, blue = colorsys.hls_to_rgb(place * .618034 % 1, .35 + .2 * (place % 3) / 2, .55)
    return f'#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}'


def _seconds(ns: int) -> float:
    return round(ns / 10**9, 3)


def _zeros(state: State) -> Dict[int, int]:
    """Where times of a recording are counted from: its start, or its first stamp where a camera has another clock."""
    first: Dict[int, int] = {}
    for one in state.intervals.values():
        first[one.recording] = min(first.get(one.recording, one.start_ns), one.start_ns)
    return {number: start if abs(start - state.recordings[number].start_ns) > _FAR_NS
            else state.recordings[number].start_ns for number, start in first.items()}
