"""What a name that is not known was probably meant to be."""
from difflib import get_close_matches
from typing import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'labels'?`` where a known name is close, else ``there are a, b, c``."""
    names = sorted(known)
    close = get_close_matches(name, names, 1)
    if close:
        return f'did you mean {close[0]!r}?'
    return f'there are {", ".join(names)}' if names else 'there are none'
