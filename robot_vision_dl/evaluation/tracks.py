"""Tracks: one object before a camera, from when it comes into view until it leaves; and what time does to decisions.

Where labels name no tracks, a stretch of frames with the same label, without a gap, counts as one. A gap is longer than
the belief waits, and than frames of this camera are usually apart: one that gives a frame every two seconds sees its
objects for as long as another.
"""
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from .picture_messages import TOPIC as PICTURES
from .table import ACCEPTED, NO_LABEL, UNKNOWN_TARGET, FrameTable, acted_on_wrongly, decided

NS_PER_S = 1e9
_USUAL = 2.5
"""So many times further apart than usual, frames are of different stretches."""


@dataclass(frozen=True)
class Track:
    """One object before a camera.

    Attributes:
        name: unique within the table.
        places: its rows, in order.
        target: index of its class, or -1 for ``unknown``.
        majority: the class that its frames, fused, are called most often; the earlier one of equals.
        acted: frames that were acted on; of these ``acted_right``.
        first_right_s, first_acted_s: seconds from its first frame to the first that was acted on, rightly or at all;
            NaN where none was.
    """

    name: str
    places: np.ndarray
    target: int
    majority: int
    acted: int
    acted_right: int
    first_right_s: float
    first_acted_s: float

    @property
    def right(self) -> bool:
        """Whether most of its frames are called by its name."""
        return self.majority == self.target


def track_places(table: FrameTable, gap_s: float) -> List[Tuple[str, np.ndarray]]:
    """(name, rows) of each track of labelled frames, in the order of their first rows."""
    found: Dict[Tuple[str, int, str, int], List[np.ndarray]] = {}
    for places in table.sequences():
        rows = table.at(places)
        named = rows['track'] >= 0
        new = np.ones(len(rows), bool)
        new[1:] = ((rows['target'][1:] != rows['target'][:-1]) | named[:-1]
                   | (np.abs(np.diff(rows['stamp_ns'])) > _longest_step_ns(table, rows, gap_s)))
        # The same object may be in view of several cameras: each sees a track of its own.
        codes = np.where(named, rows['track'].astype(np.int64) * (len(table.class_names) + 1) + rows['target'] + 1,
                         -np.cumsum(new))
        labelled = np.flatnonzero(rows['target'] != NO_LABEL)
        order = labelled[np.argsort(codes[labelled], kind='stable')]
        if not len(order):
            continue
        where = f'{table.recordings[int(rows["recording"][0])]}{table.topics[int(rows["topic"][0])]}'
        for part in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
            row = rows[part[0]]
            track, target, number = int(row['track']), int(row['target']), int(row['object'])
            if track >= 0:  # which the labels know, whatever numbers its object was followed under
                key = (where, track, f'{where} {table.tracks[track]}', target)
            else:
                which = '' if number < 0 else f' of object {number}'
                name = f'{where} {table.label(target)} {int(row["index"])}{which}'
                key = (where, -1, name, target)
            found.setdefault(key, []).append(places[part])
    tracks = [(name, np.sort(np.concatenate(parts)) if len(parts) > 1 else parts[0])
              for (_, _, name, _), parts in found.items()]
    return sorted(tracks, key=lambda item: item[1][0])


def _longest_step_ns(table: FrameTable, rows: np.ndarray, gap_s: float) -> float:
    """How far apart frames of one stretch may be, of a sequence: ``gap_s``, or more where the camera is slow.

    Pictures of folders have no times, and each is by itself.
    """
    own = gap_s * NS_PER_S
    steps = np.diff(rows['stamp_ns'])
    steps = steps[steps > 0]
    if not len(steps) or table.topics[int(rows['topic'][0])] == PICTURES:
        return own
    return max(own, _USUAL * float(np.median(steps)))


def tracks_of(table: FrameTable, gap_s: float) -> List[Track]:
    """All tracks of a table; ``gap_s``: frames this near are of one stretch."""
    result = []
    for name, places in track_places(table, gap_s):
        rows = table.at(places)
        target = int(rows['target'][0])
        classes, first, counts = np.unique(rows['fused_predicted'], return_index=True, return_counts=True)
        majority = int(classes[np.lexsort((first, -counts))[0]])
        if target == UNKNOWN_TARGET and (rows['outcome'] == 2).sum() * 2 >= len(rows):
            majority = UNKNOWN_TARGET
        acted = rows['outcome'] == ACCEPTED
        right = acted & (rows['fused_predicted'] == target)
        result.append(Track(name, places, target, majority, int(acted.sum()), int(right.sum()),
                            _first_s(rows['stamp_ns'], right), _first_s(rows['stamp_ns'], acted)))
    return result


