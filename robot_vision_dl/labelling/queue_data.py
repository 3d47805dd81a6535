"""What a queue gives to learn from: its labelled bags, their labels beside them, and who gave these."""
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

from ..core.errors import ConfigError
from ..core.text.printable import printable
from ..data.labels.labels import IGNORE
from .events import read_events
from .outcome import bag_labellings, write_labels
from .queue_file import MINED, QueueFile
from .state import fold


@dataclass(frozen=True)
class QueueData:
    """What is learned from.

    Attributes:
        bags: of which something is labelled that is to be used, by recording.
        labelled_by: by name of a person, pieces whose label stands; the most first.
        notes: sentences about what became of labels.
    """

    bags: Tuple[str, ...]
    labelled_by: Dict[str, int]
    notes: Tuple[str, ...] = ()


def is_queue(folder: Path) -> bool:
    """Whether a folder is one of `robot-vision mine`."""
    return os.path.isfile(folder / MINED)  # of a name that is too long, too


def queue_data(folder: Path, write: bool) -> QueueData:
    """The labelled bags of a queue.

    Args:
        write: put the labels beside the bags first, as ``robot-vision labels write`` does; else they are as they lie.

    Raises:
        ConfigError: nothing is labelled, or a bag is not there.
        OutputError: labels cannot be written.
    """
    with QueueFile(folder) as queue:
        pieces = fold(queue, read_events(folder)).labelled()
    labellings = [one for one in bag_labellings(pieces) if {each.label for each in one.intervals} - {IGNORE}]
    if not labellings:
        raise ConfigError(f'{printable(folder)}: nothing is labelled that could be learned from; `robot-vision label '
                          f'{printable(folder)}` opens the page')
    people = Counter(piece.who for piece in pieces)
    notes: List[str] = []
    if write:
        done = write_labels(folder)
        changed = sum(one.changed for one in done)
        notes += [f'{printable(folder)}: labels of {len(labellings)} bags, {changed} files beside them written anew',
                  *dict.fromkeys(note for one in done for note in one.notes)]
        notes += [f'what was there before: {printable(one.backup)}' for one in done if one.backup is not None]
    else:
        notes.append(f'{printable(folder)}: labels are counted as they lie beside the bags; those of the queue are '
                     'written there when this is carried out, or by `robot-vision labels write`')
    return QueueData(tuple(dict.fromkeys(str(one.path) for one in labellings)), dict(people.most_common()),
                     tuple(notes))
