"""One row a decided frame: what was known about it and what a model said; some hundred bytes, whatever C is."""
from dataclasses import dataclass, replace
from typing import Dict, Iterable, List, Sequence, Tuple, Union

import numpy as np

from ..core.types import UNKNOWN, CameraFault, Outcome, Result

UNKNOWN_TARGET = -1
"""Target of a frame that is labelled ``unknown``: none of the classes."""
NO_LABEL = -2
"""Target of a frame of which nobody says what it is."""
OUTCOMES = (Outcome.ACCEPTED, Outcome.UNCERTAIN, Outcome.UNKNOWN)
CAMERA_FAULTS = tuple(CameraFault)
ACCEPTED, UNCERTAIN, OUT_OF_DISTRIBUTION = range(3)
"""Values of the column ``outcome``; OUT_OF_DISTRIBUTION is the outcome ``unknown``."""
SAID_UNKNOWN, SAID_UNCERTAIN = UNKNOWN_TARGET, -2
"""What :func:`decided` gives where it is no class."""

ROW = np.dtype([
    ('recording', 'i4'), ('topic', 'i4'), ('track', 'i4'),  # places in the table's lists; track -1: none
    ('object', 'i4'), ('index', 'i4'), ('stamp_ns', 'i8'), ('receive_ns', 'i8'), ('target', 'i4'),
    # of this frame alone
    ('predicted', 'i4'), ('confidence', 'f8'), ('p_target', 'f8'), ('square', 'f8'), ('rank', 'i4'),
    ('entropy', 'f8'), ('ood_score', 'f8'), ('ood_p', 'f8'), ('set_size', 'i4'), ('set_hit', 'i1'),
    # fused over time
    ('fused_predicted', 'i4'), ('fused_confidence', 'f8'), ('fused_p_target', 'f8'), ('fused_square', 'f8'),
    ('fused_rank', 'i4'),
    ('outcome', 'i1'), ('trust', 'f8'), ('camera_fault', 'i1'),
])
"""Columns.

``object`` is the number of an object that is followed through the images of its topic, -1 where whole pictures are
judged; ``index`` that of the image message.
``square`` is the sum of the squared probabilities, which with ``p_target`` gives the Brier score; ``rank`` is the place
of the target among the classes, 0 the most probable, -1 without a target; ``set_size`` 0: no conformal set; ``trust``
is the confidence of the decision; ``camera_fault`` is the place in :data:`CAMERA_FAULTS`, -1 for none. Numbers that do
not exist are NaN.
"""
_BLOCK = 4096


@dataclass(frozen=True)
class FrameTable:
    """Rows of one model, in the order in which they were decided.

    Attributes:
        rows: structured array (n,) of :data:`ROW`.
        recordings, topics, tracks: names behind the columns of these names.
        class_names: C names behind targets and predictions.
    """

    rows: np.ndarray
    recordings: Tuple[str, ...]
    topics: Tuple[str, ...]
    tracks: Tuple[str, ...]
    class_names: Tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.rows[column]

    def where(self, mask: np.ndarray) -> 'FrameTable':
        """The rows for which ``mask`` holds."""
        return FrameTable(self.rows[mask], self.recordings, self.topics, self.tracks, self.class_names)

    def at(self, places: np.ndarray) -> np.ndarray:
        """Rows at ascending places; without a copy where they follow each other, as those of an only camera do."""
        if len(places) and places[-1] - places[0] + 1 == len(places):
            return self.rows[places[0]:places[-1] + 1]
        return self.rows[places]

    @property
    def known(self) -> np.ndarray:
        """Frames labelled with a class; bool (n,)."""
        return self.rows['target'] >= 0

    @property
    def unknown(self) -> np.ndarray:
        """Frames labelled ``unknown``; bool (n,)."""
        return self.rows['target'] == UNKNOWN_TARGET

    def seconds(self) -> np.ndarray:
        """When each frame was, in seconds from the first decided one of its recording, float64 (n,)."""
        stamps, codes = self.rows['stamp_ns'], self.rows['recording']
        first = np.full(len(self.recordings) or 1, np.iinfo(np.int64).max)
        np.minimum.at(first, codes, stamps)
        return (stamps - first[codes]) / 1e9

    def label(self, target: int) -> str:
        """A class name, ``unknown``, or nothing."""
        return self.class_names[target] if target >= 0 else UNKNOWN if target == UNKNOWN_TARGET else ''

    def cameras(self) -> List[np.ndarray]:
        """Places of the rows of each (recording, topic), in the order of their first rows."""
        return self._grouped(self.rows['recording'].astype(np.int64) * max(1, len(self.topics)) + self.rows['topic'])

    def sequences(self) -> List[np.ndarray]:
        """Places of rows that follow each other: of a camera, or of each object that is followed by one."""
        if not len(self) or (self.rows['object'] < 0).all():
            return self.cameras()
        columns = np.stack([self.rows[column] for column in ('recording', 'topic', 'object')])
        return self._grouped(np.unique(columns, axis=1, return_inverse=True)[1].reshape(-1))

    def _grouped(self, codes: np.ndarray) -> List[np.ndarray]:
        if not len(self):
            return []
        order = np.argsort(codes, kind='stable')
        cuts = np.flatnonzero(np.diff(codes[order])) + 1
        return sorted(np.split(order, cuts), key=lambda places: places[0])


