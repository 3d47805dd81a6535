"""Which object of this frame is which of the frames before, for one camera.

What is known of an object over time is kept by the key of its track, so a track must not go from one object to another;
where the two faults compete, an object that loses its track is the smaller one. Where an object is expected is told
by :mod:`.motion`, which detection is of which track by :mod:`.pairing`. Here tracks begin, go on, end, and get their
names.
"""
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from math import hypot, isfinite
from typing import Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from .detections import Box, Detection
from .motion import Motion
from .overlap import overlaps
from .track_matching import (
    ENOUGH_FOR_A_MEDIAN,
    RENUMBERED_OVERLAP,
    YOUNG,
    Candidate,
    Followed,
    Sight,
    common_shift,
    pair,
    size,
)

MOST_FOLLOWED = 500
"""Objects of one array that are followed, the first ones. More are of no track; the cost grows with the square."""
_MOST_UNSEEN = 500  # tracks that are not in the picture, waiting to be seen again
_MOST_ENDED_IDS = 1000  # of which it is known that they had a track
_LEAST_SIDE, _FARTHEST = 1e-3, 1e6  # pixels
_LONGEST_ID = 256  # characters; what is longer is no id to go by
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
        self._tracks: Dict[int, Followed] = {}
        self._next_key = 0
        self._last_ns: Optional[int] = None
        self._ended: List[int] = []
        self._ended_ids: 'OrderedDict[str, int]' = OrderedDict()  # -> when it was seen last
        self._prefix = 'track-'
        self._ids = _IdTrust()

    @property
    def trusts_ids(self) -> bool:
        """Whether ids are gone by at the moment: not where they are seen to change while the objects stay."""
        return self.config.trust_ids and not self._ids.doubted

    def reset(self) -> None:
        """End all tracks; keys are not used again."""
        for track in list(self._tracks.values()):
            self._end(track)
        self._last_ns = None
        self._ended = []

    def ended(self) -> List[int]:
        """Keys of the tracks that ended since the last call, in that order; to be asked for with every frame."""
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
        given = [one.track_id if len(one.track_id) <= _LONGEST_ID else '' for one in detections]
        self._take_names([one.track_id for one in detections])
        sights = self._sights(detections, usable, given)
        candidates = []
        for track in self._tracks.values():
            age_s = (time_ns - track.seen_ns) / 1e9
            candidates.append(Candidate(track, track.expected(age_s), age_s, track.seen_ns == self._last_ns))
        boxes = [sight.box for sight in sights]
        fit = overlaps(boxes, [one.expected for one in candidates])
        _one_for_each_id(sights, candidates, fit)
        pairs = pair(sights, candidates, fit, self.config.least_overlap, self._ids.only_places)
        shift = common_shift(sights, candidates, pairs)
        if any(shift):
            candidates = [one.moved(*shift) for one in candidates]
            fit = overlaps(boxes, [one.expected for one in candidates])
            pairs = pair(sights, candidates, fit, self.config.least_overlap, self._ids.only_places)
        self._ids.learn(given, sights, candidates, fit)
        known = {one.track.id: one.track for one in candidates if one.track.id}
        common = _common_velocity([one.track for one in candidates if one.fresh])
        found: Dict[int, Followed] = {}
        notes: Dict[int, str] = {}
        new: Set[int] = set()
        owners: Dict[str, int] = {}
        for row, sight in enumerate(sights):
            if row in pairs:
                track = candidates[pairs[row]].track
                _go_on(track, sight, time_ns)
            else:
                track, notes[sight.index] = self._begin(sight, known.get(sight.id), time_ns, went_back_s, common)
                new.add(track.key)
            found[sight.index] = track
            if sight.id:
                owners[sight.id] = track.key
        for track in self._tracks.values():
            # An id stands for one track: the one that it was given with last.
            if not self.trusts_ids or owners.get(track.id, track.key) != track.key:
                track.id = ''
        result = []
        for index, detection in enumerate(detections):
            if index in found:
                track = found[index]
                result.append(Track(track.key, track.id or f'{self._prefix}{track.key}', track.key in new,
                                    notes.get(index, '')))
            else:
                result.append(self._passing(bool(usable[index]) and _is_sound(detection.box)))
        self._limit_unseen(time_ns)
        self._last_ns = time_ns
        return result

    def _sights(self, detections: Sequence[Detection], usable: Sequence[bool], given: List[str]) -> List[Sight]:
        trusted = self.trusts_ids
        sights = []
        for index, one in enumerate(detections):
            if usable[index] and _is_sound(one.box):
                sights.append(Sight(index, given[index] if trusted else '', given[index], one.box, _label(one)))
                if len(sights) == MOST_FOLLOWED:
                    break
        # Ties are decided by what a detection is, never by its place in the array.
        return sorted(sights, key=_content)

    def _forget(self, time_ns: int) -> float:
        """End the tracks that are too old, all of them where time went back; by how many seconds it did."""
        back = self._last_ns is not None and time_ns < self._last_ns
        for track in list(self._tracks.values()):
            if back or time_ns - track.seen_ns > self.config.forget_after_s * 1e9:
                self._end(track)
        return (self._last_ns - time_ns) / 1e9 if self._last_ns is not None and back else 0.0

    def _end(self, track: Followed) -> None:
        del self._tracks[track.key]
        self._ended.append(track.key)
        if track.id:
            self._ended_ids[track.id] = track.seen_ns
            self._ended_ids.move_to_end(track.id)
            if len(self._ended_ids) > _MOST_ENDED_IDS:
                self._ended_ids.popitem(last=False)

    def _limit_unseen(self, time_ns: int) -> None:
        unseen = [track for track in self._tracks.values() if track.seen_ns != time_ns]
        if len(unseen) > _MOST_UNSEEN:
            for track in sorted(unseen, key=lambda track: track.seen_ns)[:-_MOST_UNSEEN]:
                self._end(track)

    def _begin(self, sight: Sight, former: Optional[Followed], time_ns: int, went_back_s: float,
               common: Tuple[float, float]) -> Tuple[Followed, str]:
        """A new track, and why there is one although its id is known; it moves as the others do, as far as is known."""
        note, velocity = sight.note, common
        if former is not None:
            seconds = (time_ns - former.seen_ns) / 1e9
            across, down = sight.box.x - former.box.x, sight.box.y - former.box.y
            note = f'id {sight.id} is somewhere else: {hypot(across, down):.0f} pixels away within {seconds:.2g} s'
            if seconds > 0:
                velocity = across / seconds, down / seconds
        elif sight.id in self._ended_ids:
            note = f'id {sight.id} came back after {(time_ns - self._ended_ids[sight.id]) / 1e9:.2g} s'
            if went_back_s:
                note = f'id {sight.id} begins anew: time went back by {went_back_s:.2g} s'
        track = Followed(self._next_key, sight.id, sight.given, sight.box, sight.label,
                         Motion.first(sight.box.x, sight.box.y, size(sight.box), *velocity), time_ns)
        self._tracks[track.key] = track
        self._next_key += 1
        self._ended_ids.pop(sight.id, None)
        return track, note

    def _passing(self, one_too_many: bool) -> Track:
        """A track that ends at once."""
        key = self._next_key
        self._next_key += 1
        self._ended.append(key)
        return Track(key, f'{self._prefix}{key}', True,
                     f'not followed: the frame has more than {MOST_FOLLOWED} objects' if one_too_many else '')

    def _take_names(self, given: Sequence[str]) -> None:
        """See to it that names of our own begin like none of the detector's ids."""
        while any(name.startswith(self._prefix) for name in given):
            self._prefix = f'track-{sha256(repr((self._prefix, sorted(given))).encode()).hexdigest()[:8]}-'


