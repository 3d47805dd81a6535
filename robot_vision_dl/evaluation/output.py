"""Files that appear all at once, or not at all."""
import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Type, Union

import numpy as np

from ..core.errors import DataError
from ..core.files.user_path import user_path
from ..core.files.whole_files import is_free, is_part, whole_folder
from ..core.text.csv_cells import csv_writer, safe_cell
from ..core.types import Outcome
from .recordings import Recording
from .table import CAMERA_FAULTS, OUTCOMES, FrameTable

METRICS, FRAMES, REPORT, SUMMARY, SPEED = 'metrics.json', 'frames.csv', 'report.html', 'summary.md', 'speed.json'
OWN_FILES = {METRICS, FRAMES, REPORT, SUMMARY, SPEED}


class OutputFolder:
    """A folder that is written beside its place and moved there by :meth:`commit`; a context manager.

    An earlier evaluation in its place is replaced; a folder with anything else in it is not.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        """Begin it.

        Raises:
            DataError: ``path`` holds something else.
            OutputError: it cannot be written.
        """
        self.path = user_path(path)
        others = [] if is_free(self.path) or not self.path.is_dir() else [
            entry.name for entry in self.path.iterdir() if entry.name not in OWN_FILES and not is_part(entry.name)]
        if not is_free(self.path) and (not self.path.is_dir() or others):
            what = f'holds other files ({", ".join(sorted(others)[:3])})' if others else 'is a file'
            raise DataError(f'{self.path}: {what}, so it is not replaced; choose another folder with --out')
        self._open = ExitStack()
        # Now and not at the end: whether it can be written is to be known before the work.
        self.work = self._open.enter_context(whole_folder(
            self.path, overwrite=True, remedy='make room, or choose another folder with --out'))

    def __enter__(self) -> 'OutputFolder':
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        error = error or _NotCommitted()
        self._open.__exit__(type(error), error, trace)

    def commit(self) -> None:
        """Put the folder in its place."""
        self._open.pop_all().close()


class _NotCommitted(Exception):
    pass


def write_json(path: Path, content: Dict[str, Any]) -> None:
    """The same content gives the same bytes; a number that is none would be an error."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + '\n')


def write_text(path: Path, text: str) -> None:
    r"""As UTF-8; a byte of a file's name that is none stands there as ``\udcff``, which JSON reads back."""
    path.write_text(text, encoding='utf-8', errors='backslashreplace')


COLUMNS = ('model', 'recording', 'topic', 'index', 'stamp_ns', 'receive_ns', 'time_s', 'label', 'track',
           'outcome', 'decision', 'trust', 'predicted', 'confidence', 'p_label', 'rank', 'entropy', 'ood_score',
           'ood_p', 'set_size', 'set_hit', 'fused_predicted', 'fused_confidence', 'fused_p_label', 'fused_rank',
           'file', 'camera_fault', 'object')
"""Of ``frames.csv``: one row a decided frame and model; ``time_s`` from the first of its recording. Pictures
of a folder have a ``file`` and no times, frames of a bag times and no file. By a ``camera_fault`` a frame is unknown.
Where objects are judged, a row is an ``object`` of an image, by the number that it is followed under.

Empty cells: there is no such number. Names are written by :func:`safe_cell`.
"""


def write_frames(path: Path, tables: Dict[str, FrameTable], recordings: Sequence[Recording] = ()) -> None:
    """All rows as CSV; ``recordings`` tell the files of pictures."""
    folders = {recording.name: recording for recording in recordings if recording.pictures}
    with open(path, 'w', encoding='utf-8', errors='backslashreplace', newline='') as file:
        writer = csv_writer(file)
        writer.writerow(COLUMNS)
        for model, table in tables.items():
            writer.writerows(_cells(model, table, folders))


def _cells(model: str, table: FrameTable, folders: Mapping[str, Recording]) -> Iterator[Sequence[object]]:
    names = [safe_cell(name) for name in table.class_names]
    model, recordings = safe_cell(model), [safe_cell(name) for name in table.recordings]
    of_folder = [folders.get(name) for name in table.recordings]
    topics, tracks = [safe_cell(name) for name in table.topics], [safe_cell(name) for name in table.tracks]
    for row, time_s in zip(table.rows, table.seconds().tolist()):
        r = dict(zip(row.dtype.names, row.item()))
        outcome = OUTCOMES[r['outcome']]
        accepted = outcome is Outcome.ACCEPTED
        folder = of_folder[r['recording']]
        times = (r['stamp_ns'], r['receive_ns'], f'{time_s:.3f}') if folder is None else ('', '', '')
        yield (model, recordings[r['recording']], topics[r['topic']], r['index'], *times,
               safe_cell(table.label(r['target'])), tracks[r['track']] if r['track'] >= 0 else '',
               outcome.value, names[r['fused_predicted']] if accepted else outcome.value, _text(r['trust']),
               names[r['predicted']], _text(r['confidence']), _text(r['p_target']),
               r['rank'] if r['rank'] >= 0 else '', _text(r['entropy']), _text(r['ood_score']), _text(r['ood_p']),
               r['set_size'] or '', r['set_hit'] if r['set_hit'] >= 0 else '', names[r['fused_predicted']],
               _text(r['fused_confidence']), _text(r['fused_p_target']),
               r['fused_rank'] if r['fused_rank'] >= 0 else '',
               '' if folder is None else safe_cell(folder.file(r['index'])),
               CAMERA_FAULTS[r['camera_fault']].value if r['camera_fault'] >= 0 else '',
               r['object'] if r['object'] >= 0 else '')


def _text(value: float) -> str:
    return '' if np.isnan(value) else f'{value:.6g}'
