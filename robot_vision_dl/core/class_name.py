"""What the name of a class may be."""
import unicodedata
from typing import Optional

MOST_CHARACTERS = 200
NO_TEXT = ('Cc', 'Cs', 'Zl', 'Zp')
"""Unicode categories of what is no text: control characters, halves of characters, separators of lines."""


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
