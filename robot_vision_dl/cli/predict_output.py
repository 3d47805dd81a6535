"""How ``robot-vision predict`` shows results: a table for people, JSON or CSV lines for programs, pictures."""
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Protocol, Sequence, Set

import cv2

from ..classification import Classification
from ..core.errors import OutputError
from ..core.files.user_path import user_path
from ..core.files.whole_files import check_writable, write_whole
from ..core.text.csv_cells import csv_writer, safe_cell
from ..core.text.printable import printable

_COLOURS = {'accepted': '\033[32m', 'uncertain': '\033[33m', 'unknown': '\033[35m'}
_JPEG_QUALITY = 90
_MOST_WIDE = 44  # longer names push their line to the right
_TIME_WIDTH = 10
_COLUMNS = ('file', 'time_s', 'label', 'confidence', 'decision', 'best', 'why', 'entropy', 'ood_p_value',
            'unknown_probability', 'conformal_set', 'top')


class Lines(Protocol):
    """Takes one result after another."""

    def result(self, result: Classification, changed: bool) -> None:
        """Show a result; ``changed``: the decision is another than that of the frame before in the same file."""

    def end_of(self, path: Path, is_video: bool) -> None:
        """A file is done."""

    def end(self, files: int, failed: int) -> None:
        """All files are done, of which so many could not be read."""


def shown_name(path: Path, is_video: bool) -> str:
    """What stands in the first column of a :class:`Table`, with room for the time of a video's frames."""
    return printable(path) + ' ' * (_TIME_WIDTH if is_video else 0)


class Table:
    """A line for each picture, and for each change of the decision in a video.

    Args:
        names: what will be shown.
        class_names: of the model.
    """

    def __init__(self, names: Sequence[str], class_names: Sequence[str]) -> None:
        self._width = max(len('picture'), min(_MOST_WIDE, max(map(len, names))))
        self._class_width = max(len('class'), min(_MOST_WIDE // 2, max(map(len, class_names))))
        self._counts: Counter[str] = Counter()
        self._of_video: Counter[str] = Counter()
        self._last_s = 0.0
        self._begun = False

    def result(self, result: Classification, changed: bool) -> None:
        """As :class:`Lines` says."""
        name, counts = printable(result.file), self._counts
        if result.time_s is not None:
            counts = self._of_video
            counts[result.label] += 1
            self._last_s = result.time_s
            if not changed:
                return
            name = f'{name:<{self._width - _TIME_WIDTH}}{result.time_s:{_TIME_WIDTH - 2}.1f} s'
        else:
            counts[result.decision.value] += 1
        if not self._begun:
            self._begun = True
            print(f'{"picture":<{self._width}}  {"decision":<9}  {"class":<{self._class_width}}  confidence  why')
        decision = result.decision.value
        word = f'{decision:<9}'
        if sys.stdout.isatty():
            word = f'{_COLOURS[decision]}{word}\033[0m'
        print(f'{name:<{self._width}}  {word}  {printable(result.best or "-"):<{self._class_width}}  '
              f'{result.confidence:10.2f}  {printable(result.why)}', flush=True)

    def end_of(self, path: Path, is_video: bool) -> None:
        """Sum a video up."""
        total = sum(self._of_video.values())
        if is_video and total:
            shares = ', '.join(f'{printable(label)} {count / total:.0%}'
                               for label, count in self._of_video.most_common(6))
            print(f'{printable(path)}: {total} frames, {self._last_s:.1f} s: {shares}', flush=True)
        self._of_video.clear()

    def end(self, files: int, failed: int) -> None:
        """Sum the pictures up."""
        total = sum(self._counts.values())
        if total > 1:
            counts = ', '.join(f'{count} {name}' for name in _COLOURS if (count := self._counts[name]))
            print(f'{total} pictures: {counts}')


class JsonLines:
    """One object a picture or frame."""

    def result(self, result: Classification, changed: bool) -> None:
        """As :class:`Lines` says."""
        print(json.dumps(result.as_dict()), flush=True)

    def end_of(self, path: Path, is_video: bool) -> None:
        """As :class:`Lines` says."""

    def end(self, files: int, failed: int) -> None:
        """As :class:`Lines` says."""


class CsvLines:
    """One row a picture or frame, below a row of names; texts that a spreadsheet would compute are marked."""

    def __init__(self) -> None:
        self._rows = csv_writer(sys.stdout)
        self._rows.writerow(_COLUMNS)

    def result(self, result: Classification, changed: bool) -> None:
        """As :class:`Lines` says."""
        values = result.as_dict()
        values['top'] = '; '.join(f'{label}={probability:.6g}' for label, probability in result.top)
        values['conformal_set'] = '; '.join(result.conformal_set or ())
        self._rows.writerow(safe_cell(value) if isinstance(value, str) else '' if value is None else
                            f'{value:.6g}' if isinstance(value, float) else value
                            for value in (values[name] for name in _COLUMNS))
        sys.stdout.flush()

    def end_of(self, path: Path, is_video: bool) -> None:
        """As :class:`Lines` says."""

    def end(self, files: int, failed: int) -> None:
        """As :class:`Lines` says."""


class Overlays:
    """Pictures with the decision drawn in, as JPEG files in a folder.

    Args:
        folder: where; is made. ``photos/a.png`` becomes ``photos/a.png.jpg``, and a frame of ``drive.mp4``
            ``drive.mp4/0012.30s.jpg``.
        sources: what is read, and so must not be written to.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        self._folder = user_path(folder)
        check_writable(self._folder, 'choose another folder with --out')
        self._read = {os.path.realpath(path) for path in sources}
        self._used: Set[Path] = set()

    def write(self, result: Classification, name: Path) -> None:
        """Write one.

        Raises:
            OutputError: it cannot be written, or would replace a picture that is read.
        """
        if result.time_s is not None:
            name = name / f'{result.time_s:07.2f}s.jpg'
        elif name.suffix.lower() not in ('.jpg', '.jpeg'):
            name = name.with_name(f'{name.name}.jpg')
        path, number = self._folder / name, 1
        while path in self._used:
            number += 1
            path = self._folder / name.with_name(f'{name.stem}_{number}{name.suffix}')
        if os.path.realpath(path) in self._read:
            raise OutputError(f'{printable(path)}: is one of the pictures that are read, and would be replaced; choose '
                              'another folder with --out')
        self._used.add(path)
        bgr = cv2.cvtColor(result.overlay(), cv2.COLOR_RGB2BGR)
        write_whole(path, cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1].tobytes())
