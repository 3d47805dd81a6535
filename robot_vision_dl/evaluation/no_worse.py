"""Is a new model no worse than the old one: gates on paired differences over whole recordings.

Each gate is a test of non-inferiority: it is passed where the interval of the difference ends within a margin that
was set before, failed where the interval is wholly beyond it, and undecided between the two. That all gates have to be
passed makes no correction for their number necessary (intersection-union test; Berger 1982).

The two need not have the same classes, see :mod:`.paired_frames`.

Recordings are drawn with replacement. Percentiles are those of Hesterberg's expanded interval (What Teachers Should
Know about the Bootstrap, The American Statistician 69, 2015, section 4.4), since plain ones are too narrow where
recordings are few.
"""
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

import numpy as np

from .bootstrap import Interval, draw_weights
from .paired_frames import NEW, OLD, SUMS, PairedFrames, least_ratio, paired_frames
from .table import ACCEPTED, OUT_OF_DISTRIBUTION, FrameTable

LEAST_RECORDINGS = 6
"""With fewer, a model that is no better is ahead in each of them by chance more often than one time in 40 (2**-5)."""


class Figure(NamedTuple):
    """What a gate is on.

    Attributes:
        margin: by how much the new model may be worse, where nobody says otherwise.
        higher: whether more is better.
        of: frames that it is a share or mean of, in words.
        words: what it is, in words.
    """

    margin: float
    higher: bool
    of: str
    words: str


FIGURES: Dict[str, Figure] = {
    'accuracy': Figure(0.02, True, 'of the classes of both', 'right answers of single frames'),
    'worst_recall': Figure(0.05, True, 'of the classes of both', 'right answers of the class that has the fewest'),
    'nll': Figure(0.05, False, 'of the classes of both', 'NLL of single frames (nats)'),
    'decided_right': Figure(0.02, True, 'labelled', 'acted on rightly, or rightly called unknown'),
    'acted_wrong': Figure(0.01, False, 'labelled', 'acted on wrongly'),
    'foreign_accepted': Figure(0.05, False, 'labelled unknown', 'acted on though of no class'),
    'false_unknown': Figure(0.02, False, 'of the classes of both', 'called unknown though of a class'),
}


class Decided(str, Enum):
    """What a gate comes to."""

    PASSED = 'passed'
    FAILED = 'failed'
    UNDECIDED = 'undecided'


@dataclass(frozen=True)
class GateResult:
    """A figure of both models and what its difference says.

    Attributes:
        figure: of :data:`FIGURES`.
        old, new: values; NaN where they cannot be told.
        difference: new minus old, with its 95 % interval.
        margin: by how much the new one may be worse.
        recordings: how many the figure rests on.
        decided: see the module.
        reason: a sentence.
    """

    figure: str
    old: float
    new: float
    difference: Interval
    margin: float
    recordings: int
    decided: Decided
    reason: str

    def holds(self, allow_undecided: bool) -> bool:
        """Whether nothing speaks against the new model.

        With ``allow_undecided`` the value decides where the interval does not, and what cannot be told passes.
        """
        if self.decided is not Decided.UNDECIDED or not allow_undecided:
            return self.decided is Decided.PASSED
        return not self.worse_by > self.margin

    def said(self, allow_undecided: bool) -> str:
        """A sentence; where ``allow_undecided`` lets the value decide, what that comes to."""
        if self.decided is not Decided.UNDECIDED or not allow_undecided or not np.isfinite(self.worse_by):
            return self.reason
        verdict = 'within' if self.holds(True) else 'beyond'
        return (f'{figures_text(self.figure, self.old, self.new, self.difference)}: too few recordings to tell '
                f'({self.recordings}), so the value decides, and it is {verdict} the margin of '
                f'{limit_text(self.figure, self.margin)}')

    @property
    def worse_by(self) -> float:
        """By how much the new model is worse; negative: better; NaN: cannot be told."""
        return self.difference.value * (-1 if FIGURES[self.figure].higher else 1)

    @property
    def shown(self) -> str:
        """``better``, ``worse`` or, where the interval holds 0, ``no difference shown``."""
        sign = 1 if FIGURES[self.figure].higher else -1
        low, high = sorted((self.difference.low * sign, self.difference.high * sign))
        return 'cannot be told' if not np.isfinite(low) else 'better' if low > 0 else 'worse' if high < 0 \
            else 'no difference shown'

    def as_json(self) -> Dict[str, Any]:
        """For files; what cannot be told is null."""
        numbers = {'old': self.old, 'new': self.new, 'difference': self.difference.value, 'low': self.difference.low,
                   'high': self.difference.high, 'margin': self.margin}
        return {'figure': self.figure, **{key: float(f'{value:.6g}') if np.isfinite(value) else None
                                          for key, value in numbers.items()},
                'recordings': self.recordings, 'decided': self.decided.value}


def judge(old: FrameTable, new: FrameTable, margins: Mapping[str, float], draws: int = 10_000, seed: int = 0
          ) -> List[GateResult]:
    """Every figure of ``margins``, new minus old.

    Args:
        old, new: rows of the two models on the same recordings.
        margins: by figure of :data:`FIGURES`.
        draws, seed: of the bootstrap.

    Raises:
        DataError: there is no labelled frame that both decided.
    """
    frames = paired_frames(old, new)
    return [_judge(figure, frames, margin, draws, seed) for figure, margin in margins.items()]


