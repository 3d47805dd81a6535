"""Which object of this frame is which of the frames before, for one camera.

What is known of an object over time is kept by the key of its track, so a track must not go from one object to another;
where the two faults compete, an object that loses its track is the smaller one.

In each frame, every track is predicted (:mod:`.motion`) and every pair of a track and a detection gets a score: the IoU
of box and predicted box (SORT: Bewley et al., ICIP 2016), :data:`ID_WORTH` more where the detector's id says that they
belong together, a little more where its class does. Pairs are taken one-to-one in the order of their scores. A pair may
be taken

- where the id is the track's: if the boxes overlap, or if the object can have moved so far (:data:`ID_REACH`). Thus a
  detector is believed unless another track's box fits better by more than ``ID_WORTH``, which is how ids are noticed
  that two objects apart have exchanged: keys then follow the boxes.
- where the id is another one: if the IoU is at least :data:`RENUMBERED_OVERLAP`, as when a detector renumbers an
  object.
- where there is no id to go by: if the IoU is at least the configured one and the area is not another (:data:`GROWTH`).

What is left and has no id to go by is paired a second time by distance (:data:`BOX_REACH`), for objects that are so
small or fast that their boxes do not overlap from frame to frame.

The greedy order was chosen over the optimal assignment (Kuhn, 1955): that would need scipy, 0.2 s and 36 MB at each
start, and pairs compete only where boxes of several objects overlap.
"""
from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import sha256
from math import hypot, isfinite, sqrt
from typing import Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from .detections import Box, Detection
from .motion import Motion
from .overlap import overlaps

ID_WORTH = 0.6
"""What an id counts for, as IoU."""
ID_REACH = (0.5, 6.0)
"""(sizes, sizes/s): an object with an id is at most so far from where it was, or from where it is expected. A size is
the square root of a box's area: 6/s is somebody 0.5 m wide who runs at 3 m/s. What is faster loses its track once: the
new one expects it where the same velocity would bring it."""
BOX_REACH = (0.5, 1.5)
"""The same where there is no id, from where the object is expected: less than the 1 size at which boxes side by side
touch, in whatever takes less than 0.3 s, so that one object that is put in the place of another is a new one."""
YOUNG_REACH = (1.0, 5.0)
"""The same for a track of less than :data:`YOUNG` sights, whose velocity is not known yet, and not much else either."""
YOUNG = 3
RENUMBERED_OVERLAP = 0.5
"""IoU with the predicted box from which on an object with a new id is the old one."""
GROWTH = (2.0, 5.0)
"""(factor, factor/s) by which the area of a box may differ from the last one: 2.5 within 0.1 s. Beyond, a box in the
same place is held to be another object (the table, not the cup on it), unless the detector's id says that it is the
same."""
CLASS_WORTH = 0.05
"""What the same class counts for, as IoU: little, because detectors waver."""
MOST_FOLLOWED = 500
"""Objects of one array that are followed, the first ones. More are of no track; the cost grows with the square."""
_MOST_UNSEEN = 500  # tracks that are not in the picture, waiting to be seen again
_MOST_ENDED_IDS = 1000  # of which it is known that they had a track
_SOME_OVERLAP = 0.05  # less is none
_LEAST_SIDE, _FARTHEST = 1e-3, 1e6  # pixels
_DOUBT_PER_FRAME = 0.1  # weight of the newest frame in the share of ids that are not where their objects are
_DOUBTED, _TRUSTED_AGAIN = 0.2, 0.01


@dataclass(frozen=True)
class TrackingConfig:
    """How objects are followed.

    Attributes:
        least_overlap: IoU, in (0, 1], from which on two boxes of neighbouring frames may be one object.
        forget_after_s: a track that was not seen for longer, in seconds above 0, ends. An id that comes back later is a
            new track.
        trust_ids: the detector's ids name tracks where they are given.
    """

    least_overlap: float = 0.3
    forget_after_s: float = 1.0
    trust_ids: bool = True


@dataclass(frozen=True)
class Track:
    """What a detection belongs to.

    Attributes:
        key: unique for this tracker for ever; a new object has a new one.
        name: to be published as the object's id, unique within a frame: the detector's id where it is trusted and
            given, else one of our own, which no id of the frame begins like.
        is_new: this is the first frame of this track.
        note: why a track began anew although its id was known; else empty.
    """

    key: int
    name: str
    is_new: bool
    note: str = ''


@dataclass
class _Followed:
    """A track that goes on: ``id`` is the detector's for it, empty where there is none."""

    key: int
    id: str
    given: str  # what the detector called it last, trusted or not
    box: Box
    label: str
    motion: Motion
    seen_ns: int
    sights: int = 1

    def expected(self, seconds: float) -> Box:
        x, y = self.motion.after(seconds)
        return replace(self.box, x=x, y=y)


