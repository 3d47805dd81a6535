"""What the name of a class may be."""
import unicodedata
from typing import Optional

MOST_CHARACTERS = 200
NO_TEXT = ('Cc', 'Cs', 'Zl', 'Zp')
"""Unicode categories of what is no text: control characters, halves of characters, separators of lines."""
_JOINERS = '\u200c\u200d'  # which Persian, scripts of India and emoji need within words
_BLANK = '\u115f\u1160\u2800\u3164\uffa0'  # letters and symbols by category, and nothing to see


def name_problem(name: str) -> Optional[str]:
    """Why ``name`` cannot be the name of a class; None: it can.

    It goes into messages, files and terminals, so it has to be text: what is not UTF-8 in the name of a folder arrives
    as halves of characters (PEP 383), and nothing can store it.
    """
    if len(name) > MOST_CHARACTERS:
        return f'has {len(name)} characters, and {MOST_CHARACTERS} are allowed; shorten it'
    for character in name:
        category = unicodedata.category(character)
        if category == 'Cs':
            return 'is not UTF-8; rename it (`convmv` does it for the names of many files)'
        if category in NO_TEXT:
            return f'has the control character U+{ord(character):04X} in it; rename it'
    return None


def new_name_problem(name: str) -> Optional[str]:
    """As :func:`name_problem`, for a name that somebody gives now: all of it has to be seen as it is.

    Two names must not look the same, nor one look like another. Names in bundles and labels that are there stay.
    """
    for character in name:
        if character not in _JOINERS and (unicodedata.category(character) == 'Cf' or character in _BLANK):
            return (f'has the character U+{ord(character):04X} in it, which cannot be seen or turns the direction of '
                    'writing; type it anew')
    if name and all(character in _JOINERS or unicodedata.category(character) in ('Mn', 'Zs') for character in name):
        return 'has no character that can be seen; type it anew'
    return name_problem(name)
