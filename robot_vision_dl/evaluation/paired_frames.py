"""Frames that two models decided, whatever classes each has, side by side; and sums over their recordings.

Frames of a class that only one of them has are left out of what is said of right answers, and count where a decision
can be right or wrong for both: a model that does not know a class is right about it when it says unknown, and wrong
when it acts.
"""
from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from ..core.errors import DataError
from ..core.metrics.proper_scores import log_probability
from .table import ACCEPTED, NO_LABEL, OUT_OF_DISTRIBUTION, UNKNOWN_TARGET, FrameTable

OLD, NEW = 'old', 'new'
_NOT_ACTED = -3


class PairedFrames(NamedTuple):
    """Frames that both models decided and that are labelled, n rows that are the same frames in both.

    Attributes:
        old, new: rows of :data:`.table.ROW`.
        truth: number of the label in ``names``, int64 (n,); :data:`.table.UNKNOWN_TARGET` for none of the classes.
        said: by model, what it answered for the frame alone, in numbers of ``names``.
        acted: by model, what was acted on; less than 0: it was not.
        both: frames of a class that both have, bool (n,).
        group: number of the recording of each frame, from 0.
        groups: how many recordings.
        names: classes of both.
    """

    old: np.ndarray
    new: np.ndarray
    truth: np.ndarray
    said: Dict[str, np.ndarray]
    acted: Dict[str, np.ndarray]
    both: np.ndarray
    group: np.ndarray
    groups: int
    names: Tuple[str, ...]

    def rows(self, model: str) -> np.ndarray:
        """Rows of a model."""
        return self.old if model == OLD else self.new


def paired_frames(old: FrameTable, new: FrameTable) -> PairedFrames:
    """Put the rows of two models side by side.

    Raises:
        DataError: there is no labelled frame that both decided.
    """
    old_rows, new_rows = _paired(old, new)
    names = tuple(dict.fromkeys((*old.class_names, *new.class_names)))
    number = {name: place for place, name in enumerate(names)}
    own = {OLD: np.array([number[name] for name in old.class_names]),
           NEW: np.array([number[name] for name in new.class_names])}
    rows = {OLD: old_rows, NEW: new_rows}
    truth = np.full(len(old_rows), UNKNOWN_TARGET)
    for model in (OLD, NEW):
        known = rows[model]['target'] >= 0
        truth[known] = own[model][rows[model]['target'][known]]
    is_labelled = (old_rows['target'] != NO_LABEL) & (new_rows['target'] != NO_LABEL)
    if not is_labelled.any():
        raise DataError('no frame of the frozen recordings is labelled and was decided by both models, so they cannot '
                        'be compared; label the frozen recordings (labels.yaml beside each)')
    rows = {model: found[is_labelled] for model, found in rows.items()}
    truth = truth[is_labelled]
    recordings, group = np.unique(rows[OLD]['recording'], return_inverse=True)
    in_both = np.isin(np.arange(len(names)), own[OLD]) & np.isin(np.arange(len(names)), own[NEW])
    said = {model: own[model][rows[model]['predicted']] for model in rows}
    acted = {model: np.where(found['outcome'] == ACCEPTED, own[model][found['fused_predicted']], _NOT_ACTED)
             for model, found in rows.items()}
    return PairedFrames(rows[OLD], rows[NEW], truth, said, acted, (truth >= 0) & in_both[np.maximum(truth, 0)],
                        group.reshape(-1), len(recordings), names)


def _paired(old: FrameTable, new: FrameTable) -> Tuple[np.ndarray, np.ndarray]:
    """Rows of the frames that both decided, in the same order."""
    columns = ('recording', 'topic', 'index', 'object')

    def keys(table: FrameTable) -> List[Tuple[str, str, int, int]]:
        return [(table.recordings[a], table.topics[b], c, d)
                for a, b, c, d in zip(*(table[name].tolist() for name in columns))]
    if (old.recordings, old.topics, len(old)) == (new.recordings, new.topics, len(new)) and all(
            (old[name] == new[name]).all() for name in columns):
        return old.rows, new.rows
    first, second = keys(old), keys(new)
    there = {key: place for place, key in enumerate(second)}
    pairs = [(place, there[key]) for place, key in enumerate(first) if key in there]
    places = np.array(pairs, np.int64).reshape(-1, 2)
    return old.rows[places[:, 0]], new.rows[places[:, 1]]


Sums = Tuple[np.ndarray, np.ndarray]
"""What is above and below the line of a figure, float64 (recordings, columns)."""


def _summed(frames: PairedFrames, values: np.ndarray) -> np.ndarray:
    return np.bincount(frames.group, values.astype(np.float64), frames.groups)[:, None]


def _share(is_above: Callable[[PairedFrames, str], np.ndarray], is_below: Callable[[PairedFrames], np.ndarray]
           ) -> Callable[[PairedFrames, str], Sums]:
    def sums(frames: PairedFrames, model: str) -> Sums:
        below = is_below(frames)
        return _summed(frames, is_above(frames, model) * below), _summed(frames, below)
    return sums


def _recall(frames: PairedFrames, model: str) -> Sums:
    """One column a class that both have."""
    classes = np.unique(frames.truth[frames.both])
    right = frames.said[model] == frames.truth
    columns = [(_summed(frames, right & (frames.truth == one)), _summed(frames, frames.truth == one))
               for one in classes.tolist()] or [(np.zeros((frames.groups, 1)), np.zeros((frames.groups, 1)))]
    return np.hstack([above for above, _ in columns]), np.hstack([below for _, below in columns])


def least_ratio(weights: np.ndarray, above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The least ratio of the columns of each draw, (n,); NaN where there is none."""
    with np.errstate(invalid='ignore', divide='ignore'):
        ratios = (weights @ above) / (weights @ below)
    none = ~np.isfinite(ratios)
    found: np.ndarray = np.where(none.all(axis=1), np.nan, np.where(none, np.inf, ratios).min(axis=1))
    return found


def _decided_right(frames: PairedFrames, model: str) -> np.ndarray:
    rows = frames.rows(model)
    right: np.ndarray = np.where(rows['target'] >= 0, frames.acted[model] == frames.truth,
                                 rows['outcome'] == OUT_OF_DISTRIBUTION)
    return right


def _labelled(frames: PairedFrames) -> np.ndarray:
    return np.ones(len(frames.truth), bool)


SUMS: Dict[str, Callable[[PairedFrames, str], Sums]] = {
    'accuracy': _share(lambda f, m: f.said[m] == f.truth, lambda f: f.both),
    'worst_recall': _recall,
    'nll': _share(lambda f, m: np.nan_to_num(-log_probability(f.rows(m)['p_target'])), lambda f: f.both),
    'decided_right': _share(_decided_right, _labelled),
    'acted_wrong': _share(lambda f, m: (f.acted[m] >= 0) & (f.acted[m] != f.truth), _labelled),
    'foreign_accepted': _share(lambda f, m: f.acted[m] >= 0, lambda f: f.truth == UNKNOWN_TARGET),
    'false_unknown': _share(lambda f, m: f.rows(m)['outcome'] == OUT_OF_DISTRIBUTION, lambda f: f.both),
}
"""By figure of :data:`.no_worse.FIGURES`: its sums for a model."""