@dataclass
class _Seen:
    """A detection that can be followed: ``id`` is what it may be told by, empty where that is not to be trusted."""

    index: int
    id: str
    given: str
    box: Box
    label: str
    note: str = ''


class Tracker:
    """Follows the objects of one camera.

    Memory and time are bounded whatever a detector sends: :data:`MOST_FOLLOWED` objects in a frame, as many that wait
    to be seen again. An array of the time of the last one is taken as another look at the same moment. Where time goes
    back, everything begins anew.

    Attributes:
        config: may be replaced between frames.
    """

    def __init__(self, config: TrackingConfig) -> None:
        self.config = config
        self._tracks: Dict[int, _Followed] = {}
        self._next_key = 0
        self._last_ns: Optional[int] = None
        self._ended: List[int] = []
        self._ended_ids: 'OrderedDict[str, int]' = OrderedDict()  # -> when it was seen last
        self._prefix = 'track-'
        self._doubt = 0.0
        self._doubted = False
        self._only_indices, self._misfits = True, 0

    @property
    def trusts_ids(self) -> bool:
        """Whether ids are gone by at the moment: not where they are seen to change while the objects stay.

        That is so where they are places in the array, or are counted on with every frame.
        """
        return self.config.trust_ids and not self._doubted

    def ended(self) -> List[int]:
        """Keys of the tracks that ended since the last call, in that order."""
        ended, self._ended = self._ended, []
        return ended

    def update(self, detections: Sequence[Detection], usable: Sequence[bool], time_ns: int) -> List[Track]:
        """Say to which track each object of a frame belongs.

        Args:
            detections: of one frame.
            usable: for each, whether its box can be used. One that cannot has a track of its own, which ends at once.
            time_ns: of the frame.

        Returns:
            One track for each detection, in the same order; no two have the same key or the same name.
        """
        went_back_s = self._forget(time_ns)
        self._take_names([detection.track_id for detection in detections])
        trusted = self.trusts_ids
        seen = [_Seen(i, d.track_id if trusted else '', d.track_id, d.box, _label(d))
                for i, d in enumerate(detections) if usable[i] and _is_sound(d.box)]
        left_out = {one.index for one in seen[MOST_FOLLOWED:]}
        # Ties are decided by what a detection is, never by its place in the array.
        seen = sorted(seen[:MOST_FOLLOWED], key=_in_order)
        tracks = list(self._tracks.values())
        ages = [(time_ns - track.seen_ns) / 1e9 for track in tracks]
        expected = [track.expected(age) for track, age in zip(tracks, ages)]
        fit = overlaps([one.box for one in seen], expected)
        self._one_for_each_id(seen, tracks, fit)
        pairs = self._pair(seen, tracks, ages, expected, fit)
        self._weigh_ids([detection.track_id for detection in detections], seen, tracks, fit)
        found: List[Optional[_Followed]] = [None] * len(detections)
        notes = [''] * len(detections)
        new: Set[int] = set()
        known = {track.id: track for track in tracks if track.id}
        owners: Dict[str, int] = {}
        for row, one in enumerate(seen):
            if row in pairs:
                track = tracks[pairs[row]]
                self._go_on(track, one, time_ns)
            else:
                track, notes[one.index] = self._begin(one, known.get(one.id), time_ns, went_back_s)
                new.add(track.key)
            found[one.index] = track
            if one.id:
                owners[one.id] = track.key
        for track in self._tracks.values():
            # An id stands for one track: the one that it was given with last.
            if not self.trusts_ids or owners.get(track.id, track.key) != track.key:
                track.id = ''
        for index in left_out:
            notes[index] = f'there are more than {MOST_FOLLOWED} objects in this frame, the others are not followed'
        result = self._name(found, new, notes)
        self._limit_unseen(time_ns)
        self._last_ns = time_ns
        return result

    def _forget(self, time_ns: int) -> float:
        """End the tracks that are too old, all of them where time went back; by how many seconds it did."""
        back = self._last_ns is not None and time_ns < self._last_ns
        for track in list(self._tracks.values()):
            if back or time_ns - track.seen_ns > self.config.forget_after_s * 1e9:
                self._end(track)
        return (self._last_ns - time_ns) / 1e9 if self._last_ns is not None and back else 0.0

    def _end(self, track: _Followed) -> None:
        del self._tracks[track.key]
        self._ended.append(track.key)
        if track.id:
            self._ended_ids[track.id] = track.seen_ns
            self._ended_ids.move_to_end(track.id)
            if len(self._ended_ids) > _MOST_ENDED_IDS:
                self._ended_ids.popitem(last=False)

    def _limit_unseen(self, time_ns: int) -> None:
        unseen = sorted((track for track in self._tracks.values() if track.seen_ns != time_ns),
                        key=lambda track: track.seen_ns)
        for track in unseen[:-_MOST_UNSEEN]:
            self._end(track)

    def _one_for_each_id(self, seen: List[_Seen], tracks: List[_Followed], fit: np.ndarray) -> None:
        """Of several detections with one id, the best fit to its track keeps it; without one, the largest."""
        columns = {track.id: column for column, track in enumerate(tracks) if track.id}
        rows: Dict[str, List[int]] = {}
        for row, one in enumerate(seen):
            if one.id:
                rows.setdefault(one.id, []).append(row)
        for name, same in rows.items():
            if len(same) > 1:
                column = columns.get(name)
                best = max(same, key=lambda row: (fit[row, column] if column is not None else 0.0,
                                                  seen[row].box.width * seen[row].box.height, -row))
                for row in same:
                    if row != best:
                        seen[row].id = ''
                        seen[row].note = f'id {name} was given to {len(same)} objects of this frame'

    def _pair(self, seen: List[_Seen], tracks: List[_Followed], ages: List[float], expected: List[Box],
              fit: np.ndarray) -> Dict[int, int]:
        """Row of ``seen`` -> column of ``tracks``."""
        columns = {track.id: column for column, track in enumerate(tracks) if track.id}
        scores: Dict[Tuple[int, int], float] = {}
        least = min(self.config.least_overlap, RENUMBERED_OVERLAP)
        for row, column in zip(*(part.tolist() for part in np.nonzero(fit >= least))):
            one, track = seen[row], tracks[column]
            overlap = float(fit[row, column])
            if self._tell(one, track):
                admitted = overlap >= RENUMBERED_OVERLAP
            else:
                admitted = overlap >= self.config.least_overlap and _same_size(one.box, track.box, ages[column])
            if admitted:
                scores[row, column] = overlap + (CLASS_WORTH if one.label == track.label else 0.0)
        for row, one in enumerate(seen):
            column = columns.get(one.id, -1) if one.id else -1
            if column >= 0:
                track = tracks[column]
                if fit[row, column] >= _SOME_OVERLAP or self._can_be_there(one, track, expected[column], ages[column]):
                    same = CLASS_WORTH if one.label == track.label else 0.0
                    scores[row, column] = float(fit[row, column]) + ID_WORTH + same
        pairs = _greedy(scores, tracks)
        return {**pairs, **self._pair_by_distance(seen, tracks, ages, expected, pairs)}

    def _tell(self, one: _Seen, track: _Followed) -> bool:
        """Whether the ids say that these are two objects."""
        return bool(self.trusts_ids and one.id and track.id and one.id != track.id)

    def _can_be_there(self, one: _Seen, track: _Followed, expected: Box, seconds: float) -> bool:
        size = _size(one.box, track.box)
        reach = ID_REACH
        if self._only_indices:
            reach = YOUNG_REACH if track.sights < YOUNG else BOX_REACH
        away = min(hypot(one.box.x - place.x, one.box.y - place.y) for place in (expected, track.box))
        return away <= (reach[0] + reach[1] * seconds) * size

    def _pair_by_distance(self, seen: List[_Seen], tracks: List[_Followed], ages: List[float], expected: List[Box],
                          pairs: Dict[int, int]) -> Dict[int, int]:
        rows = [row for row in range(len(seen)) if row not in pairs]
        columns = sorted(set(range(len(tracks))) - set(pairs.values()))
        if not rows or not columns:
            return {}
        places = np.array([(seen[row].box.x, seen[row].box.y, _side(seen[row].box)) for row in rows])
        goals = np.array([(expected[column].x, expected[column].y, _side(expected[column])) for column in columns])
        reach = np.array([YOUNG_REACH if tracks[column].sights < YOUNG else BOX_REACH for column in columns])
        reach = reach[:, 0] + reach[:, 1] * np.array([ages[column] for column in columns])
        away = np.hypot(places[:, None, 0] - goals[:, 0], places[:, None, 1] - goals[:, 1])
        away /= np.sqrt(places[:, None, 2] * goals[:, 2])
        scores = {}
        for i, j in zip(*(part.tolist() for part in np.nonzero(away <= reach))):
            one, track = seen[rows[i]], tracks[columns[j]]
            if not self._tell(one, track) and _same_size(one.box, track.box, ages[columns[j]]):
                scores[rows[i], columns[j]] = -float(away[i, j]) + (CLASS_WORTH if one.label == track.label else 0.0)
        return _greedy(scores, tracks)

    def _weigh_ids(self, given: List[str], seen: List[_Seen], tracks: List[_Followed], fit: np.ndarray) -> None:
        """Learn from objects that hardly moved whether ids stay with them."""
        if not any(given):
            return
        numbers = [str(i) for i in range(len(given) + 1)]
        if given != numbers[:-1] and given != numbers[1:]:
            self._only_indices, self._misfits = False, 0
        if not seen or not tracks:
            return
        best = fit.argmax(axis=1)
        sure = (fit.argmax(axis=0)[best] == np.arange(len(seen))) & (fit.max(axis=1) >= RENUMBERED_OVERLAP)
        judged = [(seen[row].given, tracks[best[row]].given) for row in np.flatnonzero(sure).tolist()
                  if tracks[best[row]].seen_ns == self._last_ns]
        told = [one != other for one, other in judged if one and other]
        if told:
            self._doubt += _DOUBT_PER_FRAME * (sum(told) / len(told) - self._doubt)
            self._misfits += any(told)
        if self._doubt > _DOUBTED or (self._only_indices and self._misfits > 1):
            self._doubted = True
        elif self._doubt < _TRUSTED_AGAIN and not self._only_indices:
            self._doubted = False

    def _go_on(self, track: _Followed, one: _Seen, time_ns: int) -> None:
        seconds = (time_ns - track.seen_ns) / 1e9
        if seconds > 0:
            track.motion.seen(one.box.x, one.box.y, _side(one.box), seconds)
            track.sights += 1
        track.box, track.label, track.seen_ns = one.box, one.label, time_ns
        track.id, track.given = one.id or track.id, one.given or track.given

    def _begin(self, one: _Seen, former: Optional[_Followed], time_ns: int,
               went_back_s: float) -> Tuple[_Followed, str]:
        """A new track, and why there is one although its id is known."""
        note, velocity = one.note, (0.0, 0.0)
        if former is not None:
            seconds = (time_ns - former.seen_ns) / 1e9
            across, down = one.box.x - former.box.x, one.box.y - former.box.y
            note = f'id {one.id} is somewhere else: {hypot(across, down):.0f} pixels away within {seconds:.2g} s'
            if seconds > 0:
                velocity = across / seconds, down / seconds
        elif one.id in self._ended_ids:
            away_s = (time_ns - self._ended_ids[one.id]) / 1e9
            note = f'id {one.id} came back after {away_s:.2g} s'
            if went_back_s:
                note = f'id {one.id} begins anew: time went back by {went_back_s:.2g} s'
        track = _Followed(self._next_key, one.id, one.given, one.box, one.label,
                          Motion.first(one.box.x, one.box.y, _side(one.box), *velocity), time_ns)
        self._tracks[track.key] = track
        self._next_key += 1
        self._ended_ids.pop(one.id, None)
        return track, note

    def _name(self, found: List[Optional[_Followed]], new: Set[int], notes: List[str]) -> List[Track]:
        result = []
        for track, note in zip(found, notes):
            if track is None:
                result.append(Track(self._next_key, f'{self._prefix}{self._next_key}', True, note))
                self._ended.append(self._next_key)
                self._next_key += 1
            else:
                name = track.id or f'{self._prefix}{track.key}'
                result.append(Track(track.key, name, track.key in new, note))
        return result

    def _take_names(self, given: Sequence[str]) -> None:
        """See to it that names of our own begin like none of the detector's ids."""
        while any(name.startswith(self._prefix) for name in given):
            self._prefix = f'track-{sha256(repr((self._prefix, sorted(given))).encode()).hexdigest()[:8]}-'


