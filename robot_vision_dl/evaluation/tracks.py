"""Tracks: one object before a camera, from when it comes into view until it leaves; and what time does to decisions.

Where labels name no tracks, a stretch of frames with the same label, without a gap, counts as one.
"""
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

from .table import ACCEPTED, NO_LABEL, UNKNOWN_TARGET, FrameTable

NS_PER_S = 1e9


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
    found: Dict[Tuple, List[int]] = {}
    for places in table.cameras():
        rows = table.rows[places]
        named = rows['track'] >= 0
        new = np.ones(len(rows), bool)
        new[1:] = ((rows['target'][1:] != rows['target'][:-1]) | named[:-1]
                   | (np.abs(np.diff(rows['stamp_ns'])) > gap_s * NS_PER_S))
        stretch = np.cumsum(new)
        recording, topic = int(rows['recording'][0]), int(rows['topic'][0])
        for place, row, number in zip(places.tolist(), rows, stretch.tolist()):
            if row['target'] == NO_LABEL:
                continue
            # The same object may be in view of several cameras: each sees a track of its own.
            key = (recording, topic, int(row['track']), int(row['target'])) if row['track'] >= 0 else (
                recording, topic, 'stretch', number)
            found.setdefault(key, []).append(place)
    named_tracks = []
    for (recording, topic, *which), places in found.items():
        where = f'{table.recordings[recording]}{table.topics[topic]}'
        label = table.label(int(table.rows['target'][places[0]]))
        own = table.tracks[which[0]] if which[0] != 'stretch' else f'{label} {int(table.rows["index"][places[0]])}'
        named_tracks.append((f'{where} {own}', np.array(places)))
    return sorted(named_tracks, key=lambda item: item[1][0])


def tracks_of(table: FrameTable, gap_s: float) -> List[Track]:
    """All tracks of a table; ``gap_s``: frames further apart than this are of different stretches."""
    result = []
    for name, places in track_places(table, gap_s):
        rows = table.rows[places]
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
    """Changes and recoveries over all cameras; across gaps longer than ``gap_s`` nothing is counted."""
    seconds, changes, recoveries = 0.0, 0, []
    for places in table.cameras():
        rows = table.rows[places]
        steps_s = np.diff(rows['stamp_ns']) / NS_PER_S
        near = (steps_s >= 0) & (steps_s <= gap_s)
        seconds += float(steps_s[near].sum())
        said = np.where(rows['outcome'] == ACCEPTED, rows['fused_predicted'], -rows['outcome'].astype(np.int64))
        changes += int(((said[1:] != said[:-1]) & near).sum())
        wrong = (rows['outcome'] == ACCEPTED) & (rows['target'] != NO_LABEL) & (
            rows['fused_predicted'] != rows['target'])
        begin = None
        for place in range(len(rows)):
            if wrong[place] and begin is None:
                begin = place
            ends = begin is not None and (not wrong[place] or (place > begin and not near[place - 1]))
            if ends:
                last = place if near[place - 1] else place - 1
                recoveries.append((rows['stamp_ns'][last] - rows['stamp_ns'][begin]) / NS_PER_S)
                begin = place if wrong[place] else None
        if begin is not None:
            recoveries.append((rows['stamp_ns'][-1] - rows['stamp_ns'][begin]) / NS_PER_S)
    return Steadiness(seconds, changes, np.array(recoveries, np.float64))
