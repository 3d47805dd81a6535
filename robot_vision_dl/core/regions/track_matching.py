"""Tracks and detections of one frame -> pairs.

Every pair gets a score: the IoU of the box and the box that the track is expected to have (SORT: Bewley et al., ICIP
2016), :data:`ID_WORTH` more where the detector's id is the track's, a little more where its class is. Pairs are taken
one-to-one in the order of their scores. A pair may be taken

- where the id is the track's: if the boxes overlap, or if the object can have moved so far (:data:`ID_REACH`). Thus a
  detector is believed unless the box of another track fits better by more than ``ID_WORTH``, which is how ids are
  noticed that two objects apart have exchanged.
- where the id is another one: if the IoU is at least :data:`RENUMBERED_OVERLAP` and the track was seen lately, as
  when a detector renumbers an object.
- where one of them has no id: if the IoU is at least the configured one, the area not another (:data:`GROWTH`).

What is left and has no id to go by is paired a second time by distance (:data:`BOX_REACH`), for objects that are so
small or fast that their boxes do not overlap from frame to frame.

Where most of what was paired lies off its expectation alike, the camera moved (:func:`common_shift`): expect all
there, and pair again.

Taken in the order of the scores, and not so that their sum is largest (Kuhn, 1955): that would need scipy, 0.2 s and 36
MB at each start, and on recorded pedestrians whose boxes overlap much it changed identities as often.
"""
from dataclasses import dataclass
from math import cos, hypot, sin, sqrt
from typing import Dict, List, Sequence, Set, Tuple

import numpy as np

from .detections import Box
from .motion import Motion

ID_WORTH = 0.6
"""What an id counts for, as IoU."""
ID_REACH = (0.5, 6.0)
"""(sizes, sizes/s): an object with an id is at most so far from where it was, or from where it is expected. A size is
the square root of a box's area: 6/s is somebody 0.5 m wide who runs at 3 m/s. What is faster loses its track once: the
new one expects it where the same velocity would bring it."""
BOX_REACH = (0.5, 1.5)
"""The same where there is no id, from where the object is expected, with its width and its height for sizes: less than
the 1 at which boxes side by side touch, in whatever takes less than 0.3 s, so that an object that is put in the place
of another is a new one."""
YOUNG_REACH = (1.0, 5.0)
"""The same for a track of less than :data:`YOUNG` sights that was seen in the frame before: its velocity is not known
yet, and not much else is either."""
YOUNG = 3
RENUMBERED_OVERLAP = 0.5
"""IoU with the expected box from which on an object with a new id is the old one."""
RENUMBERED_WITHIN_S = 0.3
"""And for how long, where the track was not in the frame before. Trackers like SORT give a new id after one frame
without a box; where the gap is longer, a new id is likelier to mean what it says."""
GROWTH = (2.0, 5.0)
"""(factor, factor/s) by which the area of a box may differ from the last one: 2.5 within 0.1 s. Beyond, a box in the
same place is held to be another object (the table, not the cup on it), unless the detector's id says that it is the
same."""
CLASS_WORTH = 0.05
"""What the same class counts for, as IoU: little, because detectors waver."""
UNSEEN_COST = 0.2
"""What it costs a track not to have been in the frame before, as IoU: of what is hidden, the place is a guess."""
ENOUGH_FOR_A_MEDIAN = 3
"""Objects that make it likely that what they do alike, the camera did."""
LEAST_SHIFT = 0.1
"""Of the camera, in sizes of the objects: less does not change which box fits which track."""
_SOME_OVERLAP = 0.05  # less is none


@dataclass
class Sight:
    """A detection that may be of a track.

    Attributes:
        index: in the detector's array.
        id: that it is told by; empty where there is none to go by.
        given: the detector's id, whether it is gone by or not.
        box: of finite numbers, with an area.
        label: the class that the detector holds for the likeliest, as far as it says.
        note: why ``id`` is empty though ``given`` is not, as far as this frame tells.
    """

    index: int
    id: str
    given: str
    box: Box
    label: str
    note: str = ''


@dataclass
class Followed:
    """A track that goes on; ``id``, ``given``, ``box`` and ``label`` as in its last sight that had one."""

    key: int
    id: str
    given: str
    box: Box
    label: str
    motion: Motion
    seen_ns: int
    sights: int = 1

    def expected(self, seconds: float) -> Box:
        """Where its box should be, so long after it was seen last."""
        x, y = self.motion.after(seconds)
        return Box(x, y, self.box.width, self.box.height, self.box.theta)


@dataclass(frozen=True)
class Candidate:
    """A track as it may be met in this frame.

    Attributes:
        track: as it was left.
        expected: its box in this frame.
        age_s: seconds since it was seen.
        fresh: it was seen in the frame before.
    """

    track: Followed
    expected: Box
    age_s: float
    fresh: bool

    def moved(self, across: float, down: float) -> 'Candidate':
        """The same, expected so many pixels farther on."""
        box = self.expected
        return Candidate(self.track, Box(box.x + across, box.y + down, box.width, box.height, box.theta), self.age_s,
                         self.fresh)


def pair(sights: Sequence[Sight], candidates: Sequence[Candidate], fit: np.ndarray, least_overlap: float,
         doubtful_ids: bool) -> Dict[int, int]:
    """Say which sight is of which track.

    Args:
        sights: of this frame, no two with one id.
        candidates: the tracks, no two with one id.
        fit: IoU of each sight's box (rows) and each expected box (columns).
        least_overlap: IoU from which on a pair without an id may be one object.
        doubtful_ids: an id must not bridge more than boxes alone do.

    Returns:
        Row -> column, one-to-one; rows that are missing are of no track.
    """
    scores = _by_overlap(sights, candidates, fit, least_overlap)
    columns = {one.track.id: column for column, one in enumerate(candidates) if one.track.id}
    for row, sight in enumerate(sights):
        column = columns.get(sight.id, -1)
        if column >= 0:
            one, overlap = candidates[column], float(fit[row, column])
            if overlap >= _SOME_OVERLAP or _can_be_there(sight.box, one, doubtful_ids):
                scores[row, column] = overlap + ID_WORTH + _same_class(sight, one)
    pairs = _in_order(scores, candidates)
    return {**pairs, **_in_order(_by_distance(sights, candidates, pairs), candidates)}


