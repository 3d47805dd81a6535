"""Numbers as people and programs write them, and nothing else that Python would read as one.

``int()``, ``float()`` and ``Decimal()`` take ``1_0`` for 10, digits of every script, space around, and ``infinity``; in
text from outside each of these is more likely a slip than a number.
"""
import re
from decimal import Decimal, InvalidOperation
from typing import Optional

MOST_DIGITS = 100
"""Longest number that is read."""
_WHOLE = re.compile('[+-]?[0-9]+')
_NUMBER = re.compile(r'[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?')


def plain_int(text: str) -> Optional[int]:
    """A whole number in ASCII digits; None for anything else."""
    return int(text) if len(text) <= MOST_DIGITS and _WHOLE.fullmatch(text) else None


def plain_decimal(text: str) -> Optional[Decimal]:
    """A finite decimal number in ASCII digits, with all of them; None for anything else."""
    if len(text) > MOST_DIGITS or not _NUMBER.fullmatch(text):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent beyond all
        return None
    return value if value.is_finite() else None


def plain_float(text: str) -> Optional[float]:
    """A finite number in ASCII digits; None for anything else, and for what no float is large enough for."""
    if len(text) > MOST_DIGITS or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) != float('inf') else None
