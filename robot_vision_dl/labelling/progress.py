"""How good the labels are, and whether more of them are likely to help."""
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from ..core.metrics.classification import wilson_interval
from .events import IGNORE, UNSURE, Event
from .learning_curve import LearningCurve
from .state import State

_PAUSE_MS = 30_000
_RECENT_MS = 600_000
_FEW = 5
ENOUGH_GAIN = .01
"""A gain of accuracy by twice as many labels that is not worth them."""


@dataclass(frozen=True)
class Share:
    """How many of n are right.

    Attributes:
        n: how many were looked at.
        right: how many of these.
    """

    n: int
    right: int

    @property
    def rate(self) -> Optional[float]:
        """In [0, 1]; None where there is none."""
        return self.right / self.n if self.n else None

    @property
    def interval(self) -> Optional[Tuple[float, float]]:
        """Where the true rate lies with 95 % confidence (Wilson 1927)."""
        return wilson_interval(self.right, self.n) if self.n else None


def self_agreement(state: State) -> Share:
    """How often a person has called a piece the same again without seeing the first label."""
    both = [(one.first.name, one.second.name) for one in state.second_looks()
            if one.first.who == one.second.who and UNSURE not in (one.first.name, one.second.name)]
    return Share(len(both), sum(first == second for first, second in both))


def whole_labels(state: State) -> Dict[int, str]:
    """Label by interval, of those that one class (or ``unknown``) holds for as a whole."""
    found = {}
    for interval in state.intervals:
        names = {label.name if label is not None else '' for _, label in state.pieces(interval)}
        if len(names) == 1 and not names & {'', UNSURE, IGNORE}:
            found[interval] = names.pop()
    return found


def model_agreement(state: State, random: bool = False) -> Share:
    """How often the model's proposal is the label.

    Args:
        state: what is labelled.
        random: only of intervals that were drawn at random: then it is an estimate of the model's accuracy on
            intervals of these recordings. Of all it is none, since what the model doubts is labelled first.
    """
    pairs = [(state.intervals[interval].proposals[0][0], name) for interval, name in whole_labels(state).items()
             if state.intervals[interval].proposals and (not random or state.intervals[interval].random)]
    return Share(len(pairs), sum(proposed == name for proposed, name in pairs))


def per_minute(events: Sequence[Event], now_ms: int) -> Optional[float]:
    """Pieces labelled a minute in the last ten minutes, without pauses of more than 30 s; None: too few to tell."""
    recent: List[Tuple[int, int]] = []
    for event in reversed(events):
        if event.time_ms < now_ms - _RECENT_MS:
            break
        if event.action.kind in ('label', 'span'):
            recent.append((event.time_ms, len(event.action.stretches)))
    recent.reverse()
    gaps = [(after[0] - before[0], after[1]) for before, after in zip(recent, recent[1:])
            if after[0] - before[0] <= _PAUSE_MS]
    spent = sum(gap for gap, _ in gaps)
    return sum(pieces for _, pieces in gaps) / spent * 60_000 if spent > 0 and len(gaps) >= _FEW else None


def class_counts(state: State) -> Dict[str, int]:
    """Pieces by label, the classes first, also those that have none."""
    counts = Counter(label.name for _, label in state.all_pieces() if label is not None)
    return {name: counts[name] for name in dict.fromkeys([*state.class_names, *sorted(counts)])}


def verdict(curve: Optional[LearningCurve], counts: Dict[str, int]) -> str:
    """Whether more labels are likely to help, in a plain sentence or two."""
    used = {name: n for name, n in counts.items() if n and name not in (IGNORE, UNSURE)}
    if curve is None or len(curve.points) < 2:
        return ('Too few labels to tell: it takes about 20 of at least two classes.' if len(used) < 2 or
                sum(used.values()) < 20 else 'The learning curve is being computed.')
    half, full = curve.points[-2], curve.points[-1]
    low, high = curve.gain_interval
    told = (f'From {half.labels} to {full.labels} labels a simple classifier of the same features went from '
            f'{_percent(half.accuracy)} to {_percent(full.accuracy)} right on intervals that it had not seen '
            f'(gain {100 * curve.gain:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}).')
    if low > 0:
        sentence = f'More labels are likely to help. {told}'
    elif high < ENOUGH_GAIN:
        sentence = f'More labels of this kind are unlikely to help much. {told}'
    else:
        sentence = f'It cannot be told yet whether more labels help. {told}'
    scarce = sorted((n, name) for name, n in used.items() if n < _FEW)
    if scarce:
        sentence += f' {scarce[0][1]} has only {scarce[0][0]} label{"s" * (scarce[0][0] != 1)}: look for more of it.'
    return sentence


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %'