def describe_new_classes(old: FrameTable, new: FrameTable) -> List[str]:
    """What became of the frames of each class that only the new model has, a sentence each; none: there is no such."""
    frames = paired_frames(old, new)
    lines = []
    for number, name in enumerate(frames.names):
        own = frames.truth == number
        if name in old.class_names:
            continue
        if not own.any():
            lines.append(f'{name} is new: no frozen frame shows it, so nothing here tells how well it is known')
            continue
        recordings, recall = len(np.unique(frames.group[own])), float(np.mean(frames.said[NEW][own] == number))
        acted = float(np.mean(frames.old['outcome'][own] == ACCEPTED))
        unknown = float(np.mean(frames.old['outcome'][own] == OUT_OF_DISTRIBUTION))
        right = float(np.mean(frames.acted[NEW][own] == number))
        lines.append(f'{name} is new ({int(own.sum())} frozen frames of {recordings} recordings): recall '
                     f'{recall:.3f} of single frames{", mostly missed: label more of it" if recall < 0.5 else ""}; the '
                     f'old model acted on {acted:.3f} of them, '
                     f'wrongly, and called {unknown:.3f} unknown, rightly; the new one acts rightly on {right:.3f}')
    return lines


def _judge(figure: str, frames: PairedFrames, margin: float, draws: int, seed: int) -> GateResult:
    above, below = {}, np.zeros(0)
    for model in (OLD, NEW):
        above[model], below = SUMS[figure](frames, model)
    there = (below > 0).sum(axis=0)  # recordings with frames of it; for recall, of each class
    recordings = int(there[there > 0].min()) if (there > 0).any() else 0
    of_all = np.ones((1, frames.groups))
    value = {model: float(least_ratio(of_all, above[model], below)[0]) for model in (OLD, NEW)}
    difference = Interval(value[NEW] - value[OLD], float('nan'), float('nan'))
    if recordings >= 2:  # of all figures the same draws
        samples = [least_ratio(weights, above[NEW], below) - least_ratio(weights, above[OLD], below)
                   for weights in draw_weights(frames.groups, draws, seed)]
        difference = expanded_interval(difference.value, np.concatenate(samples), recordings)
    decided = Decided.UNDECIDED
    if recordings >= LEAST_RECORDINGS:
        best, worst = (difference.high, difference.low) if FIGURES[figure].higher else (
            -difference.low, -difference.high)
        decided = Decided.PASSED if worst >= -margin else Decided.FAILED if best < -margin else decided
    return GateResult(figure, value[OLD], value[NEW], difference, margin, recordings, decided,
                      _reason(figure, value, difference, margin, recordings, decided))


def expanded_interval(value: float, sample: np.ndarray, groups: int) -> Interval:
    """95 % interval of a bootstrap sample over so few groups; see the module."""
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return Interval(value, float('nan'), float('nan'))
    tail = NormalDist().cdf(-np.sqrt(groups / (groups - 1)) * t_quantile(groups - 1))
    low, high = np.percentile(sample, (100 * tail, 100 * (1 - tail)))
    return Interval(value, float(low), float(high))


def t_quantile(freedom: int) -> float:
    """The 97.5th percentile of Student's t, to .2 % from 5 degrees on (Abramowitz and Stegun, 26.7.5)."""
    z, v = NormalDist().inv_cdf(0.975), float(freedom)
    return (z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3))


def _reason(figure: str, value: Mapping[str, float], difference: Interval, margin: float, recordings: int,
            decided: Decided) -> str:
    kind = FIGURES[figure]
    if not recordings:
        return f'{figure} cannot be told: no frozen frame is {kind.of if kind.of != "labelled" else "labelled at all"}'
    text, limit = figures_text(figure, value[OLD], value[NEW], difference), limit_text(figure, margin)
    if recordings < LEAST_RECORDINGS:
        return f'{text}: {recordings} recordings are too few to tell, {LEAST_RECORDINGS} at least are needed'
    return text + {
        Decided.PASSED: f', no worse than the margin of {limit}', Decided.FAILED: f', worse than the margin of {limit}',
        Decided.UNDECIDED: f': {recordings} recordings cannot tell whether that is worse than the margin of {limit}'
    }[decided]


def figures_text(figure: str, old: float, new: float, difference: Interval) -> str:
    """``accuracy 0.9000 -> 0.8500, -0.0500 (-0.0900 .. -0.0100)``."""
    text = f'{figure} {old:.4f} -> {new:.4f}, {difference.value:+.4f}'
    return text + f' ({difference.low:+.4f} .. {difference.high:+.4f})' if np.isfinite(difference.low) else text


def limit_text(figure: str, margin: float) -> str:
    """A margin with the sign that a difference has where the new model is worse."""
    return f'{"-" if FIGURES[figure].higher else "+"}{margin:g}'


def gates_json(results: Sequence[GateResult], model: str, allow_undecided: bool) -> List[Dict[str, Any]]:
    """As ``gates`` of ``metrics.json`` has them."""
    return [{'model': model, 'figure': result.figure, 'rule': 'worse by at most', 'limit': result.margin,
             'value': float(f'{result.worse_by:.6g}') if np.isfinite(result.worse_by) else None,
             'passed': result.holds(allow_undecided), 'reason': f'{model}: {result.said(allow_undecided)}'}
            for result in results]
