"""What another program says of the pictures of an export."""
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping

from ...core.errors import ConfigError
from ...core.text.printable import printable
from ...data.labels.labels import UNLABELLED_NAMES, check_label
from ..events import UNSURE
from .pictures import FACTS

MOST_BYTES = 256 << 20
"""Largest file of labels that is read."""
MOST_PICTURES = 1_000_000
"""Most pictures that are read of one export."""


@dataclass(frozen=True)
class Said:
    """A picture and its label.

    Attributes:
        name: of the picture's file.
        label: empty: none.
        facts: what goes with it, by :data:`..exchange.pictures.FACTS`, as far as the program has kept it.
        where: where it stands, for messages.
        folder: the folder's name that the label was taken from, which can be that of another class as a file's name.
    """

    name: str
    label: str
    facts: Mapping[str, str] = field(default_factory=dict)
    where: str = ''
    folder: str = ''


def said_label(text: Any, where: str) -> str:
    """A label that another program has; empty: none.

    Raises:
        ConfigError: it cannot be one.
    """
    if text is None:
        return ''
    if not isinstance(text, str):
        raise ConfigError(f'{where}: a label must be text, got {printable(text, 60)!r}')
    name = text.strip().casefold()
    if name in UNLABELLED_NAMES:
        return ''
    return UNSURE if name == UNSURE else check_label(text, where)


def said_facts(values: Any) -> Dict[str, str]:
    """Those of :data:`FACTS` in a mapping of another program; numbers as text."""
    if not isinstance(values, Mapping):
        return {}
    return {key: str(values[key]) for key in FACTS
            if isinstance(values.get(key), (str, int)) and not isinstance(values[key], bool)}


def check_count(count: int, where: str) -> None:
    """Raise :class:`ConfigError` for more than :data:`MOST_PICTURES`."""
    if count > MOST_PICTURES:
        raise ConfigError(f'{where}: has more than {MOST_PICTURES} pictures; import it in parts')