def sureness(rows: Union[np.ndarray, 'Columns']) -> np.ndarray:
    """What decisions let frames through by, float64 (n,): the belief, and what is called unknown after all else."""
    return rows['fused_confidence'] - 2.0 * (rows['outcome'] == OUT_OF_DISTRIBUTION)


def join(tables: Sequence[FrameTable], class_names: Tuple[str, ...]) -> FrameTable:
    """One table of several, one after another; tracks of different recordings stay apart.

    An only table is given back as it is: the rows of a long recording are not held twice.
    """
    if len(tables) == 1:
        return replace(tables[0], class_names=class_names)
    recordings, topics = _Names(), _Names()
    tracks: List[str] = []
    joined, begin = np.zeros(sum(map(len, tables)), ROW), 0
    for table in tables:
        rows = joined[begin:begin + len(table)]
        rows[:] = table.rows
        rows['recording'] = recordings.codes(table.recordings)[rows['recording']]
        rows['topic'] = topics.codes(table.topics)[rows['topic']]
        rows['track'] = np.where(rows['track'] >= 0, rows['track'] + len(tracks), -1)
        tracks += table.tracks
        begin += len(table)
    return FrameTable(joined, tuple(recordings.names), tuple(topics.names), tuple(tracks), class_names)


class Columns:
    """The columns of some rows: like ``rows[mask]``, but only the columns that are asked for are ever copied."""

    def __init__(self, rows: np.ndarray, mask: np.ndarray) -> None:
        self._rows, self._mask = rows, None if mask.all() else mask

    def __getitem__(self, column: str) -> np.ndarray:
        values = self._rows[column]
        return values if self._mask is None else values[self._mask]

    def __len__(self) -> int:
        return len(self._rows) if self._mask is None else int(self._mask.sum())


class _Names:
    def __init__(self) -> None:
        self.names: Dict[str, int] = {}

    def code(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def codes(self, names: Iterable[str]) -> np.ndarray:
        return np.array([self.code(name) for name in names] or [0], np.int32)


class TableWriter:
    """Takes the results of one recording as they come."""

    def __init__(self, recording: str, class_names: Tuple[str, ...]) -> None:
        self._recording = recording
        self._class_names = class_names
        self._topics, self._tracks = _Names(), _Names()
        self._rows = np.zeros(0, ROW)
        self._used = 0

    def add(self, result: Result, topic: str, index: int, target: int, track: str, number: int = -1) -> np.void:
        """Add a decided frame and return a copy of its row.

        ``track`` is empty where nobody says; ``number`` is that of an object, -1 for a whole picture.
        """
        if self._used == len(self._rows):
            self._resize(self._used + _BLOCK)
        assessment, decision, frame = result.assessment, result.decision, result.frame
        ood, members = assessment.ood, assessment.conformal_set
        self._rows[self._used] = (
            0, self._topics.code(topic), self._tracks.code(track) if track else -1, number, index,
            frame.time_ns, frame.received_ns, target,
            *_said(assessment.probabilities, target),
            assessment.predictive_entropy, np.nan if ood is None else ood.score,
            np.nan if ood is None or ood.p_value is None else ood.p_value,
            0 if members is None else len(members), -1 if members is None or target < 0 else target in members,
            *_said(result.posterior, target), OUTCOMES.index(decision.outcome), decision.confidence,
            -1 if result.camera is None or result.camera.fault is None else CAMERA_FAULTS.index(result.camera.fault))
        self._used += 1
        return self._rows[self._used - 1].copy()

    def amend(self, **columns: object) -> None:
        """Put other values into columns of the row that was added last."""
        for column, value in columns.items():
            self._rows[column][self._used - 1] = value

    def table(self) -> FrameTable:
        """Everything that was added; nothing more can be."""
        self._resize(self._used)
        return FrameTable(self._rows, (self._recording,), tuple(self._topics.names), tuple(self._tracks.names),
                          self._class_names)

    def _resize(self, length: int) -> None:
        # In place: the operating system moves the pages, so the rows are never held twice. Nobody else holds them yet.
        self._rows.resize(length, refcheck=False)


def _said(p: np.ndarray, target: int) -> Tuple[int, float, float, float, int]:
    """Best class, its probability, that of the target, sum of squares, rank of the target."""
    best = int(p.argmax())
    square = float(np.dot(p, p))
    if target < 0:
        return best, float(p[best]), np.nan, square, -1
    own = p[target]
    rank = int((p > own).sum()) + int((p[:target] == own).sum())
    return best, float(p[best]), float(own), square, rank


def decided(rows: Union[np.ndarray, np.void]) -> np.ndarray:
    """What was decided of each row, int64 (n,): a class, :data:`SAID_UNKNOWN` or :data:`SAID_UNCERTAIN`."""
    no_class = np.where(rows['outcome'] == OUT_OF_DISTRIBUTION, SAID_UNKNOWN, SAID_UNCERTAIN)
    return np.where(rows['outcome'] == ACCEPTED, rows['fused_predicted'], no_class).astype(np.int64)


def acted_on_wrongly(rows: np.ndarray) -> np.ndarray:
    """Whether a label was accepted that is not the one that the row has, bool (n,)."""
    return (rows['outcome'] == ACCEPTED) & (rows['target'] != NO_LABEL) & (rows['fused_predicted'] != rows['target'])
