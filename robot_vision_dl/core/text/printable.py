"""Foreign names and values made fit for a message, a log or a terminal."""
import unicodedata
from typing import Any

MOST = 200
"""Characters that a name or value may take within a message."""
_GAP = ' ... '


def printable(text: Any, most: int = MOST) -> str:
    r"""A text in one line without control characters, shortened in the middle.

    Escape sequences of terminals, line breaks, characters that turn the direction of writing or cannot be seen, and
    lone surrogates (bytes of a name that are not UTF-8) become what Python would write for them: ``\x1b``, ``\n``,
    ``\u202e``. Letters of all scripts stay.

    Args:
        text: what is shown; what is no text is turned into one by ``str()``.
        most: most characters of the result, at least 20.
    """
    text = str(text)
    long = len(text) > most
    # An escape has up to ten characters for one; what is surely left out need not be looked at.
    head, tail = (text[:most], text[-most:]) if long else (text, '')
    head, tail = escaped(head), escaped(tail)
    if not long and len(head) <= most:
        return head
    tail = tail or head
    room = most - len(_GAP)
    return head[:room - room // 3] + _GAP + tail[-(room // 3):]


def escaped(text: str, keep: str = '') -> str:
    r"""As :func:`printable`, but not shortened, and with the characters of ``keep`` as they are, e.g. ``'\n'``."""
    if text.isprintable():
        return text
    return ''.join(c if c.isprintable() or c in keep or unicodedata.category(c) == 'Zs' else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode('unicode_escape', 'backslashreplace').decode('ascii')