def _greedy(scores: Dict[Tuple[int, int], float], tracks: Sequence[_Followed]) -> Dict[int, int]:
    """Row -> column, by descending score; of equal ones the older track first."""
    pairs: Dict[int, int] = {}
    taken: Set[int] = set()
    for (row, column), _ in sorted(scores.items(), key=lambda item: (-item[1], tracks[item[0][1]].key, item[0][0])):
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return pairs


def _label(detection: Detection) -> str:
    """The class that the detector holds for the likeliest, as far as it says."""
    best = max(detection.hypotheses, key=lambda one: one.score if isfinite(one.score) else -1.0, default=None)
    return best.class_id if best else ''


def _in_order(one: _Seen) -> Tuple[Tuple[float, ...], Tuple[str, str]]:
    return (one.box.x, one.box.y, one.box.width, one.box.height, one.box.theta), (one.given, one.label)


def _is_sound(box: Box) -> bool:
    numbers = (box.x, box.y, box.width, box.height, box.theta)
    return all(isfinite(number) and abs(number) <= _FARTHEST for number in numbers) and \
        min(box.width, box.height) >= _LEAST_SIDE


def _side(box: Box) -> float:
    """The size of an object in pixels: the square root of its area."""
    return sqrt(box.width * box.height)


def _size(one: Box, other: Box) -> float:
    return sqrt(_side(one) * _side(other))


def _same_size(one: Box, other: Box, seconds: float) -> bool:
    areas = one.width * one.height, other.width * other.height
    return max(areas) <= min(areas) * (GROWTH[0] + GROWTH[1] * seconds)
