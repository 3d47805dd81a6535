"""What a name that is not known was probably meant to be."""
from difflib import get_close_matches
from typing import Iterable

from .text.printable import printable

MOST = 300
"""Characters that the known names may take."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'labels'?`` where a known name is close, else ``there are a, b, c``."""
    names = sorted(known)
    close = get_close_matches(name, names, 1) if len(name) <= MOST else []  # its time grows with the square
    if close:
        return f'did you mean {printable(close[0])!r}?'
    return f'there are {printable(", ".join(names), MOST)}' if names else 'there are none'
