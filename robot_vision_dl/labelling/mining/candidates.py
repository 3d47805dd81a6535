"""How much an interval is doubted, and why, in words."""
from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from ...core.types import UNKNOWN
from ...data.labels.labels import IGNORE
from ..events import UNSURE
from ..label_errors import label_doubts
from .intervals import Interval

_MOSTLY = 0.5
_FLICKERS = 2
_NO_CLASS = (UNKNOWN, IGNORE, UNSURE, '')


@dataclass(frozen=True)
class LabelVerdict:
    """What a cross-validated model says of a given label.

    Attributes:
        is_wrong: likely.
        confidence: probability of the label, in [0, 1].
        suggested: what it says instead, and how probable that is.
    """

    is_wrong: bool
    confidence: float
    suggested: Tuple[str, float]


@dataclass(frozen=True)
class Doubt:
    """What an interval is in the queue for.

    Attributes:
        reason: the strongest, one of :data:`~..queue_file.REASONS`, ``random`` excepted.
        doubt: in [0, 1].
        explanation: for people.
        proposals: names and the model's probabilities, the most probable first; ``unknown`` before them with its share
            of the frames where most were decided so.
    """

    reason: str
    doubt: float
    explanation: str
    proposals: Tuple[Tuple[str, float], ...]


def doubt_of(interval: Interval, class_names: Sequence[str], label: Optional[LabelVerdict] = None,
             exchanged: bool = False) -> Doubt:
    """How much an interval is doubted: 1 - (1 - m)(1 - s)(1 - f)(1 - w).

    - m, uncertain: 1 less the margin between the two most probable classes, of the mean probabilities. What is another
      class from frame to frame has a small margin, too.
    - s, unknown: the mean surprise, see :class:`~.intervals.Interval`.
    - f, flickering: changes of the decision, by how many there could be.
    - w, likely wrong label: 1 less the probability that a model gives it that has not seen the recording; 0 where it is
      not likely wrong.

    What a camera with a fault shows is not doubted: there is nothing to label.

    Args:
        exchanged: whether red and blue are exchanged in most pictures of its camera in its recording. One picture that
            looks like it is no fault: sound ones do, too.
    """
    names = tuple((class_names[place], p) for place, p in interval.top)
    n = interval.frames
    if interval.faults * 2 > n:
        return Doubt('camera_fault', 0.0, f'camera: {interval.fault}', names)
    if exchanged:
        return Doubt('camera_fault', 0.0, 'camera: in most of its pictures red and blue look exchanged', names)
    margin = names[0][1] - names[1][1] if len(names) > 1 else 1.0
    flicker = interval.changes / (n - 1) if n > 1 else 0.0
    wrong = 1 - label.confidence if label is not None and label.is_wrong else 0.0
    doubt = 1 - max(0.0, margin) * (1 - min(1.0, interval.surprise)) * (1 - flicker) * (1 - wrong)
    reasons: Dict[str, str] = {}
    first = ' or '.join(f'{name} {_two(p)}' for name, p in names[:2])
    p_value = '' if interval.ood_p != interval.ood_p else f', p-value {interval.ood_p:.3f} on average'
    if interval.unknown >= _MOSTLY * n:
        reasons['unknown'] = f'unlike anything in training{_share(interval.unknown, n)}{p_value}'
        names = ((UNKNOWN, round(interval.unknown / n, 6)), *names)
    elif interval.surprise >= _MOSTLY:
        reasons['unknown'] = f'hardly like anything in training{p_value}'
        if interval.uncertain < _MOSTLY * n:
            reasons['unknown'] += f'; else {first}'
    if interval.uncertain >= _MOSTLY * n:
        reasons['uncertain'] = f'{first}{_share(interval.uncertain, n)}'
    elif margin < _MOSTLY and 'unknown' not in reasons:
        reasons['uncertain'] = first
    if interval.changes >= _FLICKERS:
        runs = ', '.join(interval.runs) + (', ...' if interval.changes >= len(interval.runs) else '')
        reasons['flickering'] = f'the decision changes {interval.changes} times in {n} frames: {runs}'
    if wrong and label is not None:
        # It comes first: what is labelled already is in the queue for this.
        name, p = label.suggested
        reasons = {'label': f'labelled {interval.given}; models that have not seen this recording say {name} {_two(p)} '
                   f'and {interval.given} {_two(label.confidence)}', **reasons}
    words = list(reasons.values()) or [f'{names[0][0]} {_two(names[0][1])}']
    if interval.exchanged:
        words.append(f'red and blue look exchanged{_share(interval.exchanged, n)}')
    return Doubt(next(iter(reasons), 'sure'), round(doubt, 6), '; '.join(words), names)


def label_verdicts(features: np.ndarray, given: Sequence[str], recordings: np.ndarray, class_names: Sequence[str],
                   seed: int) -> Tuple[Dict[int, LabelVerdict], Tuple[str, ...]]:
    """What cross-validated models say of the labels that there are, by interval; and what cannot be judged, in words.

    Args:
        features: float (n, F).
        given: n labels, empty where there is none.
        recordings: n numbers; a model that judges one has not seen it.
        class_names: of the model; labels may have others.
    """
    places = np.array([place for place, label in enumerate(given) if label not in _NO_CLASS], np.int64)
    if not len(places):
        return {}, ()
    labels = [given[place] for place in places.tolist()]
    names = [*(name for name in class_names if name in set(labels)), *sorted(set(labels) - set(class_names))]
    found = label_doubts(features[places], labels, recordings[places], names, seed)
    verdicts: Dict[int, LabelVerdict] = {}
    for row, place in enumerate(places.tolist()):
        confidence = float(found.self_confidence[row])
        if confidence == confidence:
            best = int(found.suggested[row])
            verdicts[place] = LabelVerdict(bool(found.likely_wrong[row]) and names[best] != labels[row], confidence,
                                           (names[best], float(found.probabilities[row, best])))
    return verdicts, found.notes


def _share(part: int, n: int) -> str:
    return '' if part == n else f' in {part} of {n} frames'


def _two(p: float) -> str:
    return f'{p:.2f}'.lstrip('0') if p < 1 else '1.00'
