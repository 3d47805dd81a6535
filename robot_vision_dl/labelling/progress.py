"""How good the labels are, and whether more of them are likely to help."""
from collections import Counter
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

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


class Tally:
    """Counts of labels, kept up to date by the intervals that change.

    Attributes:
        whole: label by interval, of those that one class (or ``unknown``) holds for as a whole.
    """

    def __init__(self, state: State) -> None:
        """Count all."""
        self._state = state
        self._counts: Counter[str] = Counter()
        self._names: Dict[int, List[str]] = {}
        self._agreement, self._random = [0, 0], [0, 0]  # how many, and how many of them as proposed
        self.whole: Dict[int, str] = {}
        self._most: Dict[int, str] = {}  # the label of most of the time, where all of it has one
        self.touch(state.intervals)

    def touch(self, intervals: Iterable[int]) -> None:
        """Count these anew."""
        for interval in intervals:
            pieces = self._state.pieces(interval)
            names = [label.name for _, label in pieces if label is not None]
            self._counts.subtract(self._names.pop(interval, ()))
            self._counts.update(names)
            if names:
                self._names[interval] = names
            self._count(interval, -1)
            for known in (self.whole, self._most):
                known.pop(interval, None)
            if len(names) < len(pieces):
                continue
            lasted: Counter[str] = Counter()
            for piece, name in zip(pieces, names):
                lasted[name] += piece[0].end_ns - piece[0].start_ns
            name = max(lasted, key=lambda one: lasted[one])
            if name not in (UNSURE, IGNORE):
                self._most[interval] = name
                if len(lasted) == 1:
                    self.whole[interval] = name
                self._count(interval, 1)

    def _count(self, interval: int, step: int) -> None:
        one, name = self._state.intervals[interval], self._most.get(interval)
        if name is not None and one.proposals:
            for is_counted, sums in ((True, self._agreement), (one.random, self._random)):
                sums[0] += step * is_counted
                sums[1] += step * (is_counted and one.proposals[0][0] == name)

    @property
    def classes(self) -> Dict[str, int]:
        """Pieces by label: the classes first, also those that have none, then what else there is."""
        others = sorted(name for name, n in self._counts.items() if n and name not in self._state.class_names)
        return {name: self._counts[name] for name in (*self._state.class_names, *others)}

    def model_agreement(self, random: bool = False) -> Share:
        """How often the model's proposal is the label; where a piece was cut, that of most of its time.

        Args:
            random: only of intervals that were drawn at random: then it is an estimate of the model's accuracy on
                intervals of these recordings. Of all it is none, since what the model doubts is labelled first.
        """
        n, right = self._random if random else self._agreement
        return Share(n, right)


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
