"""The combination of several scores for the few frames of a live batch, from products made for all of them at once.

The same numbers as :class:`~.combined.Combined`, up to rounding. That goes through many pictures in numpy, which costs
two to three times as much here: arrays are tiny, nothing is in the caches, and what counts is the number of operations.
"""
from math import inf, log, sqrt
from typing import List, NamedTuple, Optional, Sequence

import numpy as np

from ..pass_products import Product, Table
from .base import Quadratic
from .combined import LEAST_DISTANCE, Combined, FrameScore, fisher_of
from .energy import Energy

_FEW = 32  # classes whose distances are told in Python


class _Part(NamedTuple):
    score: FrameScore
    quadratic: Optional[Quadratic]
    is_energy: bool
    is_distance: bool
    location: float
    inverse: float


class LiveScores(NamedTuple):
    """Of B frames.

    Attributes:
        statistic: T, float32 as a number of Python.
        farthest: number of the part that finds the frame farthest out.
    """

    statistic: List[float]
    farthest: List[int]


class CombinedLive:
    """A combination, and the tables by which it reads a pass.

    Args:
        combined: the score.
    """

    def __init__(self, combined: Combined) -> None:
        self._weights: List[float] = combined.weight.tolist()
        self._parts = [_Part(one, one.score.quadratic(), isinstance(one.score, Energy), one.score.is_distance, location,
                             1 / scale)
                       for one, location, scale in zip(combined.parts, combined.location.tolist(),
                                                       combined.scale.tolist())]
        self.tables = [Table(part.quadratic.table, part.quadratic.axes, part.score.place)
                       for part in self._parts if part.quadratic is not None]

    def __call__(self, products: Sequence[Product], energies: Sequence[float], logits: np.ndarray,
                 features: np.ndarray, stages: Sequence[np.ndarray]) -> LiveScores:
        """T of each frame.

        Args:
            products: with :attr:`tables`.
            energies: :func:`~.energy.energy` of each frame.
            logits, features, stages: of the pass, float32, for parts that are not told from products.
        """
        left, columns = iter(products), []
        column: Sequence[float]
        for part in self._parts:
            if part.quadratic is not None:
                column = _distances(part.quadratic, next(left))
            elif part.is_energy:
                column = energies
            else:
                column = part.score.forward(logits, features, stages).tolist()
            if part.is_distance:
                column = [log(max(value, LEAST_DISTANCE)) for value in column]
            columns.append([(value - part.location) * part.inverse for value in column])
        rows = list(zip(*columns))
        return LiveScores(np.array([fisher_of(row, self._weights) for row in rows], np.float32).tolist(),
                          [_place_of_largest(row) for row in rows])


def _distances(form: Quadratic, product: Product) -> List[float]:
    """Scores of B frames by their products with ``form.table``."""
    found, few = [], len(form.constants) <= _FEW
    rows = product.values[:, form.axes:form.axes + 1 + _FEW * few].tolist()
    for number, (row, length, square) in enumerate(zip(rows, product.lengths, product.squares)):
        r = 1 / max(sqrt(length), 1e-12)
        if len(row) == 1:  # one Gaussian, or many classes
            nearest = 0.0 if few else float((product.values[number, form.axes + 1:] * r + form.constants).min())
        else:
            nearest = min([r * one + constant for one, constant in zip(row[1:], form.constants)])
        beside = r * row[0] - form.origin
        found.append(max(form.sign * (r * r * square + beside * beside) + nearest
                         + (form.unit if length > 0 else 0.0), 0.0))
    return found


def _place_of_largest(values: Sequence[float]) -> int:
    """Of numbers, the first of the largest; what is not a number counts as larger than all."""
    seen = [inf if value != value else value for value in values]
    return seen.index(max(seen))