class _IdTrust:
    """Whether a detector's ids stay with objects, learned from boxes that hardly move.

    They do not where they are places in the array ('0', '1', '2' in its order) or are counted on with every frame.

    Attributes:
        doubted: ids are not to be gone by.
        only_places: every array so far had ids that may be places in the array.
    """

    def __init__(self) -> None:
        self.doubted = False
        self.only_places = True
        self._moved = 0.0  # the share of ids that are not where their objects are, over the last frames
        self._misfits = 0  # frames with such ids while they may be places

    def learn(self, given: List[str], sights: List[Sight], candidates: List[Candidate], fit: np.ndarray) -> None:
        """Take in a frame: all its ids, and what of it is followed, before the tracks go on."""
        if not any(given):
            return
        numbers = [str(number) for number in range(len(given) + 1)]
        if given != numbers[:-1] and given != numbers[1:]:
            self.only_places, self._misfits = False, 0
        if not sights or not candidates:
            return
        best = fit.argmax(axis=1)
        sure = (fit.argmax(axis=0)[best] == np.arange(len(sights))) & (fit.max(axis=1) >= RENUMBERED_OVERLAP)
        told = []
        for row in np.flatnonzero(sure).tolist():
            one, name = candidates[best[row]], sights[row].given
            if one.fresh and name and one.track.given:
                told.append(name != one.track.given)
        if told:
            self._moved += _DOUBT_PER_FRAME * (sum(told) / len(told) - self._moved)
            self._misfits += any(told)
        if self._moved > _DOUBTED or (self.only_places and self._misfits > 1):
            self.doubted = True
        elif self._moved < _TRUSTED_AGAIN and not self.only_places:
            self.doubted = False


