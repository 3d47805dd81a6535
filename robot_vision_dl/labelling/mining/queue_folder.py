"""The folder of a queue that is mined into: what it may hold already, and what its recordings are called."""
import os
from pathlib import Path
from typing import Dict, List, Sequence, Set, Tuple, Union

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
    """What the recordings are called in the queue: as before where the queue has them, since labels name them so.

    A bag is known by its place and the time of its first message, and one that was moved by its file name and that
    time; a name that another bag has, or had in a mining before, is not given again.
    """
    before = _before(folder)
    known = {(Path(one.path).resolve(), one.start_ns): one.name for one in before}
    kept = [known.get((recording.path.resolve(), recording.start_ns), '') for recording in recordings]
    for place, recording in enumerate(recordings):
        moved = [one.name for one in before if one.name not in kept and one.start_ns == recording.start_ns
                 and Path(one.path).name == recording.path.name and not Path(one.path).exists()]
        if not kept[place] and len(moved) == 1:
            kept[place] = moved[0]
    taken = {*kept, *(one.name for one in before), *_labelled_elsewhere(folder, recordings)}
    names: List[str] = []
    for recording, name in zip(recordings, kept):
        if not name:
            parts = recording.path.absolute().parts
            name = next((one for one in [recording.name, *('/'.join(parts[-depth:]) for depth in range(2, len(parts)))]
                         if one not in taken), str(recording.path.absolute()))
            taken.add(name)
        names.append(name)
    return names


def former_recordings(folder: Path, recordings: Sequence[QueueRecording]) -> List[List[Union[str, int]]]:
    """Name, path and start of those of minings before that are none of these, for :attr:`QueueFile.former`."""
    own = {one.name for one in recordings}
    return [[one.name, os.path.abspath(one.path), one.start_ns] for one in _before(folder) if one.name not in own]


def _before(folder: Path) -> List[QueueRecording]:
    """All that were mined into a queue."""
    if (folder / MINED).is_file():
        try:
            with QueueFile(folder) as queue:
                return [*queue.former, *queue.recordings]
        except ConfigError:
            pass  # of another version, or damaged: it is replaced
    return []


def _labelled_elsewhere(folder: Path, recordings: Sequence[Recording]) -> Set[str]:
    """Names that labels have of bags that are there and none of these: queues of before do not keep former ones."""
    with EventStore(folder, read_only=True) as store:
        state = State((), (), ())
        state.extend(store.events())
    own = {recording.path.resolve() for recording in recordings}
    return {name for name, path in state.touched.items() if Path(path).exists() and Path(path).resolve() not in own}


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
