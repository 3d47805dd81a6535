"""The rates that n calibration pictures can promise: thresholds taken from few samples have a resolution.

A conformal p-value of n pictures is a multiple of 1/(n+1), so what is to be called unknown at most at the rate r needs
1/(n+1) <= r, which is n >= 1/r - 1; a conformal set at the error rate alpha the same with alpha. Below that the
threshold lies beyond everything, and nothing is ever called unknown, or every class is in every set: nothing breaks,
and nobody sees it. ``core/bundles/trust_limits.py`` says what a model cannot reach.
"""
from math import ceil, floor
from typing import NamedTuple, Optional

from ..config import DecisionConfig

MIN_PICTURES = 20  # of a calibration
MIN_PER_CLASS = 5  # with fewer, a class has no say in a temperature, and no threshold of its own
ROUNDING = 1e-9  # .29 * 100 must count as 29


class Grid(NamedTuple):
    """The values that p-values can take: from ``smallest`` on in steps of ``step``, in (0, 1]."""

    smallest: float
    step: float


def smallest_rate(pictures: int) -> float:
    """1/(n+1), the smallest p-value that n calibration pictures can give (Bates et al. 2023, equation 2)."""
    return 1 / (pictures + 1)


def reachable_rate(pictures: int) -> float:
    """The default ``decision.false_unknown_rate``, or the smallest that so many calibration pictures reach."""
    return max(DecisionConfig().false_unknown_rate, smallest_rate(pictures))


def pictures_for_rate(rate: float) -> int:
    """The fewest calibration pictures with which a p-value can be at most ``rate``, in (0, 1]: 99 for .01.

    Conformal sets at the error rate ``rate`` need as many to leave out any class.
    """
    return max(ceil(1 / rate - ROUNDING) - 1, 1)


def deciding_rate(grid: Optional[Grid], wanted: float, take_smallest: bool = True) -> float:
    """The rate to decide by: between the largest p-value that is at most ``wanted`` and the next one; 0: never.

    A single frame is unknown at p < this exactly if p <= wanted. Between two values, since the evidence of a stream,
    an average, comes near that of its frames but never to it: with a threshold at the smallest p-value itself, no
    unknown thing that follows a known one would ever be called unknown.

    Args:
        grid: of the model.
        wanted: rate of false unknowns; 0: never say unknown.
        take_smallest: where the grid begins above ``wanted``, take its first value instead, as a deployment does that
            says nothing else.
    """
    if grid is None or wanted <= 0:
        return 0.0
    if grid.smallest > wanted * (1 + ROUNDING):
        return min(grid.smallest + grid.step / 2, 1.0) if take_smallest else 0.0
    return min((floor(wanted / grid.step + ROUNDING) + 0.5) * grid.step, 1.0)


def rate_in_force(grid: Optional[Grid], wanted: float, take_smallest: bool = True) -> float:
    """The share of known frames that may be called unknown; 0: never. Arguments as of :func:`deciding_rate`."""
    if grid is None or deciding_rate(grid, wanted, take_smallest) <= 0:
        return 0.0
    return max(wanted, grid.smallest)
