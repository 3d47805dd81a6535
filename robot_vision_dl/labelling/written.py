"""``written.json`` of a queue: what its labels replaced in the files beside the bags, and what was written there.

So that a label that is taken back gives way to what was there before, and a file that somebody has changed since is
told from one that the queue wrote.
"""
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

from ..core.errors import ConfigError
from ..core.files.whole_files import write_whole
from ..core.text.json_text import parse_json
from ..core.text.printable import printable
from ..core.text.text_file import read_text
from ..data.labels.labels import LabelInterval

WRITTEN = 'written.json'
"""Name of the file in a queue's folder."""
_FORMAT = 1
_COLUMNS = ('topic', 'start_ns', 'end_ns', 'label', 'track')


@dataclass(frozen=True)
class Record:
    """About one file.

    Attributes:
        digest: SHA-256 of what was written; empty: not known to be on the disk.
        wrote: the queue's labels in it.
        before: what the file said where they are, and elsewhere.
        recording: its name in the queue; empty in records of before.
    """

    digest: str = ''
    wrote: Tuple[LabelInterval, ...] = ()
    before: Tuple[LabelInterval, ...] = ()
    recording: str = ''


def digest(text: str) -> str:
    """What tells one text from another."""
    return sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()


def read_records(queue: Path) -> Dict[str, Record]:
    """By path of the file; empty where nothing was written yet.

    Raises:
        ConfigError: the file cannot be read.
    """
    path = queue / WRITTEN
    if not path.is_file():
        return {}
    content = parse_json(read_text(path), printable(path))
    try:
        if content['format'] != _FORMAT:
            raise KeyError('format')
        return {name: Record(one['digest'], _intervals(one['wrote']), _intervals(one['before']),
                             str(one.get('recording', '')))
                for name, one in content['files'].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f'{printable(path)}: is not as `robot-vision labels write` leaves it ({error!r}); remove it: '
                          'labels are kept, only those that were taken back since stay in the files') from error


def write_records(queue: Path, records: Dict[str, Record]) -> None:
    """Write them, whole or not at all."""
    content = {'format': _FORMAT, 'files': {
        name: {'digest': one.digest, 'wrote': _rows(one.wrote), 'before': _rows(one.before),
               'recording': one.recording}
        for name, one in sorted(records.items())}}
    write_whole(queue / WRITTEN, json.dumps(content, ensure_ascii=False, indent=0) + '\n')


def _rows(intervals: Iterable[LabelInterval]) -> List[List[Any]]:
    return [[getattr(one, column) for column in _COLUMNS] for one in intervals]


def _intervals(rows: Iterable[Iterable[Any]]) -> Tuple[LabelInterval, ...]:
    found = []
    for row in rows:
        topic, start_ns, end_ns, label, track = row
        if not (isinstance(start_ns, int) and isinstance(end_ns, int) and isinstance(label, str)):
            raise ValueError(f'{printable(row)} is no interval')
        found.append(LabelInterval(start_ns, end_ns, label, topic, track))
    return tuple(found)
