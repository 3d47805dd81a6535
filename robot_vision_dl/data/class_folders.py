"""Names of the folders and files that pictures of a class are written to, which come from labels of anybody."""
from ..core.class_name import name_problem
from ..core.errors import ConfigError
from ..core.text.printable import printable
from .folders import is_of_the_system
from .picture_index import INDEX

FACTS = 'crops.json'
"""Beside the folders of classes: how objects were cut out."""
MOST_BYTES = 255
"""Of a name in the file systems of Linux (``NAME_MAX``)."""
_TAKEN = (INDEX, FACTS)


def class_folder(name: str, label: str) -> str:
    """``name``, what ``label`` was made to be for a folder, if it can be one.

    Raises:
        ConfigError: it is too long, the name of a file that is written beside the folders, or of what is left out when
            the folders are read; or the label is no text.
    """
    count = len(name.encode('utf-8', 'surrogatepass'))
    problem = name_problem(label)
    if not problem and count > MOST_BYTES:
        problem = f'has {count} bytes, and the name of a folder {MOST_BYTES}; shorten it'
    if not problem and name.casefold() in _TAKEN:
        problem = f'is the name of a file that is written beside the folders ({", ".join(_TAKEN)}); rename it'
    if not problem and is_of_the_system(name):
        problem = 'is the name of what the system or another program writes, which is never read; rename it'
    if problem:
        raise ConfigError(f'the class {printable(repr(label), 60)} cannot have a folder: it {problem}')
    return name


def end_of(text: str, most_bytes: int) -> str:
    """As many of the last characters as have at most so many bytes; in a name the end tells one file from another."""
    return text.encode('utf-8', 'replace')[-most_bytes:].decode('utf-8', 'ignore')