def common_shift(sights: Sequence[Sight], candidates: Sequence[Candidate],
                 pairs: Dict[int, int]) -> Tuple[float, float]:
    """How far off their expectation most tracks of the frame before were found, in pixels across and down.

    The median, which is the camera's doing where it begins or ends to turn; 0 where it is below :data:`LEAST_SHIFT`, or
    where there are too few to tell.
    """
    known = [(sights[row].box, candidates[column].expected) for row, column in pairs.items()
             if candidates[column].fresh]
    if len(known) < ENOUGH_FOR_A_MEDIAN:
        return 0.0, 0.0
    shifts = np.array([(box.x - place.x, box.y - place.y, size(box)) for box, place in known])
    across, down, side = np.median(shifts, axis=0).tolist()
    return (across, down) if hypot(across, down) >= LEAST_SHIFT * side else (0.0, 0.0)


def _by_overlap(sights: Sequence[Sight], candidates: Sequence[Candidate], fit: np.ndarray,
                least_overlap: float) -> Dict[Tuple[int, int], float]:
    scores = {}
    rows, columns = np.nonzero(fit >= min(least_overlap, RENUMBERED_OVERLAP))
    for row, column, overlap in zip(rows.tolist(), columns.tolist(), fit[rows, columns].tolist()):
        sight, one = sights[row], candidates[column]
        if _told_apart(sight, one):
            admitted = overlap >= RENUMBERED_OVERLAP and (one.fresh or one.age_s <= RENUMBERED_WITHIN_S)
        else:
            admitted = overlap >= least_overlap and _same_size(sight.box, one)
        if admitted:
            scores[row, column] = overlap + _same_class(sight, one) - (0.0 if one.fresh else UNSEEN_COST)
    return scores


def _by_distance(sights: Sequence[Sight], candidates: Sequence[Candidate],
                 pairs: Dict[int, int]) -> Dict[Tuple[int, int], float]:
    rows = [row for row in range(len(sights)) if row not in pairs]
    columns = sorted(set(range(len(candidates))) - set(pairs.values()))
    if not rows or not columns:
        return {}
    here = np.array([(sights[row].box.x, sights[row].box.y, *_extent(sights[row].box)) for row in rows])
    there = np.array([(candidates[column].expected.x, candidates[column].expected.y,
                       *_extent(candidates[column].expected), _reach(candidates[column])) for column in columns])
    across = (here[:, None, 0] - there[:, 0]) / np.sqrt(here[:, None, 2] * there[:, 2])
    down = (here[:, None, 1] - there[:, 1]) / np.sqrt(here[:, None, 3] * there[:, 3])
    away = np.hypot(across, down)
    scores = {}
    for i, j in zip(*(part.tolist() for part in np.nonzero(away <= there[:, 4]))):
        sight, one = sights[rows[i]], candidates[columns[j]]
        if not _told_apart(sight, one) and _same_size(sight.box, one):
            scores[rows[i], columns[j]] = _same_class(sight, one) - float(away[i, j])
    return scores


def _in_order(scores: Dict[Tuple[int, int], float], candidates: Sequence[Candidate]) -> Dict[int, int]:
    """Row -> column, the highest score first; of equal ones that of the older track."""
    pairs: Dict[int, int] = {}
    taken: Set[int] = set()
    order: List[Tuple[float, int, int, int]] = sorted(
        (-score, candidates[column].track.key, row, column) for (row, column), score in scores.items())
    for _, _, row, column in order:
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return pairs


def _told_apart(sight: Sight, one: Candidate) -> bool:
    """Whether the ids say that these are two objects."""
    return bool(sight.id and one.track.id) and sight.id != one.track.id


def _same_class(sight: Sight, one: Candidate) -> float:
    return CLASS_WORTH if sight.label == one.track.label else 0.0


def _same_size(box: Box, one: Candidate) -> bool:
    area, other = box.width * box.height, one.track.box.width * one.track.box.height
    return max(area, other) <= min(area, other) * (GROWTH[0] + GROWTH[1] * one.age_s)


def _can_be_there(box: Box, one: Candidate, doubtful_ids: bool) -> bool:
    """Whether the object that an id stands for can be where its box is: it may also have stopped where it was."""
    reach = _reach(one) if doubtful_ids else ID_REACH[0] + ID_REACH[1] * one.age_s
    away = min(hypot(box.x - place.x, box.y - place.y) for place in (one.expected, one.track.box))
    return away <= reach * sqrt(size(box) * size(one.track.box))


def _reach(one: Candidate) -> float:
    """How far from where it is expected an object may be without an id, in its widths and heights."""
    start, speed = YOUNG_REACH if one.fresh and one.track.sights < YOUNG else BOX_REACH
    return start + speed * one.age_s


def _extent(box: Box) -> Tuple[float, float]:
    """Width and height of the upright box around a box, in pixels."""
    c, s = abs(cos(box.theta)), abs(sin(box.theta))
    return box.width * c + box.height * s, box.width * s + box.height * c


def size(box: Box) -> float:
    """The size of an object in pixels: the square root of its area."""
    return sqrt(box.width * box.height)
