"""How the score of unknowns of a picture comes about, and where it lies among those of the calibration pictures."""
from dataclasses import dataclass
from typing import List, Tuple

import numpy as np

from ..core.bundles.bundle import Bundle
from ..core.networks.network import Prediction
from ..core.types import OodResult
from ..core.uncertainty.ood.combined import Combined, log_upper_tail
from ..evaluation.report.svg import fmt

_BINS = 28
_WIDTH, _HEIGHT, _EDGE, _TOP = 420, 150, 14, 26
_ROOM = 1.6  # of the calibration scores' range: what lies further out is put at the edge


@dataclass(frozen=True)
class PartScore:
    """A part of a combination.

    Attributes:
        words: what it looks at, and by what.
        z: how far out it finds the picture, in standard deviations of known pictures.
        tail: probability of a known picture further out, if z were normal.
        weight: of the part.
        term: -2 weight ln(tail); the terms add up to the score.
    """

    words: str
    z: float
    tail: float
    weight: float
    term: float


@dataclass(frozen=True)
class UnknownScore:
    """A picture's score.

    Attributes:
        name: of the score, in words.
        score: larger is further out.
        p_value: (1 + at_least) / (n + 1).
        at_least: calibration pictures with a score as high or higher.
        calibration: float32 (n,), ascending: scores of the calibration pictures.
        rate: a single picture is called unknown at a p-value below it; 0: none is.
        parts: of a combination; empty: it is one score.
    """

    name: str
    score: float
    p_value: float
    at_least: int
    calibration: np.ndarray
    rate: float
    parts: Tuple[PartScore, ...]

    @property
    def needed(self) -> float:
        """The calibration score that must be exceeded to be called unknown; infinite: none suffices."""
        n = len(self.calibration)
        allowed = int(np.ceil(self.rate * (n + 1) - 1e-9)) - 2  # calibration pictures that may lie as far out
        return float('inf') if allowed < 0 else float(self.calibration[n - 1 - allowed])


class ScoreReader:
    """Explains the scores of one model; None where the model has no calibrated score.

    Args:
        bundle: with ``ood`` and its calibration scores.
        rate: a single picture is called unknown at a p-value below it.
    """

    def __init__(self, bundle: Bundle, rate: float) -> None:
        assert bundle.ood is not None and bundle.ood.scores is not None
        self._ood, self._rate = bundle.ood, rate
        self._scores = bundle.ood.scores
        self._score = bundle.ood.build_score()

    def __call__(self, result: OodResult, prediction: Prediction) -> UnknownScore:
        """Of one picture: what was found of it, and what the network gives for it, a batch of one."""
        assert result.p_value is not None
        at_least = len(self._scores) - int(np.searchsorted(self._scores, np.float32(result.score), side='left'))
        parts: List[PartScore] = []
        if isinstance(self._score, Combined):
            z = self._score.standardised(prediction.logits.float(), prediction.features.float(),
                                         [one.float() for one in prediction.stages])[0]
            for part, one, weight in zip(self._ood.parts, z.tolist(), self._score.weight.tolist()):
                tail = log_upper_tail(one)
                parts.append(PartScore(part.words, one, float(np.exp(tail)), weight, -2 * weight * tail))
        return UnknownScore(self._ood.name, result.score, result.p_value, at_least, self._scores, self._rate,
                            tuple(parts))


def score_plot(found: UnknownScore) -> str:
    """Histogram of the calibration scores as SVG, with the picture and with what makes a picture unknown."""
    low = float(found.calibration[0])
    spread = max(float(found.calibration[-1]) - low, 1e-6)
    high = low + spread * min(_ROOM, max(1.0, 1.05 * (found.score - low) / spread))
    low = min(low, max(found.score, low - 0.6 * spread))
    counts, _ = np.histogram(found.calibration, _BINS, (low, high))
    wide = (_WIDTH - 2 * _EDGE) / _BINS

    def x_of(score: float) -> float:
        return _EDGE + (_WIDTH - 2 * _EDGE) * min(max((score - low) / (high - low), 0), 1)
    out = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 34}" role="img" class="chart" aria-label="scores of the calibration '
           'pictures, and of this one">']
    for place, count in enumerate(counts.tolist()):
        tall = (_HEIGHT - _TOP) * count / max(counts.max(), 1)
        if count:
            tall = max(tall, 1.5)
            out.append(f'<rect class="bar" x="{fmt(_EDGE + place * wide + .5)}" width="{fmt(wide - 1)}" '
                       f'y="{fmt(_HEIGHT - tall)}" height="{fmt(tall)}"/>')
    out.append(f'<line class="grid" x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{_HEIGHT}" y2="{_HEIGHT}"/>')
    for value, anchor in ((low, 'start'), (high, 'end')):
        out.append(f'<text class="tick" x="{fmt(x_of(value))}" y="{_HEIGHT + 14}" text-anchor="{anchor}">{value:.3g}'
                   '</text>')
    if np.isfinite(found.needed) and found.rate > 0:
        x = x_of(found.needed)
        out.append(f'<line class="ideal" x1="{fmt(x)}" x2="{fmt(x)}" y1="{_TOP}" y2="{_HEIGHT}"/>'
                   f'<text class="tick" x="{fmt(x)}" y="{_HEIGHT + 29}" text-anchor="{_anchor(x)}">unknown from here'
                   '</text>')
    x, right = x_of(found.score), found.score > high
    out.append(f'<line class="here" x1="{fmt(x)}" x2="{fmt(x)}" y1="{_TOP - 6}" y2="{_HEIGHT}"/>'
               f'<text class="note" x="{fmt(x)}" y="{_TOP - 10}" text-anchor="{_anchor(x)}">'
               f'this picture {found.score:.3g}{", far beyond" if right else ""}</text>')
    return ''.join(out) + '</svg>'


def _anchor(x: float) -> str:
    """By which end a text at x is held, so that it stays within the picture."""
    return 'end' if x > _WIDTH * 0.6 else 'start' if x < _WIDTH * 0.4 else 'middle'
