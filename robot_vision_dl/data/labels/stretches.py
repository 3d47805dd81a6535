"""What holds when in a recording, as it is said at a command: ``cup``, ``cup@2.5-7``, ``mug@8-``."""
import re
from typing import List, NamedTuple, Optional, Sequence

from ...core.errors import ConfigError
from ...core.text.number_text import plain_float
from ...core.text.printable import printable
from .labels import check_label

_TIMES = re.compile(r'(.*)@([^-@]*)-([^-@]*)', re.DOTALL)
EXPECTED = 'expected CLASS, or CLASS@FROM-TO in seconds from the start of the bag, such as cup@2.5-7 or cup@8-'


class Stretch(NamedTuple):
    """``label`` holds from ``start_s`` on, in seconds from the recording's start, up to ``end_s`` (None: its end)."""

    label: str
    start_s: float
    end_s: Optional[float]
    text: str


def parse_stretches(texts: Sequence[str], option: str = '--label') -> List[Stretch]:
    """Stretches in the order of time.

    Args:
        texts: as users write them.
        option: begins the messages.

    Raises:
        ConfigError: one cannot be read or is no label, or two overlap.
    """
    found = sorted((_parse(text, option) for text in texts), key=lambda one: one.start_s)
    for before, after in zip(found, found[1:]):
        if before.end_s is None or before.end_s > after.start_s:
            raise ConfigError(f'{option}: {printable(before.text)!r} and {printable(after.text)!r} hold at the same '
                              'time; a frame has one label, so let one end where the next begins')
    return found


def _parse(text: str, option: str) -> Stretch:
    where = f'{option} {printable(text)!r}'
    match = _TIMES.fullmatch(text)
    name, start_s = text, 0.0
    end_s: Optional[float] = None
    if match:
        name = match[1]
        begins_s = plain_float(match[2])
        end_s = plain_float(match[3]) if match[3] else None
        if begins_s is None or (match[3] and end_s is None):
            raise ConfigError(f'{where}: {EXPECTED}')
        start_s = begins_s
        if end_s is not None and end_s <= start_s:
            raise ConfigError(f'{where}: must end after it begins')
    elif '@' in text:
        raise ConfigError(f'{where}: {EXPECTED}')
    label = check_label(name, option)
    if not label:
        raise ConfigError(f'{where}: the label is empty; {EXPECTED}')
    return Stretch(label, start_s, end_s, text)