def _go_on(track: Followed, sight: Sight, time_ns: int) -> None:
    seconds = (time_ns - track.seen_ns) / 1e9
    if seconds > 0:
        track.motion.seen(sight.box.x, sight.box.y, size(sight.box), seconds)
        track.sights += 1
    track.box, track.label, track.seen_ns = sight.box, sight.label, time_ns
    track.id, track.given = sight.id or track.id, sight.given or track.given


def _common_velocity(tracks: List[Followed]) -> Tuple[float, float]:
    """What most objects move by when the camera turns, in pixels/s: the median, where there are enough for one."""
    known = [(track.motion.vx, track.motion.vy) for track in tracks if track.sights >= YOUNG]
    if len(known) < ENOUGH_FOR_A_MEDIAN:
        return 0.0, 0.0
    vx, vy = np.median(np.array(known), axis=0).tolist()
    return vx, vy


def _one_for_each_id(sights: List[Sight], candidates: List[Candidate], fit: np.ndarray) -> None:
    """Of several sights with one id, the best fit to its track keeps it; without a track, the largest."""
    columns = {one.track.id: column for column, one in enumerate(candidates) if one.track.id}
    rows: Dict[str, List[int]] = {}
    for row, sight in enumerate(sights):
        if sight.id:
            rows.setdefault(sight.id, []).append(row)
    for name, same in rows.items():
        if len(same) > 1:
            column = columns.get(name)
            best = max(same, key=lambda row: (fit[row, column] if column is not None else 0.0,
                                              size(sights[row].box), -row))
            for row in same:
                if row != best:
                    sights[row].id = ''
                    sights[row].note = f'id {name} was given to {len(same)} objects of this frame'


def _label(detection: Detection) -> str:
    """The class that the detector holds for the likeliest, as far as it says."""
    best = max(detection.hypotheses, key=lambda one: one.score if isfinite(one.score) else -1.0, default=None)
    return best.class_id[:_LONGEST_ID] if best else ''


def _content(sight: Sight) -> Tuple[Tuple[float, ...], str, str]:
    box = sight.box
    return (box.x, box.y, box.width, box.height, box.theta), sight.given, sight.label


def _is_sound(box: Box) -> bool:
    """Whether the numbers are some to compute with; what is NaN is not."""
    return (abs(box.x) <= _FARTHEST and abs(box.y) <= _FARTHEST and abs(box.theta) <= _FARTHEST
            and _LEAST_SIDE <= box.width <= _FARTHEST and _LEAST_SIDE <= box.height <= _FARTHEST)