def _first_s(stamps: np.ndarray, mask: np.ndarray) -> float:
    return float((stamps[int(np.argmax(mask))] - stamps[0]) / NS_PER_S) if mask.any() else float('nan')


@dataclass(frozen=True)
class Steadiness:
    """How decisions follow each other.

    Attributes:
        seconds: watched, without gaps.
        changes: how often the decision became another one.
        recoveries_s: how long each stretch of wrong labels that were acted on lasted, from its first frame to the
            first that was not wrong; stretches that the recording ends are measured to its end.
    """

    seconds: float
    changes: int
    recoveries_s: np.ndarray

    @property
    def changes_per_s(self) -> float:
        """NaN where nothing was watched."""
        return self.changes / self.seconds if self.seconds > 0 else float('nan')


def steadiness(table: FrameTable, gap_s: float) -> Steadiness:
    """Changes and recoveries over all cameras, or objects that they follow; across gaps none.

    ``gap_s``: longer steps are gaps, but for a camera that is as slow; as in :func:`track_places`.
    """
    seconds, changes, recoveries = 0.0, 0, []
    for places in table.sequences():
        rows = table.at(places)
        steps_s = np.diff(rows['stamp_ns']) / NS_PER_S
        near = _near(table, rows, gap_s)
        seconds += float(steps_s[near].sum())
        said = decided(rows)
        changes += int(((said[1:] != said[:-1]) & near).sum())
        wrong = acted_on_wrongly(rows)
        begin, stamps = None, rows['stamp_ns']
        for place in _turns(wrong, near):
            if begin is not None:
                last = place if near[place - 1] else place - 1
                recoveries.append((stamps[last] - stamps[begin]) / NS_PER_S)
            begin = place if wrong[place] else None
        if begin is not None:
            recoveries.append((stamps[-1] - stamps[begin]) / NS_PER_S)
    return Steadiness(seconds, changes, np.array(recoveries, np.float64))


def _turns(wrong: np.ndarray, near: np.ndarray) -> List[int]:
    """Places at which a stretch of wrong frames begins or ends, or one is cut by a gap."""
    turns = np.zeros(len(wrong), bool)
    turns[:1] = wrong[:1]
    turns[1:] = (wrong[1:] != wrong[:-1]) | (wrong[1:] & ~near)
    return np.flatnonzero(turns).tolist()


def _near(table: FrameTable, rows: np.ndarray, gap_s: float) -> np.ndarray:
    """Whether each frame of a sequence but the first follows the one before without a gap, bool (n - 1,)."""
    steps = np.diff(rows['stamp_ns'])
    if table.topics[int(rows['topic'][0])] == PICTURES:
        return np.zeros(len(steps), bool)
    near: np.ndarray = (steps >= 0) & (steps <= _longest_step_ns(table, rows, gap_s))
    return near


def watched_s(table: FrameTable, gap_s: float) -> np.ndarray:
    """Seconds that each frame stands for, float64 (n,): until the next of its sequence, or one usual step at a gap.

    0 for frames without time: pictures of folders, and those of a sequence in which none follows another.
    """
    seconds = np.zeros(len(table))
    for places in table.sequences():
        rows = table.at(places)
        steps = np.diff(rows['stamp_ns']) / NS_PER_S
        near = _near(table, rows, gap_s)
        usual = float(np.median(steps[near])) if near.any() else 0.0
        seconds[places] = np.append(np.where(near, steps, usual), usual)
    return seconds


def timed(table: FrameTable, gap_s: float) -> np.ndarray:
    """Which frames are of a sequence that has time, bool (n,): errors of others are none an hour.

    By the sequence, since a frame alone may last no time: where the next has the same stamp.
    """
    found = np.zeros(len(table), bool)
    for places in table.sequences():
        rows = table.at(places)
        found[places] = bool((_near(table, rows, gap_s) & (np.diff(rows['stamp_ns']) > 0)).any())
    return found


def error_starts(table: FrameTable, gap_s: float) -> np.ndarray:
    """Where a wrong label begins to be acted on, bool (n,): one error, however many frames of one object it lasts."""
    starts = np.zeros(len(table), bool)
    for places in table.sequences():
        rows = table.at(places)
        wrong = acted_on_wrongly(rows)
        goes_on = np.zeros(len(rows), bool)
        same = _near(table, rows, gap_s)
        for column in ('fused_predicted', 'target', 'track'):
            same &= rows[column][1:] == rows[column][:-1]
        goes_on[1:] = wrong[:-1] & same
        starts[places] = wrong & ~goes_on
    return starts
