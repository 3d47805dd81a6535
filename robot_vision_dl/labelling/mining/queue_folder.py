"""The folder of a queue that is mined into: what it may hold already, and what its recordings are called."""
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np

from ...core.errors import ConfigError
from ...core.files.whole_files import is_part
from ...core.text.printable import printable
from ...evaluation.recordings import Recording
from ..events import LABELS, EventStore
from ..queue_file import MINED, QueueFile, QueueRecording
from ..state import State
from .intervals import Interval
from .parts import PARTS


def check_is_queue(folder: Path) -> None:
    """Raise :class:`ConfigError` for a folder that holds something, and nothing of a queue, or for a file."""
    if folder.is_file():
        raise ConfigError(f'--out: {printable(folder)} is a file, and a queue is a folder; name another one')
    if not folder.is_dir():
        return
    names = sorted(path.name for path in folder.iterdir() if not is_part(path.name))
    if names and not {MINED, LABELS, PARTS} & set(names):
        more = ', ...' if len(names) > 3 else ''
        raise ConfigError(f'--out: {printable(folder)} is no queue but holds {printable(", ".join(names[:3]))}{more}; '
                          'name a new folder, or one that `robot-vision mine` has made')


def queue_names(folder: Path, recordings: Sequence[Recording]) -> List[str]:
    """What the recordings are called in the queue: as before where the queue has them, since labels name them so."""
    before: Dict[Path, str] = {}
    if (folder / MINED).is_file():
        try:
            with QueueFile(folder) as queue:
                before = {Path(one.path).resolve(): one.name for one in queue.recordings}
        except ConfigError:
            pass  # of another version, or damaged: it is replaced
    kept = [before.get(recording.path.resolve(), '') for recording in recordings]
    taken = set(kept)
    names: List[str] = []
    for recording, name in zip(recordings, kept):
        if not name:
            parts = recording.path.absolute().parts
            name = next((one for one in [recording.name, *('/'.join(parts[-depth:]) for depth in range(2, len(parts)))]
                         if one not in taken), str(recording.path.absolute()))
            taken.add(name)
        names.append(name)
    return names


def labelled_by_people(folder: Path, recordings: Sequence[QueueRecording], intervals: Sequence[Interval],
                       numbers: np.ndarray) -> np.ndarray:
    """Which intervals have a label in ``labels.sqlite`` for at least half of their time, bool (n,).

    Args:
        recordings: all.
        numbers: int64 (n,), place of each interval's recording among them.
    """
    found = np.zeros(len(intervals), bool)
    spans: Dict[Tuple[str, str], List[Tuple[int, int]]] = {}
    with EventStore(folder, read_only=True) as store:
        state = State((), recordings, ())
        state.extend(store.events())
    for piece in state.labelled(unsure=True):
        spans.setdefault((piece.recording, piece.topic), []).append((piece.start_ns, piece.end_ns))
    for place, interval in enumerate(intervals):
        mine = spans.get((recordings[int(numbers[place])].name, interval.topic), ())
        covered = sum(max(0, min(end, interval.end_ns) - max(start, interval.start_ns)) for start, end in mine)
        found[place] = 2 * covered >= interval.end_ns - interval.start_ns
    return found
