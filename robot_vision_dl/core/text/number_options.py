"""Types of options that are numbers: each has a range, and what is outside is told before any work is done."""
import argparse
from typing import Callable, Generic, Optional, TypeVar

from .number_text import plain_float, plain_int
from .printable import printable

LARGEST_SEED = 2**32 - 1
"""What every generator of random numbers takes."""
LARGEST_COUNT = 2**31 - 1


Number = TypeVar('Number', int, float)


class OutOfRange(argparse.ArgumentTypeError):
    """A value that is no number of the option's range."""


class Range(Generic[Number]):
    """A type for argparse.

    Attributes:
        least, most: the smallest and the largest value that is taken.
        above: the smallest value itself is not taken.
        below: the largest value itself is not taken.
    """

    def __init__(self, read: Callable[[str], Optional[Number]], kind: str, least: float, most: float,
                 above: bool = False, below: bool = False) -> None:
        self._read: Callable[[str], Optional[Number]] = read
        self._kind = kind
        self.least, self.most, self.above, self.below = least, most, above, below

    def __call__(self, text: str) -> Number:
        """The number; raises :class:`OutOfRange` for what is none, or is outside."""
        value = self._read(text)
        if value is None:
            raise OutOfRange(f'must be a {self._kind}, {self}, got {printable(text, 60)!r}')
        inside = (self.least < value if self.above else self.least <= value) and (
            value < self.most if self.below else value <= self.most)
        if not inside:
            raise OutOfRange(f'must be {self}, got {printable(text, 60)}')
        return value

    def __str__(self) -> str:
        low, high = (f'{value:.10g}' for value in (self.least, self.most))
        low = f'more than {low} and ' if self.above else f'{low} to '
        high = f'less than {high}' if self.below else f'at most {high}' if self.above else high
        return f'{low}{high}'


def whole(least: int = 0, most: int = LARGEST_COUNT) -> Range[int]:
    """A whole number from ``least`` to ``most``."""
    return Range(plain_int, 'whole number', least, most)


def real(least: float, most: float, above: bool = False, below: bool = False) -> Range[float]:
    """A finite number from ``least`` (or ``above`` it) to ``most`` (or ``below`` it)."""
    return Range(plain_float, 'number', least, most, above, below)


SEED = whole(0, LARGEST_SEED)
SHARE = real(1e-6, 1 - 1e-6)
"""A rate that is promised: no data set is large enough for a smaller one."""
RATE_HZ = real(1e-3, 1e3)
SECONDS = real(0, 1e7)
"""From none to a third of a year."""
SOME_SECONDS = real(1e-3, 1e7)
WIDTH = whole(1, 16384)
EPOCH_S = whole(0, 2**31 - 1)
"""What the stamp of a header can hold."""
